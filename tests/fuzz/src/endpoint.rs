//! What a token endpoint answers.

use std::time::Duration;

use entra_token_core::config::{self, SlotSpec};
use entra_token_core::failure::{Failure, FailureCode};
use entra_token_core::http::{Body, Endpoint, Response};
use entra_token_core::identity::{Exchange, LocalResource, Plan, Proof, Source};
use entra_token_core::reply;
use entra_token_core::reply::MAX_LIFETIME;
use entra_token_core::slot::{Event, Input, Output, Policy, Slot};
use entra_token_core::status::{NoToken, Process, Status, Unavailable, json};
use entra_token_core::{Mono, Now, Wall, page};
use serde_json::{Value, json as value};

use crate::{MARKER, hides_the_marker};

/// Both clocks far from zero.
pub(crate) const START: Now = Now {
    mono: Mono(5_000_000),
    wall: Wall(1_790_000_000_000),
};

/// The longest that is waited after a failure: the longest `Retry-After` that is believed, and
/// its jitter.
const LONGEST_WAIT: Duration = Duration::from_secs(660);

/// What precedes the server's words, the words (400 characters), and little more.
const LONGEST_MESSAGE: usize = 480;

fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        cluster: name.into(),
        authority: name.into(),
        forward_proxy: None,
    }
}

/// An application with a secret.
pub(crate) fn plan() -> Plan {
    Plan {
        source: Source::Entra(Exchange {
            endpoint: endpoint("entra"),
            tenant: "contoso.com".into(),
            client_id: "client".into(),
            proof: Proof::Secret(LocalResource {
                endpoint: endpoint("files"),
                path: "/secret".into(),
            }),
        }),
        audience: "https://monitor.azure.com".parse().expect("an audience"),
        via_internal_listener: false,
    }
}

/// The slot of an identity whose settings have names.
fn spec() -> SlotSpec {
    let id = "00000000-0000-0000-0000-000000000001";
    let json = format!(
        r#"{{"identities":[{{"name":"default","type":"clientSecret","tenantId":"contoso.com",
            "clientId":"{id}","entra":{{"cluster":"entra"}},"credential":{{"cluster":"files"}}}}],
        "targets":[{{"hosts":["a"],"identity":"default","audience":"https://monitor.azure.com"}}]}}"#
    );
    let config = config::read(json.as_bytes()).expect("a configuration");
    let mut slots = config::compile(&config).expect("a configuration").slots;
    slots.remove(0)
}

pub(crate) const POLICY: Policy = Policy {
    refresh_before_expiry_percent: 10,
    call_timeout: Duration::from_secs(4),
};

fn outputs(slot: &mut Slot) -> Vec<Output> {
    std::iter::from_fn(|| slot.poll_output()).collect()
}

fn answer(slot: &mut Slot, now: Now, response: Response) {
    match outputs(slot).as_slice() {
        [Output::Call { id, .. }] => slot.handle(now, Input::HttpResponse(*id, response)),
        other => panic!("expected one call, got {other:?}"),
    }
    assert!(slot.next_wakeup() > now.mono, "a hot loop");
    if let Some(token) = slot.token(now) {
        assert!(token.until_expiry(now) > Duration::ZERO, "an expired token");
    }
}

/// Has the machine ask for a token at `now`, with a secret in hand, and answers so.
fn exchange(slot: &mut Slot, now: Now, response: Response) -> Vec<Output> {
    slot.handle(now, Input::Tick);
    let secret = Response {
        status: 200,
        retry_after: None,
        certificate_not_after: None,
        body: Body(MARKER.into()),
    };
    answer(slot, now, secret);
    answer(slot, now, response);
    outputs(slot)
}

fn failure(outputs: &[Output]) -> Option<(&Failure, bool)> {
    outputs.iter().find_map(|output| match output {
        Output::Report(Event::Failed {
            failure, is_new, ..
        }) => Some((failure, *is_new)),
        _ => None,
    })
}

