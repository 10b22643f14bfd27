//! Telemetry by OTLP: what the variables of OpenTelemetry and of aad-auth-proxy say together.

use super::*;
use crate::addresses::unreachable_ipv6;
use crate::settings::telemetry::{Exporter, Protocol, Telemetry};

mod content;
mod warnings;

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
        ("gprc", "Use grpc or http/protobuf."),
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
