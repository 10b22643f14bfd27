//! The files that `make images` writes, made here from a small program of this system as everything
//! that runs, and from the libraries that this test has loaded itself.
#![cfg(target_os = "linux")]

mod unpack;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use entra_auth_images::arch::Arch;
use entra_auth_images::archive::{Archive, digest, hash};
use entra_auth_images::debian::Debian;
use entra_auth_images::module::{CONTENT, RUNTIME};
use entra_auth_images::origin::Origin;
use entra_auth_images::program::{Needs, compilers};
use entra_auth_images::recipe::{BILL, Ingredients, MODULE, Made, NOTICES, VERSION};
use serde_json::Value;
use tempfile::TempDir;
use unpack::{File, Layout, files, gunzip};

const MODULE_CONTENT: &[u8] = b"\0asm\x01\0\0\0";
const LIBRARY_FOLDERS: [&str; 2] = ["lib", "usr/lib"];

fn this_arch() -> Arch {
    if cfg!(target_arch = "aarch64") {
        Arch::Arm64
    } else {
        Arch::Amd64
    }
}

/// It needs the C library, and nothing else.
const PROGRAM: &str = "/bin/true";

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

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// A folder with everything that images are made from, written in one order or the other.
fn kitchen(library_folder: &str, backwards: bool) -> TempDir {
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

fn ingredients(kitchen: &TempDir, arch: Arch) -> Ingredients {
    let at = |path: &str| kitchen.path().join(path);
    Ingredients {
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

fn made(kitchen: &TempDir) -> Vec<Made> {
    let ingredients = ingredients(kitchen, this_arch());
    let [image, artifact] = ingredients.modules().expect("the module");
    let proxy = ingredients.proxy().expect("the proxy's image");
    let sidecar = ingredients.sidecar().expect("the sidecar's image");
    vec![proxy, sidecar, image, artifact]
}

fn layout(archive: &Archive) -> Layout {
    Layout::read(&archive.tar().expect("a tar"))
}

#[test]
fn the_same_files_give_the_same_bytes_whenever_and_in_whichever_order_they_were_written() {
    // Where Debian 12 and 13 have libraries, which changes nothing either.
    let [old, new] = LIBRARY_FOLDERS;
    let once = made(&kitchen(old, false));
    let again = made(&kitchen(new, true));
    for (once, again) in once.iter().zip(&again) {
        assert_eq!(
            once.archive.digest(),
            again.archive.digest(),
            "{}",
            once.file
        );
        let tars = [&once.archive, &again.archive].map(|archive| archive.tar().expect("a tar"));
        assert!(tars[0] == tars[1], "{}", once.file);
        assert!(once.bill == again.bill, "{}", once.file);
    }
}

#[test]
fn another_file_gives_another_digest() {
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let before = made(&kitchen);
    write(&kitchen.path().join("module"), b"\0asm\x01\0\0\0\0");
    let after = made(&kitchen);
    for (before, after) in before.iter().zip(&after) {
        let same = before.archive.digest() == after.archive.digest();
        assert_eq!(
            same,
            before.file.starts_with("token-sidecar"),
            "{}",
            before.file
        );
    }
}

#[test]
fn every_blob_is_what_its_digest_says_and_nothing_is_named_that_is_not_there() {
    for made in made(&kitchen(LIBRARY_FOLDERS[0], false)) {
        let layout = layout(&made.archive);
        assert_eq!(layout.json("oci-layout")["imageLayoutVersion"], "1.0.0");
        let named = layout.descriptors();
        for descriptor in &named {
            let blob = layout.blob(descriptor);
            assert_eq!(descriptor["digest"], digest(blob));
            assert_eq!(descriptor["size"], blob.len());
        }
        let names: BTreeSet<_> = named.iter().map(|it| it["digest"].to_string()).collect();
        let blobs = layout
            .files
            .keys()
            .filter(|path| path.starts_with("blobs/sha256/"));
        assert_eq!(names.len(), blobs.count(), "{}", made.file);
    }
}

#[test]
fn docker_finds_the_configuration_and_as_many_layers_as_it_names() {
    let made = made(&kitchen(LIBRARY_FOLDERS[0], false));
    for (made, name) in made.iter().zip(["proxy", "token-sidecar"]) {
        let layout = layout(&made.archive);
        let docker = &layout.json("manifest.json")[0];
        let reference = format!("registry.example.com/entra-auth/{name}:a-tag");
        assert_eq!(docker["RepoTags"], serde_json::json!([reference]));
        let config = layout.json(docker["Config"].as_str().expect("a path"));
        let hashes: Vec<String> = (docker["Layers"].as_array().expect("layers").iter())
            .map(|path| {
                digest(&gunzip(
                    &layout.files[path.as_str().expect("a path")].content,
                ))
            })
            .collect();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!(hashes));
        assert_eq!(
            config["history"].as_array().expect("a history").len(),
            hashes.len()
        );
    }
}

#[test]
fn containers_run_as_a_numeric_user_and_hold_no_shell_and_no_setuid_file() {
    for made in &made(&kitchen(LIBRARY_FOLDERS[0], false))[..2] {
        let layout = layout(&made.archive);
        let config = layout.config();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["architecture"], this_arch().name());
        let program = config["config"]["Entrypoint"][0]
            .as_str()
            .expect("a program");
        let files = layout.root();
        assert_eq!(files[program.trim_start_matches('/')].mode, 0o755);
        for (path, File { mode, owner, .. }) in &files {
            assert_eq!(mode & 0o6000, 0, "{path}");
            // Whoever runs as this user can change none but these.
            let writable = ["tmp", "run/entra-auth"].contains(&path.as_str());
            assert_eq!(mode & 0o002 != 0 || *owner != 0, writable, "{path}");
        }
        let programs: BTreeSet<&str> = (files.iter())
            .filter(|(path, file)| {
                !file.directory && file.mode & 0o111 != 0 && !path.contains(".so")
            })
            .map(|(path, _)| path.as_str())
            .collect();
        let known =
            ["entra-auth-envoy", "envoy", "token-sidecar"].map(|it| format!("usr/local/bin/{it}"));
        assert!(
            programs
                .iter()
                .all(|path| known.iter().any(|it| it == path)),
            "{programs:?}"
        );
    }
}

#[test]
fn what_a_program_needs_is_there_and_what_that_needs_too() {
    let program = fs::read(PROGRAM).expect("a program");
    let needs = Needs::of(&program, this_arch()).expect("a program");
    assert!(needs.libraries.contains("libc.so.6"), "{needs:?}");
    for made in &made(&kitchen(LIBRARY_FOLDERS[1], false))[..2] {
        let files = layout(&made.archive).root();
        let loader = needs.loader.as_deref().expect("a loader");
        assert!(
            files.contains_key(loader.trim_start_matches('/')),
            "{loader}"
        );
        for name in &needs.libraries {
            let path = format!("lib/{}/{name}", this_arch().library_folder());
            let there = files.contains_key(&path) || name.starts_with("ld-linux");
            assert!(there, "{path} is not in {:?}", files.keys());
        }
    }
}

#[test]
fn the_proxy_trusts_debians_authorities_and_finds_its_module() {
    let proxy = &made(&kitchen(LIBRARY_FOLDERS[0], false))[0];
    let layout = layout(&proxy.archive);
    let files = layout.root();
    assert_eq!(
        files["etc/ssl/certs/ca-certificates.crt"].content,
        b"first\nsecond\n"
    );
    assert_eq!(files[MODULE].content, MODULE_CONTENT);
    let environment = layout.config()["config"]["Env"].to_string();
    assert!(
        environment.contains(&format!("ENTRA_AUTH_MODULE=/{MODULE}")),
        "{environment}"
    );
}

#[test]
fn istio_finds_the_module_in_both_forms() {
    let made = made(&kitchen(LIBRARY_FOLDERS[0], false));
    // `extractOCIStandardImage`: the last layer, of this media type, holds plugin.wasm at its root.
    let image = layout(&made[2].archive);
    let manifest = image.manifest();
    let last = manifest["layers"]
        .as_array()
        .and_then(|it| it.last())
        .expect("a layer");
    assert_eq!(
        last["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let inside = files(&gunzip(image.blob(last)));
    assert_eq!(inside["plugin.wasm"].content, MODULE_CONTENT);

    // `extractOCIArtifactImage`: two layers, and the one of this media type is the module itself.
    let artifact = layout(&made[3].archive);
    let manifest = artifact.manifest();
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 2);
    assert_eq!(layers[0]["mediaType"], RUNTIME);
    assert_eq!(layers[1]["mediaType"], CONTENT);
    assert_eq!(artifact.blob(&layers[1]), MODULE_CONTENT);

    // Whichever is pushed first keeps its tag, and what the agent compares is the manifest's hash.
    let references = [&made[2], &made[3]].map(|it| it.archive.reference());
    let name = "registry.example.com/entra-auth/filter";
    assert_eq!(
        references,
        [format!("{name}:a-tag"), format!("{name}:a-tag-oci")]
    );
    for (made, layout) in made[2..].iter().zip([&image, &artifact]) {
        let manifest = layout.blob(&layout.manifest_descriptor());
        assert_eq!(made.archive.sha256(), hash(manifest));
    }
}

#[test]
fn the_labels_and_the_bill_of_materials_say_what_it_was_made_from() {
    let made = made(&kitchen(LIBRARY_FOLDERS[0], false));
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
    // Not in it: ours, which no registry has, and what only builds or tests it.
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
fn a_program_for_another_machine_is_refused() {
    let other = match this_arch() {
        Arch::Amd64 => Arch::Arm64,
        Arch::Arm64 => Arch::Amd64,
    };
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let why = ingredients(&kitchen, other).sidecar().unwrap_err();
    assert!(
        why.contains(&format!("is not for {}", other.name())),
        "{why}"
    );
}

#[test]
fn a_library_that_no_package_has_is_named_with_what_to_do() {
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let folder = format!("debian/root/lib/{}/libc.so.6", this_arch().library_folder());
    fs::remove_file(kitchen.path().join(folder)).expect("removed");
    let why = ingredients(&kitchen, this_arch()).proxy().unwrap_err();
    assert!(
        why.contains("libc.so.6 is in none of the packages"),
        "{why}"
    );
    assert!(why.contains("scripts/setup"), "{why}");
}

#[test]
fn the_bill_of_materials_has_a_number_of_its_own_and_says_who_wrote_it() {
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let mut numbers = BTreeSet::new();
    for made in &made(&kitchen)[..3] {
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
fn scanners_find_the_system_and_its_packages_and_each_licence_that_is_named_is_there() {
    for made in &made(&kitchen(LIBRARY_FOLDERS[0], false))[..2] {
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
    let files = layout(&made(&kitchen(LIBRARY_FOLDERS[0], false))[2].archive).root();
    let notices = String::from_utf8_lossy(&files[NOTICES].content).into_owned();
    assert!(notices.contains("\nproxy-wasm 0."), "{notices:.200}");
    assert!(!notices.contains("\ntokio 1."), "{notices:.200}");
}

#[test]
fn the_compilers_of_a_program_are_what_it_says_of_itself() {
    let this = fs::read(std::env::current_exe().expect("a path")).expect("a program");
    let names = compilers(&this);
    let has = |name: &str| names.iter().any(|it| it.contains(name));
    // Rust's, and the one that made the C library's part of the program.
    assert!(has("rustc version") && has("GCC: "), "{names:?}");
    assert!(compilers(MODULE_CONTENT).is_empty());
}

#[test]
fn a_program_that_names_the_folder_of_crates_on_this_machine_is_refused() {
    for (file, image) in [("dist/token-sidecar", "sidecar"), ("module", "modules")] {
        let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
        let path = kitchen.path().join(file);
        let mut content = fs::read(&path).expect("a file");
        content.extend(b"/home/me/.cargo/registry/src/index.crates.io-1/http-1.0.0/src/lib.rs");
        write(&path, &content);
        let ingredients = ingredients(&kitchen, this_arch());
        let why = match image {
            "sidecar" => ingredients.sidecar().map(drop),
            _ => ingredients.modules().map(drop),
        };
        let why = why.unwrap_err();
        assert!(why.contains(file) && why.contains("make build"), "{why}");
    }
}

#[test]
fn an_envoy_with_another_hash_is_refused() {
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let mut ingredients = ingredients(&kitchen, this_arch());
    ingredients.envoy_sha256 = hash(b"another");
    let why = ingredients.proxy().unwrap_err();
    assert!(
        why.contains(&hash(b"another")) && why.contains("scripts/tools.env"),
        "{why}"
    );
}

#[test]
fn a_program_that_was_built_with_a_newer_c_library_is_refused() {
    let kitchen = kitchen(LIBRARY_FOLDERS[0], false);
    let path = kitchen.path().join("dist/token-sidecar");
    let mut content = fs::read(&path).expect("a program");
    // The table of its names says so once, for all symbols of that version.
    let (old, new) = (b"\0GLIBC_2.34\0", b"\0GLIBC_9.99\0");
    let at = (content.windows(old.len()).position(|it| it == old)).expect("a version");
    content[at..at + new.len()].copy_from_slice(new);
    write(&path, &content);
    let why = ingredients(&kitchen, this_arch()).sidecar().unwrap_err();
    assert!(
        why.contains("wants GLIBC_9.99") && why.contains("libc.so.6"),
        "{why}"
    );
}

#[test]
fn without_gits_folder_there_is_no_commit_and_where_git_fails_it_is_told() {
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
    // No commit, so it cannot say which.
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
