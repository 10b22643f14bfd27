//! Reading a file that a setting names. Every file that is read here may hold a secret.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// The limit for certificates, keys, passwords, tokens and configuration files, in bytes (1 MiB).
/// A larger file is the wrong file.
pub const LIMIT: usize = 1 << 20;

/// The bytes that a first read may take.
const FIRST_BUFFER: usize = 16 * 1024;

/// Why a file cannot be used. [`fmt::Display`] gives the end of a sentence: "is empty".
#[derive(Debug)]
pub enum Error {
    /// The operating system refuses to open or read it.
    Io(io::Error),
    /// It is a directory.
    Directory,
    /// It is a pipe, a socket or a device, which cannot be read a second time.
    NotRegular,
    /// It has no content.
    Empty,
    /// It is larger than the limit, in bytes.
    TooLarge(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Directory => f.write_str("is a directory"),
            Self::NotRegular => f.write_str("is a pipe, a socket or a device"),
            Self::Empty => f.write_str("is empty"),
            Self::TooLarge(limit) => write!(f, "is larger than {} MiB", limit >> 20),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a regular file of 1 to `limit` bytes; `limit` is a multiple of 1 MiB. The content is wiped
/// from memory when it is dropped.
///
/// # Errors
/// Why the file cannot be used.
pub fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut file = File::options()
        .read(true)
        // Opening a pipe would wait for its other end.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Error::Directory);
    }
    if !metadata.is_file() {
        return Err(Error::NotRegular);
    }
    // `Vec` would grow by reallocation, which leaves copies of the content in memory.
    let mut content = Zeroizing::new(vec![0; FIRST_BUFFER]);
    let mut length = 0;
    loop {
        match file.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if length > limit {
            return Err(Error::TooLarge(limit));
        }
        if length == content.len() {
            let mut larger = Zeroizing::new(vec![0; 4 * length]);
            larger[..length].copy_from_slice(&content);
            content = larger;
        }
    }
    if length == 0 {
        return Err(Error::Empty);
    }
    content.truncate(length);
    Ok(content)
}

/// Whether content begins with a byte-order mark of UTF-16, as the redirections of Windows
/// PowerShell 5 write it.
#[must_use]
pub fn is_utf16(content: &[u8]) -> bool {
    content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_whole_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for size in [1, FIRST_BUFFER, FIRST_BUFFER + 1, LIMIT] {
            fs::write(&path, vec![7; size]).unwrap();
            assert_eq!(*read(&path, LIMIT).unwrap(), vec![7; size]);
        }
        fs::write(&path, vec![7; LIMIT + 1]).unwrap();
        assert_eq!(read(&path, 2 * LIMIT).unwrap().len(), LIMIT + 1);
        let refused = read(&path, LIMIT).unwrap_err();
        assert_eq!(refused.to_string(), "is larger than 1 MiB");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("empty"), "").unwrap();
        symlink("loop", path("loop")).unwrap();
        let mkfifo = Command::new("mkfifo").arg(path("pipe")).status();
        assert!(mkfifo.expect("mkfifo, of coreutils").success());
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let cases = [
            ("", "is a directory"),
            ("empty", "is empty"),
            ("loop", "cannot be read: "),
            ("missing", "cannot be read: No such file"),
            ("pipe", "is a pipe, a socket or a device"),
            // Only `connect` opens a socket.
            ("socket", "cannot be read: "),
        ];
        for (name, expected) in cases {
            let refused = read(&path(name), LIMIT).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{name}: {refused}");
        }
        let device = read(Path::new("/dev/null"), LIMIT);
        assert!(matches!(device, Err(Error::NotRegular)), "{device:?}");
    }

    #[test]
    fn utf_16_is_known_by_its_byte_order_mark() {
        assert!(is_utf16(b"\xff\xfea\0"));
        assert!(is_utf16(b"\xfe\xff\0a"));
        assert!(!is_utf16(b"\xef\xbb\xbfa"));
        assert!(!is_utf16(b""));
    }
}
