//! The files of Debian packages in the images. `scripts/setup` unpacks the packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::files::read;
use crate::layer::Layer;
use crate::program::Linkage;
use crate::sbom::Component;

/// Unpacked packages.
#[derive(Debug)]
pub struct Debian {
    folder: PathBuf,
    arch: Arch,
}

impl Debian {
    /// The packages in this folder: `root/` has their files, `control/` their control files.
    #[must_use]
    pub fn new(folder: &Path, arch: Arch) -> Self {
        Self {
            folder: folder.to_owned(),
            arch,
        }
    }

    /// Adds the loader and all libraries that these programs need, directly or indirectly.
    ///
    /// # Errors
    /// If a library is in none of the packages or has not the required version.
    pub fn add_libraries(&self, mut layer: Layer, programs: &[&[u8]]) -> Result<Layer, String> {
        let mut wanted = Vec::new();
        // The symbol versions that each library provides, and those that are required.
        let mut offers = BTreeMap::new();
        let mut versions = BTreeSet::new();
        for program in programs {
            let linkage =
                Linkage::of(program, self.arch).map_err(|why| format!("a program {why}"))?;
            wanted.extend(linkage.libraries);
            versions.extend(linkage.required_versions);
            if let Some(loader) = linkage.loader {
                let name = loader.rsplit('/').next().unwrap_or_default();
                let content = self.library(name)?;
                let linkage =
                    Linkage::of(&content, self.arch).map_err(|why| format!("{name} {why}"))?;
                offers.insert(name.to_owned(), linkage.provided_versions);
                layer = layer.program(loader.trim_start_matches('/'), content);
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            // The C library depends on the loader, which was added above under another path.
            if name.starts_with("ld-linux") || !seen.insert(name.clone()) {
                continue;
            }
            let content = self.library(&name)?;
            let linkage =
                Linkage::of(&content, self.arch).map_err(|why| format!("{name} {why}"))?;
            wanted.extend(linkage.libraries);
            versions.extend(linkage.required_versions);
            offers.insert(name.clone(), linkage.provided_versions);
            layer = layer.program(
                &format!("lib/{}/{name}", self.arch.library_folder()),
                content,
            );
        }
        for (library, version) in &versions {
            if !(offers.get(library)).is_some_and(|offers| offers.contains(version)) {
                return Err(format!(
                    "a program wants {version}, which the {library} under {} does not have: it was built with a newer one: remove .tools/debian, or build on this release of Debian",
                    self.folder.display()
                ));
            }
        }
        Ok(layer)
    }

    fn library(&self, name: &str) -> Result<Vec<u8>, String> {
        // Debian 13 has moved the libraries from /lib to /usr/lib.
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
                "{name} is in none of the packages under {}: add its package to debian_files in scripts/setup",
                self.folder.display()
            )
        })?;
        read(place)
    }

    /// All CA certificates that Debian trusts, in one file, sorted by file name.
    ///
    /// # Errors
    /// If there are none.
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

    /// Adds the records of these packages: their licences, and the control files from which scanners
    /// read names and versions, as in Google's distroless images.
    ///
    /// # Errors
    /// If a file is missing.
    pub fn add_records(&self, mut layer: Layer, packages: &[&str]) -> Result<Layer, String> {
        const LICENCES: &str = "/usr/share/common-licenses/";
        layer = layer.file("etc/os-release", self.file("usr/lib/os-release")?);
        for package in packages {
            let control = read(&self.folder.join("control").join(package))?;
            layer = layer.file(&format!("var/lib/dpkg/status.d/{package}"), control);
            // In packages of the same source the folder may be a symbolic link.
            let path = format!("usr/share/doc/{package}/copyright");
            let copyright = self.file(&path)?;
            for rest in String::from_utf8_lossy(&copyright).split(LICENCES).skip(1) {
                let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && !"-.".contains(it));
                let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                let path = format!("{}{name}", &LICENCES[1..]);
                layer = layer.file(&path, self.file(&path)?);
            }
            layer = layer.file(&path, copyright);
        }
        Ok(layer)
    }

    /// These packages as components of a bill of materials.
    ///
    /// # Errors
    /// If a package is missing.
    pub fn components(&self, packages: &[&str]) -> Result<Vec<Component>, String> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let system = text(self.file("usr/lib/os-release")?);
        let system = |name| {
            field(&system, name, '=')
                .unwrap_or_default()
                .trim_matches('"')
        };
        let (id, release) = (system("ID"), system("VERSION_ID"));
        let component = |package: &&str| {
            let path = self.folder.join("control").join(package);
            let control = text(read(&path)?);
            let version = field(&control, "Version", ':')
                .ok_or_else(|| format!("{} names no version", path.display()))?;
            // `gcc-12 (12.2.0-14)`; present if it differs from the package's name or version.
            let source = field(&control, "Source", ':').unwrap_or(package);
            let source = source.replace(" (", "@").replace(')', "");
            let (arch, source) = (self.arch.name(), percent_encoded(&source));
            let purl = format!(
                "pkg:deb/{id}/{package}@{}?arch={arch}&distro={id}-{release}&upstream={source}",
                percent_encoded(version)
            );
            Ok(Component {
                kind: "library",
                name: (*package).to_owned(),
                version: version.to_owned(),
                purl: Some(purl),
                ..Component::default()
            })
        };
        packages.iter().map(component).collect()
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        read(&self.folder.join("root").join(path))
    }
}

/// The value of a name in lines of `name: value` or `name=value`.
fn field<'a>(lines: &'a str, name: &str, separator: char) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(separator);
    lines.lines().find_map(value).map(str::trim)
}

/// Encodes a version for a package URL.
fn percent_encoded(version: &str) -> String {
    let version = version.replace('+', "%2B").replace(':', "%3A");
    version.replace('@', "%40")
}
