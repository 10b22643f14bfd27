//! What of each signal is exported.

use super::*;

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

/// The table of our metrics and the list of what is exported.
#[test]
fn every_metric_of_ours_is_exported() {
    let table = include_str!("../../../../../docs/reference/metrics.md");
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
