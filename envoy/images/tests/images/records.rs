//! Labels, bills of materials, licences and the commit.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use entra_auth_images::archive::hash;
use entra_auth_images::build::{BILL, NOTICES};
use entra_auth_images::origin::Origin;
use entra_auth_images::origin::VERSION;
use entra_auth_images::program::compilers;
use serde_json::Value;

use crate::fixture::{
    LIBRARY_FOLDERS, MODULE_CONTENT, PROGRAM, fixture, layout, made, this_arch, write,
};

#[test]
fn labels_and_bill_of_materials_describe_the_image() {
    let made = made(&fixture(LIBRARY_FOLDERS[0], false));
    let layout = layout(&made[0].archive);
    let config = layout.config();
    let label =
        |name: &str| &config["config"]["Labels"][format!("org.opencontainers.image.{name}")];
    assert_eq!(label("version"), VERSION);
    assert_eq!(label("revision"), "0123abc");
    assert_eq!(label("created"), "1970-01-01T00:00:00Z");
    assert_eq!(label("licenses"), "Apache-2.0");

    assert_eq!(layout.root()[BILL].content, made[0].bill);
    let bill: Value = serde_json::from_slice(&made[0].bill).expect("JSON");
    let purls: BTreeSet<&str> = (bill["components"].as_array().expect("components").iter())
        .filter_map(|component| component["purl"].as_str())
        .collect();
    for purl in [
        "pkg:github/envoyproxy/envoy@v1.40.0".to_owned(),
        format!(
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch={}&distro=debian-12&upstream=glibc",
            this_arch().name()
        ),
        format!(
            "pkg:deb/debian/libgcc-s1@1%3A12.2.0-14?arch={}&distro=debian-12&upstream=gcc-12%4012.2.0-13",
            this_arch().name()
        ),
        format!(
            "pkg:deb/debian/ca-certificates@20230311?arch={}&distro=debian-12&upstream=ca-certificates",
            this_arch().name()
        ),
    ] {
        assert!(purls.contains(purl.as_str()), "{purl} is not in {purls:?}");
    }
    assert!(
        purls
            .iter()
            .any(|purl| purl.starts_with("pkg:cargo/aws-lc-sys@")),
        "{purls:?}"
    );
    let components = bill["components"].as_array().expect("components");
    let component = |name: &str| components.iter().find(|it| it["name"] == name).expect(name);
    assert_eq!(
        component("envoy")["cpe"],
        "cpe:2.3:a:envoyproxy:envoy:1.40.0:*:*:*:*:*:*:*"
    );
    assert_eq!(component("entra-token-core")["version"], VERSION);
    let file = component("usr/local/bin/entra-auth-envoy");
    assert_eq!(file["version"], VERSION);
    let program = fs::read(PROGRAM).expect("a program");
    assert_eq!(file["hashes"][0]["content"], hash(&program));
    // Our own crates, build dependencies and development dependencies are not listed.
    for name in [
        "entra-auth-envoy",
        "entra-token-core",
        "token-sidecar",
        "serde_derive",
        "tempfile-macros",
        "wat",
        "rcgen",
        "azure-sim",
    ] {
        let prefix = format!("pkg:cargo/{name}@");
        assert!(
            !purls.iter().any(|purl| purl.starts_with(&prefix)),
            "{name}"
        );
    }
}

#[test]
fn the_bill_of_materials_has_a_serial_number_and_names_its_tool() {
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let mut numbers = BTreeSet::new();
    for made in &made(&fixture)[..3] {
        let bill: Value = serde_json::from_slice(&made.bill).expect("JSON");
        let number = bill["serialNumber"].as_str().expect("a number");
        assert_eq!(
            number.len(),
            "urn:uuid:00000000-0000-8000-8000-000000000000".len()
        );
        assert!(numbers.insert(number.to_owned()), "{number}");
        let tool = &bill["metadata"]["tools"]["components"][0];
        assert_eq!(tool["name"], "entra-auth-images");
    }
}

#[test]
fn scanners_find_the_system_its_packages_and_all_licences() {
    for made in &made(&fixture(LIBRARY_FOLDERS[0], false))[..2] {
        let files = layout(&made.archive).root();
        let text = |path: &str| String::from_utf8_lossy(&files[path].content).into_owned();
        assert!(text("etc/os-release").contains("ID=debian"));
        let control = text("var/lib/dpkg/status.d/libc6");
        assert!(control.contains("Version: 2.36-9+deb12u14"), "{control}");
        assert_eq!(text("usr/share/common-licenses/GPL-2"), "GPL");
        let notices = text(NOTICES);
        assert!(notices.contains("\naws-lc-sys 0."), "{notices:.200}");
        assert!(
            notices.contains("Permission is hereby granted"),
            "{notices:.200}"
        );
        assert!(!notices.contains("azure-sim") && !notices.contains("token-sidecar"));
    }
}

#[test]
fn the_modules_image_has_the_licences_of_the_crates_in_it_and_of_no_others() {
    let files = layout(&made(&fixture(LIBRARY_FOLDERS[0], false))[2].archive).root();
    let notices = String::from_utf8_lossy(&files[NOTICES].content).into_owned();
    assert!(notices.contains("\nproxy-wasm 0."), "{notices:.200}");
    assert!(!notices.contains("\ntokio 1."), "{notices:.200}");
}

#[test]
fn compilers_are_read_from_a_program() {
    let this = fs::read(std::env::current_exe().expect("a path")).expect("a program");
    let names = compilers(&this);
    let has = |name: &str| names.iter().any(|it| it.contains(name));
    // rustc, and the compiler of the C runtime.
    assert!(has("rustc version") && has("GCC: "), "{names:?}");
    assert!(compilers(MODULE_CONTENT).is_empty());
}

#[test]
fn without_git_there_is_no_commit_and_a_failure_of_git_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(arguments)
            .output();
        assert!(output.expect("git").status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    // There is no commit.
    let why = Origin::detect(root).unwrap_err();
    assert!(why.contains("git log") && why.contains("commit"), "{why}");
    write(&root.join("file"), b"content");
    git(&["add", "file"]);
    let me = ["-c", "user.name=me", "-c", "user.email=me@example.com"];
    git(&[&me[..], &["commit", "--quiet", "--message", "first"]].concat());
    let clean = Origin::detect(root)
        .expect("a commit")
        .revision
        .expect("its hash");
    assert_eq!(clean.len(), 40, "{clean}");
    write(&root.join("file"), b"other");
    let changed = Origin::detect(root).expect("a commit").revision;
    assert_eq!(changed, Some(format!("{clean}-dirty")));

    // Sources unpacked in another repository.
    let inside = root.join("unpacked");
    fs::create_dir(&inside).expect("a folder");
    assert_eq!(Origin::detect(&inside).expect("none").revision, None);
}
