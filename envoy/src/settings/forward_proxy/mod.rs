//! `HTTPS_PROXY` and `NO_PROXY`: the HTTP proxy through which hosts outside this machine are
//! reached by CONNECT. Names and rules are those of aad-auth-proxy, which is those of Go
//! (<https://pkg.go.dev/golang.org/x/net/http/httpproxy>): https hosts only, never this machine.
//!
//! Metadata services, credential files and the token-sidecar are never reached through the proxy; their
//! clusters do not use this module.

mod no_proxy;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entra_auth_settings_input::{Authority, Endpoint, Host, Problem, Scheme};
use entra_token_core::Secret;

use no_proxy::NoProxy;

use super::{Reader, percent};

/// In both spellings; the first that is set counts, as it did in the Go of aad-auth-proxy's days.
/// (Go turned the order round in 2026.)
const HTTPS_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy, and what it is not for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardProxy {
    /// Where it is, and whether it is spoken to by TLS.
    pub endpoint: Endpoint,
    /// The value of `Proxy-Authorization`, where it wants one.
    pub authorization: Option<Secret>,
    exceptions: NoProxy,
}

impl ForwardProxy {
    /// Whether this host is reached through it.
    #[must_use]
    pub fn leads_to(&self, endpoint: &Endpoint) -> bool {
        endpoint.scheme == Scheme::Https
            && !is_this_machine(&endpoint.host)
            && !self.exceptions.covers(&endpoint.host, endpoint.port)
    }

    /// How people are told which one it is: `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint.host_and_port()
    }
}

/// An IPv4 address may be written as an IPv6 one.
fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Name(_) => host.is_loopback(),
        Host::Ip(address) => address.to_canonical().is_loopback(),
    }
}

impl<'a> Reader<'a> {
    /// The proxy, if there is one; the outer `None` stands for a mistake.
    pub(super) fn forward_proxy(&mut self) -> Option<Option<ForwardProxy>> {
        let exceptions = self.no_proxy();
        let Some((variable, value)) = self.first_set(HTTPS_PROXY) else {
            return Some(None);
        };
        let (endpoint, authorization) = self.note(variable, parse(value))?;
        Some(Some(ForwardProxy {
            endpoint,
            authorization,
            exceptions,
        }))
    }

    fn no_proxy(&mut self) -> NoProxy {
        let Some((variable, value)) = self.first_set(NO_PROXY) else {
            return NoProxy::default();
        };
        let (exceptions, ignored) = NoProxy::parse(value);
        self.warnings.extend(ignored.into_iter().map(|entry| {
            format!(
                "{variable}: {entry} is ignored, it is no host, .domain, address or network; \
                 write a name in another script in its xn-- form"
            )
        }));
        exceptions
    }

    /// A variable that has two spellings, under the one that counts.
    fn first_set(&mut self, names: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
        let variables = self.variables;
        let [first, second] = names.map(|name| variables.value(name).map(|value| (name, value)));
        if let (Some((name, value)), Some((other, ignored))) = (first, second)
            && value != ignored
        {
            self.warnings.push(format!(
                "{name} and {other} differ: {name} counts, as in aad-auth-proxy"
            ));
        }
        first.or(second)
    }
}

/// Reads a proxy's URL, or its host alone. No message shows the value: it may hold a password.
fn parse(value: &str) -> Result<(Endpoint, Option<Secret>), Problem> {
    let (scheme, rest) = match value.split_once("://") {
        None => (Scheme::Http, value),
        Some((scheme, rest)) => (known_scheme(scheme)?, rest),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if after.contains('@') {
        return Err(Problem::new(
            "has a /, ? or # in its user name or password",
            "Percent-encode them: / is %2F, ? is %3F and # is %23.",
        ));
    }
    let (user, host) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((user, host)) => (Some(user), host),
    };
    // What an authority's own problem would quote may be a password with a wrong `@`.
    let Authority { host, port, .. } = Authority::parse(host).map_err(|_| {
        Problem::new(
            "is no http://host:port",
            "Give it as http://proxy.example:3128, or with user:password@ before the host; \
             percent-encode what is inside user and password, and nothing else.",
        )
    })?;
    let endpoint = Endpoint {
        scheme,
        host,
        port: port.unwrap_or(scheme.default_port()),
    };
    let authorization = user
        .filter(|user| !user.is_empty())
        .map(basic)
        .transpose()?;
    Ok((endpoint, authorization))
}

fn known_scheme(scheme: &str) -> Result<Scheme, Problem> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        "socks5" | "socks5h" | "socks4" | "socks" => Err(Problem::new(
            "names a SOCKS proxy, which Envoy cannot use",
            "Give the address of an HTTP proxy, as http://proxy.example:3128.",
        )),
        _ => Err(Problem::new(
            "has a scheme that is neither http:// nor https://",
            "Give the proxy's address as http://proxy.example:3128.",
        )),
    }
}

/// The user information of a URL as RFC 7617 wants it: a password that is not there is empty.
fn basic(user_information: &str) -> Result<Secret, Problem> {
    let (user, password) = user_information
        .split_once(':')
        .unwrap_or((user_information, ""));
    let mut credentials = decoded(user)?;
    credentials.push(b':');
    credentials.extend(decoded(password)?);
    Ok(Secret::new(format!(
        "Basic {}",
        STANDARD.encode(credentials)
    )))
}

fn decoded(text: &str) -> Result<Vec<u8>, Problem> {
    percent::decoded(text).ok_or_else(|| {
        Problem::new(
            "has a % in its user name or password that begins no escape",
            "Percent-encode it: % is %25.",
        )
    })
}

#[cfg(test)]
mod tests;
