//! A secret or an assertion, as a file's content or the token-sidecar brings it.

use entra_token_core::http::{Body, Response};
use entra_token_core::identity::{
    CredentialKind, NO_END, Proof, SigningCertificate, Source, credential_text,
};

use crate::endpoint::{START, plan};
use crate::{MARKER, hides_the_marker};

/// The content.
pub(crate) fn credential(content: &[u8]) {
    // What the token-sidecar tells beside an assertion.
    if let Some(end) = str::from_utf8(content)
        .ok()
        .and_then(|text| SigningCertificate::read(text, START))
    {
        assert!(end.not_after.0 <= NO_END * 1000);
    }
    for kind in [CredentialKind::Secret, CredentialKind::Assertion] {
        if let Ok(text) = credential_text(kind, content) {
            assert!(!text.is_empty() && text.len() <= 32 * 1024);
            assert!(!text.contains(char::is_control) && text == text.trim_ascii());
            assert_eq!(credential_text(kind, text.as_bytes()), Ok(text));
        }
        let mut plan = plan();
        if let Source::Entra(exchange) = &mut plan.source
            && let Proof::Secret(local) = exchange.proof.clone()
            && kind == CredentialKind::Assertion
        {
            exchange.proof = Proof::Assertion(local);
        }
        let marked = [MARKER.as_bytes(), content].concat();
        for (status, body) in [(200, content), (200, &marked), (404, content)] {
            let response = Response {
                status,
                retry_after: None,
                certificate_not_after: None,
                body: Body(body.to_vec()),
            };
            let shown = match plan.credential(&response, START) {
                Ok(credential) => {
                    assert_eq!(status, 200);
                    let expected = credential_text(kind, body).expect("what is taken is one");
                    assert_eq!(credential.expose(), expected);
                    format!("{credential:?}")
                }
                Err(failure) => format!("{failure} {failure:?}"),
            };
            if body == marked {
                hides_the_marker(&shown);
            }
        }
    }
}
