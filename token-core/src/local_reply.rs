//! Classifies Envoy's local replies: the responses that Envoy itself gives to a call that failed. The
//! filter and the launcher's `check` use it.
//!
//! A local reply has a status and a text, as a response of the endpoint has. The text does not tell
//! them apart, because an endpoint behind another Envoy may send the same text. The header
//! [`UPSTREAM_SERVICE_TIME`] does: Envoy's router adds it to every response of an endpoint.
//!
//! The texts come from `source/common/router/router.cc` and `source/common/http/utility.cc`. By default,
//! Envoy 1.40 hides why a connection failed, and 1.36 does not. The launcher sets the runtime key
//! [`HIDE_REASONS_RUNTIME_KEY`] to false.

use crate::failure::NoAnswer;

/// The response header that only local replies lack.
pub const UPSTREAM_SERVICE_TIME: &str = "x-envoy-upstream-service-time";

/// The runtime key that makes Envoy hide why a connection failed.
pub const HIDE_REASONS_RUNTIME_KEY: &str =
    "envoy.reloadable_features.hide_transport_failure_reason_in_response_body";

/// The longest reason, in characters; longer ones are cut.
const MAX_REASON: usize = 200;

/// Why the call failed, according to the local reply.
#[must_use]
pub fn classify(status: u16, body: &[u8]) -> NoAnswer {
    let text = String::from_utf8_lossy(body);
    if status == 504 {
        return NoAnswer::TimedOut;
    }
    // The cluster has no healthy host: DNS found none, or outlier detection ejected all.
    if text.contains("no healthy upstream") {
        return NoAnswer::NoAddress;
    }
    let Some((_, resets)) = text.split_once("reset reason: ") else {
        return NoAnswer::Broken;
    };
    let (kind, reason) = resets
        .split_once(", transport failure reason: ")
        .unwrap_or((resets, ""));
    of_reset(kind, reason)
}

/// The same according to the details of Envoy's response, in which each space is an underscore
/// (<https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details>).
#[must_use]
pub fn of_details(details: &str) -> NoAnswer {
    match details {
        "cluster_not_found" => return NoAnswer::NoCluster,
        "no_healthy_upstream" => return NoAnswer::NoAddress,
        "response_timeout" | "upstream_response_timeout" => return NoAnswer::TimedOut,
        _ => {}
    }
    let Some((_, reset)) = details.split_once("upstream_reset_before_response_started{") else {
        return NoAnswer::Broken;
    };
    let reset = reset.trim_end_matches('}');
    let (kind, reason) = reset.split_once('|').unwrap_or((reset, ""));
    let kind = kind.replace('_', " ");
    // The names of TLS errors have underscores of their own.
    match tls_reason(reason) {
        Some(_) => of_reset(&kind, reason),
        None => of_reset(&kind, &reason.replace('_', " ")),
    }
}

/// Why there is no response after a reset of this kind.
fn of_reset(kind: &str, reason: &str) -> NoAnswer {
    // Envoy may hide the reason; "remote connection failure" still tells that there was no connection.
    if let Some(reason) = tls_reason(reason) {
        return NoAnswer::Tls(printable(reason, MAX_REASON));
    }
    match kind {
        _ if reason.contains("Connection refused") => NoAnswer::Refused,
        "remote connection failure" | "local connection failure" => {
            NoAnswer::NoConnection(printable(system_error(reason), MAX_REASON))
        }
        "connection timeout" => NoAnswer::NoConnection("nothing answers there".into()),
        "overflow" => NoAnswer::NoConnection("the cluster's circuit breaker is open".into()),
        _ => NoAnswer::Broken,
    }
}

/// The last reason in `TLS_error:|<number>:SSL routines:OPENSSL_internal:<reason>:TLS_error_end`.
fn tls_reason(reason: &str) -> Option<&str> {
    let (_, errors) = reason.split_once("TLS_error:")?;
    let errors = errors.strip_suffix(":TLS_error_end").unwrap_or(errors);
    let last = errors.rsplit_once("OPENSSL_internal:");
    Some(last.map_or(errors, |(_, reason)| reason))
}

