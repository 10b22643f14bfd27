//! Characters that nobody sees in a secret or a federated token: one that begins a file is taken
//! off, every other is refused by its name, whenever the file is read.

mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{START, answer, at, call, later, outputs, policy, token};
use entra_token_core::config::{self, SlotSpec};
use entra_token_core::failure::FailureCode;
use entra_token_core::http::{Body, Response};
use entra_token_core::identity::{CredentialKind, credential_text};
use entra_token_core::slot::{Input, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const MARK: &str = "\u{feff}";

fn jwt() -> String {
    let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"s","exp":4000000000}"#);
    format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln")
}

fn both() -> [(CredentialKind, String); 2] {
    [
        (CredentialKind::Secret, "a~Secret.of-Entra_1".to_owned()),
        (CredentialKind::Assertion, jwt()),
    ]
}

#[test]
fn what_editors_put_around_a_credential_is_taken_off() {
    for (kind, text) in both() {
        for file in [
            text.clone(),
            format!("{text}\n"),
            format!("{MARK}{text}"),
            format!("{MARK}{text}\r\n"),
            format!("{MARK} \t{text} \r\n\r\n"),
        ] {
            assert_eq!(
                credential_text(kind, file.as_bytes()).as_deref(),
                Ok(text.as_str()),
                "{file:?}"
            );
        }
    }
}

#[test]
fn a_character_that_nobody_sees_is_refused_by_its_name() {
    for (c, name) in [
        ('\u{feff}', "a byte-order mark (U+FEFF)"),
        ('\u{a0}', "a no-break space (U+00A0)"),
        ('\u{202f}', "a no-break space (U+202F)"),
        ('\u{200b}', "a zero width space (U+200B)"),
        ('\u{ad}', "a soft hyphen (U+00AD)"),
        ('\u{200d}', "a character that cannot be seen (U+200D)"),
        ('\u{202e}', "a character that cannot be seen (U+202E)"),
        ('\u{2060}', "a character that cannot be seen (U+2060)"),
        ('\u{e0041}', "a character that cannot be seen (U+E0041)"),
        ('\u{3000}', "a space that is not the usual one (U+3000)"),
        ('\u{2003}', "a space that is not the usual one (U+2003)"),
        ('\u{2028}', "a line break (U+2028)"),
        ('\n', "a line break (U+000A)"),
        ('\t', "a tab (U+0009)"),
        ('\0', "a control character (U+0000)"),
    ] {
        for (kind, text) in both() {
            let (head, tail) = text.split_at(4);
            for (file, place) in [
                (format!("{head}{c}{tail}"), 5),
                (format!("{MARK}{head}{c}{tail}\n"), 5),
            ] {
                let wrong = credential_text(kind, file.as_bytes()).expect_err(name);
                assert_eq!(wrong, format!("holds {name} as character {place}"));
            }
        }
    }
    // At the ends, too, where only ASCII white space is taken off.
    for file in ["\u{a0}secret", "secret\u{200b}\n", "\u{feff}\u{feff}secret"] {
        credential_text(CredentialKind::Secret, file.as_bytes()).expect_err(file);
    }
    let other = "g\u{e4}\u{df}chen \u{1f511} 密";
    assert_eq!(
        credential_text(CredentialKind::Secret, other.as_bytes()).as_deref(),
        Ok(other)
    );
}

fn spec() -> SlotSpec {
    let id = "00000000-0000-0000-0000-000000000001";
    let json = format!(
        r#"{{"identities":[{{"name":"i","type":"clientSecret","tenantId":"{id}","clientId":"{id}",
            "entra":{{"cluster":"entra"}},"credential":{{"cluster":"files"}},
            "settingNames":[{{"setting":"credential","name":"AAD_CLIENT_SECRET_FILE"}}]}}],
            "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"https://x"}}]}}"#
    );
    let config = config::read(json.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    config::compile(&config).expect("a configuration").slots[0].clone()
}

/// The file is read anew for each token: a bad replacement is a failure, and nothing is lost.
#[test]
fn a_file_that_becomes_unusable_fails_the_renewal_and_keeps_the_token() {
    let spec = spec();
    let file = |text: &str| Response {
        body: Body(text.as_bytes().to_vec()),
        ..answer(200, "")
    };
    let mut slot = Slot::new(spec.plan.clone(), policy(), 7);
    let id = call(&mut slot, START);
    slot.handle(START, Input::HttpResponse(id, file("good")));
    let id = common::only_call(&outputs(&mut slot));
    slot.handle(START, Input::HttpResponse(id, token("t", 3600)));
    outputs(&mut slot);

    let now = at(3300.0);
    let id = call(&mut slot, now);
    slot.handle(now, Input::HttpResponse(id, file("go\u{a0}od")));
    outputs(&mut slot);
    assert!(slot.token(now).is_some());
    let failure = slot.state().last_failure.clone().expect("failed");
    assert_eq!(failure.code, FailureCode::CredentialUnusable);
    assert!(failure.had_valid_token);
    let told = spec.terms.explain(&failure).to_string();
    for part in [
        "a no-break space (U+00A0)",
        "Look at AAD_CLIENT_SECRET_FILE.",
    ] {
        assert!(told.contains(part), "{told}");
    }

    let now = later(now, slot.next_wakeup().since(now.mono));
    let id = call(&mut slot, now);
    slot.handle(now, Input::HttpResponse(id, file("better")));
    let id = common::only_call(&outputs(&mut slot));
    slot.handle(now, Input::HttpResponse(id, token("u", 3600)));
    assert!(slot.state().last_failure.is_none());
}
