//! Containers, as careful people run them: a read-only file system, no rights, a bound on memory.

use std::path::Path;
use std::time::Duration;

use e2e::azure::Azure;
use e2e::{eventually, http};
use testcontainers::core::{AccessMode, Host, IntoContainerPort, Mount};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, ContainerRequest, GenericImage, ImageExt};

use crate::azure::HOST;
use crate::engine::{GATEWAY, IMAGES, Volume, ask, docker};

/// The proxy's port in its container.
const PROXY: u16 = 8081;
/// The port of `/ready` and `/metrics`.
const STATUS: u16 = 9464;
/// Where the token-sidecar's socket is by default.
const SOCKET_FOLDER: &str = "/run/entra-auth";
/// In bytes; swap would be more.
const MEMORY: i64 = 256 << 20;
/// Two cores that also do other things may need it: Envoy compiles the module before it serves.
const START: Duration = Duration::from_secs(90);

/// Settings of a container that is to be started.
#[must_use]
#[derive(Debug)]
pub struct Settings(ContainerRequest<GenericImage>);

/// A process in a container, as the machine around it sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Process {
    /// The user's number.
    pub user: String,
    /// The program.
    pub name: String,
    /// The process's number on this machine.
    pub pid: String,
}

/// A container. When its test fails, its log is printed.
#[derive(Debug)]
pub struct Running(Container<GenericImage>);

/// The proxy's image with nothing set.
pub fn bare_proxy() -> Settings {
    let image = image("proxy")
        .with_exposed_port(PROXY.tcp())
        .with_exposed_port(STATUS.tcp());
    careful(image.into(), None)
}

/// The proxy in front of this Azure, with the machine's own identity.
pub fn proxy(azure: &Azure) -> Settings {
    trusting_proxy(azure)
        .mount(&azure.authority(), "/etc/azure/authority.pem")
        .set("SSL_CERT_FILE", "/etc/azure/authority.pem")
}

/// The same, which trusts the authorities in its image.
pub fn trusting_proxy(azure: &Azure) -> Settings {
    let addresses = azure.addresses();
    let port = addresses.target_tls.port();
    bare_proxy()
        .host(HOST)
        .set("TARGET_HOST", format!("https://{HOST}:{port}"))
        .set("AUDIENCE", azure_sim::AZURE_MONITOR)
        .set("IDENTITY_TYPE", "systemAssigned")
        .set(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            format!("http://{HOST}:{}", addresses.imds.port()),
        )
}

/// The token-sidecar, which reaches no network.
pub fn sidecar() -> Settings {
    careful(image("token-sidecar").into(), Some("none"))
}

fn image(name: &str) -> GenericImage {
    let (name, tag) = &IMAGES[name];
    GenericImage::new(name, tag)
}

fn careful(request: ContainerRequest<GenericImage>, network: Option<&'static str>) -> Settings {
    Settings(
        request
            .with_readonly_rootfs(true)
            .with_cap_drop("ALL")
            .with_security_opt("no-new-privileges")
            .with_host_config_modifier(move |host| {
                host.memory = Some(MEMORY);
                host.memory_swap = Some(MEMORY);
                host.network_mode = network.map(str::to_owned);
            }),
    )
}

impl Settings {
    /// Sets an environment variable.
    pub fn set(self, name: &str, value: impl Into<String>) -> Self {
        Self(self.0.with_env_var(name, value))
    }

    /// Lets it know this machine by this name.
    pub fn host(self, name: &str) -> Self {
        Self(self.0.with_host(name, Host::Addr((*GATEWAY).into())))
    }

    /// Shows it a file, which it cannot write to.
    pub fn mount(self, file: &Path, at: &str) -> Self {
        let mount = Mount::bind_mount(file.to_string_lossy(), at);
        Self(
            self.0
                .with_mount(mount.with_access_mode(AccessMode::ReadOnly)),
        )
    }

    /// Gives it a volume where the images have a folder for the token-sidecar's socket.
    pub fn socket_folder(self, volume: &Volume) -> Self {
        Self(
            self.0
                .with_mount(Mount::volume_mount(volume.name(), SOCKET_FOLDER)),
        )
    }

    /// Publishes the proxy's port as this one, and the status port as a free one.
    pub fn port(self, port: u16) -> Self {
        let proxy = self.0.with_mapped_port(port, PROXY.tcp());
        Self(proxy.with_mapped_port(0, STATUS.tcp()))
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the engine refuses.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Running {
        Running(
            self.0
                .start()
                .unwrap_or_else(|why| panic!("no container: {why}")),
        )
    }
}

impl Running {
    /// Waits until its `/ready` is 200.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually(START, "/ready is 200", || {
            let ready = http::get(&self.url(STATUS, "/ready"))?;
            match ready.status {
                200 => Ok(()),
                other => Err(format!("{other}: {}", ready.text())),
            }
        });
    }

    /// Where the proxy's port is published.
    #[must_use]
    pub fn proxy_port(&self) -> u16 {
        self.published(PROXY)
    }

    /// A URL of the proxy's port.
    #[must_use]
    pub fn proxy_url(&self, path: &str) -> String {
        self.url(PROXY, path)
    }

    fn url(&self, port: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.published(port))
    }

    fn published(&self, port: u16) -> u16 {
        self.0
            .get_host_port_ipv4(port)
            .unwrap_or_else(|why| panic!("port {port} is not published: {why}"))
    }

    /// Runs a program in it.
    ///
    /// # Errors
    /// When it cannot be run, or fails.
    pub fn run(&self, command: &[&str]) -> Result<String, String> {
        let output = docker(&[&["exec", self.0.id()], command].concat())?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// What the engine says of it.
    #[must_use]
    pub fn inspect(&self, format: &str) -> String {
        ask(&["inspect", "--format", format, self.0.id()])
    }

    /// The processes in it.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let table = ask(&["top", self.0.id(), "-eo", "uid,comm,pid"]);
        let rows = table.lines().skip(1).map(str::split_whitespace);
        rows.filter_map(|row| {
            let [user, name, pid] = row.collect::<Vec<_>>().try_into().ok()?;
            Some([user, name, pid].map(str::to_owned))
        })
        .map(|[user, name, pid]| Process { user, name, pid })
        .collect()
    }

    /// Its whole file system as a tar.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        docker(&["export", self.0.id()]).unwrap_or_else(|why| panic!("{why}"))
    }

    /// What it has written to its standard error and output.
    #[must_use]
    pub fn log(&self) -> String {
        let written = [self.0.stdout_to_vec(), self.0.stderr_to_vec()];
        let written = written.map(Result::unwrap_or_default).concat();
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Sends SIGTERM, waits so long for the end, and gives the exit code.
    ///
    /// # Panics
    /// When the engine cannot.
    #[track_caller]
    pub fn stop(&self, within: Duration) -> Option<i64> {
        let seconds = i32::try_from(within.as_secs()).unwrap_or(i32::MAX);
        self.0
            .stop_with_timeout(Some(seconds))
            .unwrap_or_else(|why| panic!("docker stop: {why}"));
        self.exit_code()
    }

    /// Its exit code, once it has ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        self.0.exit_code().unwrap_or_else(|why| panic!("{why}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- container {}:\n{}", self.0.id(), last.join("\n"));
        }
    }
}
