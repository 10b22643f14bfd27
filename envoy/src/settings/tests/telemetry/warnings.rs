//! What is set and has no effect, or not the one that one may think, is told.

use super::*;
use crate::settings::telemetry::Sampler;

#[test]
fn a_port_that_is_usually_for_the_other_protocol_is_warned_about() {
    let reading = sent(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")]);
    assert_eq!(
        reading.warnings,
        [
            "OTEL_EXPORTER_OTLP_ENDPOINT names port 4317, which is usually for grpc, but the protocol \
             is http/protobuf; if exports fail, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
        ]
    );
    let reading = sent(&[
        ("OTEL_TRACES_EXPORTER", "none"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://collector:4318",
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ]);
    let warning = &reading.warnings[0];
    assert!(
        warning.ends_with("set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf"),
        "{warning}"
    );
}

#[test]
fn what_is_set_for_logs_alone_needs_them_selected() {
    let own = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4318/in");
    assert_eq!(
        sent(&[own]).warnings,
        [
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT has no effect: access logs are sent only with \
             OTEL_LOGS_EXPORTER=otlp"
        ]
    );
    assert_eq!(sent(&[own, LOGS]).warnings, [""; 0]);
    assert_eq!(
        sent(&[own, ("OTEL_LOGS_EXPORTER", "none")]).warnings,
        [""; 0]
    );
}

#[test]
fn a_sampler_or_an_argument_that_has_no_effect_is_a_warning() {
    let reading = sent(&[("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote")]);
    let warning = "OTEL_TRACES_SAMPLER=parentbased_jaeger_remote is not served";
    assert!(
        reading.warnings[0].starts_with(warning),
        "{:?}",
        reading.warnings
    );
    let traces = reading.outcome.unwrap().telemetry.traces.unwrap();
    assert_eq!(traces.sampler, Sampler::ParentBasedAlwaysOn);
    let argument = ("OTEL_TRACES_SAMPLER_ARG", "0.5");
    let warnings = sent(&[argument]).warnings;
    assert_eq!(
        warnings,
        ["OTEL_TRACES_SAMPLER_ARG has no effect: always_on takes none"]
    );
    let warnings = with(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), argument]).warnings;
    assert_eq!(
        warnings,
        ["OTEL_TRACES_SAMPLER_ARG has no effect without OTEL_TRACES_SAMPLER"]
    );
}

#[test]
fn what_the_standard_knows_and_is_not_served_is_one_warning_for_each_kind() {
    let cases = [
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "gzip",
            "are not compressed",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "/key",
            "no client certificate",
        ),
        ("OTEL_PROPAGATORS", "b3,tracecontext", "traceparent"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1", "Envoy decides"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "1", "few attributes"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "no exemplars"),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://x", "by OTLP only"),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "/x", "is not read"),
        ("OTEL_LOG_LEVEL", "debug", "LOG_LEVEL"),
    ];
    for (name, value, consequence) in cases {
        let warnings = sent(&[(name, value)]).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with(&format!("{name} is not served: ")),
            "{warnings:?}"
        );
        assert!(warnings[0].contains(consequence), "{warnings:?}");
    }
    let two = [
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "1"),
    ];
    let warnings = sent(&two).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("OTEL_BSP_SCHEDULE_DELAY and OTEL_METRIC_EXPORT_TIMEOUT are not"),
        "{warnings:?}"
    );
    // They ask for what is done anyway.
    let defaults = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_PROPAGATORS", "tracecontext, baggage"),
    ];
    assert_eq!(sent(&defaults).warnings, [""; 0]);
}

#[test]
fn a_disabled_sdk_sends_and_says_nothing_but_mistakes_count() {
    let disabled = ("OTEL_SDK_DISABLED", "True");
    let console = ("OTEL_TRACES_EXPORTER", "console");
    let reading = with(&[disabled, OLD, console, ("OTEL_PROPAGATORS", "b3")]);
    assert_eq!(reading.warnings, [""; 0]);
    assert_eq!(routes(&reading.outcome.unwrap().telemetry), []);
    let all = errors(with(&[disabled, ("OTEL_GRPC_ENDPOINT", "ftp://x")]));
    assert_eq!(all.len(), 1, "{all:?}");
    // Not a value that OpenTelemetry takes for true.
    let reading = sent(&[("OTEL_SDK_DISABLED", "1")]);
    assert!(
        reading.warnings[0].contains("counts as false"),
        "{:?}",
        reading.warnings
    );
    assert!(reading.outcome.unwrap().telemetry.metrics.is_some());
}

#[test]
fn standard_endpoints_win_over_that_of_aad_auth_proxy_with_a_warning() {
    let reading = sent(&[OLD]);
    assert_eq!(
        reading.warnings,
        [
            "OTEL_GRPC_ENDPOINT is ignored for metrics: OTEL_EXPORTER_OTLP_ENDPOINT wins over it",
            "OTEL_GRPC_ENDPOINT is ignored for traces: OTEL_EXPORTER_OTLP_ENDPOINT wins over it",
        ]
    );
    assert_eq!(
        routes(&reading.outcome.unwrap().telemetry),
        routes(&telemetry(&[]))
    );

    let reading = with(&[
        OLD,
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://traces:4318/in",
        ),
    ]);
    assert_eq!(
        reading.warnings,
        [
            "OTEL_GRPC_ENDPOINT is ignored for traces: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT wins over it",
            "OTEL_EXPORTER_OTLP_PROTOCOL has no effect on OTEL_GRPC_ENDPOINT, which is reached by gRPC",
        ]
    );
    let telemetry = reading.outcome.unwrap().telemetry;
    assert_eq!(
        routes(&telemetry),
        [
            ("metrics", "grpc http://collector:4317".to_owned()),
            ("traces", "http/protobuf http://traces:4318/in".to_owned()),
        ]
    );
    assert_eq!(telemetry.resource[0].1, "entra-auth-envoy");
}
