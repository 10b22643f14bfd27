//! `images`: see [`entra_auth_images`]. `make images` runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use entra_auth_images::arch::Arch;
use entra_auth_images::build::{BuildInputs, BuiltArchive};
use entra_auth_images::debian::Debian;
use entra_auth_images::name;
use entra_auth_images::origin::Origin;
use serde_json::json;

/// Writes the container images and the Wasm module's OCI artifacts, and prints their digests.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The architecture of the programs.
    #[arg(long)]
    arch: Arch,
    /// The folder of our programs.
    #[arg(long, default_value = "dist")]
    programs: PathBuf,
    /// The Wasm module.
    #[arg(long, default_value = "dist/entra_auth_filter.wasm")]
    module: PathBuf,
    /// Envoy's binary.
    #[arg(long)]
    envoy: PathBuf,
    /// Envoy's version.
    #[arg(long)]
    envoy_version: String,
    /// The expected SHA-256 hash of Envoy's binary.
    #[arg(long)]
    envoy_sha256: String,
    /// The folder where `scripts/setup` has unpacked Debian's packages.
    #[arg(long)]
    debian: PathBuf,
    /// Our licence.
    #[arg(long, default_value = "LICENSE")]
    licence: PathBuf,
    /// The registry and the path before the images' names; registry.example.com/entra-auth if empty.
    #[arg(long, env = "IMAGE_REPOSITORY", default_value = "", value_parser = name::repository)]
    repository: String,
    /// The tag; the release if empty.
    #[arg(long, env = "IMAGE_TAG", default_value = "", value_parser = name::tag)]
    tag: String,
    /// The folder to write to.
    #[arg(long, default_value = "dist/images")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("images: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let inputs = BuildInputs {
        debian: Debian::new(&arguments.debian, arguments.arch),
        arch: arguments.arch,
        programs: arguments.programs,
        module: arguments.module,
        envoy: arguments.envoy,
        envoy_version: arguments.envoy_version,
        envoy_sha256: arguments.envoy_sha256,
        licence: arguments.licence,
        repository: arguments.repository,
        tag: arguments.tag,
        origin: Origin::detect(Path::new("."))?,
    };
    let [image, artifact] = inputs.modules()?;
    let all = [inputs.proxy()?, inputs.sidecar()?, image, artifact];
    let write = |name: &str, content: &[u8]| {
        let path = arguments.out.join(name);
        fs::create_dir_all(&arguments.out)
            .and_then(|()| fs::write(&path, content))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let mut digests = BTreeMap::new();
    for BuiltArchive {
        file,
        archive,
        bill,
    } in &all
    {
        let tar = (archive.tar()).map_err(|error| format!("cannot write {file}: {error}"))?;
        write(&format!("{file}.tar"), &tar)?;
        write(&format!("{file}.cdx.json"), bill)?;
        println!(
            "{}  {}@{}",
            arguments.out.join(file).with_extension("tar").display(),
            archive.reference(),
            archive.digest()
        );
        let entry = json!({
            "reference": archive.reference(),
            "digest": archive.digest(),
            "sha256": archive.sha256(),
        });
        digests.insert(format!("{file}.tar"), entry);
    }
    let [.., image, artifact] = &all;
    println!(
        "`sha256` in a WasmPlugin: {}, or, if the artifact is pushed: {}",
        image.archive.sha256(),
        artifact.archive.sha256()
    );
    let name = format!("digests-{}.json", inputs.arch.name());
    write(&name, format!("{:#}\n", json!(digests)).as_bytes())
}
