//! Why no answer of an endpoint came, and how that is told.

use super::{Failure, FailureCode};
use crate::http::Endpoint;

/// Why no answer came at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The call could not be made: the cluster is unknown to Envoy (yet).
    NoCluster,
    /// The cluster has no address: its name does not resolve (yet).
    NoAddress,
    /// The connection was refused.
    Refused,
    /// There was no connection for this other reason, in Envoy's or the system's words; empty where
    /// Envoy keeps it to itself.
    NoConnection(String),
    /// There was a connection, and TLS came to no agreement for this reason, in Envoy's words.
    Tls(String),
    /// The call broke off before the answer was whole, or the answer was too large.
    Broken,
    /// Nothing came within the call's own deadline.
    TimedOut,
}

impl Failure {
    /// No answer came from this endpoint. `is_place`: it is not one that gives tokens, but the place of
    /// a secret or an assertion.
    pub(crate) fn no_answer(why: NoAnswer, from: &Endpoint, is_place: bool) -> Self {
        let Endpoint {
            cluster, authority, ..
        } = from;
        let (code, message) = match why {
            NoAnswer::NoCluster => {
                let message = format!("Envoy has no cluster `{cluster}`");
                return Self::new(FailureCode::EndpointClusterMissing, message);
            }
            NoAnswer::NoAddress if is_known_without_dns(authority) => (
                FailureCode::EndpointUnreachable,
                format!("Envoy has no healthy address of {authority}"),
            ),
            NoAnswer::NoAddress => (
                FailureCode::EndpointNameUnknown,
                format!("DNS knows no address for {authority}"),
            ),
            NoAnswer::Refused => (
                FailureCode::EndpointUnreachable,
                format!("nothing listens at {authority}: the connection is refused"),
            ),
            NoAnswer::NoConnection(reason) if reason.is_empty() => (
                FailureCode::EndpointUnreachable,
                format!("no connection to {authority}"),
            ),
            NoAnswer::NoConnection(reason) => (
                FailureCode::EndpointUnreachable,
                format!("no connection to {authority}: {reason}"),
            ),
            // A forward proxy that makes no tunnel ends the connection, which is TLS's to notice. Only
            // a certificate is the endpoint's for sure.
            NoAnswer::Tls(reason)
                if from.forward_proxy.is_some() && !reason.contains("CERTIFICATE") =>
            {
                (
                    FailureCode::EndpointUnreachable,
                    format!("no connection to {authority}: {reason}"),
                )
            }
            NoAnswer::Tls(reason) => (
                FailureCode::EndpointTlsFailed,
                format!("no TLS with {authority}: {reason}"),
            ),
            NoAnswer::Broken => (
                FailureCode::EndpointBrokeOff,
                "the token endpoint broke the connection off, or its answer was too large".into(),
            ),
            NoAnswer::TimedOut => (
                FailureCode::EndpointTimeout,
                "the token endpoint did not answer in time".into(),
            ),
        };
        if is_place {
            let message = match code {
                FailureCode::EndpointBrokeOff => "it broke the connection off".into(),
                FailureCode::EndpointTimeout => "it did not answer in time".into(),
                _ => message,
            };
            let message = format!("no credential from the cluster `{cluster}`: {message}");
            return Self::new(FailureCode::CredentialUnavailable, message);
        }
        Self::new(code, message)
    }
}

/// Whether the host of an authority is an IP address, or this machine: no name is looked up for it.
fn is_known_without_dns(authority: &str) -> bool {
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, port)| {
            let is_port = port.bytes().all(|b| b.is_ascii_digit());
            if is_port { host } else { authority }
        });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<core::net::IpAddr>().is_ok()
}
