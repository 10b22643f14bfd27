//! The Docker engine, by its own client: what testcontainers has no word for.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{self, Command};
use std::sync::LazyLock;

use e2e::tools::repository;
use serde_json::Value;

/// Runs the client, and gives what it printed.
///
/// # Errors
/// When it fails; with what it said.
pub fn docker(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run docker: {error}: run `make test-images`"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    // Why a program could not be run in a container is told on either.
    let why = [output.stderr, output.stdout].concat();
    let why = String::from_utf8_lossy(&why).into_owned();
    Err(format!("docker {}: {}", arguments.join(" "), why.trim()))
}

/// A volume that goes with this value. Make it before the containers that use it: they end first.
#[derive(Debug)]
pub struct Volume(String);

impl Volume {
    /// With nothing in it, and of this run: what an earlier one has left is another one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", process::id());
        Self(ask(&["volume", "create", &name]))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Err(why) = docker(&["volume", "rm", "--force", &self.0]) {
            eprintln!("{why}");
        }
    }
}

/// The same, as text without the line's end.
///
/// # Panics
/// When it fails.
#[must_use]
#[track_caller]
pub fn ask(arguments: &[&str]) -> String {
    let printed = docker(arguments).unwrap_or_else(|why| panic!("{why}"));
    String::from_utf8_lossy(&printed).trim().to_owned()
}

/// The name and the tag of each image by its short name: loaded once, as `make images` has written
/// them and says that they are called.
pub(crate) static IMAGES: LazyLock<BTreeMap<&str, (String, String)>> = LazyLock::new(|| {
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let folder = repository().join("dist/images");
    let list = folder.join(format!("digests-{arch}.json"));
    let list = fs::read(&list)
        .unwrap_or_else(|why| panic!("{}: {why}: run `make images`", list.display()));
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    let load = |image| {
        let file = format!("{image}-{arch}.tar");
        let reference = list[&file]["reference"].as_str().expect("a reference");
        let printed = ask(&["load", "--input", &folder.join(&file).to_string_lossy()]);
        assert!(
            printed.contains(reference),
            "docker load: {printed}, and not {reference}"
        );
        let (name, tag) = reference.rsplit_once(':').expect("a tag");
        (image, (name.to_owned(), tag.to_owned()))
    };
    ["proxy", "token-sidecar"].map(load).into()
});

/// Where containers reach this machine: the gateway of Docker's default network. Docker 20.10 does
/// not name that of a network which it has just made: it is the first address there.
pub(crate) static GATEWAY: LazyLock<Ipv4Addr> = LazyLock::new(|| {
    let format = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}";
    let network = ask(&["network", "inspect", "bridge", "--format", format]);
    let addresses: Vec<Ipv4Addr> = (network.split([' ', '/']))
        .filter_map(|it| it.parse().ok())
        .collect();
    let gateway = match *addresses {
        [gateway, _] => gateway,
        [subnet] => Ipv4Addr::from_bits(subnet.to_bits() + 1),
        _ => panic!("Docker's default network has gateway and subnet {network:?}"),
    };
    // Not where the engine has a network or a machine of its own.
    if let Err(why) = TcpListener::bind((gateway, 0)) {
        panic!(
            "containers reach this machine at {gateway}, which is no address of it ({why}): these \
             tests want an engine that runs on this machine itself, and not rootless: name it by \
             DOCKER_HOST, or be root where none answers"
        );
    }
    gateway
});
