//! The environment as a whole: defaults, every mistake at once, and what goes together.

use std::fs;
use std::path::Path;

use entra_auth_settings_input::Scheme;

use super::identity::{Identity, MetadataService};
use super::trust_store::tests::certificate;
use super::*;
use crate::limits::Limits;

mod network;
mod telemetry;

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const TARGET: &str = "amw-x.eastus-1.metrics.ingest.monitor.azure.com";

/// A machine with a filter beside the launcher and a trust store.
fn machine(directory: &Path) -> Machine {
    fs::write(directory.join(files::MODULE), b"\0asm\x01\0\0\0").unwrap();
    let store = directory.join("ca.pem");
    fs::write(&store, certificate()).unwrap();
    Machine {
        launcher_dir: Some(directory.to_path_buf()),
        trust_stores: vec![store],
        ipv6: true,
        limits: Limits::default(),
        hostname: None,
    }
}

fn read_on(machine: &Machine, pairs: &[(&str, &str)]) -> Reading<Settings> {
    read(&pairs.iter().copied().collect(), machine)
}

fn reading(pairs: &[(&str, &str)]) -> Reading<Settings> {
    let directory = tempfile::tempdir().unwrap();
    read_on(&machine(directory.path()), pairs)
}

/// The least that works, with these variables more.
fn with(more: &[(&str, &str)]) -> Reading<Settings> {
    let mut pairs = vec![("TARGET_HOST", TARGET), ("IDENTITY_TYPE", "systemAssigned")];
    pairs.extend(more);
    reading(&pairs)
}

fn settings(more: &[(&str, &str)]) -> Settings {
    with(more).outcome.unwrap()
}

