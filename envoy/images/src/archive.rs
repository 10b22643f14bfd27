//! An OCI image layout in one tar file, which `docker load` can read, too.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::layer::Layer;

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The SHA-256 hash in hexadecimal.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `sha256:` and the hash.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hash(bytes))
}

/// The path of a blob in the layout.
#[must_use]
pub fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// An archive with one manifest.
#[derive(Debug)]
pub struct Archive {
    /// The image's name without the tag.
    name: String,
    tag: String,
    blobs: BTreeMap<String, Vec<u8>>,
    manifest: String,
    platform: Option<Value>,
    docker: Option<Value>,
}

impl Archive {
    /// An empty archive with this name and tag.
    #[must_use]
    pub fn new(name: &str, tag: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            blobs: BTreeMap::new(),
            manifest: String::new(),
            platform: None,
            docker: None,
        }
    }

    /// Adds a blob and returns its descriptor.
    pub fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({
            "mediaType": media_type,
            "digest": digest,
            "size": bytes.len(),
        });
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// Sets the manifest, whose digest identifies the image in a registry.
    pub fn set_manifest(&mut self, manifest: &Value) {
        let bytes = manifest.to_string().into_bytes();
        self.manifest = digest(&bytes);
        self.blobs.insert(self.manifest.clone(), bytes);
    }

    /// Sets the architecture.
    pub fn set_platform(&mut self, architecture: &str) {
        self.platform = Some(json!({ "architecture": architecture, "os": "linux" }));
    }

    /// Adds the index for `docker load`, with these descriptors.
    pub fn set_docker(&mut self, config: &Value, layers: &[Value]) {
        let path =
            |descriptor: &Value| blob_path(descriptor["digest"].as_str().unwrap_or_default());
        self.docker = Some(json!([{
            "Config": path(config),
            "RepoTags": [self.reference()],
            "Layers": layers.iter().map(path).collect::<Vec<_>>(),
        }]));
    }

    /// Name and tag.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }

    /// The manifest's digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.manifest
    }

    /// The manifest's digest without the prefix, as for `sha256` of a WasmPlugin.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.manifest.trim_start_matches("sha256:")
    }

    /// The tar file.
    ///
    /// # Errors
    /// If a path is too long.
    pub fn tar(&self) -> io::Result<Vec<u8>> {
        let manifest = &self.blobs[&self.manifest];
        let mut entry = json!({
            "mediaType": MANIFEST,
            "digest": self.manifest,
            "size": manifest.len(),
            "annotations": {
                // Skopeo and ORAS read the tag, containerd the whole name.
                "org.opencontainers.image.ref.name": self.tag,
                "io.containerd.image.name": self.reference(),
            },
        });
        if let Some(platform) = &self.platform {
            entry["platform"] = platform.clone();
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let mut files = Layer::default()
            .file(
                "oci-layout",
                json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
            )
            .file("index.json", index.to_string());
        if let Some(docker) = &self.docker {
            files = files.file("manifest.json", docker.to_string());
        }
        for (digest, bytes) in &self.blobs {
            files = files.file(&blob_path(digest), bytes.clone());
        }
        files.tar()
    }
}
