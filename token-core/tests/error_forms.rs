//! The many forms in which an endpoint says why there is no token. What it said is kept, bounded and
//! printable, and the number of Entra's is found wherever it stands.

mod common;

use common::{START, answer, exchange, slot};
use entra_token_core::failure::{Failure, FailureCode};
use entra_token_core::http::Response;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn failure(response: Response) -> Failure {
    let mut slot = slot();
    exchange(&mut slot, START, response);
    slot.state().last_failure.clone().expect("failed")
}

fn said(status: u16, body: &str) -> (FailureCode, String) {
    let failure = failure(answer(status, body));
    (failure.code, failure.message)
}

#[test]
fn every_form_of_an_error_keeps_its_reason() {
    use FailureCode::{
        ApplicationNotFound, EndpointFailed, EntraUnavailable, IdentityNotFound, RequestRefused,
        Throttled,
    };
    let number = "AADSTS700016: Application not found.";
    for (status, body, code, words) in [
        // Azure Resource Manager.
        (
            403,
            r#"{"error":{"code":"AuthorizationFailed","message":"No access."}}"#.to_owned(),
            RequestRefused,
            "403: AuthorizationFailed: No access.",
        ),
        (
            400,
            format!(r#"{{"error":{{"code":"Bad","message":"{number}"}}}}"#),
            ApplicationNotFound,
            "400: Bad: AADSTS700016: Application not found.",
        ),
        (
            400,
            r#"{"error":{"code":"x","message":"Identity not found"}}"#.to_owned(),
            IdentityNotFound,
            "400: x: Identity not found",
        ),
        (
            500,
            format!(
                r#"{{"error":{{"code":"x","message":"Failed.","innererror":{{"why":["{number}"]}}}}}}"#
            ),
            ApplicationNotFound,
            "500: x: AADSTS700016",
        ),
        (
            429,
            r#"{"code":"TooManyRequests","message":"Later."}"#.to_owned(),
            Throttled,
            "429: TooManyRequests: Later.",
        ),
        // ASP.NET and App Service.
        (
            500,
            r#"{"Message":"An error has occurred."}"#.to_owned(),
            EndpointFailed,
            "500: An error has occurred.",
        ),
        (
            500,
            format!(r#"{{"Message":"An error has occurred.","ExceptionMessage":"{number}"}}"#),
            ApplicationNotFound,
            "500: AADSTS700016",
        ),
        // RFC 9457.
        (
            500,
            r#"{"title":"Oops","detail":"It broke.","status":500}"#.to_owned(),
            EndpointFailed,
            "500: Oops: It broke.",
        ),
        // OAuth, in other letters or behind a gateway that writes numbers as text.
        (
            400,
            r#"{"Error":"x","Error_Description":"y","Error_Codes":"700016"}"#.to_owned(),
            ApplicationNotFound,
            "400: x: y",
        ),
        (
            400,
            r#"{"error":"x","error_codes":["700016",null]}"#.to_owned(),
            ApplicationNotFound,
            "400: x",
        ),
        (
            400,
            r#"{"error":"x","error_codes":"[1, 90033]"}"#.to_owned(),
            EntraUnavailable,
            "400: x",
        ),
        (
            400,
            r#"{"error":"AADSTS700016","message":"x"}"#.to_owned(),
            ApplicationNotFound,
            "400: AADSTS700016: x",
        ),
        // Text of any kind.
        (
            400,
            number.to_owned(),
            ApplicationNotFound,
            "400: AADSTS700016",
        ),
        (
            400,
            format!("\"{number}\""),
            ApplicationNotFound,
            "400: AADSTS700016",
        ),
        (
            401,
            format!("Trouble.\r\n\t{number}\r\n"),
            ApplicationNotFound,
            "401: Trouble. AADSTS700016: Application not found.",
        ),
        (
            400,
            format!("\u{feff}{{\"error\":\"x\",\"error_description\":\"{number}\"}}"),
            ApplicationNotFound,
            "400: x: AADSTS700016",
        ),
        (
            502,
            "<html><head><title>502</title></head><body>Bad\n<b>Gateway</b></body></html>"
                .to_owned(),
            EndpointFailed,
            "502: 502 Bad Gateway",
        ),
        (
            500,
            r#"{"fault":{"faultstring":"Quota"}}"#.to_owned(),
            EndpointFailed,
            r#"500: {"fault":{"faultstring":"Quota"}}"#,
        ),
        (500, "[]".to_owned(), EndpointFailed, "500: []"),
    ] {
        let (found, message) = said(status, &body);
        assert_eq!(found, code, "{body}: {message}");
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[test]
fn what_asks_for_another_try_later_is_the_endpoints_own_word() {
    for (status, body, words) in [
        (503, "Service busy", "503: Service busy"),
        (503, "", "answered 503"),
        (502, "Bad gateway", "502: Bad gateway"),
        (504, "Too slow", "504: Too slow"),
        // Not even Envoy's own words are Envoy's with `Retry-After`.
        (503, "no healthy upstream", "503: no healthy upstream"),
    ] {
        let failure = failure(Response {
            retry_after: Some("20".into()),
            ..answer(status, body)
        });
        assert_eq!(failure.code, FailureCode::EndpointFailed, "{body}");
        assert!(failure.message.contains(words), "{}", failure.message);
        assert!(!failure.message.contains("nothing answers"));
    }
}

#[test]
fn envoys_own_answers_are_no_answers() {
    for (status, body, code) in [
        (
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused",
            FailureCode::EndpointUnreachable,
        ),
        (503, "no healthy upstream", FailureCode::EndpointUnreachable),
        (
            504,
            "upstream request timeout",
            FailureCode::EndpointTimeout,
        ),
        (502, "", FailureCode::EndpointUnreachable),
        (503, " \r\n", FailureCode::EndpointUnreachable),
        (504, "", FailureCode::EndpointTimeout),
    ] {
        assert_eq!(said(status, body).0, code, "{body}");
    }
    // Another's words only begin alike.
    let (code, _) = said(500, "no healthy upstream");
    assert_eq!(code, FailureCode::EndpointFailed);
}

#[test]
fn words_are_bounded_and_printable() {
    let odd = "a\u{200b}b\u{202e}c\u{0}d\u{a0}e\u{1b}[31m";
    for body in [
        odd.to_owned(),
        format!(r#"{{"Message":"{odd}"}}"#),
        "word ".repeat(10_000),
        format!("<p>{}", "<".repeat(10_000)),
    ] {
        let (_, message) = said(500, &body);
        assert!(message.chars().count() < 450, "{message}");
        let is_printable = |c: char| c == ' ' || c.is_ascii_graphic();
        assert!(message.chars().all(is_printable), "{message:?}");
    }
    let not_utf8 = Response {
        body: entra_token_core::http::Body(b"caf\xe9 AADSTS90002".to_vec()),
        ..answer(400, "")
    };
    assert_eq!(failure(not_utf8).code, FailureCode::TenantNotFound);
}

/// Some servers give the request back in their error.
#[test]
fn a_secret_in_an_error_is_not_shown() {
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzM2NyM3QifQ.c2ln";
    for body in [
        "bad request: grant_type=x&client_id=1&client_secret=s3cr3t&scope=y".to_owned(),
        r#"{"form":{"client_secret":"s3cr3t"}}"#.to_owned(),
        r#"{"Message":"bad form: client_assertion = s3cr3t"}"#.to_owned(),
        r#"{"error":"x","error_description":"{\"access_token\": \"s3cr3t\"}"}"#.to_owned(),
        "X-IDENTITY-HEADER: s3cr3t".to_owned(),
        "Authorization: Basic s3cr3t".to_owned(),
        "Array ( [client_secret] => s3cr3t )".to_owned(),
        "ImmutableMultiDict([('client_secret', 's3cr3t')])".to_owned(),
        "<p>{&#39;client_secret&#39;: &#39;s3cr3t&#39;}</p>".to_owned(),
        "body: client_secret%3Ds3cr3t%26scope".to_owned(),
        format!("not accepted: {jwt}"),
        format!(r#"{{"error":{{"code":"x","message":"{jwt}"}}}}"#),
    ] {
        let (_, message) = said(400, &body);
        assert!(
            !message.contains("s3cr3t") && !message.contains("eyJ"),
            "{message}"
        );
    }
    // Its mere name says what is missing.
    let (code, message) = said(
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}"#,
    );
    assert_eq!(code, FailureCode::CredentialMissing);
    assert!(message.ends_with("or 'client_secret'."), "{message}");
}

#[test]
fn the_ids_of_an_error_are_found_in_every_form() {
    let ids = "Trace ID: 1\\r\\nCorrelation ID: 2\\r\\nTimestamp: 2026-09-21 14:13:20Z";
    for body in [
        format!(r#"{{"error":{{"code":"x","message":"AADSTS1: no.\r\n{ids}"}}}}"#),
        format!(r#"{{"ExceptionMessage":"AADSTS1: no.\r\n{ids}"}}"#),
        format!("AADSTS1: no.\r\n{}", ids.replace("\\r\\n", "\r\n")),
        r#"{"error":{"code":"x"},"trace_id":"1","Correlation_ID":"2"}"#.to_owned(),
    ] {
        let failure = failure(answer(400, &body));
        assert_eq!(failure.trace.trace_id.as_deref(), Some("1"), "{body}");
        assert_eq!(failure.trace.correlation_id.as_deref(), Some("2"), "{body}");
        assert!(!failure.message.contains("Trace"), "{}", failure.message);
    }
}
