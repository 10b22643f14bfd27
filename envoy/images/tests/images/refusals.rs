//! Inputs that are refused.

use std::fs;

use entra_auth_images::arch::Arch;
use entra_auth_images::archive::hash;

use crate::fixture::{LIBRARY_FOLDERS, fixture, inputs, this_arch, write};

#[test]
fn a_program_for_another_machine_is_refused() {
    let other = match this_arch() {
        Arch::Amd64 => Arch::Arm64,
        Arch::Arm64 => Arch::Amd64,
    };
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let why = inputs(&fixture, other).sidecar().unwrap_err();
    assert!(
        why.contains(&format!("is not for {}", other.name())),
        "{why}"
    );
}

#[test]
fn a_missing_library_is_reported_with_what_to_do() {
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let folder = format!("debian/root/lib/{}/libc.so.6", this_arch().library_folder());
    fs::remove_file(fixture.path().join(folder)).expect("removed");
    let why = inputs(&fixture, this_arch()).proxy().unwrap_err();
    assert!(
        why.contains("libc.so.6 is in none of the packages"),
        "{why}"
    );
    assert!(why.contains("scripts/setup"), "{why}");
}

#[test]
fn a_program_with_paths_of_crates_is_refused() {
    for (file, image) in [("dist/token-sidecar", "sidecar"), ("module", "modules")] {
        let fixture = fixture(LIBRARY_FOLDERS[0], false);
        let path = fixture.path().join(file);
        let mut content = fs::read(&path).expect("a file");
        content.extend(b"/home/me/.cargo/registry/src/index.crates.io-1/http-1.0.0/src/lib.rs");
        write(&path, &content);
        let inputs = inputs(&fixture, this_arch());
        let why = match image {
            "sidecar" => inputs.sidecar().map(drop),
            _ => inputs.modules().map(drop),
        };
        let why = why.unwrap_err();
        assert!(why.contains(file) && why.contains("make build"), "{why}");
    }
}

#[test]
fn an_envoy_with_another_hash_is_refused() {
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let mut inputs = inputs(&fixture, this_arch());
    inputs.envoy_sha256 = hash(b"another");
    let why = inputs.proxy().unwrap_err();
    assert!(
        why.contains(&hash(b"another")) && why.contains("scripts/tools.env"),
        "{why}"
    );
}

#[test]
fn a_program_that_was_built_with_a_newer_c_library_is_refused() {
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let path = fixture.path().join("dist/token-sidecar");
    let mut content = fs::read(&path).expect("a program");
    // The table of its names says so once, for all symbols of that version.
    let (old, new) = (b"\0GLIBC_2.34\0", b"\0GLIBC_9.99\0");
    let at = (content.windows(old.len()).position(|it| it == old)).expect("a version");
    content[at..at + new.len()].copy_from_slice(new);
    write(&path, &content);
    let why = inputs(&fixture, this_arch()).sidecar().unwrap_err();
    assert!(
        why.contains("wants GLIBC_9.99") && why.contains("libc.so.6"),
        "{why}"
    );
}
