//! The services that issue tokens, and `TSIAM_ENDPOINT`.

use std::path::Path;

use entra_auth_settings_input::{Authority, Endpoint, Problem, Scheme, quoted};
use entra_token_core::config::{self, UrlPath};

use super::from_environment::TSIAM_ENDPOINT;
use super::{AUTHORITY_HOST, Application, Certificate, Sidecar, metadata_service};
use crate::settings::values::values;
use crate::settings::{Reader, addressed_to};

/// Something to ask, and what the request is addressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The `Host` of requests to it.
    pub authority: config::Authority,
}

/// A service whose address has a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathService {
    /// Where it is.
    pub service: Service,
    /// The path that gives tokens.
    pub path: UrlPath,
}

/// A kind of service that is called over the network: its cluster, and the settings that say where it is.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceKind {
    /// The name of the first cluster of its kind.
    pub cluster: &'static str,
    /// Whether it is outside of this machine: then it is reached by TLS, and through the forward proxy.
    pub is_remote: bool,
    /// The variable with its address.
    pub(in crate::settings) variable: &'static str,
    /// The field with its address in the file; none if a platform sets it in the environment alone.
    pub(in crate::settings) field: Option<&'static str>,
}

/// The instance metadata service.
pub static IMDS: ServiceKind = ServiceKind {
    cluster: "imds",
    is_remote: false,
    variable: metadata_service::IMDS,
    field: Some("imds"),
};

/// The metadata service of App Service, Functions and Container Apps.
pub static APP_SERVICE: ServiceKind = ServiceKind {
    cluster: "app-service",
    is_remote: false,
    variable: metadata_service::ENDPOINT,
    field: None,
};

/// Entra.
pub static ENTRA: ServiceKind = ServiceKind {
    cluster: "entra",
    is_remote: true,
    variable: AUTHORITY_HOST,
    field: Some("authority"),
};

/// tsiam.
pub static TSIAM: ServiceKind = ServiceKind {
    cluster: "tsiam",
    is_remote: true,
    variable: TSIAM_ENDPOINT,
    field: Some("tsiam"),
};

/// A service that is called for tokens or assertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenService<'a> {
    /// One that is called over the network.
    At(&'static ServiceKind, &'a Service),
    /// The token-sidecar that the launcher starts for this application.
    OwnSidecar(&'a Application, &'a Certificate),
    /// A token-sidecar that the user runs, by its socket.
    Sidecar(&'a Path),
}

impl<'a> TokenService<'a> {
    pub(crate) fn sidecar(application: &'a Application, sidecar: &'a Sidecar) -> Self {
        match sidecar {
            Sidecar::Own(certificate) => Self::OwnSidecar(application, certificate),
            Sidecar::OfOthers(socket) => Self::Sidecar(&socket.0),
        }
    }

    /// The name of the first cluster of its kind.
    #[must_use]
    pub fn cluster(self) -> &'static str {
        match self {
            Self::At(kind, _) => kind.cluster,
            Self::OwnSidecar(..) | Self::Sidecar(_) => "token-sidecar",
        }
    }

    /// The endpoint of a service outside of this machine.
    #[must_use]
    pub fn remote(self) -> Option<&'a Endpoint> {
        match self {
            Self::At(kind, service) if kind.is_remote => Some(&service.endpoint),
            Self::At(..) | Self::OwnSidecar(..) | Self::Sidecar(_) => None,
        }
    }
}

impl Service {
    pub(super) fn at(endpoint: Endpoint) -> Result<Self, Problem> {
        let authority = addressed_to(&endpoint)?;
        Ok(Self {
            endpoint,
            authority,
        })
    }
}

/// A URL's parts: `default` is the scheme where none is written, and `/` counts as no path.
pub(super) fn split_url(
    value: &str,
    default: Scheme,
) -> Result<(Endpoint, Option<UrlPath>), Problem> {
    let host = value.find("://").map_or(0, |at| at + 3);
    let rest = value.get(host..).unwrap_or_default();
    let (base, path) = match rest.find('/') {
        Some(at) => value.split_at(host + at),
        None => (value, ""),
    };
    let endpoint = Authority::parse(base)?.endpoint(default);
    let path = match path {
        "" | "/" => None,
        path if path.contains(['?', '#']) => {
            return Err(Problem::new(
                format!("is {}, which holds a query", quoted(value)),
                "Give scheme, host and path; the query is made for each token.",
            ));
        }
        path => Some(
            path.parse()
                .map_err(|why: String| Problem::of_value(path, &why))?,
        ),
    };
    Ok((endpoint, path))
}

values! {
    /// Where tsiam is.
    TsiamUrl(PathService): parse_tsiam,
        |tsiam| format!("{}{}", tsiam.service.endpoint.url(), tsiam.path),
        { "type": "string", "minLength": 1 };
}

/// <https://github.com/ItalyPaleAle/tsiam>: `POST /token`.
const TSIAM_PATH: &str = "/token";

fn parse_tsiam(value: &str) -> Result<PathService, Problem> {
    let (endpoint, path) = split_url(value, Scheme::Https)?;
    let path = match path {
        Some(path) => path,
        None => TSIAM_PATH
            .parse()
            .map_err(|why: String| Problem::of_value(TSIAM_PATH, &why))?,
    };
    let service = Service::at(endpoint.encrypted(value)?)?;
    Ok(PathService { service, path })
}

impl Reader<'_> {
    pub(super) fn tsiam_service(&mut self) -> Option<TsiamUrl> {
        let result = match self.variables.value(TSIAM_ENDPOINT) {
            Some(value) => parse_tsiam(value),
            None => Err(Problem::new(
                "is not set, but IDENTITY_TYPE is tsiam",
                "Set it to tsiam's address, as https://tsiam.<tailnet>.ts.net.",
            )),
        };
        self.note(TSIAM_ENDPOINT, result).map(TsiamUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tsiam_is_found_with_and_without_a_path() {
        let cases = [
            ("https://tsiam", "tsiam", 443, "/token"),
            (
                "https://tsiam.tail.ts.net/",
                "tsiam.tail.ts.net",
                443,
                "/token",
            ),
            ("tsiam:8443", "tsiam:8443", 8443, "/token"),
            ("https://tsiam/v1/token", "tsiam", 443, "/v1/token"),
            ("http://127.0.0.1:1234", "127.0.0.1:1234", 1234, "/token"),
        ];
        for (value, authority, port, path) in cases {
            let tsiam = parse_tsiam(value).unwrap();
            assert_eq!(tsiam.service.authority.as_str(), authority, "{value}");
            assert_eq!(tsiam.service.endpoint.port, port, "{value}");
            assert_eq!(tsiam.path.as_str(), path, "{value}");
        }
    }

    #[test]
    fn an_address_that_is_in_clear_or_no_url_is_refused() {
        let cases = [
            ("http://tsiam", "which is not encrypted"),
            ("https://tsiam/token?resource=x", "which holds a query"),
            ("https://tsiam?x", "goes on after the host"),
            ("https://", "names no host"),
            ("https://user@tsiam", "user information"),
            ("https://tsiam/to ken", "is no path"),
            ("ftp://tsiam", "scheme is unknown"),
        ];
        for (value, reason) in cases {
            let problem = parse_tsiam(value).unwrap_err();
            assert!(problem.wrong.contains(reason), "{value}: {problem:?}");
        }
    }
}
