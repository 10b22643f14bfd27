//! What the proxy says of itself.

mod common;

use common::{START, answer, at, exchange, slot, token};
use entra_token_core::config::SlotSpec;
use entra_token_core::page;
use entra_token_core::slot::Slot;
use entra_token_core::state::State;
use entra_token_core::status::{NoToken, Status, TokenState, Unavailable, json};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn spec(required: Option<bool>) -> SlotSpec {
    SlotSpec {
        required,
        ..common::spec()
    }
}

fn with_token() -> Slot {
    let mut slot = slot();
    exchange(&mut slot, START, token("a-secret-token", 3600));
    slot
}

fn failing() -> Slot {
    let mut slot = slot();
    let body = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    exchange(&mut slot, START, answer(400, body));
    slot
}

fn status(slots: &[(Option<bool>, &Slot)]) -> Status {
    let specs: Vec<_> = slots.iter().map(|(required, _)| spec(*required)).collect();
    let states = slots.iter().map(|(_, slot)| slot.state());
    Status::of(specs.iter().zip(states), at(1.0))
}

#[test]
fn ready_means_that_requests_can_be_authorised() {
    let (good, bad) = (with_token(), failing());
    let required = Some(true);
    let optional = Some(false);
    for (slots, ready) in [
        (vec![(None, &good)], true),
        (vec![(None, &bad)], false),
        (vec![(required, &bad)], false),
        (vec![(optional, &bad)], true),
        (vec![(None, &good), (None, &bad)], true),
        (vec![(None, &bad), (None, &bad)], false),
        (vec![(required, &good), (None, &bad)], true),
        (vec![(required, &bad), (None, &good)], false),
        (vec![(required, &good), (required, &bad)], false),
        (vec![(optional, &good), (None, &bad)], false),
    ] {
        assert_eq!(status(&slots).ready, ready, "{slots:?}");
    }
}

#[test]
fn without_details_ready_has_the_code_of_what_keeps_it_from_that_and_nothing_else() {
    let (good, bad, new) = (with_token(), failing(), slot());
    let mut forbidden = slot();
    exchange(&mut forbidden, START, answer(403, ""));
    let required = Some(true);
    for (slots, expected) in [
        (vec![(None, &good)], r#"{"ready":true}"#),
        (vec![(None, &good), (None, &bad)], r#"{"ready":true}"#),
        (vec![(None, &new)], r#"{"ready":false}"#),
        (
            vec![(None, &bad)],
            r#"{"ready":false,"code":"identity_not_found"}"#,
        ),
        (
            vec![(None, &new), (None, &bad)],
            r#"{"ready":false,"code":"identity_not_found"}"#,
        ),
        // That of a slot which decides.
        (
            vec![(None, &forbidden), (required, &good), (required, &bad)],
            r#"{"ready":false,"code":"identity_not_found"}"#,
        ),
    ] {
        let told = json(&status(&slots).without_details());
        assert_eq!(String::from_utf8_lossy(&told), expected, "{slots:?}");
    }
}

#[test]
fn the_state_of_a_token_is_told_with_its_expiry_and_without_the_token() {
    let (slot, spec) = (with_token(), spec(None));
    let status = Status::of([(&spec, slot.state())], at(10.0));
    assert_eq!(status.slots[0].state, TokenState::Valid);
    let text = String::from_utf8(json(&status)).expect("JSON");
    for expected in [
        r#""generation":1"#,
        r#""expiresOn":"2026-09-21T15:13:20Z""#,
        r#""expiresInSeconds":3590"#,
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!text.contains("secret"), "{text}");
    let status = Status::of([(&spec, slot.state())], at(3600.0));
    assert_eq!(
        (status.slots[0].state, status.ready),
        (TokenState::Expired, false)
    );
}

#[test]
fn a_failure_is_told_with_its_code_and_what_to_do() {
    let (slot, spec) = (failing(), spec(None));
    let text =
        String::from_utf8(json(&Status::of([(&spec, slot.state())], at(1.0)))).expect("JSON");
    for expected in [
        r#""state":"waiting""#,
        r#""code":"identity_not_found""#,
        "Identity not found",
        "Assign the managed identity",
        r#""settings":["identities[0].type","identities[0].clientId"]"#,
        r#""consecutiveFailures":1"#,
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_request_without_a_token_learns_why_and_when_to_come_back() {
    let slot = failing();
    let answer = Unavailable::new(NoToken::HeldTooLong, slot.state(), at(1.0));
    assert_eq!(
        answer.retry_after, 30,
        "the next attempt is 30 to 60 s away; 30 s is the bound"
    );
    let text = String::from_utf8(json(&answer)).expect("JSON");
    // Clients need not know of the identity, nor of what the endpoint said.
    assert_eq!(
        text,
        r#"{"error":{"code":"token_unavailable","message":"no token that may be sent came in time","reason":"identity_not_found"}}"#
    );
    let waiting = Unavailable::new(NoToken::TooManyHeld, &State::default(), at(1.0));
    assert_eq!(waiting.retry_after, 1);
}

#[test]
fn a_renewal_that_fails_is_told_as_that_with_the_time_until_which_requests_go_on() {
    let (mut slot, spec) = (with_token(), spec(None));
    exchange(&mut slot, at(3300.0), answer(500, ""));
    let told = |now| {
        let status = Status::of([(&spec, slot.state())], now);
        let text = String::from_utf8(json(&status)).expect("JSON");
        (text, page::render(&status))
    };
    // The token ends at 15:13:20, and is sent until 5 s before that.
    let meanwhile = "requests go on with the token in hand until 15:13:15 UTC (4 min)";
    let (text, page) = told(at(3310.0));
    assert!(
        text.contains(&format!(r#""meanwhile":"{meanwhile}""#)),
        "{text}"
    );
    assert!(
        page.contains(&format!("1 renewals failed; {meanwhile}: ")),
        "{page}"
    );
    let (text, page) = told(at(3596.0));
    assert!(!text.contains("meanwhile"), "{text}");
    assert!(page.contains("1 failed: "), "{page}");
}

#[test]
fn the_page_escapes_what_a_server_said() {
    let mut slot = slot();
    let body = r#"{"error":"<script>alert(1)</script>","error_description":"a & \"b\""}"#;
    exchange(&mut slot, START, answer(400, body));
    let spec = spec(None);
    let page = page::render(&Status::of([(&spec, slot.state())], at(1.0)));
    assert!(page.contains("not ready"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;: a &amp; &quot;b&quot;"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}