fn errors(reading: Reading<Settings>) -> Vec<String> {
    let errors = reading.outcome.unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

/// What requests to the metadata service are addressed to.
fn imds_of(settings: &Settings) -> String {
    match &settings.identities[0].identity {
        Identity::SystemAssigned {
            service: MetadataService::Imds(imds),
            ..
        } => imds.0.authority.to_string(),
        other => panic!("no IMDS: {other:?}"),
    }
}

#[test]
fn a_target_and_an_identity_are_enough() {
    let reading = with(&[]);
    assert_eq!(reading.warnings, [""; 0]);
    let settings = reading.outcome.unwrap();
    assert_eq!(settings.targets[0].endpoint.authority(), TARGET);
    assert_eq!(
        settings.targets[0].audience.resource(),
        "https://monitor.azure.com"
    );
    assert_eq!(imds_of(&settings), "169.254.169.254");
    assert_eq!(settings.refresh_before_expiry.get(), 10);
    assert_eq!(
        (settings.listeners[0].port, settings.status_port),
        (8081, 9464)
    );
    assert_eq!(settings.concurrency, 2);
    assert_eq!(settings.memory_limit, None);
    assert_eq!(settings.log_level.as_str(), "info");
    assert_eq!(settings.access_log, AccessLog::All);
    assert!(settings.proxy_health_paths);
    assert!(settings.targets[0].override_headers.is_empty());
    let store = settings.trust_store.unwrap();
    assert!(matches!(store, TrustStore::File(path) if path.ends_with("ca.pem")));
    assert!(settings.module.ends_with(files::MODULE));
}

#[test]
fn the_published_example_of_aad_auth_proxy_works() {
    let reading = reading(&[
        ("AUDIENCE", "https://monitor.azure.com/.default"),
        ("TARGET_HOST", &format!("http://{TARGET}")),
        ("LISTENING_PORT", "8081"),
        ("IDENTITY_TYPE", "userAssigned"),
        ("AAD_CLIENT_ID", ID),
        ("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "10"),
        (
            "OTEL_GRPC_ENDPOINT",
            "otel-collector.observability.svc.cluster.local:4317",
        ),
        ("OTEL_SERVICE_NAME", "proxy"),
    ]);
    let settings = reading.outcome.unwrap();
    assert_eq!(settings.targets[0].endpoint.scheme, Scheme::Https);
    assert_eq!(settings.targets[0].endpoint.authority(), TARGET);
    assert_eq!(
        settings.targets[0].audience.resource(),
        "https://monitor.azure.com"
    );
    assert_eq!(reading.warnings.len(), 2, "{:?}", reading.warnings);
    assert!(reading.warnings[0].contains("says http://"));
    assert!(reading.warnings[1].starts_with("OTEL_TRACES_SAMPLER is not set"));
    let exporters: Vec<_> = settings.telemetry.exporters().collect();
    assert_eq!(exporters.len(), 2, "metrics and traces");
    for (_, exporter) in exporters {
        let url = exporter.endpoint.url();
        assert_eq!(
            url,
            "http://otel-collector.observability.svc.cluster.local:4317"
        );
    }
}

#[test]
fn every_variable_has_its_effect() {
    let settings = settings(&[
        ("AUDIENCE", "api://x"),
        ("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "25"),
        ("LISTENING_PORT", "1"),
        ("LISTENING_ADDRESS", "::1"),
        ("STATUS_PORT", "65535"),
        ("STATUS_ADDRESS", "127.0.0.1"),
        ("PROXY_HEALTH_PATHS", "off"),
        ("OVERRIDE_REQUEST_HEADERS", r#"{"X-A": "b"}"#),
        (
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "http://127.0.0.1:4040/",
        ),
        ("ENVOY_CONCURRENCY", "7"),
        ("MEMORY_LIMIT", "256Mi"),
        ("LOG_LEVEL", "debug"),
        ("ACCESS_LOG", "errors"),
    ]);
    assert_eq!(settings.targets[0].audience.resource(), "api://x");
    assert_eq!(settings.refresh_before_expiry.get(), 25);
    assert_eq!(
        (settings.listeners[0].port, settings.status_port),
        (1, 65535)
    );
    let listening = settings.bound_to(settings.listeners[0].address, 1);
    let status = settings.bound_to(settings.status_address, 65535);
    assert_eq!(listening.to_string(), "[::1]:1");
    assert_eq!(status.to_string(), "127.0.0.1:65535");
    assert!(!settings.proxy_health_paths);
    assert_eq!(settings.targets[0].override_headers.len(), 1);
    assert_eq!(imds_of(&settings), "127.0.0.1:4040");
    assert_eq!(settings.concurrency, 7);
    assert_eq!(settings.memory_limit, Some(256 << 20));
    assert_eq!(settings.log_level.as_str(), "debug");
    assert_eq!(settings.access_log, AccessLog::Errors);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let wrong = [
        ("TARGET_HOST", "a b"),
        ("IDENTITY_TYPE", "systemAssigned"),
        ("AUDIENCE", "a b"),
        ("AZURE_CLOUD", "mars"),
        ("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "100"),
        ("LISTENING_PORT", "x"),
        ("LISTENING_ADDRESS", "localhost"),
        ("STATUS_PORT", "0"),
        ("STATUS_ADDRESS", "127.0.0.1:9464"),
        ("PROXY_HEALTH_PATHS", "maybe"),
        ("OVERRIDE_REQUEST_HEADERS", "x"),
        ("SSL_CERT_FILE", "/nowhere"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "https://x"),
        ("ENVOY_CONCURRENCY", "0"),
        ("MEMORY_LIMIT", "1"),
        ("LOG_LEVEL", "loud"),
        ("ACCESS_LOG", "some"),
        ("ENTRA_AUTH_MODULE", "/nowhere"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "ftp://collector"),
        ("OTEL_GRPC_ENDPOINT", "a b"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_RESOURCE_ATTRIBUTES", "x"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("OTEL_METRICS_EXPORTER", "oltp"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum"),
        ("OLD_METRIC_NAMES", "true"),
    ];
    let reading = reading(&wrong);
    let mut reported: Vec<String> = reading
        .outcome
        .as_ref()
        .unwrap_err()
        .iter()
        .map(|error| error.place.to_string())
        .collect();
    reported.sort_unstable();
    let mut expected = wrong.map(|(name, _)| name).to_vec();
    // It alone is right: the metadata service is looked at only for the types that ask it.
    expected.retain(|name| *name != "IDENTITY_TYPE");
    expected.sort_unstable();
    assert_eq!(reported, expected);
}

#[test]
fn an_empty_environment_names_what_is_required_and_nothing_else() {
    let all = errors(reading(&[]));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with("TARGET_HOST is not set."));
    assert!(all[1].starts_with("IDENTITY_TYPE is not set."));
}

#[test]
fn an_empty_variable_takes_the_default() {
    let names = [
        "AUDIENCE",
        "LISTENING_PORT",
        "LISTENING_ADDRESS",
        "STATUS_PORT",
        "STATUS_ADDRESS",
        "MEMORY_LIMIT",
        "OVERRIDE_REQUEST_HEADERS",
        "SSL_CERT_FILE",
        "ENTRA_AUTH_MODULE",
    ];
    let settings = settings(&names.map(|name| (name, "")));
    assert_eq!(settings.listeners[0].port, 8081);
    assert_eq!(settings.listeners[0].address, ListeningAddress::All);
}

#[test]
fn equal_ports_are_a_mistake() {
    for more in [
        vec![("STATUS_PORT", "8081")],
        vec![("LISTENING_PORT", "9464")],
    ] {
        let all = errors(with(&more));
        assert_eq!(all.len(), 1);
        assert!(all[0].contains("as LISTENING_PORT is"), "{all:?}");
    }
}

#[test]
fn a_target_whose_audience_is_unknown_needs_one() {
    let all = errors(with(&[("TARGET_HOST", "abc.example")]));
    assert_eq!(all.len(), 1);
    assert!(all[0].starts_with("AUDIENCE is not set, and TARGET_HOST (abc.example)"));
}

#[test]
fn a_target_reached_by_http_needs_no_trust_store() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine {
        trust_stores: Vec::new(),
        ..machine(directory.path())
    };
    let local = [
        ("TARGET_HOST", "http://localhost:9090"),
        ("IDENTITY_TYPE", "systemAssigned"),
        ("AUDIENCE", "api://x"),
    ];
    assert_eq!(read_on(&machine, &local).outcome.unwrap().trust_store, None);

    let remote = [("TARGET_HOST", TARGET), ("IDENTITY_TYPE", "systemAssigned")];
    let all = errors(read_on(&machine, &remote));
    assert_eq!(all.len(), 1);
    assert!(all[0].starts_with("SSL_CERT_FILE is not set, and the system has no trust store"));
}

#[test]
fn an_entra_reached_by_tls_needs_a_trust_store_whatever_the_target() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "s3cret").unwrap();
    let machine = machine(directory.path());
    let of_entra = |authority| {
        let pairs = [
            ("TARGET_HOST", "http://localhost:9090"),
            ("AUDIENCE", "api://x"),
            ("IDENTITY_TYPE", "aadApplication"),
            ("AAD_CLIENT_ID", ID),
            ("AAD_TENANT_ID", ID),
            ("AAD_CLIENT_SECRET_FILE", secret.to_str().unwrap()),
            ("AZURE_AUTHORITY_HOST", authority),
        ];
        read_on(&machine, &pairs).outcome.unwrap().trust_store
    };
    assert!(of_entra("https://login.microsoftonline.com").is_some());
    assert!(of_entra("http://127.0.0.1:1").is_none());
}

#[test]
fn a_cloud_that_does_not_fit_the_audience_or_the_target_is_a_mistake() {
    let us = "x.prometheus.monitor.azure.us";
    let cases: [(&[(&str, &str)], &str); 3] = [
        (
            &[("AZURE_CLOUD", "china")],
            "AZURE_CLOUD means china, but TARGET_HOST means public",
        ),
        (
            &[
                ("AZURE_CLOUD", "public"),
                ("TARGET_HOST", "abc.example"),
                ("AUDIENCE", "https://monitor.azure.us/.default"),
            ],
            "AZURE_CLOUD means public, but AUDIENCE means usgovernment",
        ),
        (
            &[
                ("TARGET_HOST", us),
                ("AUDIENCE", "https://monitor.azure.com"),
            ],
            "AUDIENCE means public, but TARGET_HOST means usgovernment",
        ),
    ];
    for (more, expected) in cases {
        let all = errors(with(more));
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].starts_with(expected), "{all:?}");
    }
    settings(&[("TARGET_HOST", us), ("AZURE_CLOUD", "AzureUSGovernment")]);
}

