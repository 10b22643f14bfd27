//! The end of the certificate with which the token-sidecar signs.

use entra_token_core::http::Response;
use entra_token_core::identity::SigningCertificate;
use entra_token_core::slot::{Input, Slot};
use entra_token_core::state::State;
use entra_token_core::status::{Process, Status, Verdict, last_certificate};
use entra_token_core::{Mono, Wall, page};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{START, answer, at, outputs, policy, token};
use crate::{FILE, application, asked, assertion, plan, spec_for};

/// An assertion of the token-sidecar, which tells this of its certificate's end.
fn signed(not_after: Option<&str>) -> Response {
    Response {
        certificate_not_after: not_after.map(str::to_owned),
        ..answer(200, &assertion(86_400))
    }
}

/// The certificate in the state after a credential and a token at so many seconds after `START`.
fn certificate_after(
    slot: &mut Slot,
    seconds: f64,
    credential: Response,
) -> Option<SigningCertificate> {
    for response in [credential, token(&format!("token-{seconds}"), 3600)] {
        slot.handle(at(seconds), Input::Tick);
        let (id, _) = asked(slot);
        slot.handle(at(seconds), Input::HttpResponse(id, response));
    }
    assert!(slot.token(at(seconds)).is_some());
    outputs(slot);
    slot.state().certificate
}

#[test]
fn the_end_of_the_certificate_that_signed_the_last_assertion_is_known_to_every_vm() {
    let plan = plan(&application("clientCertificate", FILE));
    let mut slot = Slot::new(plan, policy(), 7);
    let until = |seconds: u64, used: u64| {
        Some(SigningCertificate {
            not_after: Wall(seconds * 1000),
            used: Mono(START.mono.0 + used * 1000),
        })
    };
    let first = certificate_after(&mut slot, 0.0, signed(Some("1893456000")));
    assert_eq!(first, until(1_893_456_000, 0));
    // A rotated one.
    let second = certificate_after(&mut slot, 3300.0, signed(Some("1924992000")));
    assert_eq!(second, until(1_924_992_000, 3300));
    // An older token-sidecar tells nothing, and its assertion is as good.
    assert_eq!(certificate_after(&mut slot, 6600.0, signed(None)), None);
}

#[test]
fn what_is_no_end_of_a_certificate_is_ignored_and_the_token_comes_all_the_same() {
    let certificate = |kind: &str, not_after: &str| {
        let mut slot = Slot::new(plan(&application(kind, FILE)), policy(), 7);
        certificate_after(&mut slot, 0.0, signed(Some(not_after)))
    };
    for latest in ["0", "253402300799"] {
        assert!(
            certificate("clientCertificate", latest).is_some(),
            "{latest}"
        );
    }
    for wrong in [
        "",
        "x",
        "-1",
        "+1",
        "1e9",
        "1893456000.5",
        " 1893456000",
        "253402300800",
        "99999999999999999999999",
    ] {
        assert_eq!(certificate("clientCertificate", wrong), None, "{wrong:?}");
    }
    // A secret has no certificate, whatever is said beside it.
    assert_eq!(certificate("clientSecret", "1893456000"), None);
}

/// The status, one minute after its token, of an identity whose last assertion was signed with a
/// certificate of which so many seconds are left.
fn with_certificate(kind: &str, left: u64) -> Status {
    let spec = spec_for(&application(kind, FILE), "https://monitor.azure.com");
    let mut slot = Slot::new(spec.plan.clone(), policy(), 7);
    certificate_after(&mut slot, 0.0, signed(None));
    let (mut state, now) = (slot.state().clone(), at(60.0));
    state.certificate = Some(SigningCertificate {
        not_after: Wall(now.wall.0 + left * 1000),
        used: START.mono,
    });
    Status::of(&[(&spec, &state)], &[], &Process::default(), now)
}

#[test]
fn the_end_of_a_certificate_is_told_and_thirty_days_before_it_what_to_do() {
    const DAY: u64 = 86_400;
    for (left, shown, advice) in [
        (30 * DAY, "in 30 days", None),
        (
            30 * DAY - 1,
            "in 29 days",
            Some(
                "The certificate ends in 29 days. After that, Entra issues no tokens for it. Register",
            ),
        ),
        (
            0,
            "Certificate ended",
            Some("The certificate has expired, and Entra no longer accepts it. Register"),
        ),
    ] {
        let status = with_certificate("clientCertificate", left);
        // The token that is there is good.
        assert_eq!(status.verdict, Verdict::Serving);
        let told = status.slots[0].certificate.as_ref().expect("a certificate");
        assert_eq!(told.ends_in_seconds, left);
        let page = page::render(&status);
        assert!(
            page.contains(&told.ends_on) && page.contains(shown),
            "{page}"
        );
        assert_eq!(page.contains("the certificate ends soon"), advice.is_some());
        match (advice, told.advice.as_deref()) {
            (None, None) => {}
            (Some(start), Some(told)) => {
                assert!(told.starts_with(start), "{told}");
                assert!(
                    told.ends_with(" Look at identities[0].credential."),
                    "{told}"
                );
                assert!(page.contains(start), "{page}");
            }
            other => panic!("{other:?}"),
        }
    }
    // Its state is from a configuration in which it had a certificate.
    let secret = with_certificate("clientSecret", DAY);
    assert!(secret.slots[0].certificate.is_none());
}

/// A renewal reaches the tokens of an identity one after the other.
#[test]
fn of_several_tokens_of_an_identity_the_one_that_was_requested_last_tells_its_certificate() {
    let fields = application("clientCertificate", FILE);
    let [query, ingest] = [
        "https://prometheus.monitor.azure.com",
        "https://monitor.azure.com",
    ]
    .map(|audience| spec_for(&fields, audience));
    let signed_at = |used, end| State {
        certificate: Some(SigningCertificate {
            not_after: Wall(end),
            used: Mono(used),
        }),
        ..State::default()
    };
    let (old, new) = (signed_at(1, 1000), signed_at(2, 2000));
    for slots in [
        [(&query, &old), (&ingest, &new)],
        [(&query, &new), (&ingest, &old)],
    ] {
        assert_eq!(last_certificate(&slots, "i"), new.certificate);
        assert_eq!(last_certificate(&slots, "another"), None);
    }
}
