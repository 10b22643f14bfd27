//! The Deployments under `envoy/kubernetes`: those that Microsoft published for aad-auth-proxy, which run
//! our image with nothing else changed (`published/` holds them as they were published), and one of ours.

use std::collections::BTreeMap;

use libtest_mimic::Trial;

use crate::manifests::Manifests;
use crate::pod::Files;
use crate::rendered::Expected;
use crate::{coherence, rendered, tools};

const EXAMPLES: [&str; 2] = ["proxy-ingestion.yaml", "proxy-query.yaml"];

/// What no aad-auth-proxy had.
const BESIDE: &str = "beside-prometheus.yaml";

/// What a user puts in place of each placeholder.
const FILLED_IN: [(&str, &str); 5] = [
    (
        "<workspace-endpoint-hostname>",
        "amw-example-a1b2.eastus-1.metrics.ingest.monitor.azure.com",
    ),
    (
        "<Query endpoint host>",
        "amw-example-a1b2.eastus.prometheus.monitor.azure.com",
    ),
    ("<clientId>", "11111111-1111-1111-1111-111111111111"),
    (
        "<YOUR-OTEL-GRPC-ENDPOINT>",
        "otel-collector.observability.svc.cluster.local:4317",
    ),
    ("<YOUE-SERVICE-NAME>", "azuremonitor_ingestion"),
];

pub(crate) fn trials() -> Result<Vec<Trial>, String> {
    let trial = |name: &'static str| {
        crate::trial(format!("kubernetes::{name}"), move || {
            let ours = tools::read(&tools::repository("envoy/kubernetes").join(name))?;
            let published = tools::repository("tests/deploy/published").join(name);
            let change = the_one_change(&tools::read(&published)?, &ours)?;
            if name == EXAMPLES[0] {
                is_in_the_guide(&change)?;
            }
            takes_the_published_settings(&ours)
        })
    };
    let beside = crate::trial(format!("kubernetes::{BESIDE}"), || {
        is_open_to_its_pod_alone(&tools::read(
            &tools::repository("envoy/kubernetes").join(BESIDE),
        )?)
    });
    Ok(EXAMPLES.into_iter().map(trial).chain([beside]).collect())
}

/// The proxy in the pod of its client, whose port nobody else reaches.
fn is_open_to_its_pod_alone(example: &str) -> Result<(), String> {
    let host = "amw-example-a1b2.eastus-1.metrics.ingest.monitor.azure.com";
    let path = "dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write";
    let filled = example
        .replace("<host of the ingestion endpoint>", host)
        .replace("<path of the ingestion endpoint>", path);
    let manifests = Manifests::parse(&filled)?;
    tools::meets_its_schemas(&manifests)?;
    coherence::check(&manifests)?;
    let loopback = ("LISTENING_ADDRESS".to_owned(), "127.0.0.1".to_owned());
    rendered::check(
        &manifests,
        &Files::new(&BTreeMap::new()),
        &Expected {
            environment: &BTreeMap::from([loopback]),
            warnings: &[],
            is_chart: false,
        },
    )
}

/// The lines of the image, which alone may differ, as a diff shows them.
fn the_one_change(published: &str, ours: &str) -> Result<String, String> {
    if published.lines().count() != ours.lines().count() {
        return Err("not as many lines as were published".to_owned());
    }
    let pairs = published.lines().zip(ours.lines());
    let changed: Vec<_> = pairs.filter(|(theirs, ours)| theirs != ours).collect();
    let is_image = |line: &str| line.trim_start().starts_with("image: ");
    match changed.as_slice() {
        [(theirs, ours)] if is_image(theirs) && is_image(ours) => {
            Ok(format!("-{theirs}\n+{ours}\n"))
        }
        _ => Err(format!("more than the image differs: {changed:#?}")),
    }
}

fn is_in_the_guide(change: &str) -> Result<(), String> {
    let guide = tools::repository("docs/guides/migrate-from-aad-auth-proxy.md");
    match tools::read(&guide)?.contains(change) {
        true => Ok(()),
        false => Err(format!("the guide shows another change than\n{change}")),
    }
}

fn takes_the_published_settings(ours: &str) -> Result<(), String> {
    let fill = |text: String, (placeholder, value): &(&str, &str)| text.replace(placeholder, value);
    let filled = FILLED_IN.iter().fold(ours.to_owned(), fill);
    let manifests = Manifests::parse(&filled)?;
    tools::meets_its_schemas(&manifests)?;
    coherence::check(&manifests)?;
    let mut warnings = vec!["OTEL_TRACES_SAMPLER is not set".to_owned()];
    if ours.contains("http://<") {
        warnings.push("TARGET_HOST says http://".to_owned());
    }
    rendered::check(
        &manifests,
        &Files::new(&BTreeMap::new()),
        &Expected {
            environment: &BTreeMap::new(),
            is_chart: false,
            warnings: &warnings,
        },
    )
}
