//! Telemetry by OTLP: what is in the bootstrap for which exporters.

use std::time::Duration;

use ::http::HeaderName;
use entra_auth_settings_input::{Authority, Scheme};
use entra_token_core::Secret;

use super::*;
use crate::settings::telemetry::{
    ExportHeader, Exporter, Metrics, Protocol, Sampler, Telemetry, Temporality, Traces,
};
use crate::settings::trust_store::TrustStore;

fn exporter(scheme: Scheme, host: &str, protocol: Protocol) -> Exporter {
    let Authority { host, port, .. } = Authority::parse(host).unwrap();
    Exporter {
        endpoint: Endpoint {
            scheme,
            host,
            port: port.unwrap(),
        },
        endpoint_variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
        protocol,
        path: "/otlp/v1/x".into(),
        headers: Vec::new(),
        trust_store: None,
        timeout: Duration::from_secs(10),
    }
}

fn grpc() -> Exporter {
    exporter(Scheme::Http, "otel.example:4317", Protocol::Grpc)
}

fn metrics(exporter: Exporter) -> Metrics {
    Metrics {
        exporter,
        interval: Duration::from_millis(12_500),
        temporality: Temporality::Cumulative,
        old_names: true,
    }
}

fn traces(exporter: Exporter) -> Traces {
    Traces {
        exporter,
        sampler: Sampler::ParentBasedAlwaysOn,
    }
}

/// All signals to these collectors.
fn all(to: [Exporter; 3]) -> Telemetry {
    let [of_metrics, of_traces, of_logs] = to;
    Telemetry {
        resource: vec![("service.name".into(), "it's me".into())],
        metrics: Some(metrics(of_metrics)),
        traces: Some(traces(of_traces)),
        logs: Some(of_logs),
    }
}

fn settings_with(telemetry: Telemetry, more: &[(&str, &str)]) -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let pairs: Vec<_> = LEAST.iter().chain(more).copied().collect();
    Settings {
        telemetry,
        ..read(&machine(directory.path()), &pairs)
    }
}

fn with_telemetry(telemetry: Telemetry) -> Value {
    rendered(&settings_with(telemetry, &[]))
}

fn listener<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    let mut listeners = bootstrap["static_resources"]["listeners"]
        .as_array()
        .unwrap()
        .iter();
    listeners.find(|listener| listener["name"] == name).unwrap()
}

fn manager<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    &listener(bootstrap, name)["filter_chains"][0]["filters"][0]["typed_config"]
}

/// The clusters to which the routes of the signals lead, in the order of the signals.
fn collectors<'a>(bootstrap: &'a Value) -> Vec<&'a str> {
    let routes = &manager(bootstrap, "telemetry")["route_config"]["virtual_hosts"][0]["routes"];
    let routes = routes.as_array().unwrap().iter();
    let cluster = |route: &'a Value| route["route"]["cluster"].as_str().unwrap();
    routes.map(cluster).collect()
}

#[test]
fn nothing_is_rendered_without_an_exporter() {
    let text = bootstrap(&[]).to_string();
    for trace in [
        "telemetry",
        "stats_sinks",
        "stats_flush",
        "tracing",
        "%TRACE_ID%",
        "aad_auth_proxy",
        "collector",
    ] {
        assert!(!text.contains(trace), "{trace}");
    }
}

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

