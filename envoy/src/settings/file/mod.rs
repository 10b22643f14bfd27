//! `ENTRA_AUTH_CONFIG`: the file for several identities, targets or ports. Unknown fields are refused, and
//! all mistakes are reported at once with their paths. Settings of the machine stay in the environment:
//! the status port, limits, logs, programs and the address of the metadata service.

mod cross;
pub mod model;
#[cfg(test)]
mod tests;
mod write;

pub use write::yaml;

use entra_auth_settings_input::{Place, Problem, quoted};
use entra_token_core::config::raw::text;
use serde_json::Value;

use super::terms::Terms;
use super::{ListeningAddress, PartialTopology, Reader, Topology, credential_file, listener};
use cross::CrossChecked;
use model::File;

/// Names the file.
pub const VARIABLE: &str = "ENTRA_AUTH_CONFIG";

/// What the file says in place of a variable.
const REPLACED: [(&str, &str); 22] = [
    ("TARGET_HOST", "targets[].url"),
    ("AUDIENCE", "targets[].audience"),
    ("AUTH_ERRORS_RETRYABLE", "targets[].authErrorsRetryable"),
    ("OVERRIDE_REQUEST_HEADERS", "targets[].requestHeaders"),
    ("LISTENING_PORT", "listeners[].port"),
    ("LISTENING_ADDRESS", "listeners[].address"),
    ("IDENTITY_TYPE", "identities[].type"),
    ("AAD_CLIENT_ID", "identities[].clientId"),
    ("AAD_TENANT_ID", "identities[].tenantId"),
    ("AAD_OBJECT_ID", "identities[].objectId"),
    ("AAD_RESOURCE_ID", "identities[].resourceId"),
    ("AAD_CLIENT_SECRET_FILE", "identities[].secretFile"),
    (
        "AAD_CLIENT_CERTIFICATE_PATH",
        "identities[].certificate.path",
    ),
    (
        "AAD_CLIENT_CERTIFICATE_KEY_PATH",
        "identities[].certificate.keyPath",
    ),
    (
        "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE",
        "identities[].certificate.passwordFile",
    ),
    (
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN",
        "identities[].certificate.sendChain",
    ),
    (
        "AAD_CLIENT_ASSERTION_ALGORITHM",
        "identities[].certificate.algorithm",
    ),
    ("TOKEN_SIDECAR_SOCKET", "identities[].tokenSidecarSocket"),
    (
        "MANAGED_IDENTITY_CLIENT_ID",
        "identities[].managedIdentity.clientId",
    ),
    ("TSIAM_ENDPOINT", "identities[].tsiam"),
    ("AZURE_CLOUD", "identities[].cloud"),
    (
        "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
        "refreshBeforeExpiryPercent",
    ),
];

/// Whether the file says what this variable says without one.
#[must_use]
pub fn replaces(variable: &str) -> bool {
    REPLACED.iter().any(|(replaced, _)| *replaced == variable)
}

impl Reader<'_> {
    /// What the file at this path asks for.
    pub(super) fn file(&mut self, path: &str) -> PartialTopology {
        self.refuse_replaced();
        let Some(value) = self.note(VARIABLE, read(path)) else {
            return PartialTopology::default();
        };
        self.value(value)
    }

    fn value(&mut self, value: Value) -> PartialTopology {
        let checked = cross::check(&value);
        let ports = ports(&value);
        let terms = Terms::new(self.variables, Some(&value));
        let CrossChecked {
            clouds,
            mistakes,
            warnings,
        } = checked;
        let file = File::read(value, &clouds, self).map_err(|found| {
            let found = found.0.into_iter().map(|it| (it.path, it.message));
            self.errors.extend(found.map(cross::mistake));
        });
        self.warnings.extend(warnings);
        self.errors.extend(mistakes);
        let file = file.ok().filter(|_| self.errors.is_empty());
        let topology = file.map(|file| Topology {
            identities: file.identities,
            targets: file.targets,
            listeners: file.listeners,
            refresh_before_expiry: file.refresh_before_expiry_percent,
            terms,
        });
        PartialTopology {
            by_tls: topology.as_ref().is_some_and(Topology::is_by_tls),
            topology,
            ports,
        }
    }

    /// Two sources that say different things would leave one of them ignored.
    fn refuse_replaced(&mut self) {
        for (variable, field) in REPLACED {
            if self.variables.value(variable).is_some() {
                let problem = Problem::new(
                    format!("is set beside {VARIABLE}, which says it in `{field}`"),
                    "Unset it.",
                );
                self.errors.push(problem.of(variable));
            }
        }
    }
}

fn ports(file: &Value) -> Vec<(Place, ListeningAddress, u16)> {
    let listeners = file.get("listeners").and_then(Value::as_array);
    let listeners = listeners.into_iter().flatten().enumerate();
    listeners
        .filter_map(|(n, listener)| {
            let port = listener.get("port")?.as_u64()?;
            let address = listening_address(listener).unwrap_or_default();
            Some((
                listener::place(n, "port"),
                address,
                u16::try_from(port).ok()?,
            ))
        })
        .collect()
}

/// Where a listener is open; none where that is not said rightly, which its own type reports.
fn listening_address(listener: &Value) -> Option<ListeningAddress> {
    match text(listener, "address") {
        Some(address) => ListeningAddress::parse(address).ok(),
        None => Some(ListeningAddress::All),
    }
}

/// The file as JSON; YAML has JSON in it.
fn read(path: &str) -> Result<Value, Problem> {
    let content = credential_file::content(path)?;
    parse(&content).map_err(|why| {
        Problem::new(
            format!("is {}, which is no YAML or JSON: {why}", quoted(path)),
            "Correct it.",
        )
    })
}

fn parse(text: &[u8]) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        // An error would show the lines around it, which may hold the value of a header.
        with_snippet: false,
        // YAML 1.1 took `on` and `no` for them, and a name may be called so.
        strict_booleans: true,
    };
    serde_saphyr::from_slice_with_options(text, options).map_err(|error| {
        let said = error.to_string();
        // What follows is for programmers who use the library.
        let end = ["; use ", ", set "]
            .iter()
            .filter_map(|mark| said.find(mark));
        let end = end.min().unwrap_or(said.len());
        said[..end].to_owned()
    })
}
