//! The archives, and what is in the images.

use std::collections::BTreeSet;
use std::fs;

use entra_auth_images::archive::{digest, hash};
use entra_auth_images::build::MODULE;
use entra_auth_images::module::{CONTENT, RUNTIME};
use entra_auth_images::program::Linkage;

use crate::fixture::{
    LIBRARY_FOLDERS, MODULE_CONTENT, PROGRAM, fixture, layout, made, this_arch, write,
};
use crate::unpack::{File, files, gunzip};

#[test]
fn the_output_depends_neither_on_time_nor_on_the_order_of_files() {
    // The library folders of Debian 12 and 13 give the same output, too.
    let [old, new] = LIBRARY_FOLDERS;
    let once = made(&fixture(old, false));
    let again = made(&fixture(new, true));
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
    let fixture = fixture(LIBRARY_FOLDERS[0], false);
    let before = made(&fixture);
    write(&fixture.path().join("module"), b"\0asm\x01\0\0\0\0");
    let after = made(&fixture);
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
fn every_descriptor_refers_to_a_blob_with_its_digest() {
    for made in made(&fixture(LIBRARY_FOLDERS[0], false)) {
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
    let made = made(&fixture(LIBRARY_FOLDERS[0], false));
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
    for made in &made(&fixture(LIBRARY_FOLDERS[0], false))[..2] {
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
            // The user can write to these folders only.
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
fn direct_and_indirect_libraries_are_included() {
    let program = fs::read(PROGRAM).expect("a program");
    let linkage = Linkage::of(&program, this_arch()).expect("a program");
    assert!(linkage.libraries.contains("libc.so.6"), "{linkage:?}");
    for made in &made(&fixture(LIBRARY_FOLDERS[1], false))[..2] {
        let files = layout(&made.archive).root();
        let loader = linkage.loader.as_deref().expect("a loader");
        assert!(
            files.contains_key(loader.trim_start_matches('/')),
            "{loader}"
        );
        for name in &linkage.libraries {
            let path = format!("lib/{}/{name}", this_arch().library_folder());
            let there = files.contains_key(&path) || name.starts_with("ld-linux");
            assert!(there, "{path} is not in {:?}", files.keys());
        }
    }
}

#[test]
fn the_proxy_image_has_debians_ca_certificates_and_the_module() {
    let proxy = &made(&fixture(LIBRARY_FOLDERS[0], false))[0];
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
    let made = made(&fixture(LIBRARY_FOLDERS[0], false));
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