#[test]
fn the_log_by_otlp_has_the_fields_of_the_one_on_standard_output() {
    let bootstrap = with_telemetry(all([grpc(), grpc(), grpc()]));
    let loggers = &manager(&bootstrap, "proxy")["access_log"];
    let mut of_json: Vec<(&str, &str)> = loggers[0]["typed_config"]["log_format"]["json_format"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
        .collect();
    let mut of_otlp: Vec<(&str, &str)> = loggers[1]["typed_config"]["attributes"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| {
            (
                field["key"].as_str().unwrap(),
                field["value"]["string_value"].as_str().unwrap(),
            )
        })
        .collect();
    let of_trace = [("span_id", "%SPAN_ID%"), ("trace_id", "%TRACE_ID%")];
    assert!(of_trace.iter().all(|field| of_json.contains(field)));
    of_json.retain(|field| !of_trace.contains(field));
    of_json.sort_unstable();
    of_otlp.sort_unstable();
    assert_eq!(of_json, of_otlp);
    assert_eq!(loggers[0]["filter"], loggers[1]["filter"]);
}

#[test]
fn the_log_can_go_to_the_collector_alone() {
    let telemetry = Telemetry {
        logs: Some(grpc()),
        ..Telemetry::default()
    };
    let bootstrap = rendered(&settings_with(telemetry, &[("ACCESS_LOG", "off")]));
    let loggers = manager(&bootstrap, "proxy")["access_log"]
        .as_array()
        .unwrap();
    let names: Vec<&Value> = loggers.iter().map(|logger| &logger["name"]).collect();
    assert_eq!(names, ["envoy.access_loggers.open_telemetry"]);
}

#[test]
fn old_names_are_counted_only_where_metrics_are_exported_with_them() {
    let has = |telemetry: Telemetry| {
        with_telemetry(telemetry)
            .to_string()
            .contains("aad_auth_proxy")
    };
    let metrics_of = |old_names| Metrics {
        old_names,
        ..metrics(grpc())
    };
    assert!(has(Telemetry {
        metrics: Some(metrics_of(true)),
        ..Telemetry::default()
    }));
    assert!(!has(Telemetry {
        metrics: Some(metrics_of(false)),
        ..Telemetry::default()
    }));
    assert!(!has(Telemetry {
        traces: Some(traces(grpc())),
        logs: Some(grpc()),
        ..Telemetry::default()
    }));
}

#[test]
fn probes_are_kept_out_of_traces_where_there_are_both() {
    let health = |telemetry: Telemetry, more: &[(&str, &str)]| {
        let bootstrap = rendered(&settings_with(telemetry, more));
        manager(&bootstrap, "proxy")["http_filters"]
            .to_string()
            .contains("envoy.filters.http.health_check")
    };
    let traced = || Telemetry {
        traces: Some(traces(grpc())),
        ..Telemetry::default()
    };
    assert!(health(traced(), &[]));
    assert!(!health(traced(), &[("PROXY_HEALTH_PATHS", "off")]));
    assert!(!health(
        Telemetry {
            logs: Some(grpc()),
            ..Telemetry::default()
        },
        &[]
    ));
}

#[test]
fn a_drain_waits_for_the_exporter_with_the_longest_interval() {
    let flushed = |telemetry| flushed_after(&settings_with(telemetry, &[]));
    assert_eq!(flushed(Telemetry::default()), Duration::ZERO);
    assert_eq!(
        flushed(Telemetry {
            traces: Some(traces(grpc())),
            ..Telemetry::default()
        }),
        Duration::from_secs(2)
    );
    assert_eq!(
        flushed(all([grpc(), grpc(), grpc()])),
        Duration::from_millis(13_500)
    );
}

/// A sampler that ignores its parent would record the attempt of a probe.
#[test]
fn every_sampler_but_the_ratio_follows_its_parent() {
    const PARENT: &str = "envoy.tracers.opentelemetry.samplers.parent_based";
    const RATIO: &str = "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based";
    const ALWAYS: &str = "envoy.tracers.opentelemetry.samplers.always_on";
    let cases = [
        (Sampler::AlwaysOn, PARENT, ALWAYS, None, true),
        (Sampler::ParentBasedAlwaysOn, PARENT, ALWAYS, None, false),
        (Sampler::TraceIdRatio(0.25), RATIO, "", Some(250_000), false),
        (
            Sampler::ParentBasedTraceIdRatio(1e-6),
            PARENT,
            RATIO,
            Some(1),
            false,
        ),
        (Sampler::ParentBasedAlwaysOff, PARENT, RATIO, Some(0), false),
    ];
    for (sampler, outer, inner, millionths, sets_flag) in cases {
        let traced = Traces {
            sampler,
            ..traces(grpc())
        };
        let bootstrap = with_telemetry(Telemetry {
            traces: Some(traced),
            ..Telemetry::default()
        });
        let manager = manager(&bootstrap, "proxy");
        let rendered = &manager["tracing"]["provider"]["typed_config"]["sampler"];
        assert_eq!(rendered["name"], outer, "{sampler:?}");
        let wrapped = &rendered["typed_config"]["wrapped_sampler"];
        assert_eq!(
            wrapped["name"].as_str().unwrap_or_default(),
            inner,
            "{sampler:?}"
        );
        let ratio = if outer == RATIO { rendered } else { wrapped };
        let percentage = &ratio["typed_config"]["sampling_percentage"];
        assert_eq!(percentage["numerator"].as_u64(), millionths, "{sampler:?}");
        let early = manager["early_header_mutation_extensions"].to_string();
        assert_eq!(early.contains("traceparent"), sets_flag, "{sampler:?}");
    }
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

/// The table of our metrics and the list of what is exported.
#[test]
fn every_metric_of_ours_is_exported() {
    let table = include_str!("../../../../docs/reference/metrics.md");
    let sink = with_telemetry(all([grpc(), grpc(), grpc()]))["stats_sinks"].to_string();
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `entra_auth_"))
        .map(|rest| &rest[..rest.find(['`', '{']).unwrap()])
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(
            sink.contains(&format!("\"metric_name\":\"entra_auth_{name}\"")),
            "{name}"
        );
    }
}
