//! A wrong configuration that is in use because there is no good one. The requests that it is for get 503
//! with the mistakes; all others pass
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md).

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::config::{ConfigErrors, Placement, Plugin, Salvage, SalvagedTarget};
use entra_token_core::status::Unavailable;
use proxy_wasm::types::{Action, MapType};

use crate::host;
use crate::metrics::RequestMetrics;
use crate::responses::send_unavailable;

/// What is known of a wrong configuration.
pub(crate) struct InvalidConfig {
    salvaged: Salvage,
    /// One for each of `salvaged.targets`.
    metrics: Vec<RequestMetrics>,
    /// The number of its mistakes.
    pub(crate) errors: u32,
    answer: Unavailable,
}

impl InvalidConfig {
    pub(crate) fn new(salvaged: Salvage, errors: &ConfigErrors) -> Self {
        let metrics = salvaged.targets.iter();
        Self {
            metrics: metrics.map(|it| RequestMetrics::new(&it.name)).collect(),
            salvaged,
            errors: errors.count(),
            answer: Unavailable::misconfigured(errors),
        }
    }

    /// Whether `good` may stay in use instead of this configuration. In upstream placement that needs the same
    /// hosts: two clusters may have filters of the same name, and the token of `good` would go to the cluster
    /// of this one.
    pub(crate) fn may_keep(&self, good: &Plugin) -> bool {
        let own = self.salvaged.targets.iter().map(|it| &it.name);
        good.placement == Placement::Downstream || good.targets.iter().map(|it| &it.name).eq(own)
    }

    /// Logs what happens to requests.
    pub(crate) fn announce(&self) {
        let names = self.salvaged.targets.iter().map(|it| it.name.as_str());
        let names: Vec<_> = names.collect();
        let those = if names.is_empty() {
            "no host can be made out, so none is answered 503".to_owned()
        } else {
            format!("requests to {} are answered 503", names.join(", "))
        };
        log::error!(
            "plugin configuration: there is no good one to keep: {those}; all others pass, without a token"
        );
    }

    /// Answers a request, or lets it pass. Not inlined, so that the path of a healthy request stays short.
    #[cold]
    #[inline(never)]
    pub(crate) fn answer(&self) -> Action {
        let Some((target, metrics)) = self.addressed() else {
            return Action::Continue;
        };
        if !leads_to(&target.clusters) {
            metrics.passed.count();
            return Action::Continue;
        }
        metrics.unavailable.count();
        send_unavailable(&self.answer)
    }

    fn addressed(&self) -> Option<(&SalvagedTarget, &RequestMetrics)> {
        let find = |authority: &str| self.salvaged.hosts.find(authority);
        let index = host::read_header(MapType::HttpRequestHeaders, ":authority", find)??;
        Some((self.salvaged.targets.get(index)?, self.metrics.get(index)?))
    }

    pub(crate) fn flush(&self) {
        for metrics in &self.metrics {
            metrics.flush();
        }
    }
}

/// Whether Envoy sends the request to one of these clusters.
fn leads_to(clusters: &AllowedClusters) -> bool {
    matches!(clusters, AllowedClusters::Any)
        || host::cluster_name().is_some_and(|cluster| {
            str::from_utf8(&cluster).is_ok_and(|cluster| clusters.allow(cluster))
        })
}
