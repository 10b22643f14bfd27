//! The content of each image.
//!
//! The C library comes from Debian packages, because Envoy's binary is linked to it; our programs use
//! it, too. The images have nothing else of Debian: no shell, no package manager, no setuid files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::archive::{Archive, hash};
use crate::crates::{linked, notices};
use crate::debian::Debian;
use crate::files::read;
use crate::image::{Image, Run};
use crate::layer::{Layer, USER};
use crate::module;
use crate::origin::Origin;
use crate::sbom::{Component, bill};

/// The path of the bill of materials in each image.
pub const BILL: &str = "usr/share/doc/entra-auth/sbom.cdx.json";
/// The path of the module in the proxy's image.
pub const MODULE: &str = "usr/local/lib/entra-auth/entra_auth_filter.wasm";
/// The path of the licences of the crates in our programs.
pub const NOTICES: &str = "usr/share/doc/entra-auth/THIRD-PARTY";
/// The folder for the token-sidecar's socket. A new Docker volume that is mounted here gets the folder's
/// owner. (An `emptyDir` of Kubernetes is writable by everyone, or belongs to the `fsGroup`.)
pub const SOCKET_FOLDER: &str = "run/entra-auth";

/// The Debian packages of all images. `base-files` has common licence texts and `os-release`.
const BASE: [&str; 3] = ["base-files", "libc6", "libgcc-s1"];
const AUTHORITIES: &str = "ca-certificates";
const MODULE_TARGET: &str = "wasm32-wasip1";
/// Envoy's copyright notice, and where the licence is.
const ENVOY_COPYRIGHT: &str = "Envoy, https://github.com/envoyproxy/envoy
Copyright Envoy Project Authors

Licensed under Apache License 2.0: see /usr/share/doc/entra-auth/LICENSE, which is the same.
";

/// The inputs of the images.
#[derive(Debug)]
pub struct BuildInputs {
    /// The architecture of the images.
    pub arch: Arch,
    /// The folder of our programs.
    pub programs: PathBuf,
    /// The Wasm module.
    pub module: PathBuf,
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// Envoy's version.
    pub envoy_version: String,
    /// The expected SHA-256 hash of Envoy's binary, in hexadecimal.
    pub envoy_sha256: String,
    /// The file with our licence.
    pub licence: PathBuf,
    /// The files of Debian packages.
    pub debian: Debian,
    /// The registry and the path before the images' names.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The commit that the images are built from.
    pub origin: Origin,
}

/// An image or artifact, ready to be written.
#[derive(Debug)]
pub struct BuiltArchive {
    /// The file's name without the extension.
    pub file: String,
    /// The file's content.
    pub archive: Archive,
    /// The bill of materials, in CycloneDX JSON.
    pub bill: Vec<u8>,
}

