//! What holds of every form for Istio beyond the schemas: where tokens go, they go by TLS, and no object
//! of another namespace has a say in it.

use serde_json::Value;

use crate::manifests::{Manifests, at, list, text};

/// What the egress gateway has for all namespaces: their sidecars are to lead to it.
const FOR_ALL: [(&str, &str); 3] = [
    ("ServiceEntry", "azure-monitor-ingestion"),
    ("VirtualService", "azure-monitor-ingestion"),
    ("DestinationRule", "entra-egress"),
];

/// Checks what kustomize makes of one folder.
pub(crate) fn check(manifests: &Manifests) -> Result<(), String> {
    for target in targets(manifests)? {
        leaves_by_tls(manifests, &target)?;
        is_led_there(manifests, &target)?;
    }
    for object in ["ServiceEntry", "DestinationRule", "VirtualService"]
        .into_iter()
        .flat_map(|kind| manifests.of_kind(kind))
    {
        is_of_its_namespace(object)?;
    }
    for plugin in manifests.of_kind("WasmPlugin") {
        // istiod takes a plugin without a priority for one of `math.MinInt32`.
        if at(plugin, "/spec/priority") != i32::MIN {
            return Err("a WasmPlugin that other plugins may come after".to_owned());
        }
    }
    for deployment in manifests.of_kind("Deployment") {
        names_its_container(deployment)?;
    }
    Ok(())
}

/// A host that gets tokens, and the namespace of the plugin that puts them on.
struct Target {
    host: String,
    namespace: String,
}

/// Those of all plugin configurations: a WasmPlugin's `pluginConfig`, each `StringValue` of an
/// EnvoyFilter.
fn targets(manifests: &Manifests) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for object in manifests.all() {
        let mut configurations = Vec::new();
        match text(object, "/kind") {
            "WasmPlugin" => configurations.push(at(object, "/spec/pluginConfig").clone()),
            "EnvoyFilter" => string_values(object, &mut configurations)?,
            _ => {}
        }
        for configuration in &configurations {
            let hosts = list(configuration, "/targets").flat_map(|it| list(it, "/hosts"));
            // `*` stands beside the host where the filter is bound to its cluster.
            let hosts = hosts
                .filter_map(Value::as_str)
                .filter(|host| !host.contains('*'));
            targets.extend(hosts.map(|host| Target {
                host: host.to_owned(),
                namespace: namespace(object).to_owned(),
            }));
        }
    }
    Ok(targets)
}

fn string_values(value: &Value, found: &mut Vec<Value>) -> Result<(), String> {
    if value["@type"] == "type.googleapis.com/google.protobuf.StringValue" {
        let json = serde_json::from_str(text(value, "/value"));
        found.push(json.map_err(|error| format!("a StringValue: {error}"))?);
    }
    let children: Vec<&Value> = match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    children
        .into_iter()
        .try_for_each(|child| string_values(child, found))
}

fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// Those of a kind and of the target's namespace that name its host in `field`, a text or a list.
fn of_target<'m>(
    manifests: &'m Manifests,
    kind: &'m str,
    field: &'m str,
    target: &'m Target,
) -> impl Iterator<Item = &'m Value> {
    let names_it = move |object: &&Value| {
        text(object, field) == target.host || list(object, field).any(|it| *it == *target.host)
    };
    manifests
        .of_kind(kind)
        .filter(|object| namespace(object) == target.namespace)
        .filter(names_it)
}

/// The plugin refuses a cluster of which istiod says that it has no TLS, and believes every other.
fn leaves_by_tls(manifests: &Manifests, target: &Target) -> Result<(), String> {
    let host = &target.host;
    let entry = of_target(manifests, "ServiceEntry", "/spec/hosts", target).next();
    let entry = entry.ok_or_else(|| format!("no ServiceEntry of {host}"))?;
    for port in list(entry, "/spec/ports") {
        let number = at(port, "/number");
        let rules = of_target(manifests, "DestinationRule", "/spec/host", target);
        let tls = rules
            .flat_map(|rule| list(rule, "/spec/trafficPolicy/portLevelSettings"))
            .find(|settings| at(settings, "/port/number") == number)
            .map(|settings| at(settings, "/tls"))
            .ok_or_else(|| format!("no DestinationRule with TLS for port {number} of {host}"))?;
        let has_ca = !text(tls, "/caCertificates").is_empty();
        if text(tls, "/mode") != "SIMPLE" || !has_ca || text(tls, "/subjectAltNames/0") != host {
            return Err(format!("port {number} of {host}: {tls} proves no name"));
        }
    }
    Ok(())
}

