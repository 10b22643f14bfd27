//! Telemetry by OTLP: what the variables of OpenTelemetry and of aad-auth-proxy say together.

use std::time::Duration;

use super::*;
use crate::addresses::unreachable_ipv6;
use crate::settings::telemetry::{Exporter, Protocol, Sampler, Telemetry, Temporality};

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
const OLD: (&str, &str) = ("OTEL_GRPC_ENDPOINT", "collector:4317");
const LOGS: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");

/// With an endpoint, and a sampler, so that no notice is given of its cost.
fn sent(more: &[(&str, &str)]) -> Reading<Settings> {
    let mut pairs = vec![ENDPOINT, ("OTEL_TRACES_SAMPLER", "always_on")];
    pairs.extend(more);
    with(&pairs)
}

fn telemetry(more: &[(&str, &str)]) -> Telemetry {
    sent(more).outcome.unwrap().telemetry
}

fn shown(exporter: &Exporter) -> String {
    let protocol = exporter.protocol.as_str();
    format!("{protocol} {}{}", exporter.endpoint.url(), exporter.path)
}

/// Where each signal that is sent goes.
fn routes(telemetry: &Telemetry) -> Vec<(&'static str, String)> {
    let exporters = telemetry.exporters();
    exporters
        .map(|(signal, exporter)| (signal.as_str(), shown(exporter)))
        .collect()
}