impl BuildInputs {
    /// The image of the proxy: the launcher, Envoy, the module and the token-sidecar.
    ///
    /// # Errors
    /// If an input is missing or has the wrong architecture.
    pub fn proxy(&self) -> Result<BuiltArchive, String> {
        let envoy = self.envoy()?;
        let launcher = self.program("entra-auth-envoy")?;
        let sidecar = self.program("token-sidecar")?;
        let module = self.module()?;

        let packages = [BASE.as_slice(), &[AUTHORITIES]].concat();
        let mut components = self.debian.components(&packages)?;
        components.push(Component {
            kind: "application",
            name: "envoy".to_owned(),
            version: self.envoy_version.clone(),
            purl: Some(format!(
                "pkg:github/envoyproxy/envoy@v{}",
                self.envoy_version
            )),
            cpe: Some(format!(
                "cpe:2.3:a:envoyproxy:envoy:{}:*:*:*:*:*:*:*",
                self.envoy_version
            )),
            licence: Some("Apache-2.0".to_owned()),
            sha256: Some(self.envoy_sha256.clone()),
            compilers: BTreeSet::new(),
        });
        components.extend(self.built("entra-auth-envoy", &launcher)?);
        components.extend(self.built("token-sidecar", &sidecar)?);
        components.extend(self.module_components(&module)?);
        let title = "Entra Auth proxy";
        let bill = bill(title, &self.origin, &components);

        let base = self.base(&[&envoy, &launcher, &sidecar], &packages)?.file(
            "etc/ssl/certs/ca-certificates.crt",
            self.debian.authorities()?,
        );
        let with_envoy = Layer::default()
            .program("usr/local/bin/envoy", envoy)
            .file("usr/share/doc/envoy/copyright", ENVOY_COPYRIGHT);
        let ours = Layer::default()
            .program("usr/local/bin/entra-auth-envoy", launcher)
            .program("usr/local/bin/token-sidecar", sidecar)
            .file(MODULE, module)
            .file(NOTICES, self.notices(&components)?)
            .file(BILL, bill.clone());
        let image = Image {
            name: &format!("{}/proxy", self.repository),
            title,
            description: "Envoy that puts Microsoft Entra tokens on requests, in the place of aad-auth-proxy",
            tag: &self.tag,
            arch: self.arch,
            origin: &self.origin,
            layers: vec![
                ("files of Debian's packages", base),
                ("Envoy", with_envoy),
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

    /// The image of the token-sidecar. It makes no connections, so it needs no CA certificates.
    ///
    /// # Errors
    /// If an input is missing or has the wrong architecture.
    pub fn sidecar(&self) -> Result<BuiltArchive, String> {
        let program = self.program("token-sidecar")?;
        let mut components = self.debian.components(&BASE)?;
        components.extend(self.built("token-sidecar", &program)?);
        let title = "Entra Auth token-sidecar";
        let bill = bill(title, &self.origin, &components);
        let base = self.base(&[&program], &BASE)?;
        let ours = Layer::default()
            .program("usr/local/bin/token-sidecar", program)
            .file(NOTICES, self.notices(&components)?)
            .file(BILL, bill.clone());
        let image = Image {
            name: &format!("{}/token-sidecar", self.repository),
            title,
            description: "Signs client assertions for Microsoft Entra with a certificate's key, and nothing else",
            tag: &self.tag,
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

    /// The module, as a container image and as an OCI artifact.
    ///
    /// # Errors
    /// If an input is missing.
    pub fn modules(&self) -> Result<[BuiltArchive; 2], String> {
        let content = self.module()?;
        let components = self.module_components(&content)?;
        let bill = bill("Entra Auth filter", &self.origin, &components);
        let name = format!("{}/filter", self.repository);
        let licences =
            (self.with_licence(Layer::default())?).file(NOTICES, self.notices(&components)?);
        let image = module::image(&name, &self.tag, &content, licences, &self.origin)
            .map_err(|error| format!("cannot write the module's image: {error}"))?;
        let artifact = module::artifact(&name, &self.tag, &content, &self.origin);
        let made = |file: &str, archive| BuiltArchive {
            file: file.to_owned(),
            archive,
            bill: bill.clone(),
        };
        Ok([
            made("filter-image", image),
            made("filter-artifact", artifact),
        ])
    }

    fn made(&self, name: &str, image: &Image<'_>, bill: Vec<u8>) -> Result<BuiltArchive, String> {
        Ok(BuiltArchive {
            file: format!("{name}-{}", self.arch.name()),
            archive: image
                .archive()
                .map_err(|error| format!("cannot write the image {name}: {error}"))?,
            bill,
        })
    }

    /// The base layer: the libraries of these programs, the records of these packages, the user's name,
    /// and writable folders.
    fn base(&self, programs: &[&[u8]], packages: &[&str]) -> Result<Layer, String> {
        let base = Layer::default()
            .file(
                "etc/passwd",
                format!("root:x:0:0::/:/nonexistent\nnonroot:x:{USER}:{USER}::/:/nonexistent\n"),
            )
            .file("etc/group", format!("root:x:0:\nnonroot:x:{USER}:\n"))
            // Without this file the C library queries DNS before it reads /etc/hosts.
            .file("etc/nsswitch.conf", "hosts: files dns\n")
            .directory("tmp", 0o1777, 0)
            .directory(SOCKET_FOLDER, 0o770, USER);
        let base = self
            .debian
            .add_libraries(self.with_licence(base)?, programs)?;
        self.debian.add_records(base, packages)
    }

    /// Adds our licence.
    fn with_licence(&self, layer: Layer) -> Result<Layer, String> {
        Ok(layer.file("usr/share/doc/entra-auth/LICENSE", read(&self.licence)?))
    }

    fn program(&self, name: &str) -> Result<Vec<u8>, String> {
        without_paths(&self.programs.join(name))
    }

    fn module(&self) -> Result<Vec<u8>, String> {
        without_paths(&self.module)
    }

    /// Envoy's binary. Its hash is pinned, because it handles credentials and comes from neither us nor a
    /// distribution.
    fn envoy(&self) -> Result<Vec<u8>, String> {
        let content = read(&self.envoy)?;
        let (found, wanted) = (hash(&content), &self.envoy_sha256);
        if found != *wanted {
            return Err(format!(
                "{} has the hash {found}, and not {wanted}, which scripts/tools.env pins: remove .tools/venv and .tools/*.installed, or mend the pin",
                self.envoy.display()
            ));
        }
        Ok(content)
    }

    fn notices(&self, components: &[Component]) -> Result<Vec<u8>, String> {
        notices(components, &[self.arch.rust_target(), MODULE_TARGET])
    }

    /// The components of one of our programs: its file and the crates in it.
    fn built(&self, package: &str, content: &[u8]) -> Result<Vec<Component>, String> {
        let mut components = linked(package, self.arch.rust_target())?;
        let path = format!("usr/local/bin/{package}");
        components.push(Component::of_file(&path, content));
        Ok(components)
    }

    fn module_components(&self, content: &[u8]) -> Result<Vec<Component>, String> {
        let mut components = linked("entra-auth-module", MODULE_TARGET)?;
        components.push(Component::of_file("entra_auth_filter.wasm", content));
        Ok(components)
    }
}

/// Reads one of our files. It must not contain paths of crates, which depend on the machine, so that
/// the build is reproducible.
fn without_paths(path: &Path) -> Result<Vec<u8>, String> {
    const CRATES: &[u8] = b"/registry/src/";
    let content = read(path)?;
    if (content.windows(CRATES.len())).any(|window| window == CRATES) {
        return Err(format!(
            "{} names the folder of crates on this machine: build it by `make build`, and without RUSTFLAGS in the environment",
            path.display()
        ));
    }
    Ok(content)
}
