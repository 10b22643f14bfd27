//! The token endpoint of a simulated run: what it answers to a call at a given time, and until
//! when its tokens really live.

use std::collections::HashMap;
use std::time::Duration;

use azure_sim::fill_in;
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};

use crate::scenario::{Reply, Scenario, WireFault};

/// How long an answer takes that comes at once.
const LATENCY: Duration = Duration::from_millis(20);
/// How long a reply lasts that has no end of its own: beyond the life of any token before it.
const FOR_EVER: Duration = Duration::from_secs(1800);
/// Stands for the token in bodies that a scenario gives; who knows how long it lives.
const SCRIPTED: &str = "scripted";

/// What Envoy reports of a call; the same scenario on a real Envoy shows that it does.
pub(super) enum Answer {
    /// The endpoint's answer.
    Response(Response),
    /// None of the endpoint's.
    None(NoAnswer),
}

/// The endpoint, which plays the replies of a scenario one after the other.
pub(super) struct Endpoint<'a> {
    scenario: &'a Scenario,
    /// Right answers that come before the scenario's replies.
    right_first: u64,
    reply: usize,
    played: u64,
    began: Option<Duration>,
    /// When the last reply was over.
    pub(super) well_since: Option<Duration>,
    issued: u64,
    ends: HashMap<String, Duration>,
    cached: Option<String>,
}

impl<'a> Endpoint<'a> {
    pub(super) fn new(scenario: &'a Scenario, right_first: u64) -> Self {
        Self {
            scenario,
            right_first,
            reply: 0,
            played: 0,
            began: None,
            well_since: None,
            issued: 0,
            ends: HashMap::new(),
            cached: None,
        }
    }

    /// What comes of a call that is made at `at` with this time-out, and after how long.
    /// `since_1970` is the true time in seconds.
    pub(super) fn answer(
        &mut self,
        at: Duration,
        timeout: Duration,
        since_1970: i64,
    ) -> (Duration, Answer) {
        let scenario = self.scenario;
        let reply = match self.right_first.checked_sub(1) {
            Some(left) => {
                self.right_first = left;
                None
            }
            None => self.next_reply(at).map(|index| &scenario.reply[index]),
        };
        match reply {
            None => (LATENCY, self.right(at, since_1970)),
            Some(reply) if reply.right => (LATENCY, self.right(at, since_1970)),
            Some(reply) => match reply.wire {
                Some(fault) => wire(fault, timeout),
                None => (LATENCY, given(reply, since_1970)),
            },
        }
    }

    /// When this token really ends; `None` when nobody knows.
    pub(super) fn end_of(&self, secret: &str) -> Option<Duration> {
        self.ends.get(secret).copied()
    }

    /// Which of the replies a call at `at` gets; none when all are over.
    fn next_reply(&mut self, at: Duration) -> Option<usize> {
        while let Some(reply) = self.scenario.reply.get(self.reply) {
            let began = *self.began.get_or_insert(at);
            let end = match (reply.times, reply.for_seconds) {
                (Some(times), _) => (self.played >= times).then_some(at),
                (None, seconds) => {
                    let end = began + seconds.map_or(FOR_EVER, Duration::from_secs);
                    (at >= end).then_some(end)
                }
            };
            let Some(end) = end else {
                self.played += 1;
                return Some(self.reply);
            };
            self.well_since = Some(end);
            (self.reply, self.played, self.began) = (self.reply + 1, 0, None);
        }
        None
    }

    /// A token: the one before, as IMDS does, until shortly before its end.
    fn right(&mut self, at: Duration, since_1970: i64) -> Answer {
        let life = Duration::from_secs(self.scenario.token_seconds);
        let renewed_at = Duration::from_secs(self.scenario.renewed_at_seconds());
        let left = |end: Duration| end.saturating_sub(at);
        let cached = self
            .cached
            .as_ref()
            .filter(|secret| left(self.ends[*secret]) > renewed_at);
        let secret = match cached {
            Some(secret) => secret.clone(),
            None => {
                self.issued += 1;
                let secret = format!("token-{}", self.issued);
                self.ends.insert(secret.clone(), at + life);
                self.cached.insert(secret).clone()
            }
        };
        let left = left(self.ends[&secret]).as_secs();
        let ends = since_1970.saturating_add_unsigned(left);
        let body =
            format!(r#"{{"access_token":"{secret}","expires_in":"{left}","expires_on":"{ends}"}}"#);
        Answer::Response(response(200, body))
    }
}

fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response {
        status,
        retry_after: None,
        certificate_not_after: None,
        body: Body(body.into()),
    }
}

/// The answer that a scenario gives.
fn given(reply: &Reply, since_1970: i64) -> Answer {
    let content = reply.content(SCRIPTED);
    let content = match String::from_utf8(content) {
        Ok(text) => fill_in(&text, since_1970).into_bytes(),
        Err(bytes) => bytes.into_bytes(),
    };
    Answer::Response(Response {
        retry_after: reply.header("retry-after", since_1970),
        ..response(reply.status.unwrap_or_default(), content)
    })
}

fn wire(fault: WireFault, timeout: Duration) -> (Duration, Answer) {
    let (after, why) = match fault {
        WireFault::NoName => (LATENCY, NoAnswer::NoAddress),
        WireFault::Refused => (LATENCY, NoAnswer::Refused),
        WireFault::Hang => (timeout, NoAnswer::TimedOut),
        WireFault::Trickle => (timeout, NoAnswer::Broken),
        WireFault::Reset | WireFault::ResetInBody | WireFault::Oversized => {
            (LATENCY, NoAnswer::Broken)
        }
    };
    (after, Answer::None(why))
}
