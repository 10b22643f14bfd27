//! Why a call got no response, and the failure that follows.

use super::{Failure, FailureCode};
use crate::http::Endpoint;

/// Why a call got no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The call could not be made: Envoy does not have the cluster (yet).
    NoCluster,
    /// The cluster has no healthy address: its name does not resolve (yet).
    NoAddress,
    /// The connection was refused.
    Refused,
    /// The connection failed for another reason, as Envoy or the system describes it; empty if Envoy
    /// hides the reason.
    NoConnection(String),
    /// The TLS handshake failed, for the reason that Envoy gives.
    Tls(String),
    /// The call ended before the response was complete, or the response was too large.
    Broken,
    /// The call timed out.
    TimedOut,
}

impl Failure {
    /// The failure of a call to this endpoint. `is_local` tells that the call was for a local secret or
    /// assertion, not for a token.
    pub(crate) fn no_answer(why: NoAnswer, from: &Endpoint, is_local: bool) -> Self {
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
            // A forward proxy that refuses the tunnel closes the connection, which Envoy reports as a TLS
            // error. Only a certificate error proves that TLS reached the endpoint.
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
        if is_local {
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

/// Whether the host of an authority is an IP address or `localhost`, so that DNS is not used.
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
