//! The name of each setting where the user set it: an environment variable, a path in the configuration
//! file or a value of the Helm chart. The messages of the filter and of `check` use these names; the rules
//! in token-core do not know them.

use std::collections::{BTreeSet, HashSet};

use entra_auth_settings_input::{Problem, Variables, quoted};
use entra_token_core::config::{Setting, SettingName};
use serde_json::Value;

use super::identity::{CredentialFile, ENTRA, Identity, Selector, TokenService};

/// Says who has written the settings of the launcher, where that is a program whose own settings
/// people know: `helm` is the chart of this repository.
pub const VARIABLE: &str = "ENTRA_AUTH_SETTINGS_FROM";

/// The only program that is known.
const HELM: &str = "helm";

/// The chart's values (`helm/entra-auth-envoy/templates/_env.tpl`) by the variables that they become.
const VALUES: [(&str, &str); 12] = [
    ("IDENTITY_TYPE", "identityType"),
    ("AAD_CLIENT_ID", "aadClientId"),
    ("AAD_TENANT_ID", "aadTenantId"),
    ("AAD_OBJECT_ID", "aadObjectId"),
    ("AAD_RESOURCE_ID", "aadResourceId"),
    ("AAD_CLIENT_SECRET_FILE", "clientSecret"),
    ("AAD_CLIENT_CERTIFICATE_PATH", "certificate"),
    ("MANAGED_IDENTITY_CLIENT_ID", "managedIdentityClientId"),
    ("TSIAM_ENDPOINT", "tsiamEndpoint"),
    ("AZURE_CLOUD", "azureCloud"),
    ("AUDIENCE", "audience"),
    ("TARGET_HOST", "targetHost"),
];

/// Reads who has written the settings.
pub(super) fn from(value: &str) -> Result<(), Problem> {
    if value.eq_ignore_ascii_case(HELM) {
        return Ok(());
    }
    Err(Problem::new(
        format!("is {}, which is unknown", quoted(value)),
        "Say helm, or leave it unset.",
    ))
}

/// In whose words settings are named.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    is_chart: bool,
    /// The fields that each identity has in the configuration file; none where there is no file.
    file: Option<Vec<HashSet<String>>>,
    /// The variables that are set.
    set: BTreeSet<String>,
}

