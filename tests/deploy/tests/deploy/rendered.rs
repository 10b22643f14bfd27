//! The environment that a Deployment gives is one that the launcher takes, and what it listens on
//! then is what the Deployment says.

use std::collections::{BTreeMap, BTreeSet};

use crate::launcher;
use crate::manifests::{Manifests, at, list};
use crate::pod::{Container, Files};

/// What must come of it.
pub(crate) struct Expected<'c> {
    /// Variables that are set so.
    pub(crate) environment: &'c BTreeMap<String, String>,
    /// Whether messages name the chart's values, and not variables.
    pub(crate) is_chart: bool,
    /// A part of each warning.
    pub(crate) warnings: &'c [String],
}

pub(crate) fn check(
    manifests: &Manifests,
    files: &Files<'_>,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let container = Container::of(manifests, files)?;
    let environment = container.environment()?;
    for (name, value) in expected.environment {
        if environment.get(name) != Some(value) {
            return Err(format!(
                "{name} is {:?}, not {value:?}",
                environment.get(name)
            ));
        }
    }
    let rendered = launcher::render(&environment)?;
    let missing = |part: &&String| !rendered.warnings.iter().any(|w| w.contains(part.as_str()));
    let missing: Vec<_> = expected.warnings.iter().filter(missing).collect();
    if !missing.is_empty() || rendered.warnings.len() != expected.warnings.len() {
        return Err(format!(
            "warns of {:#?}, not {:#?}",
            rendered.warnings, expected.warnings
        ));
    }
    if rendered.names_variables() == expected.is_chart {
        return Err(format!(
            "messages name variables: {}",
            rendered.names_variables()
        ));
    }
    let ports: BTreeSet<u64> = list(container.spec, "/ports")
        .filter_map(|port| at(port, "/containerPort").as_u64())
        .collect();
    if !ports.is_subset(&rendered.ports()) {
        return Err(format!(
            "Envoy listens on {:?}, not on {ports:?}",
            rendered.ports()
        ));
    }
    Ok(())
}
