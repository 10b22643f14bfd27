//! `docs/guides/opentelemetry-collector.md`: a real collector with the guide's configuration sends
//! through the proxy with the guide's settings, and the simulated Azure Monitor stores all of it once.

use std::fs;
use std::time::Duration;

use azure_sim::{Fault, FaultKind, ItemCounts, Options, Service, TokenRefusal};
use e2e::azure::Azure;
use e2e::otlp::{Application, Signal};
use e2e::{Collector, Proxy, ProxyBuilder, eventually, free_port, http, tools};

use crate::healing::{grant_role, remove_role};

/// The hosts of the guide.
const LOGS: &str = "https://my-endpoint-a1b2.eastus-1.ingest.monitor.azure.com";
const METRICS: &str = "https://my-endpoint-a1b2.eastus-1.metrics.ingest.monitor.azure.com";

/// What stands for the rule's immutable id, and one.
const RULE: (&str, &str) = ("<rule>", "dcr-0123456789abcdef0123456789abcdef");

/// What is changed of the collector's configuration, so that a test is short: five seconds until the
/// first retry otherwise.
const RETRY: (&str, &str) = (
    "retry_on_failure: { max_elapsed_time: 0 }",
    "retry_on_failure: { max_elapsed_time: 0, initial_interval: 200ms, max_interval: 1s }",
);

/// The proxy tells the collector to try again in half a minute where a person must act.
const PATIENCE: Duration = Duration::from_secs(60);

/// The block in this language under the guide's heading that starts so.
fn block(heading: &str, language: &str) -> String {
    let path = tools::repository().join("docs/guides/opentelemetry-collector.md");
    let guide = fs::read_to_string(path).expect("the guide");
    let (_, section) = guide
        .split_once(&format!("\n## {heading}"))
        .unwrap_or_else(|| panic!("the guide has no {heading}"));
    let section = section.split("\n## ").next().unwrap_or(section);
    let (_, block) = section
        .split_once(&format!("\n```{language}\n"))
        .unwrap_or_else(|| panic!("{heading} has no {language}"));
    block.split("```").next().unwrap_or(block).to_owned()
}

/// A text with others in the place of each of these, which must be there.
fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "no {old} in {text}");
        text.replace(old, new)
    })
}

/// The proxy with the guide's variables.
fn with_variables(settings: ProxyBuilder) -> ProxyBuilder {
    let variables = block("2. The proxy", "sh");
    variables.lines().fold(settings, |settings, line| {
        let (name, value) = line.split_once('=').expect("NAME=value");
        settings.set(name, value)
    })
}

/// The guide's collector, with these ports of the proxy, and its own port for OTLP by HTTP.
fn collector(logs_port: u16, metrics_port: u16) -> (Collector, u16) {
    let (grpc, http) = (free_port(), free_port());
    let configuration = with(
        &block("3. The collector", "yaml"),
        &[
            RULE,
            RETRY,
            (":4317", &format!(":{grpc}")),
            (":4318", &format!(":{http}")),
            (":8081", &format!(":{logs_port}")),
            (":8082", &format!(":{metrics_port}")),
        ],
    );
    (Collector::start(&configuration, http), http)
}

/// Waits until so many different items are stored.
#[track_caller]
fn until_stored(azure: &Azure, count: u64, items: fn(&azure_sim::OtlpReport) -> ItemCounts) {
    eventually(PATIENCE, "all of it is stored", || {
        let stored = azure.state().target.otlp;
        match items(&stored).distinct {
            distinct if distinct >= count => Ok(()),
            distinct => Err(format!("{distinct} of {count}: {stored:?}")),
        }
    });
}