/// A setting: its field in the file, if it has one, and the variables that say it, of which the
/// first that is set counts.
type Row = (Setting, Option<&'static str>, &'static [&'static str]);

impl Terms {
    /// Those of whoever has set these variables, and has written this file if there is one.
    pub(super) fn new(variables: &Variables, file: Option<&Value>) -> Self {
        let from = variables.value(VARIABLE);
        let fields = |identity: &Value| match identity.as_object() {
            Some(fields) => fields.keys().cloned().collect(),
            None => HashSet::new(),
        };
        let identities = |file: &Value| match file.get("identities").and_then(Value::as_array) {
            Some(identities) => identities.iter().map(fields).collect(),
            None => Vec::new(),
        };
        Self {
            is_chart: from.is_some_and(|from| from.eq_ignore_ascii_case(HELM)),
            file: file.map(identities),
            set: variables.names().map(str::to_owned).collect(),
        }
    }

    /// The names of the settings that this identity has, which is the `n`th.
    #[must_use]
    pub fn of_identity(&self, n: usize, identity: &Identity) -> Vec<SettingName> {
        let given = self.file.as_ref().and_then(|file| file.get(n));
        let rows = rows(identity).into_iter().chain(WAY);
        let named = rows.map(|(setting, field, variables)| {
            let in_file = field.filter(|_| self.file.is_some()).filter(|field| {
                let is_given = given.is_some_and(|given| given.contains(*field));
                is_given || !variables.iter().any(|it| self.is_default(it))
            });
            let name = match in_file {
                Some(field) => self.place(&format!("identities[{n}].{field}")),
                None => self.variable(variables),
            };
            named(setting, &name)
        });
        named.collect()
    }

    /// The name of the setting that says what the tokens for the `n`th target are for.
    #[must_use]
    pub fn of_audience(&self, n: usize) -> String {
        match &self.file {
            Some(_) => self.place(&format!("targets[{n}].audience")),
            None => self.variable(&["AUDIENCE"]),
        }
    }

    /// Whether the environment says what the file leaves out.
    fn is_default(&self, variable: &str) -> bool {
        !super::file::replaces(variable) && self.set.contains(variable)
    }

    fn place(&self, path: &str) -> String {
        if self.is_chart {
            format!("config.{path}")
        } else {
            path.to_owned()
        }
    }

    fn variable(&self, variables: &[&str]) -> String {
        let set = variables.iter().find(|it| self.set.contains(**it));
        let variable = set.or(variables.first()).copied().unwrap_or_default();
        let value = VALUES.iter().find(|(name, _)| *name == variable);
        match value.filter(|_| self.is_chart) {
            Some((_, value)) => (*value).to_owned(),
            None => variable.to_owned(),
        }
    }
}

/// The settings of the way to whomever is asked.
const WAY: [Row; 3] = [
    (Setting::ForwardProxy, None, &["HTTPS_PROXY", "https_proxy"]),
    (Setting::NoProxy, None, &["NO_PROXY", "no_proxy"]),
    (Setting::TrustStore, None, &["SSL_CERT_FILE"]),
];

const KEY: Row = (Setting::Credential, None, &["IDENTITY_HEADER"]);
const SECRET: Row = (
    Setting::Credential,
    Some("secretFile"),
    &["AAD_CLIENT_SECRET_FILE"],
);
const TOKEN: Row = (
    Setting::Credential,
    Some("tokenFile"),
    &["AZURE_FEDERATED_TOKEN_FILE"],
);
const CERTIFICATE: Row = (
    Setting::Credential,
    Some("certificate"),
    &["AAD_CLIENT_CERTIFICATE_PATH"],
);
const SOCKET: Row = (
    Setting::Credential,
    Some("tokenSidecarSocket"),
    &["TOKEN_SIDECAR_SOCKET"],
);

const APPLICATION: [Row; 4] = [
    (
        Setting::ClientId,
        Some("clientId"),
        &["AAD_CLIENT_ID", "AZURE_CLIENT_ID"],
    ),
    (
        Setting::TenantId,
        Some("tenantId"),
        &["AAD_TENANT_ID", "AZURE_TENANT_ID"],
    ),
    (Setting::Cloud, Some("cloud"), &["AZURE_CLOUD"]),
    (
        Setting::Authority,
        Some("authority"),
        &["AZURE_AUTHORITY_HOST"],
    ),
];

fn rows(identity: &Identity) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![(Setting::IdentityType, Some("type"), &["IDENTITY_TYPE"])];
    for service in identity.services() {
        match service {
            TokenService::At(kind, _) if *kind == ENTRA => rows.extend(APPLICATION),
            TokenService::At(kind, _) => rows.push((
                Setting::MetadataService,
                kind.field,
                std::slice::from_ref(&kind.variable),
            )),
            TokenService::OwnSidecar(..) => rows.push(CERTIFICATE),
            TokenService::Sidecar(_) => rows.push(SOCKET),
        }
    }
    rows.extend(identity.credential_file().map(|file| match file {
        CredentialFile::Secret(_) => SECRET,
        CredentialFile::Assertion(_) => TOKEN,
        CredentialFile::IdentityHeader => KEY,
    }));
    match identity {
        Identity::UserAssigned { selector, .. } => {
            let field = Some(selector.field());
            let variables: &[&str] = match selector {
                Selector::ClientId(_) => &["AAD_CLIENT_ID", "AZURE_CLIENT_ID"],
                Selector::ObjectId(_) => &["AAD_OBJECT_ID"],
                Selector::ResourceId(_) => &["AAD_RESOURCE_ID"],
            };
            rows.push((Setting::ClientId, field, variables));
            rows.push((Setting::ManagedIdentity, field, variables));
        }
        Identity::ManagedIdentityFederated { .. } => rows.push((
            Setting::ManagedIdentity,
            Some("managedIdentity"),
            &["MANAGED_IDENTITY_CLIENT_ID"],
        )),
        _ => {}
    }
    rows
}

fn named(setting: Setting, name: &str) -> SettingName {
    SettingName {
        setting,
        name: name
            .parse()
            .unwrap_or_else(|why| unreachable!("{name:?} {why}")),
    }
}

#[cfg(test)]
mod tests;
