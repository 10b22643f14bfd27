//! Reading a file that a setting names. Whatever keeps it from being read becomes a message with
//! the setting, the path and the way out.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::settings::config_error::{ConfigError, quoted};

/// More than any certificate, key, password or token takes: a larger file is another one.
pub const LARGEST: usize = 1024 * 1024;

/// A file and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The variable's name.
    pub setting: &'static str,
    /// Its value.
    pub path: PathBuf,
}

impl FileName {
    /// What is wrong with the file (`wrong` goes on after "which") and the way out.
    pub fn config_error(&self, wrong: impl AsRef<str>, fix: impl Into<String>) -> ConfigError {
        let path = quoted(&self.path.to_string_lossy());
        let wrong = format!("is {path}, which {}", wrong.as_ref());
        ConfigError::new(self.setting, wrong, fix)
    }

    /// The file's content, which is wiped from memory after use: at least one byte and at most
    /// [`LARGEST`].
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let mut file = OpenOptions::new()
            .read(true)
            // Opening a pipe would wait for its other end.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&self.path)
            .map_err(|error| self.unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| self.unreadable(&error))?;
        if metadata.is_dir() {
            return Err(self.config_error("is a directory", "Name the file in it."));
        }
        if !metadata.is_file() {
            return Err(self.config_error(
                "is a pipe, a socket or a device",
                "Name a regular file; its content is read more than once.",
            ));
        }
        // A buffer that grows by itself would leave copies behind that nobody wipes.
        let mut content = Zeroizing::new(vec![0; 16 * 1024]);
        let mut length = 0;
        loop {
            match file.read(&mut content[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
            if length > LARGEST {
                return Err(self.config_error(
                    "is larger than 1 MiB",
                    "Name the right file; no certificate, key, password or token is that large.",
                ));
            }
            if length == content.len() {
                let mut larger = Zeroizing::new(vec![0; 4 * length]);
                larger[..length].copy_from_slice(&content);
                content = larger;
            }
        }
        if length == 0 {
            return Err(self.config_error(
                "is empty",
                "Fill it, or unset the variable where the file is not needed.",
            ));
        }
        content.truncate(length);
        Ok(content)
    }

    fn unreadable(&self, error: &io::Error) -> ConfigError {
        match error.kind() {
            io::ErrorKind::NotFound => self.config_error(
                "does not exist",
                "Correct the path, or mount the file there.",
            ),
            io::ErrorKind::PermissionDenied => {
                let user = rustix::process::geteuid().as_raw();
                self.config_error(
                    format!("user {user} may not read"),
                    format!(
                        "Let user {user} read it (in Kubernetes: fsGroup and the volume's defaultMode); \
                         if it was moved to another directory since the start, start token-sidecar \
                         anew, because its sandbox was made for the old one."
                    ),
                )
            }
            _ => self.config_error(
                format!("cannot be read: {error}"),
                "Make the file readable, or name another one.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: PathBuf) -> Result<Vec<u8>, String> {
        let setting = "AAD_CLIENT_CERTIFICATE_PATH";
        FileName { setting, path }
            .read()
            .map(|content| content.to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_up_to_1_mib_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        for size in [1, 5000, LARGEST] {
            let path = directory.path().join("file");
            std::fs::write(&path, vec![7; size]).unwrap();
            assert_eq!(read(path), Ok(vec![7; size]));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_setting_and_the_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("large"), vec![7; LARGEST + 1]).unwrap();
        let mkfifo = std::process::Command::new("mkfifo")
            .arg(path("pipe"))
            .status();
        assert!(mkfifo.expect("mkfifo, of coreutils").success());
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        let cases = [
            ("missing", "does not exist. Correct the path"),
            ("", "is a directory. Name the file in it."),
            ("empty", "is empty. Fill it"),
            ("large", "is larger than 1 MiB. Name the right file"),
            ("pipe", "is a pipe, a socket or a device. Name a regular"),
            ("loop", "cannot be read: "),
        ];
        for (name, expected) in cases {
            let refused = read(path(name)).unwrap_err();
            let shown = quoted(&path(name).to_string_lossy());
            let start = format!("AAD_CLIENT_CERTIFICATE_PATH is {shown}, which {expected}");
            assert!(refused.starts_with(&start), "{refused}");
        }
    }
}
