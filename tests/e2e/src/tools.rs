//! Where the programs are that tests run: what we ship in `dist/`, Envoy and Prometheus 3 in
//! `.tools/bin`, Prometheus 2 and squid on PATH. A missing one is named, with the command that brings it.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Envoy's own binary: the one that we ship with, or what `E2E_ENVOY` names in its place (a path, as
/// seen from the root of the repository).
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn envoy() -> PathBuf {
    let other = env::var_os("E2E_ENVOY").filter(|path| !path.is_empty());
    let path = other.unwrap_or_else(|| ".tools/bin/envoy".into());
    existing(repository().join(path), "make setup")
}

/// The folder of the programs and of the module: `dist/`, or what `E2E_DIST` names in its place (a path, as
/// seen from the root of the repository). The demo has a build of its own, which takes less time.
fn dist() -> PathBuf {
    let other = env::var_os("E2E_DIST").filter(|path| !path.is_empty());
    repository().join(other.unwrap_or_else(|| "dist".into()))
}

/// The launcher as it ships.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn launcher() -> PathBuf {
    existing(dist().join("entra-auth-envoy"), "make build")
}

/// The token-sidecar as it ships.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn token_sidecar() -> PathBuf {
    existing(dist().join("token-sidecar"), "make build")
}

/// The Wasm module as it ships.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn module() -> PathBuf {
    existing(dist().join("entra_auth_filter.wasm"), "make build")
}

/// The Wasm module with a switch that kills its VM: `x-entra-auth-trap: panic` or `unreachable`
/// on a request to a target, or on the answer of a token endpoint.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn trap_module() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let module = Path::new(&target).join("traps/entra_auth_filter.wasm");
    existing(repository().join(module), "make traps")
}

/// Prometheus, from PATH.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn prometheus() -> PathBuf {
    on_path("prometheus", &[])
}

/// Prometheus' tool that checks and tests rules, from PATH.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn promtool() -> PathBuf {
    on_path("promtool", &[])
}

/// Squid, from PATH or where Debian puts it.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn squid() -> PathBuf {
    on_path("squid", &["/usr/sbin"])
}

/// Node.js: the one that `scripts/setup` brings where there is none, or none that is new enough, on PATH.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn node() -> PathBuf {
    let own = repository().join(".tools/bin/node");
    if own.is_file() {
        own
    } else {
        on_path("node", &[])
    }
}

/// Chromium, from PATH.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn chromium() -> PathBuf {
    on_path("chromium", &[])
}

fn on_path(program: &str, more: &[&str]) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(more.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{program} is missing on PATH: run `make setup`"))
}

/// Prometheus 3.x.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn prometheus3() -> PathBuf {
    existing(
        repository().join(".tools/bin/prometheus3"),
        "scripts/setup prometheus3",
    )
}

/// The OpenTelemetry Collector of `tests/collector`.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn collector() -> PathBuf {
    existing(
        repository().join(".tools/bin/otelcol"),
        "scripts/setup collector",
    )
}

/// Is Prometheus 3.x there? Go builds it, which not everybody has.
#[must_use]
pub fn has_prometheus3() -> bool {
    repository().join(".tools/bin/prometheus3").is_file()
}

fn existing(path: PathBuf, command: &str) -> PathBuf {
    assert!(
        path.is_file(),
        "{} is missing: run `{command}`",
        path.display()
    );
    path
}

/// The folder with the packages of `tests/browser`.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn browser_packages() -> PathBuf {
    let folder = repository().join(".tools/browser");
    existing(
        folder.join("node_modules/puppeteer-core/package.json"),
        "scripts/setup browser",
    );
    folder
}
