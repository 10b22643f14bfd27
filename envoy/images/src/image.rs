//! A container image: layers, configuration and manifest.
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

/// An image to write.
#[derive(Debug)]
pub struct Image<'a> {
    /// The name, including the registry, without the tag.
    pub name: &'a str,
    /// The title, for a label.
    pub title: &'a str,
    /// The description, for a label.
    pub description: &'a str,
    /// The tag.
    pub tag: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The commit that the image is built from.
    pub origin: &'a Origin,
    /// The layers, each with a description for the history.
    pub layers: Vec<(&'a str, Layer)>,
    /// The program to run; `None` if the image only carries files.
    pub run: Option<Run<'a>>,
}

/// The program of a container.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program's path.
    pub program: &'a str,
    /// The default arguments.
    pub arguments: &'a [&'a str],
    /// The environment variables, each as `NAME=value`.
    pub environment: &'a [&'a str],
    /// The TCP ports that the program listens on.
    pub ports: &'a [u16],
}

impl Image<'_> {
    /// Builds the archive.
    ///
    /// # Errors
    /// If a layer cannot be written.
    pub fn archive(&self) -> io::Result<Archive> {
        let mut archive = Archive::new(self.name, self.tag);
        let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
        for (description, layer) in &self.layers {
            let tar = layer.tar()?;
            diff_ids.push(digest(&tar));
            layers.push(archive.add(LAYER, gzip(&tar)?));
            history.push(json!({ "created": self.origin.time(), "created_by": description }));
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
