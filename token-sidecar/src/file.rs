//! A file that a setting names, and the errors about it.

use std::io;
use std::path::PathBuf;

use entra_auth_settings_input::{ConfigError, Problem, file};
use zeroize::Zeroizing;

/// A file and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The name of the environment variable.
    pub setting: &'static str,
    /// The variable's value.
    pub path: PathBuf,
}

impl NamedFile {
    /// The error of a file that cannot be used. `wrong` continues "SETTING is PATH, which"; `fix` is a
    /// sentence.
    pub fn config_error(&self, wrong: impl AsRef<str>, fix: impl Into<String>) -> ConfigError {
        Problem::which(&self.path.to_string_lossy(), wrong.as_ref(), fix).of(self.setting)
    }

    /// Reads the file, of 1 byte to 1 MiB. The content is wiped from memory when it is dropped.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        file::read(&self.path, file::LIMIT).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &file::Error) -> ConfigError {
        let fix = match error {
            file::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.config_error(
                    "does not exist",
                    "Correct the path, or mount the file there.",
                );
            }
            file::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return self.not_permitted();
            }
            file::Error::Io(_) => "Make the file readable, or name another one.",
            file::Error::Directory => "Name the file in it.",
            file::Error::NotRegular => "Name a regular file; its content is read more than once.",
            file::Error::Empty => "Fill it, or unset the variable where the file is not needed.",
            file::Error::TooLarge(_) => {
                "Name the right file; no certificate, key, password or token is that large."
            }
        };
        self.config_error(error.to_string(), fix)
    }

    fn not_permitted(&self) -> ConfigError {
        let user = rustix::process::geteuid().as_raw();
        self.config_error(
            format!("user {user} may not read"),
            format!(
                "Let user {user} read it (in Kubernetes: fsGroup and the volume's defaultMode); if it \
                 was moved to another directory since the start, start token-sidecar anew, because \
                 its sandbox was made for the old one."
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_setting_and_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("large"), vec![7; file::LIMIT + 1]).unwrap();
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        let cases = [
            (path("missing"), "does not exist. Correct the path"),
            (path(""), "is a directory. Name the file in it."),
            (path("empty"), "is empty. Fill it"),
            (path("large"), "is larger than 1 MiB. Name the right file"),
            (path("loop"), "cannot be read: "),
            (
                "/dev/null".into(),
                "is a pipe, a socket or a device. Name a regular",
            ),
        ];
        for (path, expected) in cases {
            let start = format!("AAD_CLIENT_CERTIFICATE_PATH is {path:?}, which {expected}");
            let setting = "AAD_CLIENT_CERTIFICATE_PATH";
            let refused = NamedFile { setting, path }.read().unwrap_err().to_string();
            assert!(refused.starts_with(&start), "{refused}");
        }
    }
}
