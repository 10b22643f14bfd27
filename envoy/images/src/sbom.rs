//! A software bill of materials: CycloneDX 1.5 as JSON, <https://cyclonedx.org/docs/1.5/json/>.
//!
//! `cargo cyclonedx` covers crates only. This bill also has Envoy and the Debian packages, and takes the
//! crates from `cargo tree`, which lists those that are linked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::archive::hash;
use crate::origin::{Origin, VERSION};
use crate::program::compilers;

/// A component of an image.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// `application`, `library` or `file`.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The package URL, if the component is in a registry.
    pub purl: Option<String>,
    /// The CPE name, for components whose package URL vulnerability databases do not know.
    pub cpe: Option<String>,
    /// The licence, as an SPDX expression.
    pub licence: Option<String>,
    /// The SHA-256 hash of a file, in hexadecimal.
    pub sha256: Option<String>,
    /// The compilers and the linker that built a file.
    pub compilers: BTreeSet<String>,
}

impl Component {
    /// One of our files.
    #[must_use]
    pub fn of_file(name: &str, content: &[u8]) -> Self {
        Self {
            kind: "file",
            name: name.to_owned(),
            version: VERSION.to_owned(),
            licence: Some(env!("CARGO_PKG_LICENSE").to_owned()),
            sha256: Some(hash(content)),
            compilers: compilers(content),
            ..Self::default()
        }
    }

    /// The component's unique id within the bill.
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
        if let Some(cpe) = &self.cpe {
            component["cpe"] = cpe.as_str().into();
        }
        if let Some(licence) = &self.licence {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(sha256) = &self.sha256 {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
        }
        if !self.compilers.is_empty() {
            let compilers = self.compilers.iter();
            component["properties"] = compilers
                .map(|it| json!({ "name": "entra-auth:compiler", "value": it }))
                .collect();
        }
        component
    }
}

/// The bill of materials for `title`: each component once, sorted.
#[must_use]
pub fn bill(title: &str, origin: &Origin, components: &[Component]) -> Vec<u8> {
    let sorted: BTreeMap<_, _> = (components.iter())
        .map(|component| (component.reference(), component.render()))
        .collect();
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": origin.time(),
            "tools": { "components": [
                { "type": "application", "name": env!("CARGO_PKG_NAME"), "version": VERSION },
            ] },
            "component": { "type": "container", "bom-ref": title, "name": title, "version": VERSION },
        },
        "components": sorted.into_values().collect::<Vec<_>>(),
    });
    // Derived from the content, so that the bill is reproducible.
    let mut serial = [0; 16];
    serial.copy_from_slice(&Sha256::digest(bill.to_string())[..16]);
    let serial = uuid::Builder::from_custom_bytes(serial).into_uuid();
    bill["serialNumber"] = format!("urn:uuid:{serial}").into();
    format!("{bill:#}\n").into_bytes()
}
