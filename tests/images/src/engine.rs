//! The Docker engine, by its own client: what testcontainers has no word for.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::LazyLock;

use e2e::tools::repository;

/// The registry and path that `make images` gives the images by default.
pub const REPOSITORY: &str = "registry.example.com/entra-auth";
/// The tag that it gives them.
pub const TAG: &str = env!("CARGO_PKG_VERSION");

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
    /// With nothing in it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(ask(&["volume", "create", name]))
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
    let said = docker(arguments).unwrap_or_else(|why| panic!("{why}"));
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// Loads both images, once, as `make images` has written them.
pub(crate) static LOADED: LazyLock<()> = LazyLock::new(|| {
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    for image in ["proxy", "token-sidecar"] {
        let file = repository().join(format!("dist/images/{image}-{arch}.tar"));
        assert!(
            file.is_file(),
            "{} is missing: run `make images`",
            file.display()
        );
        let said = ask(&["load", "--input", &file.to_string_lossy()]);
        let reference = format!("{REPOSITORY}/{image}:{TAG}");
        assert!(
            said.contains(&reference),
            "docker load: {said}, and not {reference}"
        );
    }
});

/// Where containers reach this machine: the gateway of Docker's default network.
pub(crate) static GATEWAY: LazyLock<Ipv4Addr> = LazyLock::new(|| {
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    let gateway = ask(&["network", "inspect", "bridge", "--format", format]);
    gateway
        .parse()
        .unwrap_or_else(|_| panic!("Docker's default network has the gateway {gateway:?}"))
});
