//! Where each signal goes: the options of the OTLP exporter, each for all signals or for one
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::time::Duration;

use entra_auth_settings_input::choices::unknown;
use entra_auth_settings_input::{Endpoint, Problem, Scheme};
pub use entra_token_core::telemetry_exports::Protocol;

use super::endpoint::Url;
use super::headers::{self, ExportHeader};
use super::metrics::milliseconds;
use super::signal::{
    CERTIFICATE, ENDPOINT, ExporterOption, GRPC_ENDPOINT, HEADERS, INSECURE, PROTOCOL, Signal,
    TIMEOUT, own, selection,
};
use crate::settings::Reader;
use crate::settings::trust_store::TrustStore;

/// The specification's.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a longer one, and the specification's 0 for "no limit", count as: no export may hang for ever.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Where one signal goes.
#[derive(Debug, Clone)]
pub struct Exporter {
    /// The collector.
    pub endpoint: Endpoint,
    /// The variable that names it.
    pub endpoint_variable: &'static str,
    /// The transport.
    pub protocol: Protocol,
    /// The path of the requests by [`Protocol::HttpProtobuf`], as `/v1/metrics`. Empty for gRPC, whose
    /// path is that of its service.
    pub path: String,
    /// Headers of each request.
    pub headers: Vec<ExportHeader>,
    /// The authorities that are trusted for the collector's certificate; none without TLS.
    pub trust_store: Option<TrustStore>,
    /// How long an export may take, with its retries: at least 1 ms.
    pub timeout: Duration,
}

/// Reads the name of a transport.
fn parse_protocol(value: &str) -> Result<Protocol, Problem> {
    let mut all = Protocol::ALL.into_iter();
    let names = Protocol::ALL.map(Protocol::as_str);
    all.find(|it| it.as_str().eq_ignore_ascii_case(value))
        .ok_or_else(|| match value.eq_ignore_ascii_case("http/json") {
            true => Problem::which(
                value,
                "Envoy cannot send",
                format!("Use {}.", names.join(" or ")),
            ),
            false => unknown(value, &names),
        })
}

/// Where each signal goes, whether it is sent or not.
pub(super) struct Destinations {
    /// The exporters, in the order of [`Signal::ALL`]; none without an endpoint, or with a mistake.
    exporters: [Option<Exporter>; 3],
    /// Whether each signal is to be sent, in the same order.
    selected: [bool; 3],
}

impl Destinations {
    /// Where this signal is sent, if it is.
    pub(super) fn exporter(&self, signal: Signal) -> Option<&Exporter> {
        let exporter = own(signal, &self.exporters).as_ref();
        exporter.filter(|_| *own(signal, &self.selected))
    }
}

/// The values of an option. A value that is set and wrong is [`Value::Wrong`].
struct Values<T> {
    general: Value<T>,
    own: [Value<T>; 3],
}

enum Value<T> {
    Unset,
    Wrong,
    Set(&'static str, T),
}

impl<T> Values<T> {
    /// The value for this signal, with its variable; the outer `None` stands for a mistake.
    fn of(&self, signal: Signal) -> Option<Option<(&'static str, &T)>> {
        let value = match own(signal, &self.own) {
            Value::Unset => &self.general,
            own => own,
        };
        match value {
            Value::Unset => Some(None),
            Value::Wrong => None,
            Value::Set(name, value) => Some(Some((name, value))),
        }
    }

    /// The same without the variable, or the default.
    fn or(&self, signal: Signal, default: T) -> Option<T>
    where
        T: Clone,
    {
        let value = self.of(signal)?;
        Some(value.map_or(default, |(_, value)| value.clone()))
    }
}

/// What the variables of all options say.
struct Options {
    urls: Values<Url>,
    protocols: Values<Protocol>,
    headers: Values<Vec<ExportHeader>>,
    authorities: Values<TrustStore>,
    timeouts: Values<Duration>,
    insecure: Values<bool>,
    of_aad_auth_proxy: Value<Url>,
}

impl Reader<'_> {
    /// Where each signal goes.
    pub(super) fn destinations(&mut self) -> Destinations {
        let one = |problem| vec![problem];
        let options = Options {
            urls: self.each(ENDPOINT, |value| Url::parse(value).map_err(one)),
            protocols: self.each(PROTOCOL, |value| parse_protocol(value).map_err(one)),
            headers: self.each(HEADERS, headers::parse),
            authorities: self.each(CERTIFICATE, |value| TrustStore::read(value).map_err(one)),
            timeouts: self.each(TIMEOUT, |value| timeout(value).map_err(one)),
            insecure: Values {
                general: self.switch(INSECURE.general),
                own: INSECURE.own.map(|name| self.switch(name)),
            },
            of_aad_auth_proxy: self.one(GRPC_ENDPOINT, |value| Url::parse(value).map_err(one)),
        };
        Destinations {
            exporters: Signal::ALL.map(|signal| self.exporter(signal, &options)),
            selected: Signal::ALL.map(|signal| self.is_selected(signal)),
        }
    }

