//! `istio/`: what kustomize makes of each folder meets the schemas of Istio and of Kubernetes, and the
//! rules of [`mesh`].

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::manifests::{Manifests, text};
use crate::{mesh, tools};

pub(crate) fn trials() -> Result<Vec<Trial>, String> {
    let root = tools::repository("istio");
    let mut folders = Vec::new();
    let found = find(&root, &mut folders);
    if folders.is_empty() {
        let why = found
            .err()
            .unwrap_or_else(|| "no kustomization.yaml".to_owned());
        return Ok(vec![crate::trial("istio".to_owned(), || Err(why))]);
    }
    found?;
    let trial = |folder: PathBuf| {
        let name = folder.strip_prefix(&root).unwrap_or(&folder).display();
        crate::trial(format!("istio::{name}"), move || check(&folder))
    };
    let rules = crate::trial("istio::the_rules_notice_every_damage".to_owned(), || {
        let folder = tools::repository("istio/prometheus/overlays/workload-identity");
        mesh::notices_every_damage(&made_of(&folder)?)
    });
    Ok(folders.into_iter().map(trial).chain([rules]).collect())
}

/// The folders that users apply: all with a kustomization but components, which belong to others.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path
            .file_name()
            .is_some_and(|name| name == "kustomization.yaml")
        {
            let kustomization = Manifests::parse(&tools::read(&path)?)?;
            let is_component = |k| text(k, "/kind") == "Component";
            if !kustomization.all().iter().any(is_component) {
                found.push(folder.to_path_buf());
            }
        }
    }
    Ok(())
}

/// What kustomize makes of a folder.
fn made_of(folder: &Path) -> Result<Manifests, String> {
    let mut kustomize = tools::program(".tools/bin/kustomize", "scripts/setup kustomize")?;
    Manifests::parse(&tools::output(kustomize.arg("build").arg(folder))?)
}

fn check(folder: &Path) -> Result<(), String> {
    let manifests = made_of(folder)?;
    if manifests.all().is_empty() {
        return Err("kustomize makes nothing of it".to_owned());
    }
    mesh::check(&manifests)?;
    tools::meets_its_schemas(&manifests)
}
