//! A container image: layers, what is run in them, and the manifest that binds them.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/config.md>

use std::io;

use serde_json::{Value, json};

use crate::arch::Arch;
use crate::archive::{Archive, MANIFEST, digest};
use crate::layer::{Layer, USER, gzip};
use crate::origin::Origin;

/// The media type of an image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a compressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image that is to be written.
#[derive(Debug)]
pub struct Image<'a> {
    /// Its name with the registry's, without the tag.
    pub name: &'a str,
    /// For labels.
    pub title: &'a str,
    /// For labels.
    pub description: &'a str,
    /// The tag.
    pub tag: &'a str,
    /// The machine it runs on.
    pub arch: Arch,
    /// What it was made from.
    pub origin: &'a Origin,
    /// Each with a word on what is in it.
    pub layers: Vec<(&'a str, Layer)>,
    /// What is run, and with which arguments by default.
    pub run: Option<Run<'a>>,
}

/// What is run in a container.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program's path.
    pub program: &'a str,
    /// Its arguments, unless the container is given others.
    pub arguments: &'a [&'a str],
    /// Environment variables with their values.
    pub environment: &'a [&'a str],
    /// TCP ports that it listens on.
    pub ports: &'a [u16],
}

impl Image<'_> {
    /// Makes the archive.
    ///
    /// # Errors
    /// When a layer cannot be written.
    pub fn archive(&self) -> io::Result<Archive> {
        let mut archive = Archive::new(self.name, self.tag);
        let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
        for (what, layer) in &self.layers {
            let tar = layer.tar()?;
            diff_ids.push(digest(&tar));
            layers.push(archive.add(LAYER, gzip(&tar)?));
            history.push(json!({ "created": self.origin.time(), "created_by": what }));
        }
        let labels = self.origin.labels(self.title, self.description);
        let config = json!({
            "architecture": self.arch.name(),
            "os": "linux",
            "created": self.origin.time(),
            "config": self.config(&labels),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        let config = archive.add(CONFIG, config.to_string().into_bytes());
        archive.set_docker(&config, &layers);
        archive.set_platform(self.arch.name());
        archive.set_manifest(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": labels,
        }));
        Ok(archive)
    }

    fn config(&self, labels: &Value) -> Value {
        let mut config = json!({ "Labels": labels });
        if let Some(run) = &self.run {
            config["User"] = format!("{USER}:{USER}").into();
            config["WorkingDir"] = "/".into();
            config["Entrypoint"] = json!([run.program]);
            config["Cmd"] = json!(run.arguments);
            config["Env"] = json!(run.environment);
            config["StopSignal"] = "SIGTERM".into();
            let ports = run
                .ports
                .iter()
                .map(|port| (format!("{port}/tcp"), json!({})));
            config["ExposedPorts"] = Value::Object(ports.collect());
        }
        config
    }
}
