//! Every expression of the dashboard, every alert and every recording rule, asked of a real Prometheus that scrapes
//! real proxies: while all is well, and in the fault that each is for.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service, Settings};
use e2e::azure::{Azure, WRITE};
use e2e::raw::Connection;
use e2e::{Envoy, Prometheus, Proxy, Sample, eventually, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{alerts_of, expressions, panels, rules, rules_of, title};
use crate::downstream;
use crate::healing::remove_role;

const PATIENCE: Duration = Duration::from_secs(60);

/// What stands for Grafana's `$__rate_interval`, with a scrape each second: time for some renewals of a token, and for
/// Envoy's histograms, which it adds up every five seconds.
const WINDOW: &str = "30s";

/// A later clock, for the alert that waits ten minutes: the metrics are those of now.
const LATER: Duration = Duration::from_secs(601);

/// What a panel shows of a proxy that is well, in each of its queries.
#[derive(Debug, Clone, Copy)]
enum Shows {
    /// No series.
    Nothing,
    /// Series, all of which are 0.
    Zeros,
    /// A series above 0.
    Values,
}

/// What each panel shows of a proxy that is well, has a managed identity and sends no telemetry.
const WELL: [(&str, Shows); 19] = [
    ("Least token time left", Shows::Values),
    ("Renewals failing", Shows::Zeros),
    ("Proxies not ready", Shows::Zeros),
    ("Configuration mistakes", Shows::Zeros),
    ("First certificate to end", Shows::Nothing),
    ("Versions", Shows::Values),
    ("Token time left", Shows::Values),
    ("Token calls by result", Shows::Values),
    ("Token calls by latency", Shows::Values),
    ("Requests by outcome", Shows::Values),
    ("Requests held", Shows::Zeros),
    ("The target's responses by status", Shows::Values),
    ("Latency for clients", Shows::Values),
    ("Latency of the target", Shows::Values),
    ("Bytes", Shows::Values),
    ("Retries", Shows::Zeros),
    ("Connection failures", Shows::Zeros),
    ("Memory", Shows::Values),
    ("Exports of telemetry", Shows::Nothing),
];

/// The scrape jobs: a proxy that is well until it is not, one that never gets a token, and an Envoy with a plugin
/// configuration that has mistakes.
const PROXY: &str = "proxy";
const TOKENLESS: &str = "tokenless";
const MISTAKEN: &str = "mistaken";

/// A job with a fault: the panels that show it by a value above 0, each with the value of a label of that series (or
/// none), and the alerts that match.
type FaultyJob<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

const FAULTS: [FaultyJob<'_>; 3] = [
    (
        PROXY,
        &[
            ("Renewals failing", ""),
            ("Token calls by result", "failure"),
            ("The target's responses by status", "403"),
        ],
        &[
            "EntraAuthTokenEndsSoon",
            "EntraAuthRenewalFailing",
            "EntraAuthTargetRefuses",
        ],
    ),
    (
        TOKENLESS,
        &[
            ("Renewals failing", ""),
            ("Proxies not ready", ""),
            ("Requests by outcome", "unavailable"),
            ("Requests held", ""),
            ("Connection failures", "imds"),
            ("Exports of telemetry", "failure"),
        ],
        &[
            "EntraAuthNotReady",
            "EntraAuthRequestsUnavailable",
            "EntraAuthExportFailing",
        ],
    ),
    (
        MISTAKEN,
        &[("Configuration mistakes", "")],
        &["EntraAuthConfigurationMistakes"],
    ),
];

/// An alert that none of these faults is for: its metric comes with a certificate.
const NOT_HERE: [&str; 1] = ["EntraAuthCertificateEndsSoon"];

#[test]
fn every_alert_has_a_fault() {
    let here = FAULTS.iter().flat_map(|(_, _, alerts)| alerts.iter());
    let tried: BTreeSet<_> = here.chain(&NOT_HERE).map(|it| (*it).to_owned()).collect();
    let there = alerts_of(&rules()).into_iter().map(|(name, _)| name);
    assert_eq!(tried, there.collect());
}

/// The series that an expression gives of a job.
fn ask(
    prometheus: &Prometheus,
    expression: &str,
    job: &str,
    at: SystemTime,
) -> Result<Vec<Sample>, String> {
    let expression = expression
        .replace("$__rate_interval", WINDOW)
        .replace("$job", job)
        .replace("$instance", ".+");
    let samples = prometheus.query(&expression, at)?;
    // A quantile of nothing is no number.
    Ok(samples
        .into_iter()
        .filter(|it| !it.value.is_nan())
        .collect())
}

/// What each panel shows of a job, expression by expression.
fn shown(prometheus: &Prometheus, job: &str) -> Result<Vec<(String, Vec<Sample>)>, String> {
    let mut shown = Vec::new();
    for panel in &panels() {
        for expression in expressions(panel) {
            let samples = ask(prometheus, expression, job, SystemTime::now())?;
            shown.push((title(panel).to_owned(), samples));
        }
    }
    Ok(shown)
}

/// The alerts that match series of a job, now or later.
fn matching(prometheus: &Prometheus, job: &str) -> Result<BTreeSet<String>, String> {
    let now = SystemTime::now();
    let mut matching = BTreeSet::new();
    for (name, alert) in alerts_of(&rules()) {
        let expression = alert["expr"].as_str().expect("an expression");
        for at in [now, now + LATER] {
            let samples = prometheus.query(expression, at)?;
            if samples.iter().any(|it| it.labels["job"] == job) {
                matching.insert(name.clone());
            }
        }
    }
    Ok(matching)
}

fn is_shown(samples: &[Sample], shows: Shows) -> bool {
    match shows {
        Shows::Nothing => samples.is_empty(),
        Shows::Zeros => !samples.is_empty() && samples.iter().all(|it| it.value == 0.0),
        Shows::Values => samples.iter().any(|it| it.value > 0.0),
    }
}

fn shows_that_all_is_well(prometheus: &Prometheus) -> Result<(), String> {
    let shown = shown(prometheus, PROXY)?;
    let titles: BTreeSet<_> = shown.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, WELL.iter().map(|(title, _)| *title).collect());
    for (title, shows) in WELL {
        let of_it = shown.iter().filter(|(it, _)| it == title);
        for (_, samples) in of_it {
            if !is_shown(samples, shows) {
                return Err(format!("{title} shows {samples:?}, not {shows:?}"));
            }
        }
    }
    let matching = matching(prometheus, PROXY)?;
    match matching.is_empty() {
        true => Ok(()),
        false => Err(format!("{matching:?} match")),
    }
}

