//! The configuration file: every mistake at once and by its place, what the environment adds, and
//! its JSON Schema.

mod environment;
mod listeners;
mod mistakes;
mod schema;
mod targets;

use std::fs;

use tempfile::TempDir;

use crate::limits::Limits;
use crate::machine::Machine;
use crate::settings::identity::{Application, Identity, MetadataService};
use crate::settings::trust_store::tests::certificate;
use crate::settings::{self, Reading, Settings, files};

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

/// A directory with what files name, as `{dir}`.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content);
        write("ca.pem", certificate().as_bytes()).unwrap();
        write(files::MODULE, b"\0asm\x01\0\0\0").unwrap();
        write("secret", b"s3cret").unwrap();
        write("token", JWT.as_bytes()).unwrap();
        Self(directory)
    }

    fn read(&self, text: &str, beside: &[(&str, &str)]) -> Reading<Settings> {
        let path = self.0.path().join("config");
        let text = text.replace("{dir}", self.0.path().to_str().unwrap());
        fs::write(&path, text.replace("{id}", ID)).unwrap();
        let machine = Machine {
            launcher_dir: Some(self.0.path().to_path_buf()),
            trust_stores: vec![self.0.path().join("ca.pem")],
            ipv6: true,
            limits: Limits::default(),
            hostname: None,
        };
        let mut pairs = vec![(super::VARIABLE, path.to_str().unwrap())];
        pairs.extend(beside);
        settings::read(&pairs.into_iter().collect(), &machine)
    }
}

fn read(text: &str, beside: &[(&str, &str)]) -> Settings {
    let reading = Files::new().read(text, beside);
    assert_eq!(reading.warnings, [""; 0]);
    reading.outcome.unwrap_or_else(|wrong| panic!("{wrong:#?}"))
}

fn mistakes(text: &str, beside: &[(&str, &str)]) -> Vec<String> {
    let mistakes = Files::new().read(text, beside).outcome.expect_err(text);
    mistakes.iter().map(ToString::to_string).collect()
}

/// Fails unless exactly these mistakes, by how they begin, are found.
fn are(found: &[String], expected: &[&str]) {
    for start in expected {
        let count = found.iter().filter(|it| it.starts_with(start)).count();
        assert_eq!(count, 1, "{start:?} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

const LEAST: &str = "
identities: [{ name: machine, type: systemAssigned }]
targets: [{ name: query, url: x.prometheus.monitor.azure.com, identity: machine }]
listeners: [{ port: 8081, target: query }]
";

/// The least with an identity of these fields in place of the machine's.
fn with_identity(fields: &str) -> String {
    LEAST.replace("type: systemAssigned", fields)
}

fn imds(settings: &Settings) -> String {
    match &settings.identities[0].identity {
        Identity::SystemAssigned {
            service: MetadataService::Imds(imds),
            ..
        } => imds.to_string(),
        other => panic!("no IMDS: {other:?}"),
    }
}

fn application(settings: &Settings) -> &Application {
    match &settings.identities[0].identity {
        Identity::ClientSecret { application, .. }
        | Identity::WorkloadIdentity { application, .. } => application,
        other => panic!("{other:?}"),
    }
}

fn schema() -> String {
    let schema = schemars::schema_for!(super::model::File);
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}
