//! What the launcher makes of an environment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifests::{at, list};
use crate::tools;

/// A bootstrap, and what was said about the settings.
pub(crate) struct Rendered {
    bootstrap: Value,
    pub(crate) warnings: Vec<String>,
}

/// Gives the launcher exactly these variables; it must take them.
pub(crate) fn render(environment: &BTreeMap<String, String>) -> Result<Rendered, String> {
    let mut launcher = tools::program("dist/entra-auth-envoy", "make build")?;
    let output = tools::run(launcher.arg("render").env_clear().envs(environment))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the launcher refuses {environment:#?}\n{stderr}"));
    }
    let bootstrap = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let warnings = stderr.lines().filter(|line| line.contains("warning: "));
    Ok(Rendered {
        bootstrap,
        warnings: warnings.map(str::to_owned).collect(),
    })
}

impl Rendered {
    /// The host of Entra, where one application is to prove who it is.
    pub(crate) fn entra(&self) -> Option<&str> {
        let clusters = list(&self.bootstrap, "/static_resources/clusters");
        let mut entra = clusters.filter(|cluster| at(cluster, "/name") == "entra");
        let address =
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
        at(entra.next()?, address).as_str()
    }

    /// Whether the filter's messages name variables of the environment, as they do by default.
    pub(crate) fn names_variables(&self) -> bool {
        // The filter's configuration is text in the bootstrap.
        let quoted = r#"\"IDENTITY_TYPE\""#;
        self.bootstrap.to_string().contains(quoted)
    }

    /// The ports that Envoy listens on.
    pub(crate) fn ports(&self) -> BTreeSet<u64> {
        let listeners = list(&self.bootstrap, "/static_resources/listeners");
        listeners
            .filter_map(|l| at(l, "/address/socket_address/port_value").as_u64())
            .collect()
    }
}
