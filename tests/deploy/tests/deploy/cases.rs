//! The chart, with the values of each file of `cases/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::manifests::{Manifests, at, list, text};
use crate::pod::Files;
use crate::rendered::Expected;
use crate::tools::{self, KUBERNETES};
use crate::{coherence, rendered};

/// What the chart is rendered as.
const RELEASE: [&str; 4] = [
    "observability",
    "--namespace",
    "observability",
    "--kube-version",
];

/// A file of `cases/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows.
    about: String,
    values: Value,
    /// What is in the Secrets and CSI volumes that the values name: text by file by name.
    #[serde(default)]
    files: BTreeMap<String, BTreeMap<String, String>>,
    /// What is made in addition to a Deployment and two Services.
    #[serde(default)]
    beside: Vec<String>,
    /// Variables that the container must have.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// What the launcher warns about, a part of each.
    #[serde(default)]
    warnings: Vec<String>,
    /// What must be made of the values.
    #[serde(default)]
    renders: Vec<Part>,
}

/// A part of an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    kind: String,
    /// A JSON pointer.
    at: String,
    is: Value,
}

pub(crate) fn trials() -> Result<Vec<Trial>, String> {
    let folder = tools::repository("tests/deploy/cases");
    let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut trials = vec![Trial::test(
        "chart::has_the_version_of_what_it_deploys",
        || Ok(has_our_version()?),
    )];
    for (begins, beside) in OF_THE_GUIDE {
        let guide = of_the_guide(begins, beside)?;
        let name = begins.trim_matches(['#', ' ', '\n']);
        trials.push(crate::trial(format!("guide::{name}"), move || {
            check(&guide)
        }));
    }
    for file in files {
        let path = file.map_err(|error| error.to_string())?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut case = serde_saphyr::from_str::<Case>(&tools::read(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        with_an_image(&mut case.values);
        trials.push(crate::trial(format!("chart::{name}"), move || {
            check(&case).map_err(|why| format!("{}\n{why}", case.about))
        }));
    }
    Ok(trials)
}

/// Says where the image is, where the values do not.
fn with_an_image(values: &mut Value) {
    let repository = &mut values["image"]["repository"];
    if repository.is_null() {
        *repository = "registry.example.com/entra-auth/proxy".into();
    }
}

/// How the values begin that docs/guides/deploy-with-helm.md tells to write down, and what is made of
/// them in addition to a Deployment and two Services.
const OF_THE_GUIDE: [(&str, &[&str]); 2] = [
    (
        "# values.yaml\n",
        &[
            "ConfigMap",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "PrometheusRule",
            "ServiceAccount",
            "ServiceMonitor",
        ],
    ),
    (
        "# values.yaml with several targets\n",
        &["ConfigMap", "PodDisruptionBudget", "ServiceAccount"],
    ),
];

fn of_the_guide(begins: &str, beside: &[&str]) -> Result<Case, String> {
    let guide = tools::read(&tools::repository("docs/guides/deploy-with-helm.md"))?;
    let mut blocks = guide
        .split("```yaml\n")
        .filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.starts_with(begins));
    let block = block.ok_or_else(|| format!("the guide to Helm has no {begins:?}"))?;
    let ingestion = "amw-example-a1b2.eastus-1.metrics.ingest.monitor.azure.com";
    let query = "amw-example-a1b2.eastus.prometheus.monitor.azure.com";
    let values = block
        .replace("<host of the endpoint>", ingestion)
        .replace("<host of the ingestion endpoint>", ingestion)
        .replace("<host of the query endpoint>", query)
        .replace("<client id>", "11111111-1111-1111-1111-111111111111")
        .replace("<where docs/ is shown>", "https://git.example.com/docs");
    Ok(Case {
        about: "docs/guides/deploy-with-helm.md".to_owned(),
        values: serde_saphyr::from_str(&values).map_err(|error| format!("{error}: {values}"))?,
        files: BTreeMap::new(),
        beside: beside.iter().map(|kind| (*kind).to_owned()).collect(),
        environment: BTreeMap::new(),
        warnings: Vec::new(),
        renders: Vec::new(),
    })
}

fn has_our_version() -> Result<(), String> {
    let chart: Value = serde_saphyr::from_str(&tools::read(&chart().join("Chart.yaml"))?)
        .map_err(|error| error.to_string())?;
    let versions = [text(&chart, "/version"), text(&chart, "/appVersion")];
    match versions == [env!("CARGO_PKG_VERSION"); 2] {
        true => Ok(()),
        false => Err(format!("Chart.yaml says {versions:?}")),
    }
}

fn check(case: &Case) -> Result<(), String> {
    let values = ValuesFile::of(&case.values)?;
    for version in KUBERNETES {
        tools::output(
            helm()?
                .args(["lint", "--strict", "--quiet", "--kube-version", version])
                .arg(chart())
                .args(["--values".as_ref(), values.path().as_os_str()]),
        )?;
        let manifests = Manifests::parse(&tools::output(&mut template(version, &[&values])?)?)?;
        let mut kinds: Vec<&str> = case.beside.iter().map(String::as_str).collect();
        kinds.extend(["Deployment", "Service", "Service"]);
        kinds.sort_unstable();
        if manifests.kinds() != kinds {
            return Err(format!("made {:?}, not {kinds:?}", manifests.kinds()));
        }
        tools::meets_its_schemas(&manifests)?;
        coherence::check(&manifests)?;
        is_confined(manifests.only("Deployment")?)?;
        case.renders
            .iter()
            .try_for_each(|part| renders(&manifests, part))?;
        rendered::check(
            &manifests,
            &Files::new(&case.files),
            &Expected {
                environment: &case.environment,
                is_chart: true,
                warnings: &case.warnings,
            },
        )?;
    }
    Ok(())
}

/// Of several objects of a kind one must hold the part.
fn renders(manifests: &Manifests, part: &Part) -> Result<(), String> {
    let made: Vec<_> = manifests
        .of_kind(&part.kind)
        .map(|object| at(object, &part.at))
        .collect();
    match made.contains(&&part.is) {
        true => Ok(()),
        false => Err(format!(
            "{} {} is {made:?}, not {}",
            part.kind, part.at, part.is
        )),
    }
}

/// The "restricted" profile of Kubernetes' pod security standards, and a read-only root.
fn is_confined(deployment: &Value) -> Result<(), String> {
    let pod = at(deployment, "/spec/template/spec");
    let wanted = [
        ("/securityContext/runAsNonRoot", Value::from(true)),
        ("/securityContext/runAsUser", Value::from(65532)),
        (
            "/securityContext/seccompProfile/type",
            "RuntimeDefault".into(),
        ),
        ("/automountServiceAccountToken", Value::from(false)),
        ("/enableServiceLinks", Value::from(false)),
        (
            "/containers/0/securityContext/readOnlyRootFilesystem",
            Value::from(true),
        ),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            Value::from(false),
        ),
        (
            "/containers/0/securityContext/capabilities/drop/0",
            "ALL".into(),
        ),
    ];
    for (pointer, value) in wanted {
        if at(pod, pointer) != &value {
            return Err(format!("{pointer} is {}, not {value}", at(pod, pointer)));
        }
    }
    let writable = list(pod, "/containers/0/volumeMounts").any(|m| at(m, "/mountPath") == "/tmp");
    match writable {
        true => Ok(()),
        false => Err("the launcher can write nowhere: nothing is mounted at /tmp".to_owned()),
    }
}

/// Values, as Helm reads them.
pub(crate) struct ValuesFile(TempDir);

impl ValuesFile {
    pub(crate) fn of(values: &Value) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = Self(folder);
        // JSON is YAML.
        fs::write(file.path(), values.to_string()).map_err(|error| error.to_string())?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("values.yaml")
    }
}

pub(crate) fn chart() -> PathBuf {
    tools::repository("helm/entra-auth-envoy")
}

pub(crate) fn helm() -> Result<std::process::Command, String> {
    let mut helm = tools::program(".tools/bin/helm", "scripts/setup helm")?;
    // Nothing of whoever runs the test.
    helm.env("HELM_CONFIG_HOME", Path::new("/nonexistent"));
    helm.env_remove("KUBECONFIG");
    Ok(helm)
}

/// Renders the chart, with the later of the values winning.
pub(crate) fn template(
    version: &str,
    values: &[&ValuesFile],
) -> Result<std::process::Command, String> {
    let mut helm = helm()?;
    helm.arg("template").args(RELEASE).arg(version).arg(chart());
    for file in values {
        helm.arg("--values").arg(file.path());
    }
    Ok(helm)
}
