//! A configuration that is wrong and in use, because there is no good one to keep: requests that it
//! was meant for are answered with the reason, all others pass
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md).

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::config::{Mistakes, Placement, Plugin, Salvage, SalvagedTarget};
use entra_token_core::status::Unavailable;
use proxy_wasm::types::{Action, MapType};

use crate::host;
use crate::metrics::RequestMetrics;
use crate::responses::send_unavailable;

/// What is known of it.
pub(crate) struct InvalidConfig {
    salvaged: Salvage,
    /// One for each of `salvaged.targets`.
    metrics: Vec<RequestMetrics>,
    /// How many mistakes it has.
    pub(crate) mistakes: u32,
    answer: Unavailable,
}

impl InvalidConfig {
    pub(crate) fn new(salvaged: Salvage, mistakes: &Mistakes) -> Self {
        let metrics = salvaged.targets.iter();
        Self {
            metrics: metrics.map(|it| RequestMetrics::new(&it.name)).collect(),
            salvaged,
            mistakes: mistakes.count(),
            answer: Unavailable::misconfigured(mistakes),
        }
    }

    /// Whether a good configuration may stay in use in the place of this one. In upstream placement
    /// only one for the same hosts may: its token goes to whatever the cluster of this one leads to, and
    /// two clusters may have filters of the same name.
    pub(crate) fn may_keep(&self, good: &Plugin) -> bool {
        let own = self.salvaged.targets.iter().map(|it| &it.name);
        good.placement == Placement::Downstream || good.targets.iter().map(|it| &it.name).eq(own)
    }

    /// Tells people what becomes of requests.
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

    /// One request's headers. Kept out of the way of those that there is nothing to explain to.
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
