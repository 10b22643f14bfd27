//! The release and the commit that images are built from. The commit's time is the time of everything in
//! them.

use std::env;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The release, which is also the default tag of the images.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The time of the commit.
    pub at: Timestamp,
    /// The hash of the commit, with `-dirty` appended if files differ from it.
    pub revision: Option<String>,
}

impl Origin {
    /// The commit that is checked out in this folder. If the folder has no `.git`, there is no hash and
    /// the time is the Unix epoch: the folder may lie in another repository, whose commit is not ours.
    /// `SOURCE_DATE_EPOCH` overrides the time (<https://reproducible-builds.org/specs/source-date-epoch/>).
    ///
    /// # Errors
    /// If git fails, or `SOURCE_DATE_EPOCH` is invalid.
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

    /// The time in RFC 3339.
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

/// The trimmed output of a git command.
fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run git, which knows the commit: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let why = text(&output.stderr);
        return Err(format!("git {} failed: {why}", arguments.join(" ")));
    }
    Ok(text(&output.stdout))
}