#[test]
fn the_guides_settings_are_accepted_without_a_warning() {
    let azure = Azure::start(Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml");
    fs::write(&file, block("2. The proxy", "yaml")).expect("a file");
    for settings in [
        with_variables(Proxy::to("")),
        Proxy::of_file(&file, free_port()),
    ] {
        let mut command = settings
            .set("SSL_CERT_FILE", azure.authority())
            .command("render");
        let output = command.output().expect("a launcher");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(!stderr.contains("warning"), "{stderr}");
        let rendered = String::from_utf8_lossy(&output.stdout);
        assert!(rendered.contains(LOGS.trim_start_matches("https://")));
    }
}

#[test]
#[cfg_attr(
    not(feature = "collector"),
    ignore = "needs an OpenTelemetry Collector, which Go builds: `make test-all` runs it"
)]
fn no_span_data_point_or_log_record_is_lost_without_a_token_or_without_the_role() {
    let azure = Azure::start(Options {
        // The host of a request is not recorded of HTTP/2.
        http2: false,
        ..Options::default()
    });
    remove_role(&azure);
    let outage = azure
        .inject(Fault::new(Service::Imds, FaultKind::status(503)))
        .expect("a fault");
    let tls = azure.addresses().target_tls.port();
    let (logs_port, metrics_port) = (free_port(), free_port());
    let configuration = with(
        &block("2. The proxy", "yaml"),
        &[
            (LOGS, &format!("https://logs.localhost:{tls}")),
            (METRICS, &format!("https://metrics.localhost:{tls}")),
            ("port: 8081", &format!("port: {logs_port}")),
            ("port: 8082", &format!("port: {metrics_port}")),
            // Ten seconds otherwise, until a request without a token gets its 503.
            (
                "authErrorsRetryable",
                "hold: { timeout: 500ms }\n    authErrorsRetryable",
            ),
        ],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml");
    fs::write(&file, configuration).expect("a file");
    let proxy = Proxy::of_file(&file, logs_port)
        .set("SSL_CERT_FILE", azure.authority())
        .set(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            format!("http://{}", azure.addresses().imds),
        )
        .start();
    let (collector, port) = collector(logs_port, metrics_port);
    let signals = [Signal::Traces, Signal::Metrics, Signal::Logs];
    let mut application = Application::exporting_to(port);

    application.export(&signals, 20);
    eventually(PATIENCE, "503 for want of a token", || {
        let unavailable = [("outcome", "unavailable")];
        match proxy
            .metrics()?
            .sum_with("entra_auth_requests_total", &unavailable)
        {
            Some(3.0..) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    azure.end_fault(outage);
    eventually(PATIENCE, "403 for want of the role", || {
        match azure.state().target.refused.get(&TokenRefusal::MissingRole) {
            Some(3..) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(azure.state().target.otlp.spans.received, 0);
    grant_role(&azure);
    application.export(&signals, 5);

    let count = application.exported();
    until_stored(&azure, count, |stored| stored.spans);
    until_stored(&azure, count, |stored| stored.data_points);
    until_stored(&azure, count, |stored| stored.log_records);
    let stored = azure.state().target.otlp;
    let once = ItemCounts {
        received: count,
        distinct: count,
        duplicate: 0,
    };
    assert_eq!(
        (stored.spans, stored.data_points, stored.log_records),
        (once, once, once)
    );
    assert_eq!(stored.malformed, 0);
    assert!(!collector.process().logs().contains("Dropping data"));
    for request in azure.requests(Service::Target, usize::MAX) {
        let host = request.headers.iter().find(|(name, _)| name == "host");
        let host = host.map(|(_, value)| value.as_str()).unwrap_or_default();
        let is_metrics = request.target.ends_with("/otlp/v1/metrics");
        assert_eq!(host.starts_with("metrics."), is_metrics, "{request:?}");
    }
}

/// Traces and logs alone have one target: variables are enough.
#[test]
#[cfg_attr(
    not(feature = "collector"),
    ignore = "needs an OpenTelemetry Collector, which Go builds: `make test-all` runs it"
)]
fn with_variables_alone_traces_and_logs_arrive() {
    let azure = Azure::start(Options::default());
    remove_role(&azure);
    let target = format!("https://localhost:{}", azure.addresses().target_tls.port());
    let proxy = with_variables(azure.proxy())
        .set("TARGET_HOST", target)
        .start();
    // What a collector retries, and not what it drops data for. It would do so after half a minute.
    let refused = http::post(&proxy.url("/"), []).expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.text());
    grant_role(&azure);
    let (_collector, port) = collector(proxy.port(), free_port());
    let mut application = Application::exporting_to(port);
    application.export(&[Signal::Traces, Signal::Logs], 3);
    until_stored(&azure, 3, |stored| stored.spans);
    until_stored(&azure, 3, |stored| stored.log_records);
}
