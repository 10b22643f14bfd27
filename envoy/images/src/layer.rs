//! A layer: files in a tar that is the same whenever the files are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// The user that our programs run as: no name is needed for it, and Kubernetes' `runAsNonRoot`
/// believes only a number.
pub const USER: u32 = 65532;

/// A directory, a file or a link.
#[derive(Debug)]
struct Entry {
    kind: EntryType,
    content: Vec<u8>,
    mode: u32,
    owner: u32,
}

/// Files by path, without a leading slash. The directories above each are there by themselves.
#[derive(Debug, Default)]
pub struct Layer(BTreeMap<String, Entry>);

impl Layer {
    /// Adds a file that everybody can read.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, EntryType::Regular, content.into(), 0o644, 0)
    }

    /// Adds a file that everybody can run.
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

    /// The tar. A parent sorts before what is in it.
    ///
    /// # Errors
    /// When a path is too long.
    pub fn tar(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = Header::new_ustar();
            header.set_entry_type(entry.kind);
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_size(entry.content.len() as u64);
            // Not the time of the build: a layer whose files are unchanged is not sent again.
            header.set_mtime(0);
            builder.append_data(&mut header, path, entry.content.as_slice())?;
        }
        builder.into_inner()
    }
}

/// Compresses; the head names neither a time nor a system.
///
/// # Errors
/// None that is known: it writes to memory.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
