//! What goes into each image.
//!
//! The C library comes from Debian's packages: Envoy's official binary is linked to it, and our
//! programs, which are on the machine anyway, need no second one. Nothing else of Debian's is
//! there: no shell, no package manager, no file that changes its user.

use std::path::PathBuf;

use crate::arch::Arch;
use crate::archive::Archive;
use crate::crates::linked;
use crate::debian::Debian;
use crate::image::{Image, Run};
use crate::layer::{Layer, USER};
use crate::origin::Origin;
use crate::sbom::{Component, bill};
use crate::{module, read};

/// Where the bill of materials is in each image.
pub const BILL: &str = "usr/share/doc/entra-auth/sbom.cdx.json";
/// Where the module is in the proxy's image.
pub const MODULE: &str = "usr/local/lib/entra-auth/entra_auth_filter.wasm";
/// The folder for the token-sidecar's socket; an empty volume that is mounted here gets its owner.
pub const SOCKET_FOLDER: &str = "run/entra-auth";

const C_LIBRARY: [&str; 2] = ["libc6", "libgcc-s1"];
const AUTHORITIES: &str = "ca-certificates";

/// What images are made from.
#[derive(Debug)]
pub struct Ingredients {
    /// For which machine.
    pub arch: Arch,
    /// The folder of our programs.
    pub programs: PathBuf,
    /// The Wasm module.
    pub module: PathBuf,
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// Its version.
    pub envoy_version: String,
    /// Our licence.
    pub licence: PathBuf,
    /// Debian's files.
    pub debian: Debian,
    /// The registry and the path before the images' names.
    pub repository: String,
    /// The tag.
    pub version: String,
    /// The commit.
    pub origin: Origin,
}

/// A file that was made.
#[derive(Debug)]
pub struct Made {
    /// Its name without the extension.
    pub file: String,
    /// Its content.
    pub archive: Archive,
    /// What is in it, as JSON of CycloneDX.
    pub bill: Vec<u8>,
}

impl Ingredients {
    /// The image of the proxy: the launcher, Envoy, the module, the token-sidecar.
    ///
    /// # Errors
    /// When something is missing, or not for this machine.
    pub fn proxy(&self) -> Result<Made, String> {
        let envoy = read(&self.envoy)?;
        let launcher = self.program("entra-auth-envoy")?;
        let sidecar = self.program("token-sidecar")?;
        let module = read(&self.module)?;

        let mut components = self.components(&[C_LIBRARY.as_slice(), &[AUTHORITIES]].concat())?;
        components.push(Component {
            kind: "application",
            name: "envoy".to_owned(),
            version: self.envoy_version.clone(),
            purl: Some(format!(
                "pkg:github/envoyproxy/envoy@v{}",
                self.envoy_version
            )),
            licence: Some("Apache-2.0".to_owned()),
            sha256: Some(crate::archive::digest(&envoy).replace("sha256:", "")),
        });
        components.extend(self.built("entra-auth-envoy", &launcher)?);
        components.extend(self.built("token-sidecar", &sidecar)?);
        components.extend(self.module_components(&module)?);
        let title = "Entra Auth proxy";
        let bill = bill(title, &self.version, &self.origin, &components);

        let base = self.base(&[&envoy, &launcher, &sidecar])?;
        let base = (self.debian.add_licences(base, &[AUTHORITIES])?).file(
            "etc/ssl/certs/ca-certificates.crt",
            self.debian.authorities()?,
        );
        let ours = Layer::default()
            .program("usr/local/bin/entra-auth-envoy", launcher)
            .program("usr/local/bin/token-sidecar", sidecar)
            .file(MODULE, module)
            .file(BILL, bill.clone());
        let image = Image {
            name: &format!("{}/proxy", self.repository),
            title,
            description: "Envoy that puts Microsoft Entra tokens on requests, in the place of aad-auth-proxy",
            version: &self.version,
            arch: self.arch,
            origin: &self.origin,
            layers: vec![
                ("files of Debian's packages", base),
                (
                    "Envoy",
                    Layer::default().program("usr/local/bin/envoy", envoy),
                ),
                ("Entra Auth", ours),
            ],
            run: Some(Run {
                program: "/usr/local/bin/entra-auth-envoy",
                arguments: &["run"],
                environment: &[
                    "PATH=/usr/local/bin",
                    &format!("ENTRA_AUTH_MODULE=/{MODULE}"),
                ],
                ports: &[8081, 9464],
            }),
        };
        self.made("proxy", &image, bill)
    }

