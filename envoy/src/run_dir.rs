//! The private directory of one run, with the bootstrap and the sockets. Only this user has access,
//! and the launcher removes it at its end.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct RunDir(TempDir);

impl RunDir {
    /// Creates one in the system's directory for temporary files, or else in `/dev/shm`, which is
    /// writable even if a container's file system is read-only.
    pub fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir()).or_else(|error| {
            // The first error is the one that the user can correct.
            Self::create_in(Path::new("/dev/shm")).map_err(|_| error)
        })
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        tempfile::Builder::new()
            .prefix("entra-auth-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map(Self)
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Creates a file that only this user can read.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?
            .write_all(content)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_directory_is_private_and_goes_away() {
        let run_dir = RunDir::create().unwrap();
        let path = run_dir.path().to_path_buf();
        assert_eq!(mode(&path), 0o700);

        let file = run_dir.write("bootstrap.json", b"{}").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read(&file).unwrap(), b"{}");

        drop(run_dir);
        assert!(!path.exists());
    }
}
