//! The bootstrap of a configuration file with many identities, targets and ports.

use super::*;

/// The bootstrap of a configuration file. `{dir}` is replaced by a directory with the files `secret` and
/// `token`.
fn bootstrap_of_file(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("secret"), "s3cret").unwrap();
    fs::write(path("token"), "eyJhbGciOiJub25lIn0.e30.").unwrap();
    let text = text.replace("{dir}", &directory.path().display().to_string());
    fs::write(path("config.yaml"), text).unwrap();
    let machine = machine(directory.path());
    rendered(&read(&machine, &[(file::VARIABLE, &path("config.yaml"))]))
}

const MANY: &str = "
identities:
- { name: machine, type: systemAssigned }
- { name: one, type: clientSecret, tenantId: contoso.com, clientId: ID, secretFile: '{dir}/secret' }
- { name: two, type: clientSecret, tenantId: contoso.com, clientId: ID, secretFile: '{dir}/token' }
- { name: gov, type: workloadIdentity, tenantId: contoso.com, clientId: ID, tokenFile: '{dir}/token' }
- { name: signed, type: clientCertificate, tenantId: a.com, clientId: ID, certificate: { path: '{dir}/secret' } }
- { name: signed-too, type: clientCertificate, tenantId: b.com, clientId: ID, certificate: { path: '{dir}/secret' } }
targets:
- { name: write, url: a.eastus-1.metrics.ingest.monitor.azure.com, identity: machine, requestHeaders: { X-A: a } }
- { name: again, url: a.eastus-1.metrics.ingest.monitor.azure.com, identity: one, hold: { timeout: 1s, maxRequests: 7 } }
- { name: query, url: x.prometheus.monitor.azure.com, identity: two, authErrorsRetryable: never, requestHeaders: { X-B: b, X-C: c } }
- { name: gov, url: x.prometheus.monitor.azure.us, identity: gov, required: true }
- { name: signed, url: 'https://localhost:1', audience: 'api://a', identity: signed }
- { name: too, url: 'https://localhost:2', audience: 'api://b', identity: signed-too }
listeners:
- { port: 8081, target: write }
- { port: 8082, targets: [again, query] }
- { port: 8083, targets: [gov, signed, too] }
";

fn many() -> Value {
    bootstrap_of_file(&MANY.replace("ID", ID))
}

#[test]
fn each_target_has_a_cluster_whose_filter_knows_only_this_target() {
    let bootstrap = many();
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    for (name, identity, host) in [
        (
            "target-write",
            "machine",
            "a.eastus-1.metrics.ingest.monitor.azure.com",
        ),
        (
            "target-again",
            "one",
            "a.eastus-1.metrics.ingest.monitor.azure.com",
        ),
        ("target-query", "two", "x.prometheus.monitor.azure.com"),
        ("target-gov", "gov", "x.prometheus.monitor.azure.us"),
    ] {
        let cluster = clusters.iter().find(|it| it["name"] == name).expect(name);
        let mut texts = Vec::new();
        plugin_configurations(cluster, &mut texts);
        let own: Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(texts.len(), 1);
        assert_eq!(own["mode"], "authorize");
        assert_eq!(own["identities"].as_array().unwrap().len(), 1);
        assert_eq!(own["identities"][0]["name"], identity);
        assert_eq!(own["targets"].as_array().unwrap().len(), 1);
        assert_eq!(own["targets"][0]["hosts"], json!([host, "*"]));
    }
}

#[test]
fn the_service_and_the_status_filter_know_all_targets() {
    let mut texts = Vec::new();
    plugin_configurations(&many(), &mut texts);
    let mut of_all = 0;
    for text in &texts {
        let plugin =
            config::read(text.as_bytes()).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
        if plugin.mode != config::Mode::Authorize {
            of_all += 1;
            assert_eq!((plugin.identities.len(), plugin.targets.len()), (6, 6));
            // By default one valid token of several is enough.
            let required: Vec<_> = plugin.targets.iter().map(|it| it.required).collect();
            assert_eq!(required, [None, None, None, Some(true), None, None]);
            let hold = plugin.targets[1].hold.as_ref().expect("a hold");
            assert_eq!(
                (hold.timeout.to_string().as_str(), hold.max_requests.get()),
                ("1s", 7)
            );
        }
    }
    assert_eq!((of_all, texts.len()), (2, 8));
}

#[test]
fn shared_clusters_occur_once_and_others_have_distinct_names() {
    let bootstrap = many();
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = clusters
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(
        names[6..],
        [
            "imds",
            "entra",
            // Azure Government's.
            "entra-2",
            "token-sidecar",
            "token-sidecar-2",
            "credential-files",
            "admin",
            "status"
        ]
    );
    let socket = |n: usize| {
        clusters[n]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
            ["pipe"]["path"]
            .clone()
    };
    assert_eq!(socket(9), "/run/x/sidecar.sock");
    assert_eq!(socket(10), "/run/x/sidecar-2.sock");
    let listeners = bootstrap["static_resources"]["listeners"]
        .as_array()
        .unwrap();
    let files = listeners.last().unwrap();
    let routes = &files["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        [0]["routes"];
    let paths: Vec<_> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["match"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/client-secret", "/client-secret-2", "/assertion"]);
    let mut texts = Vec::new();
    plugin_configurations(&bootstrap, &mut texts);
    let all: Value = serde_json::from_str(&texts[0]).unwrap();
    let mut asked = Vec::new();
    named(&all["identities"], "cluster", &mut asked);
    for cluster in asked {
        assert!(names.contains(&cluster.as_str()), "{cluster} {names:?}");
    }
}

#[test]
fn each_header_has_its_own_variable() {
    let text = many().to_string();
    for (header, variable) in [("x-a", 0), ("x-b", 1), ("x-c", 2)] {
        let pair =
            format!(r#""key":"{header}","value":"%ENVIRONMENT(ENTRA_AUTH_HEADER_{variable})%""#);
        assert_eq!(text.matches(&pair).count(), 1, "{pair}");
    }
}

#[test]
fn a_port_forwards_to_its_target_or_by_host() {
    let bootstrap = many();
    let listeners = bootstrap["static_resources"]["listeners"]
        .as_array()
        .unwrap();
    let hosts = |n: usize| -> Vec<Value> {
        let config = &listeners[n]["filter_chains"][0]["filters"][0]["typed_config"];
        let hosts = config["route_config"]["virtual_hosts"].as_array().unwrap();
        hosts.iter().map(|host| host["domains"].clone()).collect()
    };
    let names: Vec<_> = listeners
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["proxy", "proxy-2", "proxy-3", "status", "credential-files"]
    );
    assert_eq!(hosts(0), [json!(["*"])]);
    let query = "x.prometheus.monitor.azure.com";
    let of_query = [
        query.to_owned(),
        format!("{query}:80"),
        format!("{query}:443"),
        format!("{query}:8082"),
    ];
    assert_eq!(hosts(1)[1..], [json!(of_query), json!(["*"])]);
    assert_eq!(
        hosts(2)[1..],
        [json!(["localhost:1"]), json!(["localhost:2"]), json!(["*"])]
    );
}
