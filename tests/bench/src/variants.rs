//! The variants: listeners side by side in one Envoy, which differ in nothing but what is compared.
//!
//! All have the listener, connection manager, route and cluster that the launcher writes, with
//! `ACCESS_LOG=off`: whatever that costs is in what the ratios are made to, which would make them
//! look better. `minimal` is measured too, so that it is seen what the launcher's configuration costs.

use std::fs;
use std::path::{Path, PathBuf};

use azure_sim::AZURE_MONITOR;
use e2e::free_port;
use serde_json::{Value, json};

use crate::filters::{self, OTHER, TARGET};
use crate::launcher::{Choices, Launcher, Way, push};
use crate::test_bed::{TestBed, Upstream};

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
        test_bed: &TestBed,
        upstream: Upstream,
        modules: &Modules,
    ) -> Result<Self, String> {
        let mut bootstrap = rendered(test_bed, upstream, &modules.ours, "off")?;
        let mut launchers = bootstrap.take()?;
        let logged = rendered(test_bed, upstream, &modules.ours, "all")?.take()?;
        let token = test_bed.authorization(AZURE_MONITOR)?;
        let mut all = Self {
            bootstrap,
            variants: Vec::new(),
            authorization_bytes: token.len(),
        };
        let bare = launchers.clone().bare()?;
        let minimal = minimal(test_bed, upstream, &launchers);
        let healing = launchers.clone().unauthorized()?;
        for (name, meaning, way) in [
            (MINIMAL, "the least that one would write by hand", minimal),
            (
                BARE,
                "the launcher's, without our filter and its healing",
                bare.clone(),
            ),
            (
                "healing",
                "the launcher's, without our filter",
                healing.clone(),
            ),
        ] {
            all.add(name, meaning, way, &Wanted::Nothing)?;
        }
        all.add_others(test_bed, &bare, healing)?;
        let token = Wanted::Value(token);
        let unhealed = bare.clone().upstream(launchers.our_filter()?.clone())?;
        for (name, meaning, way) in [
            (
                "launcher-unhealed",
                "ours in the cluster, without healing",
                unhealed,
            ),
            (LAUNCHER, "ours as the launcher configures it", launchers),
            (
                "launcher-logged",
                "the same with its access log, as it is by default",
                logged,
            ),
        ] {
            all.add(name, meaning, way, &token)?;
        }
        all.add_istio("", test_bed, &modules.ours, &bare, &token)?;
        if let Some(other) = &modules.other {
            all.add_launcher_2(rendered(test_bed, upstream, other, "off")?, &token)?;
            all.add_istio("-2", test_bed, other, &bare, &token)?;
        }
        Ok(all)
    }

    /// Envoy's own filter and the floor, each in both places.
    fn add_others(&mut self, test_bed: &TestBed, bare: &Way, healing: Way) -> Result<(), String> {
        // As long as a token, and no secret: where Envoy cannot use its configuration it prints it.
        let value = format!("{:x<1$}", "Bearer ", self.authorization_bytes);
        let secret = filters::secret(&value);
        push(
            &mut self.bootstrap.0,
            "/static_resources",
            "secrets",
            secret,
        )?;
        let injector = filters::injector();
        let floor = filters::floor(&floor(test_bed)?, &value);
        let value = Wanted::Value(value);
        let healed = healing.upstream(floor.clone())?;
        self.add(
            "floor-healed",
            "the least Wasm filter in the cluster, with healing",
            healed,
            &value,
        )?;
        for (name, meaning, filter) in [
            (
                "injector",
                "Envoy's credential_injector, static token",
                injector,
            ),
            ("floor", "the least Wasm filter that sets one header", floor),
        ] {
            let downstream = bare.clone().downstream(filter.clone())?;
            self.add(name, meaning, downstream, &value)?;
            let upstream = bare.clone().upstream(filter)?;
            let name = format!("{name}-upstream");
            self.add(&name, "the same, in the cluster", upstream, &value)?;
        }
        Ok(())
    }

    /// The other module as the launcher configures it, in a VM and with shared data of its own.
    fn add_launcher_2(&mut self, mut other: Launcher, token: &Wanted) -> Result<(), String> {
        let mut way = other.take()?;
        let mut service = other.service()?.clone();
        for filter in [way.our_filter()?, &mut service] {
            filter["typed_config"]["config"]["vm_config"]["vm_id"] = json!("entra-auth-2");
        }
        push(&mut self.bootstrap.0, "", "bootstrap_extensions", service)?;
        self.add("launcher-2", "the other module", way, token)
    }

    /// Ours as Istio configures it, on a host that is a target and on one that is not.
    fn add_istio(
        &mut self,
        suffix: &str,
        test_bed: &TestBed,
        module: &Path,
        bare: &Way,
        token: &Wanted,
    ) -> Result<(), String> {
        let imds = test_bed.azure.addresses().imds.to_string();
        let filter = filters::istio(module, &filters::plugin(&imds));
        let way = bare.clone().downstream(filter)?;
        // The filter knows a target's cluster by its name; one of a subset is the target's, too.
        let cluster = |host: &str| match suffix {
            "" => filters::istio_cluster(host),
            _ => format!("outbound|443|subset{suffix}|{host}"),
        };
        for (name, meaning, host, wanted) in [
            (ISTIO, "ours as Istio configures it", TARGET, token),
            (
                NO_TARGET,
                "the same, on a host that is no target",
                OTHER,
                &Wanted::Nothing,
            ),
        ] {
            let name = format!("{name}{suffix}");
            self.add_to(&name, meaning, way.clone(), wanted, host, &cluster(host))?;
        }
        Ok(())
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

fn rendered(
    test_bed: &TestBed,
    upstream: Upstream,
    module: &Path,
    access_log: &str,
) -> Result<Launcher, String> {
    let choices = Choices {
        upstream,
        module,
        access_log,
        telemetry: &[],
    };
    Launcher::render(test_bed, &test_bed.azure, choices)
}

/// The smallest way to the target; TLS as the launcher has it.
fn minimal(test_bed: &TestBed, upstream: Upstream, launchers: &Way) -> Way {
    let address = match upstream {
        Upstream::Plain => test_bed.target.plain,
        Upstream::Tls => test_bed.target.tls,
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
fn floor(test_bed: &TestBed) -> Result<PathBuf, String> {
    let module = wat::parse_str(include_str!("floor.wat")).map_err(|error| error.to_string())?;
    let path = test_bed.folder().join("floor.wasm");
    fs::write(&path, module).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The smallest Envoy, and the same with the least Wasm filter: its bootstrap, and the port of its
/// listener.
pub(crate) fn alone(
    test_bed: &TestBed,
    upstream: Upstream,
    launchers: &Way,
    with_floor: bool,
) -> Result<(Value, u16), String> {
    let port = free_port();
    let mut way = minimal(test_bed, upstream, launchers);
    if with_floor {
        way = way.downstream(filters::floor(&floor(test_bed)?, "Bearer x"))?;
    }
    let way = way.named(MINIMAL, port, MINIMAL)?;
    let bootstrap = json!({ "static_resources": {
        "listeners": [way.listener],
        "clusters": [way.cluster],
    } });
    Ok((bootstrap, port))
}
