//! Reads and checks the environment and, if it names one, the configuration file, before anything starts.
//! The result is typed [`Settings`], or all mistakes at once. Identities, targets and listeners come either
//! from the file or from the environment, which is a shorthand for a file with one of each.

mod address;
pub mod audience;
pub mod choices;
pub mod clouds;
pub mod credential_file;
mod endpoints;
mod environment;
pub mod file;
pub mod files;
pub mod forward_proxy;
pub mod headers;
pub mod identity;
pub mod listener;
mod percent;
pub mod quantity;
pub mod target;
pub mod target_host;
pub mod telemetry;
pub mod terms;
mod topology;
pub mod trust_store;
mod unknown;
pub mod values;
pub mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use entra_auth_settings_input::choices::on_or_off;
use entra_auth_settings_input::{ConfigError, Endpoint, Place, Problem, Variables};
use entra_token_core::Secret;
use entra_token_core::config::{Percent, TokenRequestTimeout};

use crate::machine::Machine;
pub use address::ListeningAddress;
use choices::{AccessLog, LogLevel};
use forward_proxy::ForwardProxy;
use identity::NamedIdentity;
use listener::{Listener, Routing};
use target::Target;
use telemetry::Telemetry;
use terms::Terms;
use topology::{PartialTopology, Topology};
use trust_store::TrustStore;

/// What is asked for, complete and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who asks for tokens.
    pub identities: Vec<NamedIdentity>,
    /// Where requests go, and with whose token.
    pub targets: Vec<Target>,
    /// The ports that lead to the targets.
    pub listeners: Vec<Listener>,
    /// The proxy through which hosts outside this machine are reached; directly if none.
    pub forward_proxy: Option<ForwardProxy>,
    /// The authorities trusted for the certificates of the targets, of Entra and of collectors; none
    /// where nothing is reached by TLS.
    pub trust_store: Option<TrustStore>,
    /// The part of a token's life that is left when it is renewed.
    pub refresh_before_expiry: Percent,
    /// How long the answer to a call for a token may take.
    pub token_request_timeout: TokenRequestTimeout,
    /// Port of `/metrics`, `/status`, `/health` and `/ready`.
    pub status_port: u16,
    /// Where it is open.
    pub status_address: ListeningAddress,
    /// Whether the proxy's ports, too, answer `/health` and `/ready`.
    pub proxy_health_paths: bool,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Memory in bytes that Envoy may use; without a bound if none.
    pub memory_limit: Option<u64>,
    /// How long a request may go on without a byte in either direction; for ever if zero.
    pub idle_timeout: Duration,
    /// From SIGTERM to Envoy's end, for requests in flight to finish; zero ends it at once.
    pub drain: Duration,
    /// How much Envoy logs.
    pub log_level: LogLevel,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// What is sent by OTLP, and where.
    pub telemetry: Telemetry,
    /// The filter.
    pub module: PathBuf,
    /// Whether this machine has IPv6: for the addresses of listeners, and of hosts.
    pub ipv6: bool,
    /// What whoever wrote the settings calls them.
    pub terms: Terms,
}

impl Settings {
    /// The proxy through which this endpoint is reached; directly if none.
    #[must_use]
    pub fn proxy_to(&self, endpoint: &Endpoint) -> Option<&ForwardProxy> {
        let proxy = self.forward_proxy.as_ref();
        proxy.filter(|proxy| proxy.leads_to(endpoint))
    }

    /// The targets that are reached by this routing.
    pub fn targets_of(&self, routing: &Routing) -> impl Iterator<Item = &Target> {
        let targets = routing.targets().iter();
        targets.filter_map(|target| self.targets.get(target.index))
    }

    /// What the socket of a port is bound to.
    #[must_use]
    pub fn bound_to(&self, address: ListeningAddress, port: u16) -> SocketAddr {
        SocketAddr::new(address.bound_to(self.ipv6), port)
    }

    /// The key of App Service's endpoint, which reaches Envoy by a file.
    #[must_use]
    pub fn identity_header(&self) -> Option<&Secret> {
        let mut identities = self.identities.iter();
        identities.find_map(|named| named.identity.identity_header())
    }

    /// Whether a token-sidecar of the launcher's is needed.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        let mut identities = self.identities.iter();
        identities.any(|named| named.identity.certificate().is_some())
    }
}

