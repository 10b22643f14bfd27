//! Each way into a mesh under `istio/` on a real Envoy: the plugin as its WasmPlugin configures it, the
//! clusters as its ServiceEntries and DestinationRules make them, the token-sidecar as its Deployment
//! starts it. Only addresses, the tenant and the folders of files are put in.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_sim::{Application, EchoReport, Identity, Options};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::{Envoy, Process, eventually, free_port, http, token_sidecar, tools};
use serde_json::{Value, json};

use super::files::{
    CLIENT_ID, WORKSPACE, called, is_hardened, list, of_kind, plugin_configurations, text, ways_in,
};
use super::stats;
use crate::downstream::{self, NAME};
use crate::identities::kubernetes;

/// What stands in the files for the user's own.
const TENANT_ID: &str = "22222222-2222-2222-2222-222222222222";

const ENTRA: &str = "login.microsoftonline.com";
const CLUSTER: &str = "https://oidc.mesh.example/";

/// An Azure that knows the files' identity, as a managed one and as an application, and a pod's files.
struct World {
    azure: Azure,
    managed: Identity,
    application: Application,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with_certificate_for(&[WORKSPACE, ENTRA])
    }

    /// The same with servers that show a certificate for these names.
    fn with_certificate_for(names: &[&str]) -> Self {
        let (pem, registered) = certificate("mesh.example");
        let managed = Identity {
            client_id: CLIENT_ID.to_owned(),
            ..Identity::user_assigned("mesh")
        };
        let mut application = Application::new("mesh").with_certificate(registered);
        application.client_id = CLIENT_ID.to_owned();
        let azure = Azure::start(Options {
            applications: vec![application.clone()],
            user_assigned: vec![managed.clone()],
            certificate_names: names.iter().map(|&it| it.to_owned()).collect(),
            ..Options::default()
        });
        let (federated, trust) = kubernetes(&azure, CLUSTER);
        azure.change_application(CLIENT_ID, |it| it.federated_credentials = vec![trust]);

        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in [
            ("tls.crt", &pem),
            ("tls.key", &pem),
            ("azure-identity-token", &federated),
        ] {
            fs::write(folder.path().join(name), content).expect("a file");
        }
        Self {
            azure,
            managed,
            application,
            folder,
        }
    }

    /// Where a pod's path is here.
    fn file(&self, path: &str) -> PathBuf {
        let name = Path::new(path).file_name().expect("a file's name");
        self.folder.path().join(name)
    }

    fn with_tenant(&self, text: &str) -> String {
        text.replace(TENANT_ID, &self.azure.state().tenant_id)
    }

    /// The container of this name, if the pods have one.
    fn token_sidecar(&self, documents: &[Value]) -> Option<Process> {
        let containers = of_kind(documents, "Deployment")
            .flat_map(|it| list(&it["spec"]["template"]["spec"]["containers"]))
            .filter(|it| it["name"] == "token-sidecar");
        let mut environment: BTreeMap<&str, String> = containers
            .flat_map(|it| list(&it["env"]))
            .map(|it| (text(&it["name"]), self.with_tenant(text(&it["value"]))))
            .collect();
        let socket = self.file(environment.get("TOKEN_SIDECAR_SOCKET")?);
        let webhook = of_kind(documents, "Deployment").any(|it| {
            it["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"
        });
        if webhook {
            let path = "/var/run/secrets/azure/tokens/azure-identity-token".to_owned();
            environment.insert("AZURE_FEDERATED_TOKEN_FILE", path);
        }
        let here = environment.into_iter().map(|(name, value)| {
            let path = value.starts_with('/').then(|| self.file(&value).into());
            (name.to_owned(), path.unwrap_or_else(|| value.into()))
        });
        Some(token_sidecar(&socket, here))
    }

    /// What Istio makes of each port of each ServiceEntry.
    fn clusters(&self, documents: &[Value]) -> Vec<Value> {
        let mut clusters = Vec::new();
        for entry in of_kind(documents, "ServiceEntry").map(|it| &it["spec"]) {
            let host = text(&entry["hosts"][0]);
            for port in list(&entry["ports"]) {
                let name = format!("outbound|{}||{host}", port["number"]);
                let mut cluster = json!({
                    "name": name,
                    "connect_timeout": "5s",
                    "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                        {"endpoint": {"address": self.address(entry, host)}},
                    ]}]},
                });
                let rules = of_kind(documents, "DestinationRule").map(|it| &it["spec"]);
                let settings = rules
                    .filter(|rule| rule["host"] == host)
                    .flat_map(|rule| list(&rule["trafficPolicy"]["portLevelSettings"]))
                    .find(|it| it["port"]["number"] == port["number"]);
                let istio = &mut cluster["metadata"]["filter_metadata"]["istio"];
                *istio = json!({"external": entry["location"] == "MESH_EXTERNAL"});
                if let Some(settings) = settings {
                    istio["alpn_override"] = "false".into();
                    cluster["transport_socket"] = self.tls(&settings["tls"]);
                }
                clusters.push(cluster);
            }
        }
        clusters
    }

    fn address(&self, entry: &Value, host: &str) -> Value {
        let addresses = self.azure.addresses();
        let tcp = match text(&entry["endpoints"][0]["address"]) {
            "169.254.169.254" => addresses.imds,
            "" if host == ENTRA => addresses.entra_tls,
            "" => addresses.target_tls,
            unix => {
                let path = unix.strip_prefix("unix://").expect("a socket");
                return json!({"pipe": {"path": self.file(path)}});
            }
        };
        json!({"socket_address": {"address": tcp.ip().to_string(), "port_value": tcp.port()}})
    }

    /// A DestinationRule's TLS, with the authority of the simulated Azure.
    fn tls(&self, settings: &Value) -> Value {
        let names = list(&settings["subjectAltNames"]).iter();
        let names: Vec<_> = names
            .map(|name| json!({"san_type": "DNS", "matcher": {"exact": name}}))
            .collect();
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": settings["sni"],
                "common_tls_context": {"validation_context": {
                    "trusted_ca": {"filename": self.azure.authority()},
                    "match_typed_subject_alt_names": names,
                }},
            },
        })
    }

    /// A proxy with the plugin's configuration.
    fn envoy(&self, documents: &[Value], configuration: &str, port: u16, admin: u16) -> Envoy {
        self.envoy_with(documents, configuration, [port, admin], |_| ())
    }

    /// The same with changes of what handles connections; on these ports: the listener's, admin's.
    fn envoy_with(
        &self,
        documents: &[Value],
        configuration: &str,
        [port, admin]: [u16; 2],
        change: impl FnOnce(&mut Value),
    ) -> Envoy {
        let configuration = self.with_tenant(configuration);
        let plugin: Value = serde_json::from_str(&configuration).expect("JSON");
        let filter = downstream::wasm(&plugin, &tools::module(), None);
        let filter = json!({"name": NAME, "typed_config": filter});
        let mut bootstrap = downstream::around(&self.azure, port, &filter);
        let resources = &mut bootstrap["static_resources"];
        resources["clusters"] = self.clusters(documents).into();
        let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0];
        manager["typed_config"]["route_config"]["virtual_hosts"] = virtual_hosts(documents);
        change(&mut manager["typed_config"]);
        let pods = stats::proxy_configs(documents);
        bootstrap["stats_config"] = stats::labels(documents);
        let runtime = pods.first().map(|it| it["runtimeValues"].clone());
        bootstrap["layered_runtime"] = json!({"layers": [
            {"name": "static", "static_layer": runtime.unwrap_or_else(|| json!({}))},
        ]});
        bootstrap["admin"] = json!({"address": {"socket_address": {
            "address": "127.0.0.1",
            "port_value": admin,
        }}});
        Envoy::start(&bootstrap.to_string(), port)
    }
}

