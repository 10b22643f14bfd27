//! What a result belongs to: the machine, Envoy's version, the commit.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use e2e::tools;
use jiff::Timestamp;
use serde::Serialize;

use crate::cores::Cores;

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) pinned: Cores,
    pub(crate) envoy: String,
    pub(crate) commit: String,
    pub(crate) module_bytes: u64,
    /// When, in UTC.
    pub(crate) at: String,
}

impl Machine {
    pub(crate) fn look(cores: Cores, module: &Path) -> Result<Self, String> {
        let size =
            fs::metadata(module).map_err(|error| format!("{}: {error}", module.display()))?;
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let mut lines = processors.lines().filter(|line| line.starts_with(name));
            let value = lines.next()?.split_once(':')?.1.trim();
            Some(value.to_owned())
        };
        let uname = rustix::system::uname();
        Ok(Self {
            processor: field("model name")
                .unwrap_or_else(|| uname.machine().to_string_lossy().into_owned()),
            cores: processors.matches("processor\t").count(),
            kernel: uname.release().to_string_lossy().into_owned(),
            pinned: cores,
            envoy: envoy()?,
            commit: commit(),
            module_bytes: size.len(),
            at: now(),
        })
    }
}

fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since_1970.unwrap_or_default().as_secs().cast_signed();
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `…/envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy() -> Result<String, String> {
    let text = output(Command::new(tools::envoy()).arg("--version"))?;
    let version = text.split('/').find(|part| part.starts_with("1."));
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("envoy --version says {text:?}"))
}

/// Of the tree, where it is one of Git's.
fn commit() -> String {
    let root = tools::repository();
    let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(&root).args(arguments));
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "no commit".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_ok_and(|changed| !changed.trim().is_empty());
    let commit = commit.trim();
    match changed {
        true => format!("commit {commit}, with changes"),
        false => format!("commit {commit}"),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", output.status)),
    }
}