#[test]
fn the_containers_limits_are_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let limited = |cpus, memory| Machine {
        limits: Limits { cpus, memory },
        ..machine(directory.path())
    };
    let least = [("TARGET_HOST", TARGET), ("IDENTITY_TYPE", "systemAssigned")];

    let settings = read_on(&limited(Some(4), Some(1 << 30)), &least)
        .outcome
        .unwrap();
    assert_eq!(
        (settings.concurrency, settings.memory_limit),
        (4, Some(1 << 30))
    );

    let mut own = least.to_vec();
    own.extend([("ENVOY_CONCURRENCY", "1"), ("MEMORY_LIMIT", "512Mi")]);
    let settings = read_on(&limited(Some(4), Some(1 << 30)), &own)
        .outcome
        .unwrap();
    assert_eq!(
        (settings.concurrency, settings.memory_limit),
        (1, Some(512 << 20))
    );

    let reading = read_on(&limited(None, Some(32 << 20)), &least);
    assert!(reading.outcome.is_ok());
    assert!(reading.warnings[0].starts_with("the container's memory limit is 33554432 bytes"));
}

#[test]
fn every_way_to_write_the_target_is_a_host_that_the_filter_knows() {
    for target in [
        "abc.example:8443",
        "my_host",
        "192.0.2.1",
        "[::1]:8443",
        "::1",
        "http://[::1]",
    ] {
        let settings = settings(&[("TARGET_HOST", target), ("AUDIENCE", "api://x")]);
        assert_eq!(
            settings.targets[0].pattern.to_string(),
            settings.targets[0].endpoint.authority()
        );
    }
}

#[test]
fn debug_of_the_settings_shows_no_header_value() {
    let settings = settings(&[("OVERRIDE_REQUEST_HEADERS", r#"{"X-Api-Key": "secret"}"#)]);
    assert!(!format!("{settings:?}").contains("secret"));
}