/// A panel has a series above 0 with this value of a label.
fn shows_fault(shown: &[(String, Vec<Sample>)], panel: &str, label: &str) -> Result<(), String> {
    let of_it = shown.iter().filter(|(title, _)| title == panel);
    let samples: Vec<_> = of_it.flat_map(|(_, samples)| samples).collect();
    let has = |sample: &&Sample| label.is_empty() || sample.labels.values().any(|it| it == label);
    match samples.iter().any(|it| has(it) && it.value > 0.0) {
        true => Ok(()),
        false => Err(format!("{panel} shows {samples:?}, and no {label}")),
    }
}

fn each_fault_is_shown(prometheus: &Prometheus) -> Result<(), String> {
    for (job, panels, alerts) in FAULTS {
        let shown = shown(prometheus, job)?;
        for (panel, label) in panels {
            shows_fault(&shown, panel, label).map_err(|why| format!("{job}: {why}"))?;
        }
        let matching = matching(prometheus, job)?;
        for alert in alerts {
            if !matching.contains(*alert) {
                return Err(format!("{job}: {alert} does not match, but {matching:?}"));
            }
        }
    }
    Ok(())
}

/// A proxy whose instance metadata service and collector refuse connections; its requests wait for a few scrapes.
fn without_a_token(azure: &Azure, folder: &TempDir) -> Proxy {
    let port = free_port();
    let file = folder.path().join("config.json");
    let config = json!({
        "identities": [{ "name": "machine", "type": "systemAssigned" }],
        "targets": [{
            "name": "write",
            "url": format!("https://localhost:{}", azure.addresses().target_tls.port()),
            "audience": azure_sim::AZURE_MONITOR,
            "identity": "machine",
            "hold": { "timeout": "3s" },
        }],
        "listeners": [{ "port": port, "target": "write" }],
    });
    fs::write(&file, config.to_string()).expect("a file");
    Proxy::of_file(&file, port)
        .set(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            format!("http://127.0.0.1:{}", free_port()),
        )
        .set("SSL_CERT_FILE", azure.authority())
        .set(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{}", free_port()),
        )
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_TRACES_EXPORTER", "none")
        .start()
}

/// An Envoy with a plugin configuration that has mistakes, and the port of its metrics.
fn with_mistakes(azure: &Azure) -> (Envoy, u16) {
    let (port, admin) = (free_port(), free_port());
    let mut plugin = downstream::plugin(azure);
    plugin["identities"][0]["type"] = json!("magic");
    let bootstrap = downstream::bootstrap(azure, port, &plugin);
    let mut bootstrap: Value = serde_json::from_str(&bootstrap).expect("JSON");
    bootstrap["admin"] =
        json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}});
    bootstrap["stats_config"] = json!({"stats_tags": [
        {"tag_name": "plugin", "regex": r"(plugin=\.=(.*?);\.;)"},
    ]});
    (Envoy::start(&bootstrap.to_string(), port), admin)
}

#[test]
fn panels_alerts_and_records_show_that_all_is_well_and_each_fault() {
    let azure = Azure::start(Options {
        settings: Settings {
            // Less than what an alert is for, if a renewal fails; there is one every few seconds.
            token_lifetime_seconds: 300,
            refresh_in_seconds: Some(3),
            cache: false,
            ..Settings::default()
        },
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (proxy, tokenless, (_mistaken, admin)) = thread::scope(|scope| {
        let proxy = scope.spawn(|| azure.proxy().start());
        let tokenless = scope.spawn(|| without_a_token(&azure, &folder));
        let mistaken = with_mistakes(&azure);
        let [proxy, tokenless] = [proxy, tokenless].map(|it| it.join().expect("a proxy"));
        (proxy, tokenless, mistaken)
    });
    let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
        .scrape(PROXY, proxy.status_port())
        .scrape(TOKENLESS, tokenless.status_port())
        .scrape_at(MISTAKEN, admin, "/stats/prometheus")
        .rules(&rules())
        .start();

    eventually(PATIENCE, "all is well", || {
        shows_that_all_is_well(&prometheus)
    });
    azure.revoke(CachedTokens::Forget);
    eventually(PATIENCE, "a retry", || {
        shows_fault(&shown(&prometheus, PROXY)?, "Retries", "target")
    });

    remove_role(&azure);
    azure
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .expect("a fault");
    let mut waiting = Vec::new();
    eventually(PATIENCE, "each fault is shown", || {
        let mut client = Connection::open(tokenless.port()).expect("a connection");
        client
            .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("a request");
        waiting.push(client);
        each_fault_is_shown(&prometheus)
    });
    for rule in rules_of(&rules()) {
        let Some(record) = rule["record"].as_str() else {
            continue;
        };
        let recorded = prometheus.query(record, SystemTime::now());
        let recorded = recorded.expect("an answer");
        assert!(
            recorded.iter().any(|it| it.labels["job"] == PROXY),
            "{record}: {recorded:?}"
        );
    }
}
