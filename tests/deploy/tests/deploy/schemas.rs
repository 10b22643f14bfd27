//! The schemas refuse what an API server would refuse, or drop with a warning.

use libtest_mimic::Trial;

use crate::manifests::Manifests;
use crate::tools;

/// An object that is wrong, and what must be said of it.
const WRONG: [(&str, &str); 6] = [
    (
        "{ apiVersion: v1, kind: Service, metadata: { name: x }, spec: { port: 1 } }",
        "'port' was unexpected",
    ),
    (
        "{ apiVersion: v2, kind: Service, metadata: { name: x } }",
        "Couldn't find schema for kind Service",
    ),
    (
        "{ apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: { name: x },
           spec: { url: x, failStrategie: FAIL_RELOAD } }",
        "'failStrategie' was unexpected",
    ),
    (
        "{ apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin,
           metadata: { name: x, namspace: y }, spec: { url: x } }",
        "'namspace' was unexpected",
    ),
    (
        "{ apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: { name: x },
           spec: { selector: {} } }",
        "'endpoints' is a required property",
    ),
    (
        "{ apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: { name: x },
           spec: { groups: [{ name: x, rules: [{ alert: x, expr: up, fro: 1m }] }] } }",
        "'fro' was unexpected",
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(wrong, message): (&'static str, &'static str)| {
        crate::trial(
            format!("schemas::{message}"),
            move || match tools::meets_its_schemas(&Manifests::parse(wrong)?) {
                Err(why) if why.contains(message) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
    };
    WRONG.into_iter().map(trial).collect()
}
