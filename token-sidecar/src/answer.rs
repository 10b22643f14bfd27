//! The answer to each request, without the transport.

use std::borrow::Cow;

use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client_assertion::{Assertion, Refusal, Signer};
use crate::credential::Expiry;
use crate::served_file::ServedFile;
use crate::settings::Settings;
use crate::variables::{AUTHORITY_HOST, CERTIFICATE, CLOUD, TENANT_ID};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its `content-type`.
    pub content_type: &'static str,
    /// Beside an assertion, the end of the certificate that signed it.
    pub certificate_not_after: Option<Expiry>,
    /// Its body.
    pub body: String,
}

impl Answer {
    fn ok(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            certificate_not_after: None,
            body,
        }
    }

    fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            certificate_not_after: None,
            body: body.to_string(),
        }
    }

    /// An error in the format of OAuth 2.0 (RFC 6749 §5.2), which the filter reads and reports.
    fn error(status: StatusCode, error: &str, description: impl Into<String>) -> Self {
        let description: String = description.into();
        let body = json!({ "error": error, "error_description": description });
        Self::json(status, &body)
    }
}

/// Answers a request.
#[must_use]
pub fn answer(settings: &Settings, method: &Method, uri: &Uri, now: Timestamp) -> Answer {
    if method != Method::GET {
        return Answer::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request",
            "Only GET is served here.",
        );
    }
    match uri.path() {
        "/assertion" => match &settings.signer {
            Some(signer) => assertion(signer, uri.query().unwrap_or_default(), now),
            None => not_configured(CERTIFICATE, "the certificate to sign with"),
        },
        "/federated-token" => served_file(&settings.federated_token),
        "/client-secret" => served_file(&settings.client_secret),
        "/health" => health(settings.signer.as_ref(), now),
        _ => Answer::error(
            StatusCode::NOT_FOUND,
            "not_found",
            "Served are /assertion, /federated-token, /client-secret and /health.",
        ),
    }
}

fn assertion(signer: &Signer, query: &str, now: Timestamp) -> Answer {
    let audiences: Vec<Cow<str>> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "audience")
        .map(|(_, value)| value)
        .collect();
    let [audience] = audiences.as_slice() else {
        return Answer::error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The query must hold one audience, the URL-encoded token endpoint.",
        );
    };
    match signer.assertion(audience, now) {
        Ok(Assertion { jwt, not_after }) => Answer {
            certificate_not_after: Some(not_after),
            ..Answer::ok("application/jwt", jwt)
        },
        Err(Refusal::Audience) => Answer::error(
            StatusCode::BAD_REQUEST,
            "invalid_audience",
            format!(
                "Assertions are signed for {} only. Make the audience that, or correct {}, {CLOUD} \
                 or {AUTHORITY_HOST} of token-sidecar.",
                signer.token_endpoint, TENANT_ID[0]
            ),
        ),
        Err(refusal @ Refusal::Certificate(_)) => Answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "invalid_certificate",
            refusal.to_string(),
        ),
        Err(refusal @ Refusal::Signing) => Answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            refusal.to_string(),
        ),
    }
}

fn served_file(served_file: &ServedFile) -> Answer {
    match served_file.content() {
        Some(Ok(text)) => Answer::ok("text/plain; charset=utf-8", text.to_string()),
        Some(Err(error)) => Answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "unreadable_file",
            error.to_string(),
        ),
        None => not_configured(served_file.setting, "the file to hand out"),
    }
}

fn not_configured(setting: &str, what: &str) -> Answer {
    Answer::error(
        StatusCode::NOT_FOUND,
        "not_configured",
        format!("{setting} is not set. Set it to {what}, and start token-sidecar anew."),
    )
}

/// The answer is 503 only when nothing can be signed. A new file that cannot be used is reported in
/// the body while the old certificate is still valid.
fn health(signer: Option<&Signer>, now: Timestamp) -> Answer {
    let Some(signer) = signer else {
        let body = json!({ "status": "ok", "certificate": null });
        return Answer::json(StatusCode::OK, &body);
    };
    signer.store.refresh(now);
    let state = signer.store.status();
    let credential = &state.credential;
    let (code, status) = match credential.check_validity(now) {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "certificate_not_valid"),
    };
    let body = json!({
        "status": status,
        "token_endpoint": signer.token_endpoint,
        "certificate": {
            "subject": credential.subject(),
            "x5t#S256": credential.thumbprint(),
            "not_before": credential.not_before().to_string(),
            "not_after": credential.not_after().to_string(),
            "algorithm": credential.algorithm().name(),
        },
        "last_reload": format!("{:.0}", state.loaded),
        "last_reload_error": state.error,
    });
    Answer::json(code, &body)
}
