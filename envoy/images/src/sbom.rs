//! A software bill of materials: CycloneDX 1.5 as JSON, <https://cyclonedx.org/docs/1.5/json/>.
//!
//! `cargo cyclonedx` knows crates only and writes beside their sources; this one also names Envoy
//! and Debian's packages, and takes the crates from `cargo tree`, which counts what is linked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::archive::digest;
use crate::origin::Origin;

/// Something that is in an image.
#[derive(Debug, Clone)]
pub struct Component {
    /// `application`, `library` or `file`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL, where it is in a registry.
    pub purl: Option<String>,
    /// An SPDX expression.
    pub licence: Option<String>,
    /// The hash of a file, in hexadecimal.
    pub sha256: Option<String>,
}

impl Component {
    /// One of our files, which was built from the crates that are named beside it.
    #[must_use]
    pub fn of_file(name: &str, version: &str, content: &[u8]) -> Self {
        Self {
            kind: "file",
            name: name.to_owned(),
            version: version.to_owned(),
            purl: None,
            licence: Some(env!("CARGO_PKG_LICENSE").to_owned()),
            sha256: Some(digest(content).replace("sha256:", "")),
        }
    }

    /// What tells it from others.
    fn reference(&self) -> String {
        (self.purl.clone()).unwrap_or_else(|| format!("{}@{}", self.name, self.version))
    }

    fn render(&self) -> Value {
        let mut component = json!({
            "type": self.kind,
            "bom-ref": self.reference(),
            "name": self.name,
            "version": self.version,
        });
        if let Some(purl) = &self.purl {
            component["purl"] = purl.as_str().into();
        }
        if let Some(licence) = &self.licence {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(sha256) = &self.sha256 {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
        }
        component
    }
}

/// The bill for `title`: each component once, sorted.
#[must_use]
pub fn bill(title: &str, version: &str, origin: &Origin, components: &[Component]) -> Vec<u8> {
    let sorted: BTreeMap<_, _> = (components.iter())
        .map(|component| (component.reference(), component.render()))
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": origin.time(),
            "component": { "type": "container", "bom-ref": title, "name": title, "version": version },
        },
        "components": sorted.into_values().collect::<Vec<_>>(),
    });
    format!("{bill:#}\n").into_bytes()
}