#[test]
fn nothing_is_sent_without_an_endpoint() {
    let unset = settings(&[]).telemetry;
    assert_eq!((routes(&unset), unset.resource), (vec![], vec![]));
    let reading = with(&[
        ("OTEL_SERVICE_NAME", "proxy"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"),
    ]);
    assert_eq!(
        reading.warnings,
        [
            "OTEL_SERVICE_NAME, OTEL_METRICS_EXPORTER and OTEL_EXPORTER_OTLP_HEADERS have no effect: \
             nothing is sent by OTLP without an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT or \
             OTEL_GRPC_ENDPOINT)"
        ]
    );
    assert_eq!(routes(&reading.outcome.unwrap().telemetry), []);
    let one = with(&[("OTEL_SERVICE_NAME", "proxy")]).warnings;
    assert!(
        one[0].starts_with("OTEL_SERVICE_NAME has no effect:"),
        "{one:?}"
    );
}

#[test]
fn the_general_endpoint_is_for_metrics_and_traces_and_for_logs_if_they_are_selected() {
    let both = vec![
        (
            "metrics",
            "http/protobuf http://collector:4318/v1/metrics".to_owned(),
        ),
        (
            "traces",
            "http/protobuf http://collector:4318/v1/traces".to_owned(),
        ),
    ];
    assert_eq!(routes(&telemetry(&[])), both);
    let logs = (
        "logs",
        "http/protobuf http://collector:4318/v1/logs".to_owned(),
    );
    assert_eq!(routes(&telemetry(&[LOGS])), [both, vec![logs]].concat());
}

#[test]
fn an_option_of_one_signal_wins_over_the_general_one() {
    let telemetry = telemetry(&[
        LOGS,
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "https://metrics.example/in",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "GRPC"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1,x-b=2"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-c=3"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0"),
    ]);
    assert_eq!(
        routes(&telemetry),
        [
            (
                "metrics",
                "http/protobuf https://metrics.example/in".to_owned()
            ),
            ("traces", "grpc http://collector:4318".to_owned()),
            (
                "logs",
                "http/protobuf http://collector:4318/v1/logs".to_owned()
            ),
        ]
    );
    let of = |exporter: &Exporter| {
        let names: Vec<_> = exporter
            .headers
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        (names.join(","), exporter.timeout.as_secs())
    };
    let seen: Vec<_> = telemetry.exporters().map(|(_, it)| of(it)).collect();
    let two = || "x-a,x-b".to_owned();
    assert_eq!(seen, [("x-c".to_owned(), 5), (two(), 5), (two(), 600)]);
}

#[test]
fn the_variable_of_aad_auth_proxy_is_grpc_without_tls_unless_it_says_so() {
    for (value, url) in [
        ("collector:4317", "http://collector:4317"),
        ("http://localhost:4317", "http://localhost:4317"),
        ("https://collector.example", "https://collector.example"),
        ("collector", "http://collector:4317"),
    ] {
        let telemetry = settings(&[("OTEL_GRPC_ENDPOINT", value)]).telemetry;
        let to = format!("grpc {url}");
        assert_eq!(
            routes(&telemetry),
            [("metrics", to.clone()), ("traces", to)]
        );
        let service = ("service.name".to_owned(), "aad_auth_proxy".to_owned());
        assert_eq!(telemetry.resource, [service], "{value}");
    }
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

#[test]
fn grpc_without_a_scheme_is_by_tls_unless_insecure() {
    let schemeless = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let secure = sent(&schemeless);
    assert_eq!(secure.warnings.len(), 1, "{:?}", secure.warnings);
    let warning = &secure.warnings[0];
    assert!(
        warning.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT has no scheme"),
        "{warning}"
    );
    let secure = secure.outcome.unwrap().telemetry;
    assert_eq!(routes(&secure)[0].1, "grpc https://collector:4317");

    let insecure = [
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false"),
    ];
    let reading = sent(&[schemeless, insecure].concat());
    assert_eq!(reading.warnings, [""; 0]);
    let routes = routes(&reading.outcome.unwrap().telemetry);
    assert_eq!(routes[0].1, "grpc http://collector:4317");
    assert_eq!(routes[1].1, "grpc https://collector:4317");
}

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
fn a_collector_by_tls_has_the_authorities_of_its_own_or_those_of_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(directory.path());
    let own = directory.path().join("own.pem");
    fs::write(&own, certificate()).unwrap();
    let own = own.to_str().unwrap();
    // Nothing else is reached by TLS.
    let read = |more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("TARGET_HOST", "http://localhost:9090"),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("AUDIENCE", "api://x"),
        ];
        pairs.extend(more);
        read_on(&machine, &pairs)
    };
    let file = |path: &str| Some(TrustStore::File(path.into()));
    let trust = |settings: &Settings| -> Vec<_> {
        let exporters = settings.telemetry.exporters();
        exporters.map(|(_, it)| it.trust_store.clone()).collect()
    };
    let of_system = machine.trust_stores[0].to_str().unwrap();
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector");

    let plain = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_CERTIFICATE", own)]);
    let plain = plain.outcome.unwrap();
    assert_eq!(
        (trust(&plain), &plain.trust_store),
        (vec![None, None], &None)
    );

    let settings = read(&[https]).outcome.unwrap();
    assert_eq!(settings.trust_store, file(of_system));
    assert_eq!(trust(&settings), [file(of_system), file(of_system)]);

    let settings = read(&[https, ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", own)]);
    let settings = settings.outcome.unwrap();
    assert_eq!(trust(&settings), [file(of_system), file(own)]);

    let settings = read(&[https, ("OTEL_EXPORTER_OTLP_CERTIFICATE", own)]);
    let settings = settings.outcome.unwrap();
    assert_eq!(settings.trust_store, None);
    assert_eq!(trust(&settings), [file(own), file(own)]);
}

#[test]
fn a_signal_is_sent_if_otlp_is_among_its_exporters() {
    let sends = |metrics: &str| {
        let reading = sent(&[("OTEL_METRICS_EXPORTER", metrics)]);
        let sends = reading.outcome.unwrap().telemetry.metrics.is_some();
        (sends, reading.warnings)
    };
    assert_eq!(sends("otlp"), (true, vec![]));
    assert_eq!(sends(" OTLP , none"), (true, vec![]));
    assert_eq!(sends("None"), (false, vec![]));
    let console = "OTEL_METRICS_EXPORTER: console is not served, metrics are sent by otlp only";
    assert_eq!(sends("otlp,console"), (true, vec![console.to_owned()]));
    assert_eq!(sends("console"), (false, vec![console.to_owned()]));
    let (is_sent, warnings) = sends("prometheus");
    assert!(!is_sent);
    assert!(
        warnings[0].contains("/metrics is always on STATUS_PORT"),
        "{warnings:?}"
    );

    let nothing = sent(&[
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ]);
    assert_eq!(nothing.warnings, [""; 0]);
    let nothing = nothing.outcome.unwrap().telemetry;
    assert_eq!((routes(&nothing), nothing.resource), (vec![], vec![]));
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
fn the_resource_has_the_name_of_the_service_first() {
    let resource = |more: &[(&str, &str)]| {
        let reading = sent(more);
        let resource = reading.outcome.unwrap().telemetry.resource;
        let pairs = resource
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"));
        (pairs.collect::<Vec<_>>().join("|"), reading.warnings)
    };
    let attributes = |list| ("OTEL_RESOURCE_ATTRIBUTES", list);
    let cases = [
        (vec![], "service.name=entra-auth-envoy"),
        (vec![("OTEL_SERVICE_NAME", "a=b, c")], "service.name=a=b, c"),
        (
            vec![attributes("team=a,service.name=b,x%3Dy=1%2C2%20%C3%A9 z")],
            "service.name=b|team=a|x=y=1,2 é z",
        ),
        (
            vec![attributes("service.name=b"), ("OTEL_SERVICE_NAME", "c")],
            "service.name=c",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(resource(&more), (expected.to_owned(), vec![]), "{more:?}");
    }
    let (twice, warnings) = resource(&[attributes("a=1,a=2")]);
    assert_eq!(twice, "service.name=entra-auth-envoy|a=2");
    assert_eq!(
        warnings,
        ["OTEL_RESOURCE_ATTRIBUTES names a twice: the last value counts"]
    );
}

#[test]
fn replicas_are_told_apart_by_host_and_port_unless_an_attribute_does() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine {
        hostname: Some("pod-1".into()),
        ..machine(directory.path())
    };
    let instance = |more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("TARGET_HOST", TARGET),
            ("IDENTITY_TYPE", "systemAssigned"),
            ENDPOINT,
        ];
        pairs.extend(more);
        let resource = read_on(&machine, &pairs)
            .outcome
            .unwrap()
            .telemetry
            .resource;
        let mut ids = resource
            .into_iter()
            .filter(|(key, _)| key == "service.instance.id");
        let id = ids.next().unwrap().1;
        assert_eq!(ids.next(), None);
        id
    };
    assert_eq!(instance(&[]), "pod-1:9464");
    assert_eq!(instance(&[("STATUS_PORT", "9000")]), "pod-1:9000");
    let own = ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine");
    assert_eq!(instance(&[own]), "mine");
}

