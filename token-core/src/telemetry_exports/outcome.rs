//! How one export ended, as its response tells it.

use super::Protocol;
use crate::failure::NoAnswer;
use crate::local_reply;

/// The longest status that is shown, in characters; the rest is cut. A gRPC status has one or two digits.
const MAX_STATUS: usize = 20;

/// How an export ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector took it.
    Delivered,
    /// The collector did not take it, for this reason.
    Failed(String),
}

impl Outcome {
    /// The outcome that the headers of a response tell; `None` if its trailers will tell it. `details` are Envoy's
    /// response code details.
    #[must_use]
    pub fn of_headers(
        protocol: Protocol,
        status: Option<u16>,
        grpc_status: Option<&str>,
        details: &str,
    ) -> Option<Self> {
        if details != "via_upstream" {
            return Some(Self::Failed(no_response(local_reply::of_details(details))));
        }
        match (protocol, status, grpc_status) {
            (Protocol::HttpProtobuf, Some(200..=299), _) => Some(Self::Delivered),
            (Protocol::Grpc, Some(200), None) => None,
            (Protocol::Grpc, Some(200), Some(grpc_status)) => {
                Some(Self::of_grpc_status(grpc_status))
            }
            (_, Some(status), _) => Some(Self::Failed(format!("the collector answers {status}"))),
            (_, None, _) => Some(Self::without_response()),
        }
    }

    /// The outcome that a response's `grpc-status` tells.
    #[must_use]
    pub fn of_grpc_status(grpc_status: &str) -> Self {
        match grpc_status {
            "0" => Self::Delivered,
            other => Self::Failed(format!(
                "the collector answers with gRPC status {}",
                local_reply::printable(other, MAX_STATUS)
            )),
        }
    }

    /// The outcome of an export that ended without a complete response.
    #[must_use]
    pub fn without_response() -> Self {
        Self::Failed("the export ended before the collector had answered".into())
    }
}

/// Why the collector did not respond.
fn no_response(why: NoAnswer) -> String {
    match why {
        NoAnswer::NoCluster | NoAnswer::NoAddress => "the collector's name has no address".into(),
        NoAnswer::Refused => "the connection is refused".into(),
        NoAnswer::NoConnection(reason) if reason.is_empty() => "there is no connection".into(),
        NoAnswer::NoConnection(reason) => format!("there is no connection: {reason}"),
        NoAnswer::Tls(reason) => format!("there is no TLS: {reason}"),
        NoAnswer::Broken => "the collector broke the connection off".into(),
        NoAnswer::TimedOut => "the collector does not answer in time".into(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_response_has_its_outcome() {
        let failed = |reason: &str| Some(Outcome::Failed(reason.into()));
        let via = "via_upstream";
        for (protocol, status, grpc_status, details, outcome) in [
            (
                Protocol::HttpProtobuf,
                200,
                None,
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::HttpProtobuf,
                202,
                None,
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::HttpProtobuf,
                401,
                None,
                via,
                failed("the collector answers 401"),
            ),
            (
                Protocol::HttpProtobuf,
                302,
                None,
                via,
                failed("the collector answers 302"),
            ),
            (Protocol::Grpc, 200, None, via, None),
            (
                Protocol::Grpc,
                200,
                Some("0"),
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::Grpc,
                200,
                Some("16"),
                via,
                failed("the collector answers with gRPC status 16"),
            ),
            (
                Protocol::Grpc,
                404,
                None,
                via,
                failed("the collector answers 404"),
            ),
            // Envoy's own response to a gRPC request has status 200, too.
            (
                Protocol::Grpc,
                200,
                Some("14"),
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                failed("the connection is refused"),
            ),
            (
                Protocol::HttpProtobuf,
                504,
                None,
                "upstream_response_timeout",
                failed("the collector does not answer in time"),
            ),
            (
                Protocol::HttpProtobuf,
                503,
                None,
                "no_healthy_upstream",
                failed("the collector's name has no address"),
            ),
        ] {
            let seen = Outcome::of_headers(protocol, Some(status), grpc_status, details);
            assert_eq!(seen, outcome, "{protocol:?} {status} {details}");
        }
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        let long = format!("overloaded\u{1b}[31m{}", "é".repeat(999));
        let Outcome::Failed(reason) = Outcome::of_grpc_status(&long) else {
            panic!("delivered")
        };
        assert!(reason.chars().count() < 80 && !reason.contains('\u{1b}'));
    }
}
