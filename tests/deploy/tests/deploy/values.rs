//! Every value of the chart does something: where one of values.yaml is changed, something else is
//! rendered.

use std::sync::OnceLock;

use libtest_mimic::Trial;
use serde_json::{Map, Value, json};

use crate::cases::{ValuesFile, template};
use crate::tools::{self, KUBERNETES};

/// What a value is changed to, where what follows from its default will not do.
fn changed_to(path: &str) -> Option<Value> {
    let id = "11111111-1111-1111-1111-111111111111";
    Some(match path {
        "identityType" => "tsiam".into(),
        "addWorkloadIdentityLabel" => "azure".into(),
        "aadClientId" | "aadObjectId" | "managedIdentityClientId" => id.into(),
        "aadClientCertificatePath" | "aadResourceId" => "/changed".into(),
        "aadTokenRefreshIntervalInPercentage" | "aadTokenRefreshIntervalInMinutes" => "20".into(),
        "azureCloud" => "china".into(),
        "listeningAddress" | "statusAddress" => "0.0.0.0".into(),
        "config" => json!({ "listeners": [{ "port": 8082 }] }),
        "authErrorsRetryable" => "never".into(),
        "terminationGracePeriodSeconds" => "100".into(),
        "logLevel" => "debug".into(),
        "telemetry.otlp.endpoint" => "http://collector:4318".into(),
        "telemetry.otlp.protocol" => "grpc".into(),
        "telemetry.sampler" => "always_on".into(),
        "telemetry.samplerArg" => "0.5".into(),
        "telemetry.metricExportInterval" => "20000".into(),
        "accessLog" => "errors".into(),
        "image.digest" => format!("sha256:{}", "0".repeat(64)).into(),
        "image.pullPolicy" => "Always".into(),
        "service.type" => "NodePort".into(),
        "service.loadBalancerSourceRanges" => json!(["10.0.0.0/8"]),
        "autoscaling.targetMemoryUtilizationPercentage" => "80".into(),
        "serviceMonitor.interval" => "1m".into(),
        "prometheusRule.runbooks" => "https://git.example.com/changed".into(),
        "prometheusRule.alerts" => json!({ "EntraAuthNotReady": { "enabled": false } }),
        "networkPolicy.egressPorts" => json!([8443]),
        _ => return None,
    })
}

/// The other values that must be set for this one to have an effect.
fn companions(path: &str) -> Value {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match (first, rest) {
        ("identityType", _) => json!({ "tsiamEndpoint": "https://tsiam.example" }),
        ("serviceAccountToken", _) => json!({
            "identityType": "serviceAccountToken",
            "aadClientId": "11111111-1111-1111-1111-111111111111",
            "aadTenantId": "contoso.com",
        }),
        ("certificate", "mountPath" | "file" | "keyFile" | "passwordFile")
        | ("clientSecret", "file") => json!({ first: { "existingSecret": "proxy" } }),
        ("telemetry", "otlp.headers.key") => {
            json!({ "telemetry": { "otlp": { "headers": { "existingSecret": "collector" } } } })
        }
        ("config", _) => json!({
            "targetHost": "",
            "identityType": "",
            "config": { "identities": [], "targets": [], "listeners": [{ "port": 8081 }] },
        }),
        ("service", "loadBalancerSourceRanges" | "loadBalancerClass") => {
            json!({ "service": { "type": "LoadBalancer" } })
        }
        ("prometheusRule", rest) => json!({ first: {
            "enabled": rest != "enabled",
            "runbooks": "https://git.example.com/runbooks.md",
        } }),
        ("autoscaling" | "serviceMonitor" | "dashboards" | "networkPolicy", rest)
            if rest != "enabled" =>
        {
            json!({ first: { "enabled": true } })
        }
        _ => json!({}),
    }
}

pub(crate) fn trials() -> Result<Vec<Trial>, String> {
    let file = tools::repository("helm/entra-auth-envoy/values.yaml");
    let values: Value =
        serde_saphyr::from_str(&tools::read(&file)?).map_err(|error| error.to_string())?;
    let mut leaves = Vec::new();
    collect(&values, &[], &mut leaves);
    let trial = |(path, default): (Vec<String>, Value)| {
        let name = path.join(".");
        crate::trial(format!("values::{name}"), move || check(&path, &default))
    };
    Ok(leaves.into_iter().map(trial).collect())
}

/// The values that hold no others, each with its path.
fn collect(value: &Value, path: &[String], leaves: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                collect(member, &[path, std::slice::from_ref(name)].concat(), leaves);
            }
        }
        leaf => leaves.push((path.to_vec(), leaf.clone())),
    }
}

fn check(path: &[String], default: &Value) -> Result<(), String> {
    let name = path.join(".");
    let companions = companions(&name);
    let new = changed_to(&name).unwrap_or_else(|| other(default));
    let change = path.iter().rev().fold(new, |inner, name| {
        Value::Object(Map::from_iter([(name.clone(), inner)]))
    });
    let before = match companions.as_object().is_some_and(Map::is_empty) {
        true => plain()?,
        false => &render(&[&companions])?,
    };
    match render(&[&companions, &change])? == *before {
        true => Err(format!("{change} changes nothing")),
        false => Ok(()),
    }
}

/// A value of the same type.
fn other(default: &Value) -> Value {
    match default {
        Value::Bool(on) => json!(!on),
        Value::Number(number) => json!(number.as_u64().unwrap_or_default() + 1),
        Value::String(text) => json!(format!("{text}changed")),
        Value::Array(items) if items.is_empty() => json!([{ "name": "changed" }]),
        Value::Array(items) => json!(items[1..]),
        Value::Object(_) | Value::Null => json!({ "changed": "yes" }),
    }
}

/// What the chart wants to know at least.
pub(crate) fn least() -> Value {
    json!({
        "image": { "repository": "registry.example.com/entra-auth/proxy" },
        "targetHost": "amw-example-a1b2.eastus-1.metrics.ingest.monitor.azure.com",
        "identityType": "systemAssigned",
    })
}

/// The chart with that alone.
fn plain() -> Result<&'static String, String> {
    static PLAIN: OnceLock<Result<String, String>> = OnceLock::new();
    PLAIN
        .get_or_init(|| render(&[]))
        .as_ref()
        .map_err(Clone::clone)
}

fn render(values: &[&Value]) -> Result<String, String> {
    let mut files = vec![ValuesFile::of(&least())?];
    for values in values {
        files.push(ValuesFile::of(values)?);
    }
    let files: Vec<_> = files.iter().collect();
    tools::output(&mut template(KUBERNETES[1], &files)?)
}
