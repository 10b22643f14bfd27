//! The files of Debian's packages that images hold, from where `scripts/setup` has unpacked them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::layer::Layer;
use crate::program::Needs;
use crate::read;
use crate::sbom::Component;

/// Unpacked packages.
#[derive(Debug)]
pub struct Debian {
    folder: PathBuf,
    arch: Arch,
}

impl Debian {
    /// Those in this folder: `root/` with their files, `packages` with a line for each.
    #[must_use]
    pub fn new(folder: &Path, arch: Arch) -> Self {
        Self {
            folder: folder.to_owned(),
            arch,
        }
    }

    /// Adds the loader and all libraries that these programs need, and those that these need.
    ///
    /// # Errors
    /// When one is in none of the packages.
    pub fn add_libraries(&self, mut layer: Layer, programs: &[&[u8]]) -> Result<Layer, String> {
        let mut wanted = Vec::new();
        for program in programs {
            let needs = Needs::of(program, self.arch).map_err(|why| format!("a program {why}"))?;
            wanted.extend(needs.libraries);
            if let Some(loader) = needs.loader {
                let name = loader.rsplit('/').next().unwrap_or_default();
                layer = layer.program(loader.trim_start_matches('/'), self.library(name)?);
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            // The C library names its loader, which is there under its own path.
            if name.starts_with("ld-linux") || !seen.insert(name.clone()) {
                continue;
            }
            let content = self.library(&name)?;
            let needs = Needs::of(&content, self.arch).map_err(|why| format!("{name} {why}"))?;
            wanted.extend(needs.libraries);
            layer = layer.program(
                &format!("lib/{}/{name}", self.arch.library_folder()),
                content,
            );
        }
        Ok(layer)
    }

    fn library(&self, name: &str) -> Result<Vec<u8>, String> {
        // Debian 13 has moved what was in /lib.
        let places = ["lib", "usr/lib"].map(|place| {
            (self
                .folder
                .join("root")
                .join(place)
                .join(self.arch.library_folder()))
            .join(name)
        });
        let place = places.iter().find(|place| place.exists()).ok_or_else(|| {
            format!(
                "{name} is in none of the packages under {}: add its package to setup_debian in scripts/setup",
                self.folder.display()
            )
        })?;
        read(place)
    }

    /// All authorities that Debian trusts, in one file, sorted by their files' names.
    ///
    /// # Errors
    /// When there is none.
    pub fn authorities(&self) -> Result<Vec<u8>, String> {
        let folder = self.folder.join("root/usr/share/ca-certificates/mozilla");
        let unreadable = |error| format!("cannot read {}: {error}", folder.display());
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .and_then(|entries| entries.map(|entry| entry.map(|it| it.path())).collect())
            .map_err(unreadable)?;
        files.sort();
        let mut bundle = Vec::new();
        for file in files {
            bundle.extend(read(&file)?);
            if !bundle.ends_with(b"\n") {
                bundle.push(b'\n');
            }
        }
        if bundle.is_empty() {
            return Err(format!("{} holds no certificate", folder.display()));
        }
        Ok(bundle)
    }

    /// Adds the licences of these packages.
    ///
    /// # Errors
    /// When one is not there.
    pub fn add_licences(&self, mut layer: Layer, packages: &[&str]) -> Result<Layer, String> {
        for package in packages {
            // Packages of one source share the file by a link from folder to folder.
            let path = format!("usr/share/doc/{package}/copyright");
            layer = layer.file(&path, read(&self.folder.join("root").join(&path))?);
        }
        Ok(layer)
    }

    /// These packages, with their versions.
    ///
    /// # Errors
    /// When one is not there.
    pub fn components(&self, packages: &[&str]) -> Result<Vec<Component>, String> {
        let list = self.folder.join("packages");
        let lines = String::from_utf8_lossy(&read(&list)?).into_owned();
        packages
            .iter()
            .map(|package| {
                let fields = lines.lines().find_map(|line| {
                    let mut fields = line.split(' ');
                    let system = fields.next()?;
                    (fields.next()? == *package).then_some((system, fields.next()?))
                });
                let (system, version) =
                    fields.ok_or_else(|| format!("{} does not name {package}", list.display()))?;
                Ok(Component {
                    kind: "library",
                    name: (*package).to_owned(),
                    version: version.to_owned(),
                    purl: Some(format!(
                        "pkg:deb/{system}/{package}@{}?arch={}",
                        // As the specification of package URLs asks.
                        version.replace('+', "%2B").replace(':', "%3A"),
                        self.arch.name()
                    )),
                    licence: None,
                    sha256: None,
                })
            })
            .collect()
    }
}
