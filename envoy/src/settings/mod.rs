//! The environment, read and checked in one go before anything starts: a map of variables goes in,
//! and either typed [`Settings`] come out, or every mistake at once.

pub mod audience;
pub mod authority;
pub mod choices;
pub mod clouds;
pub mod credential_file;
pub mod files;
pub mod forward_proxy;
pub mod headers;
pub mod identity;
pub mod mistake;
pub mod quantity;
pub mod target_host;
pub mod variables;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use entra_token_core::Audience;
use entra_token_core::cloud::Cloud;
use entra_token_core::config::{AuthErrorsRetryable, Percent};
use entra_token_core::host::HostPattern;

use crate::machine::Machine;
use authority::{Endpoint, Host, Scheme};
use choices::{AccessLog, LogLevel};
use clouds::Said;
use forward_proxy::ForwardProxy;
use headers::HeaderOverride;
use identity::Identity;
use mistake::{Mistake, Problem};
use variables::Variables;

/// What the environment asks for, complete and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where requests go.
    pub target: Endpoint,
    /// The target, as the filter recognises it.
    pub target_pattern: HostPattern,
    /// The proxy through which hosts outside this machine are reached; directly if none.
    pub forward_proxy: Option<ForwardProxy>,
    /// The authorities trusted for the certificates of the target and of Entra; none where
    /// nothing is reached by TLS.
    pub trust_store: Option<PathBuf>,
    /// Who asks for tokens.
    pub identity: Identity,
    /// Whom the token is for.
    pub audience: Audience,
    /// The part of a token's life that is left when it is renewed.
    pub refresh_before_expiry: Percent,
    /// Which requests get 503 in place of the target's 401 or 403.
    pub auth_errors_retryable: AuthErrorsRetryable,
    /// Port of the proxy.
    pub listening_port: u16,
    /// Port of `/metrics`, `/status`, `/health` and `/ready`.
    pub status_port: u16,
    /// Whether the proxy port, too, answers `/health` and `/ready`.
    pub proxy_health_paths: bool,
    /// Request headers to set.
    pub override_headers: Vec<HeaderOverride>,
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
    /// The filter.
    pub module: PathBuf,
    /// Whether listeners have an IPv6 address beside the IPv4 one.
    pub ipv6: bool,
}

impl Settings {
    /// The proxy through which this endpoint is reached; directly if none.
    #[must_use]
    pub fn proxy_to(&self, endpoint: &Endpoint) -> Option<&ForwardProxy> {
        let proxy = self.forward_proxy.as_ref();
        proxy.filter(|proxy| proxy.leads_to(endpoint))
    }
}

/// Settings, or everything that is wrong; and what should be said in either case.
#[derive(Debug)]
pub struct Reading<T> {
    /// The settings, or every mistake.
    pub outcome: Result<T, Vec<Mistake>>,
    /// What works otherwise than one may think.
    pub warnings: Vec<String>,
}

/// Load balancers in front of Azure services drop connections that are idle for four minutes,
/// silently: what has not come by then does not come.
const DEFAULT_IDLE_TIMEOUT_SECONDS: u64 = 240;
const LONGEST_IDLE_TIMEOUT_SECONDS: u64 = 86_400;

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
        mistakes: Vec::new(),
        warnings: Vec::new(),
    };
    let settings = reader.settings(machine);
    let Reader {
        mistakes,
        mut warnings,
        ..
    } = reader;
    warnings.extend(variables::warnings_of_not_served(variables));
    warnings.extend(variables::warnings_of_unknown(variables));
    let outcome = match settings {
        Some(settings) if mistakes.is_empty() => Ok(settings),
        _ => Err(mistakes),
    };
    Reading { outcome, warnings }
}

/// Finds Envoy's program, which only `run` needs.
pub fn envoy(variables: &Variables, machine: &Machine) -> Result<PathBuf, Mistake> {
    program("ENVOY_BINARY", "envoy", variables, machine)
}

/// Finds the token-sidecar, which only `run` with a certificate needs.
pub fn token_sidecar(variables: &Variables, machine: &Machine) -> Result<PathBuf, Mistake> {
    program("TOKEN_SIDECAR_BINARY", "token-sidecar", variables, machine)
}