#[test]
fn a_sampler_that_records_nothing_leaves_traces_out() {
    use Sampler::{
        AlwaysOn, ParentBasedAlwaysOff, ParentBasedAlwaysOn, ParentBasedTraceIdRatio, TraceIdRatio,
    };
    let cases = [
        ("always_on", "", Some(AlwaysOn)),
        ("Always_On", "", Some(AlwaysOn)),
        ("always_off", "", None),
        ("traceidratio", "", Some(TraceIdRatio(1.0))),
        ("traceidratio", "0.25", Some(TraceIdRatio(0.25))),
        ("traceidratio", "1e-3", Some(TraceIdRatio(0.001))),
        ("traceidratio", "0", None),
        ("traceidratio", "0.0", None),
        ("parentbased_always_on", "", Some(ParentBasedAlwaysOn)),
        ("parentbased_always_off", "", Some(ParentBasedAlwaysOff)),
        (
            "parentbased_traceidratio",
            "0.01",
            Some(ParentBasedTraceIdRatio(0.01)),
        ),
        ("parentbased_traceidratio", "0", Some(ParentBasedAlwaysOff)),
    ];
    for (name, argument, expected) in cases {
        let sampler = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let reading = sent(&sampler);
        assert_eq!(reading.warnings, [""; 0], "{name} {argument}");
        let traces = reading.outcome.unwrap().telemetry.traces;
        assert_eq!(traces.map(|it| it.sampler), expected, "{name} {argument}");
    }
    for argument in ["1.1", "-0.1", "1%", "NaN", "inf", "0,1"] {
        let all = errors(sent(&[
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ]));
        assert_eq!(all.len(), 1, "{all:?}");
        let expected =
            format!("OTEL_TRACES_SAMPLER_ARG is {argument:?}, which is no number from 0 to 1");
        assert!(all[0].starts_with(&expected), "{all:?}");
    }
}