/// A failure as people see it is short, printable and without the secret.
fn is_fit_to_be_shown(failure: &Failure) {
    let message = &failure.message;
    assert!(message.chars().count() <= LONGEST_MESSAGE, "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
    let trace = failure.trace.to_string();
    assert!(trace.len() <= 300, "{trace}");
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    assert!(trace.bytes().all(is_plain), "{trace:?}");
    hides_the_marker(&failure.to_string());
    hides_the_marker(&format!("{failure:?}"));
}

/// A body with status 200.
pub(crate) fn token_reply(body: &[u8]) {
    let response = |body: &[u8]| Response {
        status: 200,
        retry_after: None,
        certificate_not_after: None,
        body: Body(body.to_vec()),
    };
    let mut slot = Slot::new(plan(), POLICY, 7);
    let outputs = exchange(&mut slot, START, response(body));
    let parsed = reply::parse(body);
    assert!(parsed.is_ok() || slot.token(START).is_none());
    assert_eq!(slot.token(START).is_some(), failure(&outputs).is_none());
    if let Ok(reply) = &parsed
        && let Ok(ends) = reply.expiry(START)
    {
        assert!(ends.lifetime > Duration::ZERO && ends.lifetime <= MAX_LIFETIME);
        assert!(ends.mono > START.mono && ends.wall > START.wall);
    }
    if let Some((failure, _)) = failure(&outputs) {
        is_fit_to_be_shown(failure);
    }
    // The same reply with a token that is known: good, with a character too many, of another type.
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return;
    };
    for token in [
        value!(MARKER),
        value!(format!("{MARKER}\u{e9}")),
        value!([MARKER]),
    ] {
        fields.insert("access_token".into(), token);
        let body = serde_json::to_vec(&fields).expect("JSON");
        let mut slot = Slot::new(plan(), POLICY, 7);
        let outputs = exchange(&mut slot, START, response(&body));
        hides_the_marker(&format!("{outputs:?} {slot:?}"));
        match reply::parse(&body) {
            Ok(reply) => hides_the_marker(&format!("{reply:?}")),
            Err(error) => hides_the_marker(&format!("{error} {error:?}")),
        }
    }
}

/// A status (the first two bytes) and the body that comes with it.
pub(crate) fn error_reply(input: &[u8]) {
    let Some((status, body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let status = u16::from_be_bytes(*status);
    if status == 200 || body.windows(MARKER.len()).any(|it| it == MARKER.as_bytes()) {
        return;
    }
    let response = || Response {
        status,
        retry_after: None,
        certificate_not_after: None,
        body: Body(body.to_vec()),
    };
    let mut slot = Slot::new(plan(), POLICY, 7);
    let outputs = exchange(&mut slot, START, response());
    let (failure, is_new) = failure(&outputs).expect("a failure");
    assert!(is_new && failure.code != FailureCode::Unknown);
    is_fit_to_be_shown(failure);
    assert!(slot.token(START).is_none());
    let wait = slot.next_wakeup().since(START.mono);
    assert!(wait <= LONGEST_WAIT, "{wait:?}");

    let spec = spec();
    let status = Status::of(&[(&spec, slot.state())], &[], &Process::default(), START);
    let refused = Unavailable::new(NoToken::HeldTooLong, slot.state(), START);
    for text in [json(&status), json(&refused)] {
        serde_json::from_slice::<Value>(&text).expect("JSON");
    }
    // All markup is the page's own: there is as much of it as for the same failure without the endpoint's words.
    let page = page::render(&status);
    let mut state = slot.state().clone();
    let silenced = state.last_failure.as_mut().expect("a failure");
    silenced.message.clear();
    let silenced = Status::of(&[(&spec, &state)], &[], &Process::default(), START);
    let silenced = page::render(&silenced);
    let markup = |page: &str| page.matches(['<', '>']).count();
    assert_eq!(markup(&page), markup(&silenced), "{page}");

    // The same answer again is no news.
    let next = slot.next_wakeup();
    let now = Now {
        mono: next,
        wall: START.wall.after(next.since(START.mono)),
    };
    let again = exchange(&mut slot, now, response());
    let (_, is_new) = self::failure(&again).expect("a failure");
    assert!(!is_new);
}

/// The value of `Retry-After`.
pub(crate) fn retry_after(value: &[u8]) {
    let Ok(value) = str::from_utf8(value) else {
        return;
    };
    let response = Response {
        status: 429,
        retry_after: Some(value.to_owned()),
        certificate_not_after: None,
        body: Body::default(),
    };
    let mut slot = Slot::new(plan(), POLICY, 7);
    let outputs = exchange(&mut slot, START, response);
    let (failure, _) = failure(&outputs).expect("a failure");
    let wait = slot.next_wakeup().since(START.mono);
    let asked = failure.retry_after.unwrap_or_default();
    let least = asked.clamp(Duration::from_millis(500), Duration::from_secs(600));
    assert!((least..=LONGEST_WAIT).contains(&wait), "{value}: {wait:?}");
    // A count of seconds is understood as it is, and what is no time at all is none.
    if let Ok(seconds) = value.parse::<u32>() {
        assert_eq!(asked, Duration::from_secs(seconds.into()));
    }
    if !value.contains(|c: char| c.is_ascii_digit()) {
        assert_eq!(failure.retry_after, None, "{value}");
    }
}
