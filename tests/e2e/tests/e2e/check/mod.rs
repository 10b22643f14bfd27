//! `entra-auth-envoy check`: one token for each identity, what is in it, or why there is none and
//! what to do.

mod agreement;
mod failures;
mod running;
mod tokens;

use std::fs;

use azure_sim::{Application, Options};
use e2e::ProxyBuilder;
use e2e::azure::Azure;
use tempfile::TempDir;

const SECRET: &str = "Zx8Q~s3cret-of-the-check_a.b";
const CLUSTER: &str = "https://oidc.check.example/";

const TOKEN: i32 = 0;
const MISCONFIGURED: i32 = 64;
const UNREACHABLE: i32 = 69;
const REFUSED: i32 = 77;

/// What a check has printed.
struct Checked {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Checked {
    /// The value of a row of the table; rows without a name belong to the one above them.
    fn row(&self, name: &str) -> String {
        let mut rows = self.stdout.lines().skip_while(|line| {
            let words = line.strip_prefix("  ").unwrap_or_default();
            words.get(..10).map(str::trim_end) != Some(name)
        });
        let value = |line: &str| line.get(14..).unwrap_or_default().to_owned();
        let first = rows.next().map(value).unwrap_or_default();
        rows.take_while(|line| line.starts_with("            "))
            .fold(first, |all, line| all + "\n" + &value(line))
    }
}

/// Runs it to its end. Nothing that it prints may hold a secret, and nothing may be left behind.
fn check(azure: &Azure, settings: &ProxyBuilder) -> Checked {
    let folder = tempfile::tempdir().expect("a folder");
    let output = settings
        .command("check")
        .env("TMPDIR", folder.path())
        .output()
        .expect("the launcher runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let checked = Checked {
        code: output.status.code().expect("it was not killed"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    for (name, text) in [("stdout", &checked.stdout), ("stderr", &checked.stderr)] {
        let found = azure.secrets_in(text);
        assert!(found.is_empty(), "{name} shows {found:?}");
    }
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "something is left behind");
    println!("{}\n{}{}", checked.code, checked.stdout, checked.stderr);
    checked
}

/// A simulated Azure with these applications, and a folder for what they prove themselves with.
fn azure(applications: Vec<Application>) -> (Azure, TempDir) {
    let azure = Azure::start(Options {
        applications,
        ..Options::default()
    });
    (azure, tempfile::tempdir().expect("a folder"))
}

/// An application with a secret, and the settings of a proxy that has the same secret.
fn with_secret(change: impl FnOnce(&mut Application)) -> (Azure, TempDir, ProxyBuilder) {
    let mut application = Application::new("checked").with_secret(SECRET);
    change(&mut application);
    let (azure, folder) = azure(vec![application.clone()]);
    let settings = azure.proxy_with_secret(&application, SECRET);
    (azure, folder, settings)
}