#[test]
fn an_unset_sampler_traces_every_request_and_says_what_that_costs() {
    let reading = with(&[ENDPOINT]);
    assert_eq!(reading.warnings.len(), 1, "{:?}", reading.warnings);
    assert!(reading.warnings[0].contains("costs half as much CPU time again"));
    let traces = reading.outcome.unwrap().telemetry.traces.unwrap();
    assert_eq!(traces.sampler, Sampler::ParentBasedAlwaysOn);
    let none = with(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!(none.warnings, [""; 0]);
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
fn metrics_are_sent_before_the_drain_ends_unless_an_interval_is_set() {
    let interval = |more: &[(&str, &str)]| {
        let reading = sent(more);
        let metrics = reading.outcome.unwrap().telemetry.metrics.unwrap();
        (metrics.interval, reading.warnings)
    };
    let drain = |seconds| ("DRAIN_SECONDS", seconds);
    let every = |milliseconds| ("OTEL_METRIC_EXPORT_INTERVAL", milliseconds);
    let quiet = |milliseconds| (Duration::from_millis(milliseconds), vec![]);
    assert_eq!(interval(&[]), quiet(12_500));
    assert_eq!(interval(&[drain("600")]), quiet(60_000));
    assert_eq!(interval(&[drain("2")]), quiet(1_000));
    assert_eq!(interval(&[drain("0")]), quiet(60_000));
    assert_eq!(interval(&[every("20000")]), quiet(20_000));
    assert_eq!(interval(&[every("100")]), quiet(100));
    let (value, warnings) = interval(&[every("60000")]);
    assert_eq!(value.as_secs(), 60);
    assert!(
        warnings[0].contains("longer than DRAIN_SECONDS"),
        "{warnings:?}"
    );
    let (value, warnings) = interval(&[every("300000"), drain("3600")]);
    assert_eq!(value.as_millis(), 299_999);
    assert!(
        warnings[0].contains("longer than Envoy can wait"),
        "{warnings:?}"
    );
    for wrong in ["99", "0", "-1", "1s", "1.5"] {
        let all = errors(sent(&[every(wrong)]));
        assert_eq!(all.len(), 1, "{all:?}");
        let name = format!("OTEL_METRIC_EXPORT_INTERVAL is {wrong:?}");
        assert!(all[0].starts_with(&name), "{all:?}");
    }
}

#[test]
fn metrics_are_cumulative_and_have_the_old_names_unless_told_otherwise() {
    let metrics = |more: &[(&str, &str)]| {
        let metrics = telemetry(more).metrics.unwrap();
        (metrics.temporality, metrics.old_names)
    };
    let preferred = |value| {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        metrics(&[(name, value)]).0
    };
    assert_eq!(metrics(&[]), (Temporality::Cumulative, true));
    assert_eq!(preferred("Cumulative"), Temporality::Cumulative);
    assert_eq!(preferred("delta"), Temporality::Delta);
    assert_eq!(preferred("LowMemory"), Temporality::Delta);
    assert!(!metrics(&[("OLD_METRIC_NAMES", "off")]).1);
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
fn no_message_and_no_debug_output_shows_the_value_of_a_header() {
    let headers = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer%20s3cret",
    );
    let reading = sent(&[headers, ("OTEL_PROPAGATORS", "b3")]);
    assert!(!format!("{reading:?}").contains("s3cret"), "{reading:?}");
    let exporter = reading.outcome.unwrap().telemetry.metrics.unwrap().exporter;
    assert_eq!(exporter.headers[0].value.expose(), "Bearer s3cret");
    let wrong = [
        headers,
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "s3cret"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "host=s3cret,te=s3cret"),
    ];
    let all = errors(sent(&wrong));
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(!format!("{all:?}").contains("s3cret"), "{all:?}");
}

#[test]
fn a_wrong_protocol_is_the_only_mistake_that_is_told() {
    for (value, fix) in [
        ("http/json", "Use grpc or http/protobuf."),
        ("gprc", "Use one of grpc, http/protobuf."),
    ] {
        let all = errors(sent(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", value),
        ]));
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is "),
            "{all:?}"
        );
        assert!(all[0].ends_with(fix), "{all:?}");
    }
    assert_eq!(
        telemetry(&[]).metrics.unwrap().exporter.protocol,
        Protocol::HttpProtobuf
    );
}

#[test]
fn a_collector_is_told_if_it_needs_ipv6_on_a_machine_without() {
    let of = |ipv6| Settings {
        ipv6,
        ..sent(&[(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://[2001:db8::1]:4318",
        )])
        .outcome
        .unwrap()
    };
    let named = unreachable_ipv6(&of(false));
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(
        named[0].place.to_string(),
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
    );
    assert_eq!(unreachable_ipv6(&of(true)), []);
}

#[test]
fn the_variables_hold_beside_a_configuration_file() {
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(directory.path());
    let file = directory.path().join("config.yaml");
    let text = format!(
        "identities: [{{ name: a, type: systemAssigned }}]\n\
         targets: [{{ name: t, url: 'https://{TARGET}', identity: a }}]\n\
         listeners: [{{ port: 8081, target: t }}]\n"
    );
    fs::write(&file, text).unwrap();
    let config = ("ENTRA_AUTH_CONFIG", file.to_str().unwrap());
    let settings = read_on(&machine, &[config, OLD]).outcome.unwrap();
    assert_eq!(routes(&settings.telemetry).len(), 2);
    let all = errors(read_on(
        &machine,
        &[config, ("OTEL_RESOURCE_ATTRIBUTES", "x")],
    ));
    assert_eq!(all.len(), 1, "{all:?}");
}
