//! The claims and headers of assertions, and their verification by other libraries.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::jwt::{sha1, sha256, verify, x5c};
use crate::support::pki::{self, certificates_of};
use crate::support::{ASSERTION, CLIENT_ID, Files, TOKEN_ENDPOINT, fixture, get_at, now, settings};

fn leaf() -> Vec<u8> {
    certificates_of("leaf.pem").remove(0)
}

/// An assertion of the fixtures' leaf, signed with these settings.
fn assertion(more: &[(&str, &str)]) -> String {
    let files = Files::new();
    let content = [
        fixture("leaf.pem"),
        fixture("chain.pem"),
        fixture("leaf.pkcs8.key"),
    ]
    .concat();
    let path = files.write("bundle.pem", content);
    let with_path = [more, &[("AAD_CLIENT_CERTIFICATE_PATH", &path)]].concat();
    let answer = get_at(&settings(&with_path), ASSERTION, now());
    assert_eq!(
        (answer.status.as_u16(), answer.content_type),
        (200, "application/jwt")
    );
    answer.body
}

#[test]
fn an_assertion_names_the_client_the_endpoint_and_the_certificate_and_ends_in_five_minutes() {
    let jwt = verify(&assertion(&[]), &leaf());

    let chain = [certificates_of("leaf.pem"), certificates_of("chain.pem")].concat();
    let header = json!({
        "alg": "PS256", "typ": "JWT", "x5t#S256": sha256(&leaf()), "x5c": x5c(&chain),
    });
    assert_eq!(jwt.header, header);

    let mut claims = jwt.claims;
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    let id: uuid::Uuid = id.as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 4);
    let now = now().as_second();
    let expected = json!({
        "aud": TOKEN_ENDPOINT, "iss": CLIENT_ID, "sub": CLIENT_ID,
        "nbf": now, "iat": now, "exp": now + 300,
    });
    assert_eq!(claims, expected);
}

#[test]
fn an_assertion_carries_no_chain_when_it_is_switched_off() {
    let jwt = verify(
        &assertion(&[("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "off")]),
        &leaf(),
    );
    let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": sha256(&leaf()) });
    assert_eq!(jwt.header, header);
}

#[test]
fn the_old_form_is_rs256_with_the_sha_1_thumbprint() {
    let jwt = verify(
        &assertion(&[("AAD_CLIENT_ASSERTION_ALGORITHM", "RS256")]),
        &leaf(),
    );
    assert_eq!(jwt.header["alg"], "RS256");
    assert_eq!(jwt.header["x5t"], json!(sha1(&leaf())));
    assert_eq!(jwt.header.get("x5t#S256"), None);
}

#[test]
fn every_assertion_has_an_id_of_its_own() {
    let files = Files::new();
    let one = pki::lasting(&pki::ONE, "one");
    let path = files.write("one.pem", pki::bundle(&one, &pki::ONE));
    let settings = settings(&[("AAD_CLIENT_CERTIFICATE_PATH", &path)]);
    let ids: BTreeSet<String> = (0..20)
        .map(|_| {
            let answer = get_at(&settings, ASSERTION, now());
            verify(&answer.body, &one.der).claims["jti"].to_string()
        })
        .collect();
    assert_eq!(ids.len(), 20);
}

#[test]
#[should_panic(expected = "the signature is the certificate's")]
fn the_tests_verification_refuses_an_assertion_that_was_changed() {
    let jwt = assertion(&[]);
    let (header, rest) = jwt.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"somebody else"}"#);
    verify(&format!("{header}.{claims}.{signature}"), &leaf());
}
