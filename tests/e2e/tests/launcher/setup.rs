//! The launcher with a module that lets every request pass: its Envoy starts in a fraction of the time,
//! and what is shown here is Envoy's part.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::LazyLock;
use std::time::Duration;

use e2e::{Proxy, ProxyBuilder, Recorder, stand_in};

/// How long Envoy may take to end on a busy machine.
const END: Duration = Duration::from_secs(30);

/// Where cargo lets the tests of this program leave files.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A running proxy to this target, in clear.
pub(crate) fn proxy_to(target: &Recorder) -> Proxy {
    proxy_with(&[("TARGET_HOST", &target.url())])
}

/// A running proxy with these variables and the usual ones.
pub(crate) fn proxy_with(variables: &[(&str, &str)]) -> Proxy {
    settings(variables).start()
}

/// The same for one that may end at once, or not answer.
pub(crate) fn launch_with(variables: &[(&str, &str)]) -> Proxy {
    settings(variables).launch().expect("the launcher starts")
}

/// A running proxy with this configuration file, in which `port` is the first listener's.
pub(crate) fn proxy_of_file(text: &str, port: u16) -> Proxy {
    settings_of_file(text, port, &[]).start()
}

/// The same, with more variables, for one that may end at once, or not answer.
pub(crate) fn launch_of_file(text: &str, port: u16, more: &[(&str, &str)]) -> Proxy {
    let settings = settings_of_file(text, port, more);
    settings.launch().expect("the launcher starts")
}

fn settings(variables: &[(&str, &str)]) -> ProxyBuilder {
    let usual = Proxy::to("http://127.0.0.1:1")
        .set("IDENTITY_TYPE", "systemAssigned")
        .set("AUDIENCE", "https://monitor.azure.com");
    set(small(usual), variables)
}

fn settings_of_file(text: &str, port: u16, more: &[(&str, &str)]) -> ProxyBuilder {
    let file = folder().join(format!("config-{port}.yaml"));
    fs::write(&file, text).expect("a file");
    let usual = Proxy::of_file(&file, port).set("SECRET_OF_THIS_TEST", "the-secret");
    set(small(usual), more)
}

/// With one worker, the module that lets every request pass, and a log of warnings alone.
fn small(settings: ProxyBuilder) -> ProxyBuilder {
    static MODULE: LazyLock<PathBuf> = LazyLock::new(|| stand_in::passive_module(folder()));
    settings
        .set("ENTRA_AUTH_MODULE", MODULE.as_os_str())
        .set("ENVOY_CONCURRENCY", "1")
        .set("LOG_LEVEL", "warning")
}

fn set(settings: ProxyBuilder, variables: &[(&str, &str)]) -> ProxyBuilder {
    variables.iter().fold(settings, |settings, (name, value)| {
        settings.set(name, value)
    })
}

/// Waits for the launcher's end.
pub(crate) fn wait_for_end(proxy: &mut Proxy) -> ExitStatus {
    let ended = proxy.process_mut().wait(END);
    ended.unwrap_or_else(|reason| panic!("{reason}"))
}

/// Whether something listens on a port.
pub(crate) fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
