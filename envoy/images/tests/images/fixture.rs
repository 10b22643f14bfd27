//! Small inputs for images.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use entra_auth_images::arch::Arch;
use entra_auth_images::archive::{Archive, hash};
use entra_auth_images::build::{BuildInputs, BuiltArchive};
use entra_auth_images::debian::Debian;
use entra_auth_images::origin::Origin;
use tempfile::TempDir;

use crate::unpack::Layout;

pub(crate) const MODULE_CONTENT: &[u8] = b"\0asm\x01\0\0\0";
pub(crate) const LIBRARY_FOLDERS: [&str; 2] = ["lib", "usr/lib"];

pub(crate) fn this_arch() -> Arch {
    if cfg!(target_arch = "aarch64") {
        Arch::Arm64
    } else {
        Arch::Amd64
    }
}

/// A program that needs the C library only.
pub(crate) const PROGRAM: &str = "/bin/true";

/// The libraries that this process has loaded: files with the names that the loader asks for.
fn loaded_libraries() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").expect("the memory map");
    (maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5)))
    .filter(|path| path.contains(".so"))
    .map(PathBuf::from)
    .collect()
}

pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// A folder with all inputs, written in one order or its reverse.
pub(crate) fn fixture(library_folder: &str, backwards: bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let program = fs::read(PROGRAM).expect("a program");
    let root = folder.path().join("debian/root");
    let at = |path: &str| folder.path().join(path);
    let mut all = vec![
        (at("dist/entra-auth-envoy"), program.clone()),
        (at("dist/token-sidecar"), program.clone()),
        (at("envoy"), program),
        (at("module"), MODULE_CONTENT.to_vec()),
        (at("LICENSE"), b"a licence".to_vec()),
        (
            root.join("usr/lib/os-release"),
            b"PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n".to_vec(),
        ),
        (
            root.join("usr/share/common-licenses/GPL-2"),
            b"GPL".to_vec(),
        ),
    ];
    for (name, content) in [("B.crt", "second"), ("A.crt", "first\n")] {
        let place = root.join("usr/share/ca-certificates/mozilla").join(name);
        all.push((place, content.into()));
    }
    for (package, fields) in [
        ("base-files", "Version: 12.4+deb12u15"),
        ("ca-certificates", "Version: 20230311"),
        ("libc6", "Source: glibc\nVersion: 2.36-9+deb12u14"),
        (
            "libgcc-s1",
            "Source: gcc-12 (12.2.0-13)\nVersion: 1:12.2.0-14",
        ),
    ] {
        let place = root.join("usr/share/doc").join(package).join("copyright");
        let licence = format!("{package}: see /usr/share/common-licenses/GPL-2.\n");
        all.push((place, licence.into()));
        let control = format!("Package: {package}\n{fields}\n");
        all.push((at("debian/control").join(package), control.into()));
    }
    for library in loaded_libraries() {
        let name = library.file_name().expect("a name");
        let place = root.join(library_folder).join(this_arch().library_folder());
        all.push((place.join(name), fs::read(&library).expect("a library")));
    }
    if backwards {
        all.reverse();
    }
    for (path, content) in all {
        write(&path, &content);
    }
    folder
}

pub(crate) fn inputs(fixture: &TempDir, arch: Arch) -> BuildInputs {
    let at = |path: &str| fixture.path().join(path);
    BuildInputs {
        arch,
        programs: at("dist"),
        module: at("module"),
        envoy: at("envoy"),
        envoy_version: "1.40.0".to_owned(),
        envoy_sha256: hash(&fs::read(at("envoy")).expect("a program")),
        licence: at("LICENSE"),
        debian: Debian::new(&at("debian"), arch),
        repository: "registry.example.com/entra-auth".to_owned(),
        tag: "a-tag".to_owned(),
        origin: Origin {
            revision: Some("0123abc".to_owned()),
            ..Origin::default()
        },
    }
}

pub(crate) fn made(fixture: &TempDir) -> Vec<BuiltArchive> {
    let inputs = inputs(fixture, this_arch());
    let [image, artifact] = inputs.modules().expect("the module");
    let proxy = inputs.proxy().expect("the proxy's image");
    let sidecar = inputs.sidecar().expect("the sidecar's image");
    vec![proxy, sidecar, image, artifact]
}

pub(crate) fn layout(archive: &Archive) -> Layout {
    Layout::read(&archive.tar().expect("a tar"))
}
