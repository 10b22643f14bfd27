//! The listening sockets: a Unix socket that only the user and the group can connect to, and a
//! loopback address where a setting asks for one.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use entra_auth_settings_input::{ConfigError, quoted};
use rustix::fs::Mode;

use crate::variables::{ADDRESS, SOCKET};

/// The umask that gives the socket the mode 0660.
const SOCKET_UMASK: Mode = Mode::XUSR.union(Mode::XGRP).union(Mode::RWXO);

/// The sockets, before the runtime exists.
#[derive(Debug)]
pub struct Listeners {
    unix: Option<(UnixListener, SocketFile)>,
    tcp: Option<TcpListener>,
}

/// A listening socket of the runtime.
#[derive(Debug)]
pub enum Listener {
    /// The Unix socket.
    Unix(tokio::net::UnixListener),
    /// The loopback address.
    Tcp(tokio::net::TcpListener),
}

/// The file of the Unix socket. Dropping this removes the file, unless another process has replaced
/// it with its own.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Listens on the Unix socket and on the address.
///
/// # Errors
/// All reasons why one of them cannot be listened on.
pub fn bind(
    socket: Option<&Path>,
    address: Option<SocketAddr>,
) -> Result<Listeners, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let unix = socket.and_then(|path| bind_unix(path).map_err(|e| errors.push(e)).ok());
    let tcp = address.and_then(|address| bind_tcp(address).map_err(|e| errors.push(e)).ok());
    if errors.is_empty() {
        Ok(Listeners { unix, tcp })
    } else {
        Err(errors)
    }
}

impl Listeners {
    /// The path of the Unix socket and the TCP address, for the log.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let socket = self
            .unix
            .iter()
            .map(|(_, socket)| socket.path.display().to_string());
        let address = self.tcp.iter().filter_map(|tcp| tcp.local_addr().ok());
        socket
            .chain(address.map(|address| address.to_string()))
            .collect()
    }

    /// Calls `each` with every listener. The caller keeps the socket's file as long as it serves.
    ///
    /// # Errors
    /// The runtime cannot register a socket.
    pub fn serve(self, mut each: impl FnMut(Listener)) -> io::Result<Option<SocketFile>> {
        if let Some(tcp) = self.tcp {
            each(Listener::Tcp(tokio::net::TcpListener::from_std(tcp)?));
        }
        let Some((unix, socket)) = self.unix else {
            return Ok(None);
        };
        each(Listener::Unix(tokio::net::UnixListener::from_std(unix)?));
        Ok(Some(socket))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if device_and_inode(&self.path).is_ok_and(|found| found == self.device_and_inode) {
            // A file that is left behind does no harm: the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), ConfigError> {
    let refused = |wrong: String, fix: &str| {
        let path = quoted(&path.to_string_lossy());
        ConfigError::new(SOCKET, format!("is {path}, {wrong}"), fix)
    };
    let impossible = |error: &io::Error| {
        refused(
            format!("where no socket can be made: {error}"),
            "Name a socket in a directory that this user may write to (up to 107 bytes in all).",
        )
    };
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(refused(
                "which is no socket".into(),
                "Remove the file, or name another socket.",
            ));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|error| impossible(&error))?;
            }
            Ok(_) => {
                return Err(refused(
                    "on which another process listens".into(),
                    "End that process, or name another socket.",
                ));
            }
            Err(error) => return Err(impossible(&error)),
        }
    }
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .map_err(|error| impossible(&error))?;
    }
    // Other users must not reach the socket at any moment, as they could before a chmod. No other
    // thread exists that could create files with this umask.
    let before = rustix::process::umask(SOCKET_UMASK);
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    bound
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            let socket = SocketFile {
                path: std::path::absolute(path)?,
                device_and_inode: device_and_inode(path)?,
            };
            Ok((listener, socket))
        })
        .map_err(|error| impossible(&error))
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
        .map_err(|error| {
            ConfigError::new(
                ADDRESS,
                format!("is {address}, where nobody can listen: {error}"),
                "Name a free port of a loopback address.",
            )
        })
}

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
