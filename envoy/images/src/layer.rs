//! A layer of an image: a reproducible tar archive.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// The id of the user that our programs run as. It is a number, because Kubernetes' `runAsNonRoot`
/// accepts no names.
pub const USER: u32 = 65532;

/// A directory, a file or a link.
#[derive(Debug)]
struct Entry {
    kind: EntryType,
    content: Vec<u8>,
    mode: u32,
    owner: u32,
}

/// Files by path, without a leading slash. Parent directories are added automatically.
#[derive(Debug, Default)]
pub struct Layer(BTreeMap<String, Entry>);

impl Layer {
    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, EntryType::Regular, content.into(), 0o644, 0)
    }

    /// Adds a file with mode 0755.
    #[must_use]
    pub fn program(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, EntryType::Regular, content.into(), 0o755, 0)
    }

    /// Adds a directory with this mode and owner.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32, owner: u32) -> Self {
        self.with(path, EntryType::Directory, Vec::new(), mode, owner)
    }

    fn with(
        mut self,
        path: &str,
        kind: EntryType,
        content: Vec<u8>,
        mode: u32,
        owner: u32,
    ) -> Self {
        for (end, _) in path.match_indices('/') {
            self.0.entry(path[..end].to_owned()).or_insert(Entry {
                kind: EntryType::Directory,
                content: Vec::new(),
                mode: 0o755,
                owner: 0,
            });
        }
        let entry = Entry {
            kind,
            content,
            mode,
            owner,
        };
        self.0.insert(path.to_owned(), entry);
        self
    }

    /// The tar archive. A directory sorts before its content.
    ///
    /// # Errors
    /// If a path is too long.
    pub fn tar(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = Header::new_ustar();
            header.set_entry_type(entry.kind);
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_size(entry.content.len() as u64);
            // A fixed time, so that a layer with unchanged files keeps its digest.
            header.set_mtime(0);
            builder.append_data(&mut header, path, entry.content.as_slice())?;
        }
        builder.into_inner()
    }
}

/// Compresses with gzip. The header contains neither a time nor an operating system.
///
/// # Errors
/// Never in practice, because it writes to memory.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