/// The route of the namespace itself leads a request with a token to nobody but its host. Without one a
/// VirtualService of any other namespace could.
fn is_led_there(manifests: &Manifests, target: &Target) -> Result<(), String> {
    let host = &target.host;
    let mut services = of_target(manifests, "VirtualService", "/spec/hosts", target);
    let service = services
        .next()
        .ok_or_else(|| format!("no VirtualService of {host}"))?;
    // Sidecars lead to the gateway, which has the plugin.
    let is_at_plugin = |http: &&Value| list(http, "/match/0/gateways").all(|it| it != "mesh");
    let at_plugin: Vec<_> = list(service, "/spec/http").filter(is_at_plugin).collect();
    let destinations = || at_plugin.iter().flat_map(|http| list(http, "/route"));
    let leads_there = destinations().all(|it| text(it, "/destination/host") == host);
    if destinations().next().is_none() || !leads_there {
        return Err(format!("the VirtualService of {host} leads elsewhere"));
    }
    Ok(())
}

fn is_of_its_namespace(object: &Value) -> Result<(), String> {
    let id = (text(object, "/kind"), text(object, "/metadata/name"));
    let is_for_all = namespace(object) == "entra-egress" && FOR_ALL.contains(&id);
    let expected = if is_for_all { "*" } else { "." };
    let exported: Vec<_> = list(object, "/spec/exportTo").collect();
    match exported[..] == [expected] {
        true => Ok(()),
        false => Err(format!("{id:?} is exported to {exported:?}")),
    }
}

/// Without the annotation `kubectl logs` shows whatever container is the first: the token-sidecar.
fn names_its_container(deployment: &Value) -> Result<(), String> {
    let pod = at(deployment, "/spec/template");
    let named = text(
        pod,
        "/metadata/annotations/kubectl.kubernetes.io~1default-container",
    );
    let mut containers = list(pod, "/spec/containers").map(|it| text(it, "/name"));
    match named != "token-sidecar" && containers.any(|it| it == named) {
        true => Ok(()),
        false => Err(format!("the default container is {named:?}")),
    }
}

#[derive(Clone, Copy)]
enum Damage {
    Without(&'static str),
    With(&'static str, &'static str, fn(&mut Value)),
}

/// Damage that must be noticed, to what is made of `prometheus/overlays/workload-identity`; and a part
/// of what is said.
const DAMAGES: [(Damage, &str); 8] = [
    (
        Damage::Without("DestinationRule"),
        "no DestinationRule with TLS",
    ),
    (Damage::Without("VirtualService"), "no VirtualService"),
    (Damage::Without("ServiceEntry"), "no ServiceEntry"),
    (
        Damage::With(
            "DestinationRule",
            "/spec/trafficPolicy/portLevelSettings/0/tls/mode",
            |it| *it = "DISABLE".into(),
        ),
        "proves no name",
    ),
    (
        Damage::With(
            "VirtualService",
            "/spec/http/0/route/0/destination/host",
            |it| *it = "elsewhere.example.com".into(),
        ),
        "leads elsewhere",
    ),
    (
        Damage::With("VirtualService", "/spec", |it| {
            it["exportTo"] = Value::Null;
        }),
        "is exported to",
    ),
    (
        Damage::With("WasmPlugin", "/spec/priority", |it| *it = (-1000).into()),
        "other plugins may come after",
    ),
    (
        Damage::With("Deployment", "/spec/template/metadata", |it| {
            it["annotations"] = Value::Null;
        }),
        "default container",
    ),
];

/// Every damage is noticed: a check that finds nothing would prove nothing.
pub(crate) fn notices_every_damage(manifests: &Manifests) -> Result<(), String> {
    check(manifests)?;
    for (damage, expected) in DAMAGES {
        let mut objects = manifests.all().to_vec();
        match damage {
            Damage::Without(kind) => objects.retain(|it| text(it, "/kind") != kind),
            Damage::With(kind, place, change) => {
                let mut of_kind = objects.iter_mut().filter(|it| text(it, "/kind") == kind);
                let places: Vec<_> = of_kind
                    .by_ref()
                    .filter_map(|it| it.pointer_mut(place))
                    .collect();
                if places.is_empty() {
                    return Err(format!("no {kind} has {place}"));
                }
                places.into_iter().for_each(change);
            }
        }
        match check(&Manifests::of(objects)) {
            Err(message) if message.contains(expected) => {}
            other => return Err(format!("{expected}: {other:?}")),
        }
    }
    Ok(())
}
