//! The files of Debian's packages that images hold, from where `scripts/setup` has unpacked them.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Those in this folder: `root/` with their files, `control/` with what each says of itself.
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
        // By name: what each offers, and what others want of it.
        let mut offers = BTreeMap::new();
        let mut versions = BTreeSet::new();
        for program in programs {
            let needs = Needs::of(program, self.arch).map_err(|why| format!("a program {why}"))?;
            wanted.extend(needs.libraries);
            versions.extend(needs.versions);
            if let Some(loader) = needs.loader {
                let name = loader.rsplit('/').next().unwrap_or_default();
                let content = self.library(name)?;
                let needs =
                    Needs::of(&content, self.arch).map_err(|why| format!("{name} {why}"))?;
                offers.insert(name.to_owned(), needs.offers);
                layer = layer.program(loader.trim_start_matches('/'), content);
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
            versions.extend(needs.versions);
            offers.insert(name.clone(), needs.offers);
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
                "{name} is in none of the packages under {}: add its package to debian_files in scripts/setup",
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

    /// Adds what is known of these packages: their licences, and where scanners look for names and
    /// versions, in the manner of Google's distroless images.
    ///
    /// # Errors
    /// When something is not there.
    pub fn add_records(&self, mut layer: Layer, packages: &[&str]) -> Result<Layer, String> {
        const LICENCES: &str = "/usr/share/common-licenses/";
        layer = layer.file("etc/os-release", self.file("usr/lib/os-release")?);
        for package in packages {
            let control = read(&self.folder.join("control").join(package))?;
            layer = layer.file(&format!("var/lib/dpkg/status.d/{package}"), control);
            // Packages of one source share the file by a link from folder to folder.
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

    /// These packages, with their versions.
    ///
    /// # Errors
    /// When one is not there.
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
            // `gcc-12 (12.2.0-14)`, where it differs from the package's name and version.
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

/// What stands behind this name in lines of `name: value` or `name=value`.
fn field<'a>(lines: &'a str, name: &str, separator: char) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(separator);
    lines.lines().find_map(value).map(str::trim)
}

/// As the specification of package URLs asks for versions.
fn percent_encoded(version: &str) -> String {
    let version = version.replace('+', "%2B").replace(':', "%3A");
    version.replace('@', "%40")
}
