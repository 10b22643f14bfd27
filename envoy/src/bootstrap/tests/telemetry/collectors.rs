//! How exports get to the collectors.

use super::*;

#[test]
fn signals_for_one_collector_share_a_cluster() {
    let bootstrap = with_telemetry(all([grpc(), grpc(), grpc()]));
    assert_eq!(
        collectors(&bootstrap),
        ["collector", "collector", "collector"]
    );
}

#[test]
fn what_makes_a_connection_differ_makes_a_cluster_of_its_own() {
    let header = ExportHeader {
        name: HeaderName::from_static("api-key"),
        value: Secret::new("hunter2".into()),
    };
    let store = Some(TrustStore::File("/ca.pem".into()));
    let others = [
        exporter(Scheme::Http, "otel.example:4318", Protocol::Grpc),
        exporter(Scheme::Https, "otel.example:4317", Protocol::Grpc),
        exporter(Scheme::Http, "otel.example:4317", Protocol::HttpProtobuf),
        Exporter {
            headers: vec![header],
            ..grpc()
        },
        Exporter {
            trust_store: store,
            ..grpc()
        },
    ];
    for other in others {
        let bootstrap = with_telemetry(all([grpc(), other.clone(), grpc()]));
        assert_eq!(
            collectors(&bootstrap),
            ["collector", "collector-2", "collector"],
            "{other:?}"
        );
    }
    let longer = Exporter {
        timeout: Duration::from_secs(30),
        ..grpc()
    };
    let bootstrap = with_telemetry(all([grpc(), longer, grpc()]));
    assert_eq!(
        collectors(&bootstrap),
        ["collector", "collector", "collector"]
    );
}

#[test]
fn every_export_ends_before_its_exporter_gives_up() {
    let slow = Exporter {
        timeout: Duration::from_secs(60),
        ..grpc()
    };
    let bootstrap = with_telemetry(all([grpc(), slow, grpc()]));
    let routes = &manager(&bootstrap, "telemetry")["route_config"]["virtual_hosts"][0]["routes"];
    let timeouts: Vec<&Value> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["route"]["timeout"])
        .collect();
    assert_eq!(timeouts, ["10s", "60s", "10s"]);
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    let own = clusters
        .iter()
        .find(|cluster| cluster["name"] == "telemetry")
        .unwrap();
    let options = &own["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    assert_eq!(
        options["common_http_protocol_options"]["max_stream_duration"],
        "62s"
    );
    let sink = &bootstrap["stats_sinks"][0]["typed_config"];
    assert_eq!(sink["grpc_service"]["timeout"], "12s");
}

