//! Values that the chart refuses: each entry of `refused.yaml` is laid over values that it takes.

use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::Value;

use crate::cases::{ValuesFile, template};
use crate::tools::{self, KUBERNETES};

/// `refused.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Values that are taken.
    taken: Value,
    refused: Vec<Refused>,
}

/// A change to them that is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    values: Value,
    /// The message must hold these.
    says: Vec<String>,
    /// Not by the schema, which sees values one by one.
    #[serde(default)]
    by_template: bool,
}

/// What Helm says where the schema refuses.
const BY_SCHEMA: &str = "values don't meet the specifications of the schema";

pub(crate) fn trials() -> Result<Vec<Trial>, String> {
    let path = tools::repository("tests/deploy/refused.yaml");
    let file = serde_saphyr::from_str::<File>(&tools::read(&path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let taken = file.taken.clone();
    let mut trials = vec![crate::trial(
        "refused::not_without_a_reason".to_owned(),
        move || tools::output(&mut template(KUBERNETES[1], &[&ValuesFile::of(&taken)?])?).map(drop),
    )];
    for refused in file.refused {
        let taken = file.taken.clone();
        let name = format!("refused::{}", refused.values);
        trials.push(crate::trial(name, move || check(&taken, &refused)));
    }
    Ok(trials)
}

fn check(taken: &Value, refused: &Refused) -> Result<(), String> {
    let (taken, changed) = (ValuesFile::of(taken)?, ValuesFile::of(&refused.values)?);
    let output = tools::run(&mut template(KUBERNETES[1], &[&taken, &changed])?)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Err("these values are taken".to_owned());
    }
    if stderr.contains(BY_SCHEMA) == refused.by_template {
        return Err(format!("refused by the wrong one: {stderr}"));
    }
    match refused
        .says
        .iter()
        .find(|part| !stderr.contains(part.as_str()))
    {
        None => Ok(()),
        Some(part) => Err(format!("the message does not say {part:?}: {stderr}")),
    }
}
