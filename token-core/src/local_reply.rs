//! What Envoy answers by itself to a call that it could not carry out: read here, in one place, for the
//! filter and for the launcher's `check`.
//!
//! Such an answer looks like one of the endpoint's, with a status and a text. Whether it is Envoy's own
//! is told not by its text, which an endpoint behind another Envoy may send as well, but by the header
//! [`UPSTREAM_SERVICE_TIME`], which Envoy's router puts on every answer that came from an endpoint.
//!
//! The texts are Envoy's (`source/common/router/router.cc`, `source/common/http/utility.cc`). Envoy 1.40
//! leaves out why a connection failed, and 1.36 does not; in the launcher's Envoy the runtime key
//! [`HIDE_REASONS_RUNTIME_KEY`] is false.

use crate::failure::NoAnswer;

/// The response header that is absent exactly from Envoy's own answers.
pub const UPSTREAM_SERVICE_TIME: &str = "x-envoy-upstream-service-time";

/// The runtime key by which Envoy leaves out why a connection failed.
pub const HIDE_REASONS_RUNTIME_KEY: &str =
    "envoy.reloadable_features.hide_transport_failure_reason_in_response_body";

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 200;

/// Why Envoy answered by itself.
#[must_use]
pub fn classify(status: u16, body: &[u8]) -> NoAnswer {
    let text = String::from_utf8_lossy(body);
    if status == 504 {
        return NoAnswer::TimedOut;
    }
    // The cluster has no host: its DNS has found none, or outlier detection has ejected all.
    if text.contains("no healthy upstream") {
        return NoAnswer::NoAddress;
    }
    let Some((_, resets)) = text.split_once("reset reason: ") else {
        return NoAnswer::Broken;
    };
    let (kind, reason) = resets
        .split_once(", transport failure reason: ")
        .unwrap_or((resets, ""));
    // With the key at its default no reason follows; "remote connection failure" says that there was
    // no connection.
    if let Some(reason) = tls_reason(reason) {
        return NoAnswer::Tls(printable(reason));
    }
    match kind {
        _ if reason.contains("Connection refused") => NoAnswer::Refused,
        "remote connection failure" | "local connection failure" => {
            NoAnswer::NoConnection(printable(system_error(reason)))
        }
        "connection timeout" => NoAnswer::NoConnection("nothing answers there".into()),
        "overflow" => NoAnswer::NoConnection("the cluster's circuit breaker is open".into()),
        _ => NoAnswer::Broken,
    }
}

/// `TLS_error:|<number>:SSL routines:OPENSSL_internal:<reason>:TLS_error_end`, maybe several.
fn tls_reason(reason: &str) -> Option<&str> {
    let (_, errors) = reason.split_once("TLS_error:")?;
    let errors = errors.strip_suffix(":TLS_error_end").unwrap_or(errors);
    let last = errors.rsplit_once("OPENSSL_internal:");
    Some(last.map_or(errors, |(_, reason)| reason))
}

/// `delayed connect error: <reason>` or `immediate connect error: <reason>|remote address:<address>`.
fn system_error(reason: &str) -> &str {
    let reason = reason
        .split_once("connect error: ")
        .map_or(reason, |(_, it)| it);
    reason
        .split_once("|remote address:")
        .map_or(reason, |(it, _)| it)
}

fn printable(reason: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    reason.chars().map(printable).take(MAX_REASON).collect()
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
    fn each_of_envoys_own_answers_is_told_apart() {
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
    fn an_envoy_that_hides_its_reasons_still_says_that_there_was_no_connection() {
        assert_eq!(
            reset("remote connection failure"),
            NoAnswer::NoConnection(String::new())
        );
    }

    #[test]
    fn what_is_none_of_its_texts_is_a_call_that_broke_off_and_reasons_are_bounded() {
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