#[test]
fn http_goes_to_the_path_of_the_settings_and_grpc_to_that_of_its_service() {
    let http = exporter(Scheme::Http, "otel.example:4318", Protocol::HttpProtobuf);
    let bootstrap = with_telemetry(all([http.clone(), grpc(), http]));
    let routes = &manager(&bootstrap, "telemetry")["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes[0]["match"]["path"], "/v1/metrics");
    assert_eq!(routes[0]["route"]["prefix_rewrite"], "/otlp/v1/x");
    assert_eq!(
        routes[1]["match"]["path"],
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    assert_eq!(routes[1]["route"]["prefix_rewrite"], Value::Null);
    assert_eq!(routes[2]["match"]["path"], "/v1/logs");
    assert_eq!(
        routes[2]["route"]["host_rewrite_literal"],
        "otel.example:4318"
    );
}

#[test]
fn the_values_of_headers_are_not_in_the_bootstrap() {
    let header = |name: &'static str, value: &str| ExportHeader {
        name: HeaderName::from_static(name),
        value: Secret::new(value.into()),
    };
    let one = Exporter {
        headers: vec![
            header("api-key", "hunter2"),
            header("x-tenant", "tenant-one"),
        ],
        ..grpc()
    };
    let other = Exporter {
        headers: vec![header("api-key", "hunter3")],
        ..grpc()
    };
    let settings = settings_with(all([one.clone(), one, other]), &[]);
    let text = rendered(&settings).to_string();
    assert!(
        !text.contains("hunter") && !text.contains("tenant-one"),
        "{text}"
    );
    let values: Vec<(String, &str)> = export_headers(&settings)
        .map(|(variable, header)| (variable, header.value.expose()))
        .collect();
    assert_eq!(
        values,
        [
            ("ENTRA_AUTH_HEADER_OTLP_0".into(), "hunter2"),
            ("ENTRA_AUTH_HEADER_OTLP_1".into(), "tenant-one"),
            ("ENTRA_AUTH_HEADER_OTLP_2".into(), "hunter3"),
        ]
    );
    for (variable, _) in values {
        assert_eq!(
            text.matches(&format!("%ENVIRONMENT({variable})%")).count(),
            1,
            "{variable}"
        );
    }
}

#[test]
fn each_mended_trust_store_is_there_once() {
    let mended = |text: &str| Some(TrustStore::Mended(text.into()));
    let https = |store| Exporter {
        trust_store: store,
        ..exporter(Scheme::Https, "otel.example:443", Protocol::Grpc)
    };
    let telemetry = all([https(mended("A")), https(mended("B")), https(mended("A"))]);
    let bootstrap = with_telemetry(telemetry);
    let secrets = bootstrap["static_resources"]["secrets"].as_array().unwrap();
    let of_clusters: Vec<String> = ["collector", "collector-2"].iter().map(|name| {
        let clusters = bootstrap["static_resources"]["clusters"].as_array().unwrap();
        let cluster = clusters.iter().find(|cluster| cluster["name"] == *name).unwrap();
        let context = &cluster["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"];
        context["validation_context_sds_secret_config"]["name"].as_str().unwrap().to_owned()
    }).collect();
    let named: Vec<(&str, &str)> = secrets
        .iter()
        .map(|secret| {
            (
                secret["name"].as_str().unwrap(),
                secret["validation_context"]["trusted_ca"]["inline_string"]
                    .as_str()
                    .unwrap(),
            )
        })
        .collect();
    assert_eq!(named, [("authorities", "A"), ("authorities-2", "B")]);
    assert_eq!(of_clusters, ["authorities", "authorities-2"]);
}

#[test]
fn a_collector_behind_a_forward_proxy_is_reached_by_a_tunnel() {
    let https = exporter(Scheme::Https, "otel.example:4317", Protocol::Grpc);
    let proxy = [("HTTPS_PROXY", "http://proxy.corp.example:3128")];
    let settings = settings_with(all([https.clone(), https.clone(), https]), &proxy);
    let bootstrap = rendered(&settings);
    assert!(listener(&bootstrap, "collector-tunnel").is_object());
    let settings = settings_with(all([grpc(), grpc(), grpc()]), &proxy);
    assert!(!rendered(&settings).to_string().contains("collector-tunnel"));
}

/// What waits for a collector that does not answer is bounded by the circuit breakers and by the size of an
/// export: about 440 bytes for a span.
#[test]
fn what_waits_for_a_collector_does_not_grow_with_the_workers() {
    for workers in ["1", "2", "4", "16", "64"] {
        let of_workers = [("ENVOY_CONCURRENCY", workers)];
        let bootstrap = rendered(&settings_with(all([grpc(), grpc(), grpc()]), &of_workers));
        let clusters = bootstrap["static_resources"]["clusters"]
            .as_array()
            .unwrap();
        let collector = clusters
            .iter()
            .find(|cluster| cluster["name"] == "collector")
            .unwrap();
        let most = collector["circuit_breakers"]["thresholds"][0]["max_requests"]
            .as_u64()
            .unwrap();
        let workers: u64 = workers.parse().unwrap();
        // Each worker's tracer and logger send at the same moment.
        assert!(most >= 2 * workers, "{most}");
        let runtime = &bootstrap["layered_runtime"]["layers"][0]["static_layer"];
        let spans = runtime["tracing.opentelemetry.min_flush_spans"]
            .as_u64()
            .unwrap();
        // In hand, and as many that wait for a connection or a retry.
        assert!(
            2 * most * spans * 440 < 10_000_000,
            "{workers} {most} {spans}"
        );
    }
}
