//! Nothing secret is shown: when a proxy ends, in whatever test, demo or soak, all that can be seen
//! of it is searched for every secret that a simulated Azure of this process knows.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use azure_sim::KnownSecrets;

use crate::proxy::run_folder;
use crate::{Proxy, http, procfs};

/// Of the simulated Azures that run.
static KNOWN: Mutex<Vec<Weak<KnownSecrets>>> = Mutex::new(Vec::new());

/// How long a page of a proxy that is about to end may take. One that was stopped, trapped or cut
/// off by its test has none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the secrets of a simulated Azure known, for as long as the value is kept.
pub(crate) fn make_known(secrets: KnownSecrets) -> Arc<KnownSecrets> {
    let secrets = Arc::new(secrets);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|other| other.strong_count() > 0);
    known.push(Arc::downgrade(&secrets));
    secrets
}

/// All that is known now.
pub(crate) fn known() -> Vec<Arc<KnownSecrets>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().filter_map(Weak::upgrade).collect()
}

/// What can be seen of a proxy: each place with its text.
#[derive(Debug, Default)]
pub struct Shown(Vec<(String, String)>);

impl Shown {
    /// Logs, pages, the configuration dump, the argument lists of the launcher and its children,
    /// and the environments of the children. What has ended or does not answer shows nothing.
    #[must_use]
    pub fn by(proxy: &Proxy) -> Self {
        let mut shown = Self::default();
        let launcher = proxy.process().id();
        shown.add("the arguments of the launcher", proc(launcher, "cmdline"));
        for child in procfs::children(launcher).unwrap_or_default() {
            for what in ["cmdline", "environ"] {
                shown.add(&format!("{what} of {}", name(child)), proc(child, what));
            }
        }
        for path in ["/ready", "/status", "/metrics"] {
            let page = http::get_within(PATIENCE, &proxy.status_url(path));
            let Ok(page) = page else { break };
            shown.add(path, page.text());
        }
        if let Ok(dump) = admin(proxy.process().folder(), "/config_dump") {
            shown.add("/config_dump", dump);
        }
        // Last, for all of the above may leave a trace there.
        shown.add("the log", proxy.process().logs());
        shown
    }

    fn add(&mut self, place: &str, text: String) {
        if !text.is_empty() {
            self.0.push((place.to_owned(), text));
        }
    }

    /// The names of the places that show something.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(place, _)| place.as_str())
    }

    /// The names of the places that show this text.
    pub fn places_with(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let shown = self.0.iter();
        let found = shown.filter(move |(_, text)| text.contains(wanted));
        found.map(|(place, _)| place.as_str())
    }

    /// Where which secrets stand, in words that hold none.
    pub(crate) fn secrets(&self, known: &[Arc<KnownSecrets>]) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            let secrets = known.iter().flat_map(|known| known.found_in(text));
            found.extend(secrets.map(|secret| format!("{place} shows {secret}")));
        }
        found
    }
}

fn name(process: u32) -> String {
    proc(process, "comm").trim().to_owned()
}

/// A file of proc(5) with a line for each of its parts; empty when the process has ended.
fn proc(process: u32, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

/// What Envoy's admin interface answers, on its socket in the launcher's private directory.
fn admin(folder: &Path, path: &str) -> Result<String, String> {
    let ask = || {
        let folder = run_folder(folder).ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = UnixStream::connect(folder.join("admin.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().map_err(|error: std::io::Error| format!("{path}: {error}"))
}
