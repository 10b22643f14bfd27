//! The variants: listeners side by side in one Envoy, which differ in nothing but what is compared.
//!
//! All have the listener, connection manager, route and cluster that the launcher writes, with
//! `ACCESS_LOG=off`: whatever that costs is in what the ratios are made to, which would make them
//! look better. `minimal` is beside them, so that it is seen what the launcher's configuration costs.

use std::fs;
use std::path::{Path, PathBuf};

use azure_sim::AZURE_MONITOR;
use e2e::free_port;
use serde_json::{Value, json};

use crate::filters::{self, OTHER, TARGET};
use crate::launcher::{Choices, Launcher, Way, push};
use crate::stage::{Stage, Upstream};

/// To which the others are compared.
pub(crate) const BARE: &str = "bare";
/// Envoy's own filter in its two places: the cheaper one is what the others are compared to.
pub(crate) const INJECTORS: [&str; 2] = ["injector", "injector-upstream"];
pub(crate) const LAUNCHER: &str = "launcher";
pub(crate) const ISTIO: &str = "istio";
pub(crate) const NO_TARGET: &str = "istio-no-target";
pub(crate) const MINIMAL: &str = "minimal";

/// A way to the target that is measured.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) meaning: &'static str,
    pub(crate) port: u16,
    /// What requests are addressed to.
    pub(crate) host: String,
    /// What they have to arrive with.
    pub(crate) wanted: Wanted,
}

/// The `authorization` that a variant has to set: one that does not do its job would be cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    Value(String),
    /// A token, whichever.
    Bearer,
}

/// The modules that are compared.
#[derive(Debug, Clone)]
pub(crate) struct Modules {
    /// The one in question.
    pub(crate) ours: PathBuf,
    /// Another one, whose variants are called `…-2`.
    pub(crate) other: Option<PathBuf>,
}

/// An Envoy's bootstrap, and what leads through it.
pub(crate) struct SideBySide {
    pub(crate) bootstrap: Launcher,
    pub(crate) variants: Vec<Variant>,
    /// Of the header value that all set.
    pub(crate) authorization_bytes: usize,
}

impl SideBySide {
    /// All variants, with this way to the target.
    pub(crate) fn new(
        stage: &Stage,
        upstream: Upstream,
        modules: &Modules,
    ) -> Result<Self, String> {
        let render = |module: &Path, access_log| {
            let choices = Choices {
                upstream,
                module,
                access_log,
            };
            Launcher::render(stage, &stage.azure, choices)
        };
        let mut bootstrap = render(&modules.ours, "off")?;
        let launchers = bootstrap.take()?;
        let logged = render(&modules.ours, "all")?.take()?;
        let token = stage.authorization(AZURE_MONITOR)?;
        // Of the same length, and no secret: where Envoy cannot use its configuration it prints it.
        let made_up = format!("Bearer {}", "x".repeat(token.len() - "Bearer ".len()));
        push(
            &mut bootstrap.0,
            "/static_resources",
            "secrets",
            filters::secret(&made_up),
        )?;
        let bare = launchers.clone().bare()?;
        let mut all = Self {
            bootstrap,
            variants: Vec::new(),
            authorization_bytes: token.len(),
        };
        let ours = Wanted::Value(token);
        let least = filters::floor(&floor(stage)?, &made_up);
        let made_up = Wanted::Value(made_up);

        let minimal = minimal(stage, upstream, &launchers);
        all.add(
            MINIMAL,
            "the least that one would write by hand",
            minimal,
            &Wanted::Nothing,
        )?;
        all.add(
            BARE,
            "the launcher's, without our filter and its healing",
            bare.clone(),
            &Wanted::Nothing,
        )?;
        let healing = launchers.clone().unauthorized()?;
        all.add(
            "healing",
            "the launcher's, without our filter",
            healing,
            &Wanted::Nothing,
        )?;
        for (name, meaning, filter) in [
            (
                "injector",
                "Envoy's credential_injector, static token",
                filters::injector(),
            ),
            ("floor", "the least Wasm filter that sets one header", least),
        ] {
            all.add(
                name,
                meaning,
                bare.clone().downstream(filter.clone())?,
                &made_up,
            )?;
            let name = format!("{name}-upstream");
            all.add(
                &name,
                "the same, in the cluster",
                bare.clone().upstream(filter)?,
                &made_up,
            )?;
        }
        all.add(
            LAUNCHER,
            "ours as the launcher configures it",
            launchers,
            &ours,
        )?;
        all.add(
            "launcher-logged",
            "the same with its access log, as it is by default",
            logged,
            &ours,
        )?;
        all.add_istio("", stage, &modules.ours, &bare, &ours)?;
        if let Some(other) = &modules.other {
            let mut rendered = render(other, "off")?;
            let mut launchers = rendered.take()?;
            let mut service = rendered.service()?.clone();
            // A VM of its own, and shared data of its own.
            for filter in [launchers.our_filter()?, &mut service] {
                filter["typed_config"]["config"]["vm_config"]["vm_id"] = json!("entra-auth-2");
            }
            push(&mut all.bootstrap.0, "", "bootstrap_extensions", service)?;
            all.add("launcher-2", "the other module", launchers, &ours)?;
            all.add_istio("-2", stage, other, &bare, &ours)?;
        }
        Ok(all)
    }