    /// The image of the token-sidecar. It speaks to nobody, so it trusts nobody.
    ///
    /// # Errors
    /// When something is missing, or not for this machine.
    pub fn sidecar(&self) -> Result<Made, String> {
        let program = self.program("token-sidecar")?;
        let mut components = self.components(&C_LIBRARY)?;
        components.extend(self.built("token-sidecar", &program)?);
        let title = "Entra Auth token-sidecar";
        let bill = bill(title, &self.version, &self.origin, &components);
        let base = self.base(&[&program])?;
        let ours = Layer::default()
            .program("usr/local/bin/token-sidecar", program)
            .file(BILL, bill.clone());
        let image = Image {
            name: &format!("{}/token-sidecar", self.repository),
            title,
            description: "Signs client assertions for Microsoft Entra with a certificate's key, and nothing else",
            version: &self.version,
            arch: self.arch,
            origin: &self.origin,
            layers: vec![("files of Debian's packages", base), ("Entra Auth", ours)],
            run: Some(Run {
                program: "/usr/local/bin/token-sidecar",
                arguments: &[],
                environment: &["PATH=/usr/local/bin"],
                ports: &[],
            }),
        };
        self.made("token-sidecar", &image, bill)
    }

    /// The module, in both forms.
    ///
    /// # Errors
    /// When it is missing.
    pub fn modules(&self) -> Result<[Made; 2], String> {
        let content = read(&self.module)?;
        let components = self.module_components(&content)?;
        let bill = bill(
            "Entra Auth filter",
            &self.version,
            &self.origin,
            &components,
        );
        let name = format!("{}/filter", self.repository);
        let image = module::image(&name, &self.version, &content, &self.origin)
            .map_err(|error| format!("cannot write the module's image: {error}"))?;
        let artifact = module::artifact(&name, &self.version, &content, &self.origin);
        let made = |file: &str, archive| Made {
            file: file.to_owned(),
            archive,
            bill: bill.clone(),
        };
        Ok([
            made("filter-image", image),
            made("filter-artifact", artifact),
        ])
    }

    fn made(&self, name: &str, image: &Image<'_>, bill: Vec<u8>) -> Result<Made, String> {
        Ok(Made {
            file: format!("{name}-{}", self.arch.name()),
            archive: image
                .archive()
                .map_err(|error| format!("cannot write the image {name}: {error}"))?,
            bill,
        })
    }

    /// What every image has: what these programs need, a name for the user, folders to write to.
    fn base(&self, programs: &[&[u8]]) -> Result<Layer, String> {
        let base = Layer::default()
            .file(
                "etc/passwd",
                format!("root:x:0:0::/:/nonexistent\nnonroot:x:{USER}:{USER}::/:/nonexistent\n"),
            )
            .file("etc/group", format!("root:x:0:\nnonroot:x:{USER}:\n"))
            // Without it the C library asks DNS before it looks into /etc/hosts.
            .file("etc/nsswitch.conf", "hosts: files dns\n")
            .directory("tmp", 0o1777, 0)
            .directory(SOCKET_FOLDER, 0o770, USER)
            .file("usr/share/doc/entra-auth/LICENSE", read(&self.licence)?);
        let base = self.debian.add_libraries(base, programs)?;
        self.debian.add_licences(base, &C_LIBRARY)
    }

    fn components(&self, packages: &[&str]) -> Result<Vec<Component>, String> {
        self.debian.components(packages)
    }

    fn program(&self, name: &str) -> Result<Vec<u8>, String> {
        read(&self.programs.join(name))
    }

    /// One of our programs, and the crates in it.
    fn built(&self, package: &str, content: &[u8]) -> Result<Vec<Component>, String> {
        let mut components = linked(package, self.arch.rust_target())?;
        components.push(Component::of_file(
            &format!("usr/local/bin/{package}"),
            &self.version,
            content,
        ));
        Ok(components)
    }

    fn module_components(&self, content: &[u8]) -> Result<Vec<Component>, String> {
        let mut components = linked("entra-auth-module", "wasm32-wasip1")?;
        components.push(Component::of_file(
            "entra_auth_filter.wasm",
            &self.version,
            content,
        ));
        Ok(components)
    }
}
