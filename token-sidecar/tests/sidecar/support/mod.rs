//! Files, keys and the program for the tests.

pub(crate) mod chain;
pub(crate) mod jwt;
pub(crate) mod pki;
pub(crate) mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use entra_auth_settings_input::Variables;
use http::{Method, Uri};
use jiff::Timestamp;
use token_sidecar::answer::{Answer, answer};
use token_sidecar::settings::{self, Settings};

pub(crate) const CLIENT_ID: &str = "00000000-0000-0000-0000-00000000c11e";
pub(crate) const TENANT_ID: &str = "00000000-0000-0000-0000-0000000007e2";
pub(crate) const TOKEN_ENDPOINT: &str =
    "https://login.microsoftonline.com/00000000-0000-0000-0000-0000000007e2/oauth2/v2.0/token";
/// A path that asks for an assertion for that endpoint.
pub(crate) const ASSERTION: &str = "/assertion?audience=https%3A%2F%2Flogin.microsoftonline.com\
     %2F00000000-0000-0000-0000-0000000007e2%2Foauth2%2Fv2.0%2Ftoken";
pub(crate) const FIXTURE_PASSWORD: &str = "fixture-password";

/// A moment when the fixtures are valid.
pub(crate) fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// The content of a fixture.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(path.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A directory for one test's files.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of a file as a variable's value.
    pub(crate) fn value(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.value(name)
    }

    /// Puts new content in place of the old by a rename, so that no reader sees half of it.
    pub(crate) fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.path("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }
}

/// A complete environment but for the certificate's variables.
pub(crate) fn environment(more: &[(&str, &str)]) -> Variables {
    [
        ("AAD_CLIENT_ID", CLIENT_ID),
        ("AAD_TENANT_ID", TENANT_ID),
        // The log would hide the output of failed assertions.
        ("LOG_LEVEL", "off"),
    ]
    .into_iter()
    .chain(more.iter().copied())
    .collect()
}

/// The settings of an environment, read at [`now`].
pub(crate) fn settings(more: &[(&str, &str)]) -> Settings {
    settings::read(&environment(more), now())
        .outcome
        .unwrap_or_else(|errors| panic!("{}", errors[0]))
}

/// All errors of an environment at a moment.
pub(crate) fn errors_at(more: &[(&str, &str)], now: Timestamp) -> Vec<String> {
    match settings::read(&environment(more), now).outcome {
        Ok(settings) => panic!("nothing is wrong with {settings:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The answer to a GET at a moment.
pub(crate) fn get_at(settings: &Settings, path: &str, now: Timestamp) -> Answer {
    let uri: Uri = path.parse().unwrap();
    answer(settings, &Method::GET, &uri, now)
}

/// Waits until something is there; a machine under load may take its time.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