    fn exporter(&mut self, signal: Signal, options: &Options) -> Option<Exporter> {
        let protocol = options.protocols.or(signal, Protocol::HttpProtobuf)?;
        let (endpoint_variable, protocol, to) = match options.urls.of(signal)? {
            Some((variable, url)) => {
                let url = url.clone();
                let to = match protocol {
                    Protocol::Grpc => {
                        let without_scheme = match options.insecure.or(signal, false)? {
                            true => Scheme::Http,
                            false => Scheme::Https,
                        };
                        url.grpc(without_scheme).map(|to| (to, String::new()))
                    }
                    Protocol::HttpProtobuf => url.http(signal, variable == ENDPOINT.general),
                };
                (variable, protocol, to)
            }
            // Without TLS, as in aad-auth-proxy, unless it says https://.
            None => match &options.of_aad_auth_proxy {
                Value::Set(variable, url) => {
                    let to = url.clone().grpc(Scheme::Http);
                    (*variable, Protocol::Grpc, to.map(|to| (to, String::new())))
                }
                Value::Unset | Value::Wrong => return None,
            },
        };
        let (endpoint, path) = self.note(endpoint_variable, to)?;
        let authorities = options.authorities.of(signal)?;
        let authorities = authorities.filter(|_| endpoint.scheme == Scheme::Https);
        Some(Exporter {
            endpoint,
            endpoint_variable,
            protocol,
            path,
            headers: options.headers.or(signal, Vec::new())?,
            trust_store: authorities.map(|(_, store)| store.clone()),
            timeout: options.timeouts.or(signal, DEFAULT_TIMEOUT)?,
        })
    }

    /// The values of an option's variables.
    fn each<T>(
        &mut self,
        option: &ExporterOption,
        parse: impl Fn(&str) -> Result<T, Vec<Problem>> + Copy,
    ) -> Values<T> {
        Values {
            general: self.one(option.general, parse),
            own: option.own.map(|name| self.one(name, parse)),
        }
    }

    fn one<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Vec<Problem>>,
    ) -> Value<T> {
        match self.variables.value(name).map(parse) {
            None => Value::Unset,
            Some(Ok(value)) => Value::Set(name, value),
            Some(Err(problems)) => {
                let errors = problems.into_iter().map(|problem| problem.of(name));
                self.errors.extend(errors);
                Value::Wrong
            }
        }
    }

    fn switch(&mut self, name: &'static str) -> Value<bool> {
        match self.boolean(name) {
            None => Value::Unset,
            Some(value) => Value::Set(name, value),
        }
    }

    /// Whether a signal is to be sent by OTLP: by default metrics and traces are. (By the specification
    /// logs are, too; here they would cost each request a record that nobody asked for.)
    fn is_selected(&mut self, signal: Signal) -> bool {
        /// Of the specification, without `logging`, which it deprecates.
        const SERVED: [&str; 2] = ["otlp", "none"];
        const NOT_SERVED: [&str; 5] = ["console", "logging", "otlp/stdout", "prometheus", "zipkin"];
        let variable = selection(signal);
        let Some(value) = self.variables.value(variable) else {
            return signal != Signal::Logs;
        };
        let mut is_selected = false;
        for name in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "otlp" => is_selected = true,
                "none" => {}
                "prometheus" if signal == Signal::Metrics => self.warnings.push(format!(
                    "{variable}: prometheus selects nothing, /metrics is always on STATUS_PORT"
                )),
                known if NOT_SERVED.contains(&known) => self.warnings.push(format!(
                    "{variable}: {known} is not served, {} are sent by otlp only",
                    signal.as_str()
                )),
                _ => {
                    self.note::<()>(variable, Err(unknown(name, &SERVED)));
                }
            }
        }
        is_selected
    }
}

fn timeout(value: &str) -> Result<Duration, Problem> {
    let timeout = milliseconds(value)?;
    Ok(match timeout.is_zero() {
        true => LONGEST_TIMEOUT,
        false => timeout.min(LONGEST_TIMEOUT),
    })
}