/// Settings, or everything that is wrong; and what should be said in either case.
#[derive(Debug)]
pub struct Reading<T> {
    /// The settings, or every mistake.
    pub outcome: Result<T, Vec<ConfigError>>,
    /// What works otherwise than one may think.
    pub warnings: Vec<String>,
}

/// Load balancers in front of Azure services drop connections that are idle for four minutes,
/// silently: what has not come by then does not come.
const DEFAULT_IDLE_TIMEOUT_SECONDS: u64 = 240;
const LONGEST_IDLE_TIMEOUT_SECONDS: u64 = 86_400;

const DEFAULT_LISTENING_PORT: u16 = 8081;
const DEFAULT_STATUS_PORT: u16 = 9464;

/// Below the 30 s that Kubernetes gives a pod.
const DEFAULT_DRAIN_SECONDS: u64 = 25;
const LONGEST_DRAIN_SECONDS: u64 = 3600;

/// Workers where the container has no CPU limit: enough for a side car, little enough for memory.
const DEFAULT_CONCURRENCY: u32 = 2;
/// More workers than any machine has use for; each costs memory.
const MOST_CONCURRENCY: u32 = 1024;

/// Reads the settings.
#[must_use]
pub fn read(variables: &Variables, machine: &Machine) -> Reading<Settings> {
    let mut reader = Reader {
        variables,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let settings = reader.settings(machine);
    let Reader {
        errors,
        mut warnings,
        ..
    } = reader;
    warnings.extend(variables::warnings_of_not_served(variables));
    warnings.extend(unknown::warnings_of_unknown(variables));
    let outcome = match settings {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => Err(errors),
    };
    Reading { outcome, warnings }
}

/// Finds Envoy's program, which only `run` needs.
pub fn envoy(variables: &Variables, machine: &Machine) -> Result<PathBuf, ConfigError> {
    program("ENVOY_BINARY", "envoy", variables, machine)
}

/// Finds the token-sidecar, which only `run` with a certificate needs.
pub fn token_sidecar(variables: &Variables, machine: &Machine) -> Result<PathBuf, ConfigError> {
    program("TOKEN_SIDECAR_BINARY", "token-sidecar", variables, machine)
}

fn program(
    variable: &'static str,
    name: &str,
    variables: &Variables,
    machine: &Machine,
) -> Result<PathBuf, ConfigError> {
    files::program(
        name,
        variables.value(variable),
        machine.launcher_dir.as_deref(),
        variables.value("PATH"),
    )
    .map_err(|problem| problem.of(variable))
}

struct Reader<'a> {
    variables: &'a Variables,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// The settings, or none once a mistake is noted; every variable is looked at in any case.
    fn settings(&mut self, machine: &Machine) -> Option<Settings> {
        self.or(terms::VARIABLE, (), terms::from);
        let partial = match self.variables.value(file::VARIABLE) {
            Some(path) => self.file(path),
            None => self.environment(),
        };
        let status_address = self.or(
            "STATUS_ADDRESS",
            ListeningAddress::All,
            ListeningAddress::parse,
        );
        let status_port = self.status_port(status_address, &partial.ports);
        let forward_proxy = self.forward_proxy();
        let proxy_health_paths = self.or("PROXY_HEALTH_PATHS", true, on_or_off);
        let default_concurrency = machine
            .limits
            .cpus
            .unwrap_or(DEFAULT_CONCURRENCY)
            .min(MOST_CONCURRENCY);
        let concurrency = self.or("ENVOY_CONCURRENCY", default_concurrency, |value| {
            choices::number(value, 1..=MOST_CONCURRENCY)
        });
        let memory_limit = self.memory_limit(machine);
        let idle_timeout = self.or(
            "IDLE_TIMEOUT_SECONDS",
            DEFAULT_IDLE_TIMEOUT_SECONDS,
            |value| choices::number(value, 0..=LONGEST_IDLE_TIMEOUT_SECONDS),
        );
        let drain = self.or("DRAIN_SECONDS", DEFAULT_DRAIN_SECONDS, |value| {
            choices::number(value, 0..=LONGEST_DRAIN_SECONDS)
        });
        let hostname = machine.hostname.as_ref();
        let instance = hostname.zip(status_port);
        let telemetry = self.telemetry(
            Duration::from_secs(drain.unwrap_or(DEFAULT_DRAIN_SECONDS)),
            instance.map(|(hostname, port)| format!("{hostname}:{port}")),
        );
        let by_tls = partial.by_tls || telemetry.needs_trust_store();
        let trust_store = self.trust_store(by_tls, machine);
        let token_request_timeout = self.or(
            "TOKEN_REQUEST_TIMEOUT",
            TokenRequestTimeout::default(),
            choices::token_request_timeout,
        );
        let log_level = self.or("LOG_LEVEL", LogLevel::DEFAULT, LogLevel::parse);
        let access_log = self.or("ACCESS_LOG", AccessLog::All, AccessLog::parse);
        let module = self.note(
            "ENTRA_AUTH_MODULE",
            files::module(
                self.variables.value("ENTRA_AUTH_MODULE"),
                machine.launcher_dir.as_deref(),
            ),
        );
        let topology = partial.topology?;
        let trust_store = trust_store?;
        Some(Settings {
            identities: topology.identities,
            targets: topology.targets,
            listeners: topology.listeners,
            forward_proxy: forward_proxy?,
            telemetry: telemetry.trusting(trust_store.as_ref()),
            trust_store,
            refresh_before_expiry: topology.refresh_before_expiry,
            token_request_timeout: token_request_timeout?,
            status_port: status_port?,
            status_address: status_address?,
            proxy_health_paths: proxy_health_paths?,
            concurrency: concurrency?,
            memory_limit: memory_limit?,
            idle_timeout: Duration::from_secs(idle_timeout?),
            drain: Duration::from_secs(drain?),
            log_level: log_level?,
            access_log: access_log?,
            module: module?,
            ipv6: machine.ipv6,
            terms: topology.terms,
        })
    }

    /// Notes a problem as a mistake of a variable or of a place in the file.
    fn note<T>(&mut self, name: impl Into<Place>, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                let error = problem.of(name);
                // Two identities of a file may lack the same variable.
                if !self.errors.contains(&error) {
                    self.errors.push(error);
                }
                None
            }
        }
    }

    /// A variable's value as `parse` reads it, or the default where it is unset.
    fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let result = self.variables.value(name).map_or(Ok(default), parse);
        self.note(name, result)
    }

    fn status_port(
        &mut self,
        address: Option<ListeningAddress>,
        listening: &[(Place, ListeningAddress, u16)],
    ) -> Option<u16> {
        let port = self.or("STATUS_PORT", DEFAULT_STATUS_PORT, choices::port)?;
        let address = address.unwrap_or_default();
        if let Some((place, ..)) = listening
            .iter()
            .find(|(_, other_address, other)| *other == port && address.overlaps(*other_address))
        {
            let problem = Problem::new(
                format!("is {port}, as {place} is"),
                "Give the two different ports.",
            );
            return self.note("STATUS_PORT", Err(problem));
        }
        Some(port)
    }

    /// Where nothing is reached by TLS none is needed; a file that is named is checked all the
    /// same.
    fn trust_store(&mut self, by_tls: bool, machine: &Machine) -> Option<Option<TrustStore>> {
        if let Some(value) = self.variables.value("SSL_CERT_FILE") {
            let store = self.note("SSL_CERT_FILE", TrustStore::read(value))?;
            return Some(by_tls.then_some(store));
        }
        if !by_tls {
            return Some(None);
        }
        let store = TrustStore::of_system(&machine.trust_stores);
        self.note("SSL_CERT_FILE", store).map(Some)
    }

    /// A container's limit that is too small is a warning: the kernel enforces it, not we.
    fn memory_limit(&mut self, machine: &Machine) -> Option<Option<u64>> {
        if let Some(bytes) = machine.limits.memory
            && bytes < quantity::LEAST
            && self.variables.value("MEMORY_LIMIT").is_none()
        {
            self.warnings.push(format!(
                "the container's memory limit is {bytes} bytes; Envoy needs {} or more",
                quantity::LEAST
            ));
        }
        self.or("MEMORY_LIMIT", machine.limits.memory, |value| {
            quantity::memory(value).map(Some)
        })
    }
}

/// An endpoint's `Host`, as the filter's configuration wants it.
fn addressed_to<T: FromStr<Err = String>>(endpoint: &Endpoint) -> Result<T, Problem> {
    let authority = endpoint.authority();
    authority
        .parse()
        .map_err(|why: String| Problem::of_value(&authority, &why))
}

#[cfg(test)]
mod tests;
