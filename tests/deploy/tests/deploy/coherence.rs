//! What must hold between objects, which no schema says: selectors select, names of ports lead to
//! ports, metrics stay inside, and a pod has more time to end than it takes to drain.

use serde_json::Value;

use crate::manifests::{Manifests, at, list, selects, text};

/// Kubernetes' own and the launcher's, where nothing is said.
const DEFAULT_GRACE_PERIOD: u64 = 30;
const DEFAULT_DRAIN: u64 = 25;

pub(crate) fn check(manifests: &Manifests) -> Result<(), String> {
    let deployment = manifests.only("Deployment")?;
    pods_are_selected(manifests, deployment)?;
    ports_lead_to_ports(manifests, deployment)?;
    status_stays_inside(manifests)?;
    ends_after_it_has_drained(deployment)?;
    for scaler in manifests.of_kind("HorizontalPodAutoscaler") {
        let scaled = at(scaler, "/spec/scaleTargetRef/name") == at(deployment, "/metadata/name");
        if !scaled || !at(deployment, "/spec/replicas").is_null() {
            return Err("the autoscaler scales nothing, or the Deployment resets it".to_owned());
        }
        if list(scaler, "/spec/metrics").next().is_none() {
            return Err("the autoscaler has no metric".to_owned());
        }
    }
    for monitor in manifests.of_kind("ServiceMonitor") {
        let wanted = at(monitor, "/spec/selector/matchLabels");
        let services = manifests.of_kind("Service");
        let selected: Vec<_> = services
            .filter(|service| selects(wanted, at(service, "/metadata/labels")))
            .collect();
        let [service] = selected.as_slice() else {
            return Err(format!("{wanted} selects {} Services", selected.len()));
        };
        let names = |port: &Value| list(service, "/spec/ports").any(|p| at(p, "/name") == port);
        if !list(monitor, "/spec/endpoints").all(|e| names(at(e, "/port"))) {
            return Err("the ServiceMonitor names a port that the Service has not".to_owned());
        }
    }
    Ok(())
}

fn pods_are_selected(manifests: &Manifests, deployment: &Value) -> Result<(), String> {
    let labels = at(deployment, "/spec/template/metadata/labels");
    let deployments = [at(deployment, "/spec/selector/matchLabels")].into_iter();
    let services = manifests
        .of_kind("Service")
        .map(|s| at(s, "/spec/selector"));
    let budgets = manifests.of_kind("PodDisruptionBudget");
    let budgets = budgets.map(|b| at(b, "/spec/selector/matchLabels"));
    let policies = manifests.of_kind("NetworkPolicy");
    let policies = policies.map(|p| at(p, "/spec/podSelector/matchLabels"));
    let spread = list(deployment, "/spec/template/spec/topologySpreadConstraints");
    let spread = spread.map(|c| at(c, "/labelSelector/matchLabels"));
    let mut selectors = deployments
        .chain(services)
        .chain(budgets)
        .chain(policies)
        .chain(spread);
    match selectors.find(|selector| !selects(selector, labels)) {
        None => Ok(()),
        Some(selector) => Err(format!("{selector} selects no pod with {labels}")),
    }
}

fn ports_lead_to_ports(manifests: &Manifests, deployment: &Value) -> Result<(), String> {
    let container = at(deployment, "/spec/template/spec/containers/0");
    let services = manifests.of_kind("Service");
    let targets = services.flat_map(|service| list(service, "/spec/ports"));
    let targets = targets.map(|p| at(p, "/targetPort"));
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    let probes = probes.iter().filter_map(|probe| container.get(probe));
    let probes = probes.map(|probe| at(probe, "/httpGet/port"));
    let allowed = manifests.of_kind("NetworkPolicy").flat_map(|policy| {
        let rules = list(policy, "/spec/ingress").flat_map(|rule| list(rule, "/ports"));
        rules.map(|port| at(port, "/port"))
    });
    let is_there = |wanted: &Value| {
        list(container, "/ports")
            .any(|port| [at(port, "/name"), at(port, "/containerPort")].contains(&wanted))
    };
    match targets
        .chain(probes)
        .chain(allowed)
        .find(|port| !is_there(port))
    {
        None => Ok(()),
        Some(port) => Err(format!("the container has no port {port}")),
    }
}

/// Whatever makes the clients' Service public leaves metrics inside.
fn status_stays_inside(manifests: &Manifests) -> Result<(), String> {
    let mut services = manifests.of_kind("Service");
    let leads_to_status =
        |service: &Value| list(service, "/spec/ports").any(|p| at(p, "/targetPort") == "status");
    match services.find(|s| leads_to_status(s) && text(s, "/spec/type") != "ClusterIP") {
        None => Ok(()),
        Some(service) => Err(format!("status is public: {service}")),
    }
}

fn ends_after_it_has_drained(deployment: &Value) -> Result<(), String> {
    let pod = at(deployment, "/spec/template/spec");
    let grace = at(pod, "/terminationGracePeriodSeconds").as_u64();
    let grace = grace.unwrap_or(DEFAULT_GRACE_PERIOD);
    let mut variables = list(pod, "/containers/0/env");
    let drain = variables.find(|v| text(v, "/name") == "DRAIN_SECONDS");
    let drain = drain.and_then(|v| text(v, "/value").parse().ok());
    let drain: u64 = drain.unwrap_or(DEFAULT_DRAIN);
    match grace > drain {
        true => Ok(()),
        false => Err(format!(
            "killed after {grace} s, but draining for {drain} s"
        )),
    }
}
