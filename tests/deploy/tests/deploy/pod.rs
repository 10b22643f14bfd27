//! What a container finds when it starts: the variables and files that its Deployment gives it, and
//! what Kubernetes and the webhook of workload identity add.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::manifests::{Manifests, at, list, text};

/// `{"alg":"none"}.{}.`, in base64url.
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

/// Whom a service account speaks for that the chart did not make.
const CLIENT: &str = "11111111-1111-1111-1111-111111111111";

/// What is in Secrets and CSI volumes: text by file by name.
pub(crate) struct Files<'c>(&'c BTreeMap<String, BTreeMap<String, String>>);

impl<'c> Files<'c> {
    pub(crate) fn new(files: &'c BTreeMap<String, BTreeMap<String, String>>) -> Self {
        Self(files)
    }

    fn of(&self, name: &str) -> Result<&BTreeMap<String, String>, String> {
        self.0
            .get(name)
            .ok_or_else(|| format!("no Secret or class is called {name:?}"))
    }
}

/// The one container of the one Deployment, with its volumes laid out in a folder.
pub(crate) struct Container<'m> {
    manifests: &'m Manifests,
    files: &'m Files<'m>,
    template: &'m Value,
    pub(crate) spec: &'m Value,
    root: TempDir,
}

impl<'m> Container<'m> {
    pub(crate) fn of(manifests: &'m Manifests, files: &'m Files<'m>) -> Result<Self, String> {
        let template = at(manifests.only("Deployment")?, "/spec/template");
        let container = Self {
            manifests,
            files,
            template,
            spec: at(template, "/spec/containers/0"),
            root: tempfile::tempdir().map_err(|error| error.to_string())?,
        };
        for mount in list(container.spec, "/volumeMounts") {
            container.lay_out(mount, files)?;
        }
        Ok(container)
    }

    fn lay_out(&self, mount: &Value, files: &Files<'_>) -> Result<(), String> {
        let name = text(mount, "/name");
        let volume = list(self.template, "/spec/volumes").find(|v| text(v, "/name") == name);
        let volume = volume.ok_or_else(|| format!("no volume is called {name:?}"))?;
        let folder = self.under_root(text(mount, "/mountPath"));
        let content = match volume
            .as_object()
            .into_iter()
            .flatten()
            .find(|(k, _)| *k != "name")
        {
            Some((kind, _)) if kind == "emptyDir" => BTreeMap::new(),
            Some((kind, secret)) if kind == "secret" => {
                files.of(text(secret, "/secretName"))?.clone()
            }
            Some((kind, csi)) if kind == "csi" => files
                .of(text(csi, "/volumeAttributes/secretProviderClass"))?
                .clone(),
            Some((kind, projected)) if kind == "projected" => {
                projected_token(at(projected, "/sources/0/serviceAccountToken"))?
            }
            Some((kind, map)) if kind == "configMap" => self.config_map(text(map, "/name"))?,
            other => return Err(format!("volume {name:?} is {other:?}")),
        };
        write(&folder, &content)
    }

    fn config_map(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let mut maps = self.manifests.of_kind("ConfigMap");
        let map = maps.find(|map| text(map, "/metadata/name") == name);
        let map = map.ok_or_else(|| format!("no ConfigMap is called {name:?}"))?;
        let data = at(map, "/data").as_object().into_iter().flatten();
        let content = |text: &Value| self.mapped_within(text.as_str().unwrap_or_default());
        Ok(data
            .map(|(file, text)| (file.clone(), content(text)))
            .collect())
    }

    /// A file that names others: paths under a mount lead to where it is laid out.
    fn mapped_within(&self, text: &str) -> String {
        let mounts = list(self.spec, "/volumeMounts");
        let paths = mounts.map(|mount| format!(" {}/", self::text(mount, "/mountPath")));
        paths.fold(text.to_owned(), |text, path| {
            let laid_out = self.under_root(path.trim());
            text.replace(&path, &format!(" {}/", laid_out.display()))
        })
    }

