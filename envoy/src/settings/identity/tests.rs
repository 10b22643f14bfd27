//! Every identity from the environment: what it needs, what it becomes, and what is wrong where
//! something does not fit.

mod application;
mod certificate;
mod federated;
mod fields;
mod managed;
mod types;

use std::fs;
use std::path::PathBuf;

use entra_auth_settings_input::Variables;
use tempfile::TempDir;

use super::*;
use crate::settings::Reader;
use crate::settings::clouds::CloudHint;

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const OTHER_ID: &str = "12345678-abcd-abcd-abcd-1234567890ab";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const RESOURCE: &str = "/subscriptions/def/resourcegroups/MC_rg/providers/\
    Microsoft.ManagedIdentity/userAssignedIdentities/agentpool";
/// `{"alg":"none"}.{}.`, in base64url.
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

/// An identity or its mistakes, and the warnings.
type Read = (Result<Identity, Vec<String>>, Vec<String>);

fn read_in(pairs: &[(&str, &str)], cloud: Option<&CloudHint>) -> Read {
    let variables: Variables = pairs.iter().copied().collect();
    let mut reader = Reader {
        variables: &variables,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let identity = reader.identity(cloud);
    let mistakes: Vec<String> = reader.errors.iter().map(ToString::to_string).collect();
    assert_eq!(identity.is_none(), !mistakes.is_empty(), "{mistakes:?}");
    (identity.ok_or(mistakes), reader.warnings)
}

fn read(pairs: &[(&str, &str)]) -> Read {
    read_in(pairs, None)
}

fn with(kind: &str, more: &[(&str, &str)]) -> Read {
    let mut pairs = vec![("IDENTITY_TYPE", kind)];
    pairs.extend(more);
    read(&pairs)
}

/// The identity, where nothing is wrong and nothing is worth a warning.
fn identity(kind: &str, more: &[(&str, &str)]) -> Identity {
    let (identity, warnings) = with(kind, more);
    assert_eq!(warnings, [""; 0]);
    identity.unwrap()
}

/// One with the client id and the tenant of an application.
fn of_application(kind: &str, more: &[(&str, &str)]) -> Identity {
    let mut all = vec![("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT)];
    all.extend(more);
    identity(kind, &all)
}

fn application(identity: &Identity) -> &Application {
    match identity {
        Identity::ClientSecret { application, .. }
        | Identity::WorkloadIdentity { application, .. }
        | Identity::ServiceAccountToken { application, .. } => application,
        other => panic!("no application: {other:?}"),
    }
}

fn mistakes(kind: &str, more: &[(&str, &str)]) -> Vec<String> {
    with(kind, more).0.unwrap_err()
}

fn mistake(kind: &str, more: &[(&str, &str)]) -> String {
    let mut all = mistakes(kind, more);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A directory with a file of each kind.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), "s3cret\n").unwrap();
        fs::write(directory.path().join("token"), JWT).unwrap();
        fs::write(directory.path().join("pem"), "-----BEGIN…").unwrap();
        fs::write(directory.path().join("empty"), "").unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn imds() -> MetadataService {
    match identity("systemAssigned", &[]) {
        Identity::SystemAssigned { service, .. } => service,
        other => panic!("no managed identity: {other:?}"),
    }
}