/// What Istio makes of the hosts on port 80: those with a VirtualService that answers itself, and the
/// others, which lead to their clusters.
fn virtual_hosts(documents: &[Value]) -> Value {
    let entries = of_kind(documents, "ServiceEntry").map(|it| text(&it["spec"]["hosts"][0]));
    let hosts = entries.map(|host| {
        let services = of_kind(documents, "VirtualService").map(|it| &it["spec"]);
        let http = services
            .filter(|it| it["hosts"][0] == host)
            .flat_map(|it| list(&it["http"]))
            // A sidecar's route to the gateway is not that of a proxy with the plugin.
            .find(|it| it["match"][0]["gateways"][0] != "mesh");
        let mut route = json!({"match": {"prefix": "/"}});
        let http = http.unwrap_or(&Value::Null);
        match http.get("directResponse") {
            Some(answer) => route["direct_response"] = answer.clone(),
            None => route["route"] = json!({"cluster": format!("outbound|80||{host}")}),
        }
        route["request_headers_to_remove"] = list(&http["headers"]["request"]["remove"]).into();
        json!({"name": format!("{host}:80"), "domains": [host], "routes": [route]})
    });
    hosts.collect()
}

#[test]
fn each_wasm_plugin_under_istio_brings_the_token_of_its_identity() {
    let world = World::new();
    let mut seen = HashSet::new();
    for (way, documents) in ways_in() {
        if is_hardened(&documents) {
            continue;
        }
        let configuration = plugin_configurations(&documents).remove(0);
        // Pods and gateways are configured alike.
        if !seen.insert(configuration.clone()) {
            continue;
        }
        let _sidecar = world.token_sidecar(&documents);
        let (port, admin) = (free_port(), free_port());
        let _envoy = world.envoy(&documents, &configuration, port, admin);
        let echo: EchoReport =
            eventually(Duration::from_secs(60), &way, || {
                match downstream::send(port, WORKSPACE, ECHO) {
                    answer if answer.status == 200 => answer.json(),
                    answer => Err(format!("{}: {}", answer.status, answer.text())),
                }
            });
        let by_metadata = configuration.contains("userAssigned");
        let expected = match by_metadata {
            true => &world.managed.object_id,
            false => &world.application.object_id,
        };
        assert_eq!(&echo.token.oid, expected, "{way}");
        if way.starts_with("prometheus") {
            // What only the plugin calls, and has just called.
            let own = called(&configuration).into_iter();
            let own = own.filter_map(|it| it.strip_prefix("outbound|80||").map(str::to_owned));
            for host in own.filter(|host| host != ENTRA) {
                let answer = downstream::send(port, &host, "/");
                assert_eq!(answer.status, 403, "{way}: {host}");
            }
        }
        if of_kind(&documents, "Deployment").next().is_some() {
            let metrics = stats::shown(admin);
            let are_labels = metrics.iter().all(|it| it.name.starts_with("entra_auth_"));
            assert!(are_labels && metrics.len() > 5, "{way}: {metrics:?}");
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

/// Headers that workloads, their sidecars and the gateway itself add, as a gateway of Istio's sees them:
/// certificates with SPIFFE ids, addresses, names of pods and services.
const OF_THE_MESH: [(&str, &str); 10] = [
    (
        "x-forwarded-client-cert",
        "Hash=1;URI=spiffe://cluster.local/ns/monitoring/sa/prometheus",
    ),
    ("x-forwarded-host", "in-the-mesh.example.com"),
    ("x-envoy-attempt-count", "1"),
    (
        "x-envoy-decorator-operation",
        "entra-egress.entra-egress.svc.cluster.local:8443/*",
    ),
    ("x-envoy-external-address", "10.1.2.3"),
    ("x-envoy-original-host", "in-the-mesh.example.com"),
    ("x-envoy-original-path", "/before"),
    ("x-envoy-peer-metadata", "Cg0KB0NMVVNURVI="),
    (
        "x-envoy-peer-metadata-id",
        "sidecar~10.1.2.3~prometheus-0.monitoring~cluster.local",
    ),
    ("baggage", "tenant=a"),
];

/// What is left: the request as the workload wrote it, the token, an id for the access log, and a count
/// that Envoy 1.36 adds after the route has taken headers away.
const FOR_AZURE: [&str; 8] = [
    "host",
    "authorization",
    "content-length",
    "user-agent",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-attempt-count",
    "accept",
];

#[test]
fn the_egress_gateway_tells_azure_nothing_of_the_mesh() {
    let world = World::new();
    let mut ways = ways_in().into_iter();
    let found = ways.find(|(way, _)| way == "egress/overlays/managed-identity");
    let (way, documents) = found.expect("this overlay");
    let configuration = plugin_configurations(&documents).remove(0);
    let (port, admin) = (free_port(), free_port());
    // As istiod has a gateway do; but for the certificate, which the request brings here.
    let as_gateway = |manager: &mut Value| {
        manager["use_remote_address"] = json!(true);
        manager["forward_client_cert_details"] = json!("ALWAYS_FORWARD_ONLY");
        let hosts = manager["route_config"]["virtual_hosts"].as_array_mut();
        for host in hosts.expect("virtual hosts") {
            host["include_request_attempt_count"] = json!(true);
        }
    };
    let _envoy = world.envoy_with(&documents, &configuration, [port, admin], as_gateway);
    let request = || {
        let mut request = http::Request::get(format!("http://127.0.0.1:{port}{ECHO}"))
            .header("Host", WORKSPACE)
            .header("X-Forwarded-For", "10.1.2.3");
        for (name, value) in OF_THE_MESH {
            request = request.header(name, value);
        }
        http::send(request.body(Vec::new()).expect("a request")).expect("an answer")
    };
    let echo: EchoReport = eventually(Duration::from_secs(60), &way, || match request() {
        answer if answer.status == 200 => answer.json(),
        answer => Err(format!("{}: {}", answer.status, answer.text())),
    });
    let names = echo.request.headers.iter().map(|(name, _)| name.as_str());
    let more: Vec<_> = names.filter(|name| !FOR_AZURE.contains(name)).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn a_workspace_that_shows_a_certificate_for_another_name_gets_no_request() {
    let world = World::with_certificate_for(&["other.example.com"]);
    let mut ways = ways_in().into_iter();
    // Its token comes in clear, from the metadata service.
    let found = ways.find(|(way, _)| way == "prometheus/overlays/managed-identity");
    let (way, documents) = found.expect("this overlay");
    let configuration = plugin_configurations(&documents).remove(0);
    let (port, admin) = (free_port(), free_port());
    let _envoy = world.envoy(&documents, &configuration, port, admin);
    let url = format!("http://127.0.0.1:{admin}/stats?filter=fail_verify_san");
    eventually(Duration::from_secs(60), &way, || {
        let answer = downstream::send(port, WORKSPACE, ECHO);
        assert_eq!(answer.status, 503, "{}", answer.text());
        let refused = http::get(&url).expect("metrics").text();
        match refused.lines().any(|line| !line.ends_with(": 0")) {
            true => Ok(()),
            false => Err(format!("{}{refused}", answer.text())),
        }
    });
    assert_eq!(world.azure.state().target.requests, 0);
}
