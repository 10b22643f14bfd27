//! A software bill of materials: CycloneDX 1.5 as JSON, <https://cyclonedx.org/docs/1.5/json/>.
//!
//! `cargo cyclonedx` knows crates only and writes beside their sources; this one also names Envoy
//! and Debian's packages, and takes the crates from `cargo tree`, which counts what is linked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::VERSION;
use crate::archive::hash;
use crate::origin::Origin;
use crate::program::compilers;

/// Something that is in an image.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// `application`, `library` or `file`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL, where it is in a registry.
    pub purl: Option<String>,
    /// Its name in lists of vulnerabilities, where it has no package URL that these know.
    pub cpe: Option<String>,
    /// An SPDX expression.
    pub licence: Option<String>,
    /// The hash of a file, in hexadecimal.
    pub sha256: Option<String>,
    /// What compiled and linked a file.
    pub compilers: BTreeSet<String>,
}

impl Component {
    /// One of our files, which was built from the crates that are named beside it.
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

/// The bill for `title`: each component once, sorted.
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
    // Another one for another bill, and the same for the same.
    let mut serial = [0; 16];
    serial.copy_from_slice(&Sha256::digest(bill.to_string())[..16]);
    let serial = uuid::Builder::from_custom_bytes(serial).into_uuid();
    bill["serialNumber"] = format!("urn:uuid:{serial}").into();
    format!("{bill:#}\n").into_bytes()
}
