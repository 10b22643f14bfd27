//! The call that brings a credential, and what no credential may be.

use core::time::Duration;

use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};
use entra_token_core::lease::LeaseParticipant;
use entra_token_core::record::OwnerId;
use entra_token_core::slot::{CallId, Input, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{OneKey, START, answer, at, failure, outputs, policy, token};
use crate::{FILE, application, asked, assertion, plan};

/// The failure that an answer in place of a credential is.
fn refused(kind: &str, response: Response) -> (String, bool) {
    let mut slot = Slot::new(plan(&application(kind, FILE)), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, response));
    failure(&outputs(&mut slot))
}

#[test]
fn what_is_no_credential_is_not_sent() {
    let raw = |bytes: &[u8]| Response {
        body: Body(bytes.to_vec()),
        ..answer(200, "")
    };
    for (kind, response, code) in [
        ("clientSecret", answer(200, ""), "credential_unusable"),
        ("clientSecret", answer(200, " \r\n"), "credential_unusable"),
        (
            "clientSecret",
            answer(200, "one\ntwo"),
            "credential_unusable",
        ),
        ("clientSecret", answer(200, "nul\0"), "credential_unusable"),
        ("clientSecret", raw(b"\xff\xfe"), "credential_unusable"),
        (
            "clientSecret",
            answer(200, &"x".repeat(40_000)),
            "credential_unusable",
        ),
        ("clientSecret", answer(404, "no"), "credential_unavailable"),
        ("clientSecret", answer(503, ""), "credential_unavailable"),
        (
            "workloadIdentity",
            answer(200, "a-secret"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.b"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.!.c"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.bm8.c"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, &assertion(0)),
            "assertion_over",
        ),
        (
            "workloadIdentity",
            answer(200, &assertion(-3600)),
            "assertion_over",
        ),
    ] {
        let shown = format!("{kind} {response:?}");
        assert_eq!(refused(kind, response), (code.to_owned(), false), "{shown}");
    }
}

#[test]
fn no_error_and_no_debug_output_shows_a_credential() {
    let fields = application("clientSecret", FILE);
    let mut slot = Slot::new(plan(&fields), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, answer(200, "hunter2")));
    let shown = format!("{slot:?}{:?}", outputs(&mut slot));
    assert!(!shown.contains("hunter2"), "{shown}");

    slot.handle(START, Input::CallFailed(CallId(1), NoAnswer::Broken));
    outputs(&mut slot);
    slot.handle(at(60.0), Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(
        at(60.0),
        Input::HttpResponse(id, answer(200, "hunter2\nhunter3")),
    );
    let shown = format!("{slot:?}{:?}", outputs(&mut slot));
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn two_calls_have_a_deadline_each_and_one_lease_for_both() {
    let plan = plan(&application("clientSecret", FILE));
    let mut participant = LeaseParticipant::new(OwnerId(1), plan.clone(), policy());
    let mut other = LeaseParticipant::new(OwnerId(2), plan, policy());
    let shared = OneKey::default();
    let first = participant
        .step(START, &shared)
        .call
        .expect("the first call");
    // Just before the first call's own deadline. The holder's ticks renew its lease.
    let tick = |participant: &mut LeaseParticipant, seconds| {
        assert!(participant.step(at(seconds), &shared).call.is_none());
    };
    tick(&mut participant, 3.0);
    let now = at(4.9);
    let second = participant.answered(now, first.id, answer(200, "secret"), &shared);
    let second = second.call.expect("the second call");
    assert!(second.id != first.id);
    tick(&mut participant, 6.0);
    let now = at(9.8);
    assert!(other.step(now, &shared).call.is_none(), "two calls at once");
    let outcome = participant.answered(now, second.id, token("eyJ0", 3600), &shared);
    assert!(outcome.call.is_none() && participant.token(now).is_some());
    // Its life counts from when the second call was sent.
    let lifetime = Duration::from_secs(3600);
    let ends = shared.record().state.token.expect("a token").expires_mono;
    assert_eq!(ends, at(4.9).mono.after(lifetime));
}

#[test]
fn an_unanswered_second_call_is_given_up_and_the_next_attempt_fetches_the_credential_anew() {
    let mut slot = Slot::new(plan(&application("clientSecret", FILE)), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, answer(200, "old")));
    asked(&mut slot);
    slot.handle(at(5.0), Input::Tick);
    assert_eq!(failure(&outputs(&mut slot)).0, "endpoint_timeout");
    slot.handle(at(10.0), Input::Tick);
    let (id, (line, ..)) = asked(&mut slot);
    assert!(line.starts_with("files "), "{line}");
    slot.handle(at(10.0), Input::HttpResponse(id, answer(200, "new")));
    let (_, (_, _, form)) = asked(&mut slot);
    assert!(form.ends_with("client_secret=new"), "{form}");
}

/// Whatever surrounds it: what was sent is known, and need not be guessed.
#[test]
fn a_secret_that_an_endpoint_gives_back_is_in_no_message() {
    let plan = plan(&application("clientSecret", FILE));
    for echo in [
        "s3cr~et+&= was sent",
        "<td>client_secret</td><td>s3cr~et+&=</td>",
        "x s3cr%7Eet%2B%26%3D y",
        "x=s3cr~et%2B%26%3D",
    ] {
        let mut slot = Slot::new(plan.clone(), policy(), 7);
        slot.handle(START, Input::Tick);
        let (id, _) = asked(&mut slot);
        slot.handle(START, Input::HttpResponse(id, answer(200, "s3cr~et+&=")));
        let (id, _) = asked(&mut slot);
        slot.handle(START, Input::HttpResponse(id, answer(400, echo)));
        let failure = slot.state().last_failure.clone().expect("failed");
        assert!(!failure.to_string().contains("s3cr"), "{failure}");
    }
}
