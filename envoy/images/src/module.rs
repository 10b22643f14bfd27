//! The Wasm module in both forms that Istio's agent accepts from a registry
//! (`pkg/wasm/imagefetcher.go` of Istio). Releases publish the first, which every registry and policy
//! supports.

use std::io;

use serde_json::json;

use crate::arch::Arch;
use crate::archive::{Archive, MANIFEST};
use crate::image::Image;
use crate::layer::Layer;
use crate::origin::Origin;

/// The media type of the layer with the uncompressed module.
pub const CONTENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// The media type of the layer with the module's configuration.
pub const RUNTIME: &str = "application/vnd.module.wasm.config.v1+json";

const TITLE: &str = "Entra Auth filter";
const DESCRIPTION: &str = "Proxy-Wasm module that puts Microsoft Entra tokens on requests";

/// A container image with `plugin.wasm` at the root of the last layer. Other layers may precede it, here
/// one with the licences.
///
/// # Errors
/// If the image cannot be written.
pub fn image(
    name: &str,
    tag: &str,
    module: &[u8],
    licences: Layer,
    origin: &Origin,
) -> io::Result<Archive> {
    let image = Image {
        name,
        title: TITLE,
        description: DESCRIPTION,
        tag,
        // The module runs on any architecture; most clients pull for this one.
        arch: Arch::Amd64,
        origin,
        layers: vec![
            ("licences", licences),
            ("the module", Layer::default().file("plugin.wasm", module)),
        ],
        run: None,
    };
    image.archive()
}

/// An OCI artifact with exactly two layers, one of which is the module. Its tag has a suffix, because it
/// would replace the image in the registry otherwise.
#[must_use]
pub fn artifact(name: &str, tag: &str, module: &[u8], origin: &Origin) -> Archive {
    let mut archive = Archive::new(name, &format!("{tag}-oci"));
    let config = archive.add(RUNTIME, b"{}".to_vec());
    let runtime = json!({ "type": "envoy_proxy", "abiVersions": ["v0-2-1"], "name": TITLE });
    let layers = [
        archive.add(RUNTIME, runtime.to_string().into_bytes()),
        archive.add(CONTENT, module.to_vec()),
    ];
    archive.set_manifest(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": origin.labels(TITLE, DESCRIPTION),
    }));
    archive
}