    /// Ours as Istio configures it, on a host that is a target and on one that is not.
    fn add_istio(
        &mut self,
        suffix: &str,
        stage: &Stage,
        module: &Path,
        bare: &Way,
        ours: &Wanted,
    ) -> Result<(), String> {
        let imds = stage.azure.addresses().imds.to_string();
        let filter = filters::istio(module, &filters::plugin(&imds));
        let way = bare.clone().downstream(filter)?;
        // The filter knows a target's cluster by its name: a subset of the service is one, too.
        let cluster = match suffix {
            "" => filters::istio_cluster(TARGET),
            _ => format!("outbound|443|{}|{TARGET}", suffix.trim_start_matches('-')),
        };
        let name = format!("{ISTIO}{suffix}");
        let meaning = "ours as Istio configures it";
        self.add_to(&name, meaning, way.clone(), ours, TARGET, &cluster)?;
        let name = format!("{NO_TARGET}{suffix}");
        let cluster = filters::istio_cluster(OTHER) + suffix;
        let meaning = "the same, on a host that is no target";
        self.add_to(&name, meaning, way, &Wanted::Nothing, OTHER, &cluster)
    }

    fn add(
        &mut self,
        name: &str,
        meaning: &'static str,
        way: Way,
        wanted: &Wanted,
    ) -> Result<(), String> {
        self.add_to(name, meaning, way, wanted, TARGET, name)
    }

    fn add_to(
        &mut self,
        name: &str,
        meaning: &'static str,
        way: Way,
        wanted: &Wanted,
        host: &str,
        cluster: &str,
    ) -> Result<(), String> {
        let port = free_port();
        self.bootstrap.add(way.named(name, port, cluster)?)?;
        self.variants.push(Variant {
            name: name.to_owned(),
            meaning,
            port,
            host: host.to_owned(),
            wanted: wanted.clone(),
        });
        Ok(())
    }
}

/// The smallest way to the target; TLS as the launcher has it.
fn minimal(stage: &Stage, upstream: Upstream, launchers: &Way) -> Way {
    let address = match upstream {
        Upstream::Plain => stage.target.plain,
        Upstream::Tls => stage.target.tls,
    };
    let router = filters::typed(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        json!({}),
    );
    let manager = filters::typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": MINIMAL,
            "route_config": { "virtual_hosts": [{
                "name": MINIMAL,
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": MINIMAL } }],
            }] },
            "http_filters": [router],
        }),
    );
    let socket = |address: &str, port: u16| json!({ "socket_address": { "address": address, "port_value": port } });
    let mut cluster = json!({
        "name": MINIMAL,
        "load_assignment": { "cluster_name": MINIMAL, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": socket("127.0.0.1", address.port()) },
        }] }] },
    });
    if let Some(tls) = launchers.cluster.get("transport_socket") {
        cluster["transport_socket"] = tls.clone();
    }
    Way {
        listener: json!({
            "name": MINIMAL,
            "address": socket("127.0.0.1", 0),
            "filter_chains": [{ "filters": [manager] }],
        }),
        cluster,
    }
}

/// The hand-written module, assembled.
fn floor(stage: &Stage) -> Result<PathBuf, String> {
    let module = wat::parse_str(include_str!("floor.wat")).map_err(|error| error.to_string())?;
    let path = stage.folder().join("floor.wasm");
    fs::write(&path, module).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The smallest Envoy: its bootstrap, and the port of its listener.
pub(crate) fn alone(
    stage: &Stage,
    upstream: Upstream,
    launchers: &Way,
) -> Result<(Value, u16), String> {
    let port = free_port();
    let way = minimal(stage, upstream, launchers).named(MINIMAL, port, MINIMAL)?;
    let bootstrap = json!({ "static_resources": {
        "listeners": [way.listener],
        "clusters": [way.cluster],
    } });
    Ok((bootstrap, port))
}