/// The reason in `delayed connect error: <reason>` or
/// `immediate connect error: <reason>|remote address:<address>`.
fn system_error(reason: &str) -> &str {
    let reason = reason
        .split_once("connect error: ")
        .map_or(reason, |(_, it)| it);
    reason
        .split_once("|remote address:")
        .map_or(reason, |(it, _)| it)
}

/// A text of somebody else's without control characters, and cut after so many characters.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

    fn reset(rest: &str) -> NoAnswer {
        classify(503, format!("{RESET}{rest}").as_bytes())
    }

    fn failed(reason: &str) -> NoAnswer {
        reset(&format!(
            "remote connection failure, transport failure reason: {reason}"
        ))
    }

    #[test]
    fn each_local_reply_is_classified() {
        assert_eq!(
            classify(504, b"upstream request timeout"),
            NoAnswer::TimedOut
        );
        assert_eq!(classify(503, b"no healthy upstream"), NoAnswer::NoAddress);
        assert_eq!(
            failed("delayed connect error: Connection refused"),
            NoAnswer::Refused
        );
        assert_eq!(
            failed("immediate connect error: Network is unreachable|remote address:[::1]:80"),
            NoAnswer::NoConnection("Network is unreachable".into())
        );
        assert_eq!(
            failed(
                "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
            ),
            NoAnswer::Tls("WRONG_VERSION_NUMBER".into())
        );
        assert_eq!(
            failed(
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: self signed certificate:TLS_error_end"
            ),
            NoAnswer::Tls(
                "CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: self signed certificate"
                    .into()
            )
        );
        assert_eq!(
            reset("connection timeout"),
            NoAnswer::NoConnection("nothing answers there".into())
        );
        assert_eq!(reset("connection termination"), NoAnswer::Broken);
    }

    #[test]
    fn details_tell_the_same() {
        let reset = |reset: &str| {
            of_details(&format!(
                "upstream_reset_before_response_started{{{reset}}}"
            ))
        };
        assert_eq!(
            reset("remote_connection_failure|delayed_connect_error:_Connection_refused"),
            NoAnswer::Refused
        );
        assert_eq!(
            reset(
                "remote_connection_failure|immediate_connect_error:_Network_is_unreachable|remote_address:[::1]:80"
            ),
            NoAnswer::NoConnection("Network is unreachable".into())
        );
        assert_eq!(
            reset(
                "remote_connection_failure|TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
            ),
            NoAnswer::Tls("WRONG_VERSION_NUMBER".into())
        );
        assert_eq!(
            reset("overflow"),
            NoAnswer::NoConnection("the cluster's circuit breaker is open".into())
        );
        assert_eq!(reset("connection_termination"), NoAnswer::Broken);
        assert_eq!(of_details("upstream_response_timeout"), NoAnswer::TimedOut);
        assert_eq!(of_details("no_healthy_upstream"), NoAnswer::NoAddress);
        assert_eq!(of_details("cluster_not_found"), NoAnswer::NoCluster);
        for details in [
            "",
            "via_upstream",
            "upstream_reset_before_response_started{",
        ] {
            assert_eq!(of_details(details), NoAnswer::Broken, "{details}");
        }
    }

    #[test]
    fn a_hidden_reason_still_means_no_connection() {
        assert_eq!(
            reset("remote connection failure"),
            NoAnswer::NoConnection(String::new())
        );
    }

    #[test]
    fn an_unknown_text_is_an_interrupted_call_and_reasons_are_bounded() {
        for text in ["", "\u{fffd}\u{0}", "reset reason: ", RESET] {
            assert_eq!(classify(503, text.as_bytes()), NoAnswer::Broken, "{text:?}");
        }
        let NoAnswer::Tls(reason) = failed(&format!("TLS_error:|\u{1b}[31m{}", "é".repeat(999)))
        else {
            panic!("no TLS error")
        };
        assert_eq!(reason.chars().count(), MAX_REASON);
        assert!(!reason.contains('\u{1b}'));
    }
}
