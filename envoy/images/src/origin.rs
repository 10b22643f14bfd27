//! What an image is made from: the commit, and its time as the time of everything.

use std::env;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::VERSION;

/// The commit.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// When it was made.
    pub at: Timestamp,
    /// Its hash; ends in `-dirty` where files differ from it.
    pub revision: Option<String>,
}

impl Origin {
    /// The commit that is checked out in this folder; where git's own is not in it none, and the
    /// beginning of 1970: sources that were unpacked in another repository are not of its commit.
    /// `SOURCE_DATE_EPOCH` overrides the time (<https://reproducible-builds.org/specs/source-date-epoch/>).
    ///
    /// # Errors
    /// When git cannot tell, or `SOURCE_DATE_EPOCH` is no time.
    pub fn detect(root: &Path) -> Result<Self, String> {
        let (seconds, revision) = match root.join(".git").exists() {
            true => commit(root)?,
            false => ("0".to_owned(), None),
        };
        let set = env::var("SOURCE_DATE_EPOCH")
            .ok()
            .filter(|it| !it.is_empty());
        let seconds = set.unwrap_or(seconds);
        let at = (seconds.parse().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| {
                format!(
                    "SOURCE_DATE_EPOCH is {seconds:?}: set it to seconds since 1970, or not at all"
                )
            })?;
        Ok(Self { at, revision })
    }

    /// The time as RFC 3339 writes it.
    #[must_use]
    pub fn time(&self) -> String {
        self.at.to_string()
    }

    /// Labels and annotations, by the names of
    /// <https://github.com/opencontainers/image-spec/blob/main/annotations.md>.
    #[must_use]
    pub fn labels(&self, title: &str, description: &str) -> Value {
        let mut labels = json!({
            "org.opencontainers.image.created": self.time(),
            "org.opencontainers.image.description": description,
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.version": VERSION,
        });
        if let Some(revision) = &self.revision {
            labels["org.opencontainers.image.revision"] = revision.as_str().into();
        }
        labels
    }
}

/// The commit's time, and its hash.
fn commit(root: &Path) -> Result<(String, Option<String>), String> {
    let commit = git(root, &["log", "-1", "--format=%ct %H"])?;
    let (seconds, hash) = (commit.split_once(' '))
        .ok_or_else(|| format!("git log printed {commit:?}, where a commit was expected"))?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    let dirty = if changed.is_empty() { "" } else { "-dirty" };
    Ok((seconds.to_owned(), Some(format!("{hash}{dirty}"))))
}

/// What git says, without the line's end.
fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run git, which knows the commit: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let why = said(&output.stderr);
        return Err(format!("git {} failed: {why}", arguments.join(" ")));
    }
    Ok(said(&output.stdout))
}
