//! What an image is made from: the commit, and its time as the time of everything.

use std::env;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The commit.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// When it was made.
    pub at: Timestamp,
    /// Its hash; ends in `-dirty` where files differ from it.
    pub revision: Option<String>,
}

impl Origin {
    /// The commit that is checked out; without git's own folder none, and the beginning of 1970.
    /// `SOURCE_DATE_EPOCH` overrides the time (<https://reproducible-builds.org/specs/source-date-epoch/>).
    ///
    /// # Errors
    /// When `SOURCE_DATE_EPOCH` is no time.
    pub fn detect() -> Result<Self, String> {
        let commit = git(&["log", "-1", "--format=%ct %H"]).unwrap_or_default();
        let (seconds, hash) = commit.split_once(' ').unwrap_or(("0", ""));
        let set = env::var("SOURCE_DATE_EPOCH")
            .ok()
            .filter(|it| !it.is_empty());
        let seconds = set.as_deref().unwrap_or(seconds);
        let at = (seconds.parse().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| {
                format!(
                    "SOURCE_DATE_EPOCH is {seconds:?}: set it to seconds since 1970, or not at all"
                )
            })?;
        let dirty = git(&["status", "--porcelain", "--untracked-files=no"])
            .is_some_and(|it| !it.is_empty());
        let revision =
            (!hash.is_empty()).then(|| format!("{hash}{}", if dirty { "-dirty" } else { "" }));
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
    pub fn labels(&self, title: &str, description: &str, version: &str) -> Value {
        let mut labels = json!({
            "org.opencontainers.image.created": self.time(),
            "org.opencontainers.image.description": description,
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.version": version,
        });
        if let Some(revision) = &self.revision {
            labels["org.opencontainers.image.revision"] = revision.as_str().into();
        }
        labels
    }
}

/// What git says, without the line's end; nothing where it fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
