//! The kinds of requests that are counted, and the plugin configurations that they come under.

use entra_token_core::config::{self, Placement};
use serde_json::json;

use crate::Result;

/// A host as Azure Monitor has them.
pub const TARGET: &str = "metrics-abcd.westeurope-1.metrics.ingest.monitor.azure.com";

/// A host that is nobody's target.
pub const OTHER: &str = "node-exporter.monitoring.svc.cluster.local:9100";

/// Every host, and every cluster.
const EVERYTHING: &str = "*";

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the record.
    pub name: &'static str,
    /// Where in Envoy the filter stands.
    pub placement: Placement,
    /// How many targets the configuration has.
    pub targets: usize,
    /// Whether the request is to one of them.
    pub is_target: bool,
    /// In how many pieces its body comes; none: a GET.
    pub body_chunks: u32,
}

const UPSTREAM: Kind = Kind {
    name: "upstream",
    placement: Placement::Upstream,
    targets: 1,
    is_target: true,
    body_chunks: 0,
};

const DOWNSTREAM: Kind = Kind {
    name: "downstream",
    placement: Placement::Downstream,
    ..UPSTREAM
};

/// All of them.
pub const KINDS: [Kind; 5] = [
    UPSTREAM,
    Kind {
        name: "upstream-post",
        body_chunks: 3,
        ..UPSTREAM
    },
    DOWNSTREAM,
    Kind {
        name: "downstream-other",
        is_target: false,
        ..DOWNSTREAM
    },
    Kind {
        name: "downstream-1000",
        targets: 1000,
        ..DOWNSTREAM
    },
];

impl Kind {
    /// The `:authority` of its requests.
    #[must_use]
    pub fn authority(&self) -> &'static str {
        if self.is_target { TARGET } else { OTHER }
    }

    /// The cluster that Envoy sends them to: downstream named as Istio does.
    #[must_use]
    pub fn cluster(&self) -> String {
        match self.placement {
            Placement::Upstream => "target".into(),
            Placement::Downstream => format!("outbound|443||{}", self.authority()),
        }
    }

    /// The plugin configuration: in upstream placement as the launcher writes it, for a target
    /// that is all there is; in downstream placement as people write it for Istio.
    ///
    /// # Errors
    /// When the plugin would refuse it.
    pub fn configuration(&self) -> Result<String> {
        let clusters = match self.placement {
            Placement::Upstream => Some([EVERYTHING]),
            Placement::Downstream => None,
        };
        let others = (1..self.targets).map(|n| format!("metrics-{n}.example.com"));
        let targets: Vec<_> = others
            .chain([TARGET.to_owned()])
            .map(|host| {
                let mut hosts = vec![host.as_str()];
                if self.placement == Placement::Upstream {
                    hosts.push(EVERYTHING);
                }
                json!({
                    "hosts": hosts,
                    "identity": "own",
                    "audience": "https://monitor.azure.com",
                    "clusters": clusters,
                })
            })
            .collect();
        let text = json!({
            "placement": self.placement,
            "identities": [
                { "name": "own", "type": "systemAssigned", "imds": { "cluster": "imds" } },
            ],
            "targets": targets,
        });
        let config = config::read(text.to_string().as_bytes())
            .map_err(|errors| format!("{}: plugin configuration: {errors:?}", self.name))?;
        Ok(json!(config).to_string())
    }
}
