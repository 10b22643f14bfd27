//! Reads the archives with other code than they are written with, as a client of a registry would.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

/// A file or a directory of a tar.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: u64,
    pub(crate) directory: bool,
}

/// The files of a tar, by path.
pub(crate) fn files(tar: &[u8]) -> BTreeMap<String, File> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("entries");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("a content");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let header = entry.header();
            let file = File {
                content,
                mode: header.mode().expect("a mode"),
                owner: header.uid().expect("an owner"),
                directory: header.entry_type().is_dir(),
            };
            (path.trim_end_matches('/').to_owned(), file)
        })
        .collect()
}

/// Decompresses gzip.
pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    plain
}

/// An OCI image layout.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) files: BTreeMap<String, File>,
}

impl Layout {
    pub(crate) fn read(tar: &[u8]) -> Self {
        Self { files: files(tar) }
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.files[path].content).expect("JSON")
    }

    /// The blob of a descriptor.
    pub(crate) fn blob(&self, descriptor: &Value) -> &[u8] {
        let digest = descriptor["digest"].as_str().expect("a digest");
        &self.files[&format!("blobs/{}", digest.replace(':', "/"))].content
    }

    pub(crate) fn manifest_descriptor(&self) -> Value {
        self.json("index.json")["manifests"][0].clone()
    }

    /// The manifest.
    pub(crate) fn manifest(&self) -> Value {
        serde_json::from_slice(self.blob(&self.manifest_descriptor())).expect("a manifest")
    }

    /// The image's configuration.
    pub(crate) fn config(&self) -> Value {
        serde_json::from_slice(self.blob(&self.manifest()["config"])).expect("a configuration")
    }

    /// All descriptors.
    pub(crate) fn descriptors(&self) -> Vec<Value> {
        let manifest = self.manifest();
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        [
            vec![self.manifest_descriptor(), manifest["config"].clone()],
            layers,
        ]
        .concat()
    }

    /// The file system that the layers give.
    pub(crate) fn root(&self) -> BTreeMap<String, File> {
        let manifest = self.manifest();
        let layers = manifest["layers"].as_array().expect("layers");
        (layers.iter())
            .flat_map(|layer| files(&gunzip(self.blob(layer))))
            .collect()
    }
}