fn program(
    variable: &'static str,
    name: &str,
    variables: &Variables,
    machine: &Machine,
) -> Result<PathBuf, Mistake> {
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
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// The settings, or none once a mistake is noted; every variable is looked at in any case.
    fn settings(&mut self, machine: &Machine) -> Option<Settings> {
        let target = self.target();
        let endpoint = target.as_ref().map(|(endpoint, _)| endpoint);
        let audience = self.audience(endpoint);
        let cloud = self.cloud(endpoint, audience.as_ref());
        let identity = self.identity(cloud);
        let forward_proxy = self.forward_proxy();
        let refresh = self.or(
            "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
            Percent::default(),
            choices::percent,
        );
        let ports = self.ports();
        let proxy_health_paths = self.or("PROXY_HEALTH_PATHS", true, choices::on_or_off);
        let auth_errors_retryable = self.or(
            "AUTH_ERRORS_RETRYABLE",
            AuthErrorsRetryable::default(),
            choices::auth_errors_retryable,
        );
        let override_headers = self.or("OVERRIDE_REQUEST_HEADERS", Vec::new(), headers::parse);
        let trust_store = self.trust_store(endpoint, identity.as_ref(), machine);
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
        let log_level = self.or("LOG_LEVEL", LogLevel::DEFAULT, LogLevel::parse);
        let access_log = self.or("ACCESS_LOG", AccessLog::All, AccessLog::parse);
        let module = self.note(
            "ENTRA_AUTH_MODULE",
            files::module(
                self.variables.value("ENTRA_AUTH_MODULE"),
                machine.launcher_dir.as_deref(),
            ),
        );
        let (target, target_pattern) = target?;
        let (listening_port, status_port) = ports?;
        Some(Settings {
            target,
            target_pattern,
            forward_proxy: forward_proxy?,
            trust_store: trust_store?,
            identity: identity?,
            audience: audience?,
            refresh_before_expiry: refresh?,
            auth_errors_retryable: auth_errors_retryable?,
            listening_port,
            status_port,
            proxy_health_paths: proxy_health_paths?,
            override_headers: override_headers?,
            concurrency: concurrency?,
            memory_limit: memory_limit?,
            idle_timeout: Duration::from_secs(idle_timeout?),
            drain: Duration::from_secs(drain?),
            log_level: log_level?,
            access_log: access_log?,
            module: module?,
            ipv6: machine.ipv6,
        })
    }

    /// Notes a problem as a mistake of a variable.
    fn note<T>(&mut self, name: &'static str, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistakes.push(problem.of(name));
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

    fn target(&mut self) -> Option<(Endpoint, HostPattern)> {
        let result = self
            .variables
            .value("TARGET_HOST")
            .ok_or_else(|| {
                Problem::new(
                    "is not set",
                    "Set it to the host to forward to, for example the host of the \
                     Azure Monitor workspace's metrics ingestion endpoint.",
                )
            })
            .and_then(target_host::parse);
        let (target, warning) = self.note("TARGET_HOST", result)?;
        self.warnings.extend(warning);
        let pattern = addressed_to(&target);
        Some((target, self.note("TARGET_HOST", pattern)?))
    }

    /// Without a usable target there is nothing to derive an audience from, and no second mistake.
    fn audience(&mut self, target: Option<&Endpoint>) -> Option<Audience> {
        let audience = match self.variables.value("AUDIENCE") {
            Some(value) => audience::parse(value),
            None => audience::of_target(&target?.host),
        };
        self.note("AUDIENCE", audience)
    }

    /// What `AZURE_CLOUD`, the audience and the target say about the cloud.
    fn cloud(&mut self, target: Option<&Endpoint>, audience: Option<&Audience>) -> Option<Said> {
        let named = self.variables.value("AZURE_CLOUD").and_then(|value| {
            let cloud = value
                .parse::<Cloud>()
                .map_err(|why| Problem::of_value(value, &why));
            self.note("AZURE_CLOUD", cloud)
        });
        let of_audience = audience.and_then(|a| clouds::cloud_of_audience(a.resource()));
        let of_target = target.and_then(|target| match &target.host {
            Host::Name(name) => clouds::audience_of_host(name).map(|(_, cloud)| cloud),
            Host::Ip(_) => None,
        });
        // An audience that was taken from the target is the target's word.
        let of_audience = of_audience.filter(|_| self.variables.value("AUDIENCE").is_some());
        let said: Vec<Said> = [
            ("AZURE_CLOUD", named),
            ("AUDIENCE", of_audience),
            ("TARGET_HOST", of_target),
        ]
        .into_iter()
        .filter_map(|(variable, cloud)| cloud.map(|cloud| Said { variable, cloud }))
        .collect();
        clouds::agreed(&said)
            .map_err(|mistake| self.mistakes.push(mistake))
            .ok()
            .flatten()
    }

    fn ports(&mut self) -> Option<(u16, u16)> {
        let listening = self.or("LISTENING_PORT", 8081, choices::port);
        let status = self.or("STATUS_PORT", 9464, choices::port);
        let (listening, status) = (listening?, status?);
        if listening == status {
            let problem = Problem::new(
                format!("is {status}, as LISTENING_PORT is"),
                "Give the two different ports.",
            );
            self.mistakes.push(problem.of("STATUS_PORT"));
            return None;
        }
        Some((listening, status))
    }

    /// Where nothing is reached by TLS none is needed; a file that is named is checked all the
    /// same.
    fn trust_store(
        &mut self,
        target: Option<&Endpoint>,
        identity: Option<&Identity>,
        machine: &Machine,
    ) -> Option<Option<PathBuf>> {
        let by_tls = target.is_some_and(|target| target.scheme == Scheme::Https)
            || identity.is_some_and(Identity::needs_trust_store);
        if let Some(value) = self.variables.value("SSL_CERT_FILE") {
            let store = self.note("SSL_CERT_FILE", files::trust_store(value))?;
            return Some(by_tls.then_some(store));
        }
        if !by_tls {
            return Some(None);
        }
        let store = files::system_trust_store(&machine.trust_stores);
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