    /// Where a path of the container is on this machine.
    fn under_root(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// The variables as the process sees them. Paths under a mount lead to where it is laid out.
    pub(crate) fn environment(&self) -> Result<BTreeMap<String, String>, String> {
        let mut variables = self.webhook()?;
        for variable in list(self.spec, "/env") {
            let name = text(variable, "/name");
            let value = match variable.pointer("/valueFrom/secretKeyRef") {
                Some(source) => self.of_secret(source)?,
                None => text(variable, "/value").to_owned(),
            };
            if value.contains("$(") {
                return Err(format!(
                    "{name} is {value:?}, which refers to another variable"
                ));
            }
            if variables
                .insert(name.to_owned(), self.mapped(value))
                .is_some()
            {
                return Err(format!("{name} is there twice"));
            }
        }
        Ok(variables)
    }

    /// The text under a key of a Secret.
    fn of_secret(&self, source: &Value) -> Result<String, String> {
        let (name, key) = (text(source, "/name"), text(source, "/key"));
        let secret = self.files.of(name)?;
        let value = secret.get(key);
        value
            .cloned()
            .ok_or_else(|| format!("the Secret {name:?} has no key {key:?}"))
    }

    fn mapped(&self, value: String) -> String {
        let mounted = |mount| value.starts_with(&format!("{}/", text(mount, "/mountPath")));
        match list(self.spec, "/volumeMounts").any(mounted) {
            true => self.under_root(&value).to_string_lossy().into_owned(),
            false => value,
        }
    }

    /// What the webhook of Azure workload identity adds to a pod with its label, from its service
    /// account (azure.github.io/azure-workload-identity, "Mutating Admission Webhook").
    fn webhook(&self) -> Result<BTreeMap<String, String>, String> {
        const LABEL: &str = "/metadata/labels/azure.workload.identity~1use";
        if text(self.template, LABEL) != "true" {
            return Ok(BTreeMap::new());
        }
        let before = json!({ "azure.workload.identity/client-id": CLIENT });
        let name = text(self.template, "/spec/serviceAccountName");
        let annotations = match self.manifests.of_kind("ServiceAccount").next() {
            None => &before,
            Some(made) if text(made, "/metadata/name") == name => at(made, "/metadata/annotations"),
            Some(_) => return Err("the pod has another service account than was made".to_owned()),
        };
        let annotation =
            |name: &str| text(annotations, &format!("/azure.workload.identity~1{name}")).to_owned();
        let tenant = match annotation("tenant-id") {
            none if none.is_empty() => "22222222-2222-2222-2222-222222222222".to_owned(),
            tenant => tenant,
        };
        let folder = self.under_root("/var/run/secrets/azure/tokens");
        let token = BTreeMap::from([("azure-identity-token".to_owned(), JWT.to_owned())]);
        write(&folder, &token)?;
        let file = folder.join("azure-identity-token");
        let variables = [
            ("AZURE_CLIENT_ID", annotation("client-id")),
            ("AZURE_TENANT_ID", tenant),
            (
                "AZURE_FEDERATED_TOKEN_FILE",
                file.to_string_lossy().into_owned(),
            ),
            (
                "AZURE_AUTHORITY_HOST",
                "https://login.microsoftonline.com/".to_owned(),
            ),
        ];
        Ok(variables
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect())
    }
}

/// A token that Entra takes, and no other: the default one is for the API server.
fn projected_token(source: &Value) -> Result<BTreeMap<String, String>, String> {
    let audience = text(source, "/audience");
    if !audience.starts_with("api://AzureADTokenExchange") {
        return Err(format!("a token for {audience:?} is projected"));
    }
    Ok(BTreeMap::from([(
        text(source, "/path").to_owned(),
        JWT.to_owned(),
    )]))
}

fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    let write = || {
        fs::create_dir_all(folder)?;
        files
            .iter()
            .try_for_each(|(name, content)| fs::write(folder.join(name), content))
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))
}
