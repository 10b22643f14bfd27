//! The nine invariants of the slot machine, each under random orders of events, clocks
//! that jump, and whatever a server may send.

mod common;

use core::time::Duration;

use common::seed::rng_seed;
use common::{CALL_TIMEOUT, START, answer, outputs, plan, policy};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::slot::{CALL_GRACE, CallId, Event, Input, Output, Slot};
use entra_token_core::{Generation, Now, Token, Wall};
use proptest::prelude::*;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Something that can happen next.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    /// The wall clock is set; the monotonic one goes on.
    SetClock(i64),
    Tick,
    /// An answer to the newest call, or to the one before it.
    Answer {
        late: bool,
        response: Response,
    },
    Fail {
        late: bool,
        why: NoAnswer,
    },
    Accepted(u64),
    Unauthorized(u64),
    Reconfigure,
}

fn lifetimes() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1..90_000_u64).prop_map(|n| n.to_string()),
        1 => prop_oneof![
            Just("0"), Just("-1"), Just("1"), Just("18446744073709551616"), Just("1e300"),
            Just("-1e300"), Just("9223372036854775807"), Just("315360000"), Just("nan"), Just("")
        ]
        .prop_map(String::from),
    ]
}

fn responses() -> impl Strategy<Value = Response> {
    let secrets = prop_oneof![Just("alpha-1"), Just("bravo-2"), Just("charlie-3")];
    prop_oneof![
        6 => (secrets, lifetimes(), proptest::option::of(0..100_000_u64)).prop_map(|(secret, life, refresh)| {
            let refresh = refresh.map(|r| format!(r#","refresh_in":{r}"#)).unwrap_or_default();
            answer(200, &format!(r#"{{"access_token":"{secret}","expires_in":"{life}"{refresh}}}"#))
        }),
        2 => (100_u16..600, proptest::option::of("[0-9]{1,20}|[ -~]{0,30}")).prop_map(|(status, retry_after)| {
            Response { retry_after, ..answer(status, r#"{"error":"e","error_description":"d\r\n"}"#) }
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..200)
            .prop_map(|body| Response { status: 200, retry_after: None, certificate_not_after: None, body: entra_token_core::http::Body(body) }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let waits = prop_oneof![0..2_000_u64, 0..120_000_u64, 0..7_200_000_u64];
    let why = prop_oneof![
        Just(NoAnswer::NoCluster),
        Just(NoAnswer::Broken),
        Just(NoAnswer::TimedOut)
    ];
    let step = prop_oneof![
        6 => waits.prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => (-7_200_000..7_200_000_i64).prop_map(Step::SetClock),
        8 => Just(Step::Tick),
        6 => (any::<bool>(), responses()).prop_map(|(late, response)| Step::Answer { late, response }),
        2 => (any::<bool>(), why).prop_map(|(late, why)| Step::Fail { late, why }),
        2 => (0..5_u64).prop_map(Step::Accepted),
        2 => (0..5_u64).prop_map(Step::Unauthorized),
        1 => Just(Step::Reconfigure),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A world around one slot: its clocks, and the calls that are not answered yet.
struct World {
    slot: Slot,
    now: Now,
    calls: Vec<(CallId, Now)>,
    outputs: Vec<Output>,
}

impl World {
    fn new() -> Self {
        Self {
            slot: Slot::new(plan(), policy(), 7),
            now: START,
            calls: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Does one step and drains the machine.
    fn run(&mut self, step: Step) {
        let call = |late: bool, calls: &[(CallId, Now)]| {
            calls
                .iter()
                .rev()
                .nth(usize::from(late))
                .map_or(CallId(u64::MAX), |(id, _)| *id)
        };
        match step {
            Step::Wait(time) => self.now = common::later(self.now, time),
            Step::SetClock(by) => {
                self.now.wall = Wall(self.now.wall.0.saturating_add_signed(by));
            }
            Step::Tick => self.slot.handle(self.now, Input::Tick),
            Step::Answer { late, response } => {
                let id = call(late, &self.calls);
                self.slot
                    .handle(self.now, Input::HttpResponse(id, response));
            }
            Step::Fail { late, why } => {
                let id = call(late, &self.calls);
                self.slot.handle(self.now, Input::CallFailed(id, why));
            }
            Step::Accepted(generation) => {
                self.slot
                    .handle(self.now, Input::Accepted(Generation(generation)));
            }
            Step::Unauthorized(generation) => {
                self.slot
                    .handle(self.now, Input::Unauthorized(Generation(generation)));
            }
            Step::Reconfigure => self.slot.reconfigure(plan(), policy(), self.now),
        }
        self.outputs = outputs(&mut self.slot);
        for output in &self.outputs {
            if let Output::Call { id, .. } = output {
                self.calls.push((*id, self.now));
            }
        }
    }

    fn held(&self) -> Option<Token> {
        self.slot.state().token.clone()
    }
}

/// The same seed on every platform: a failure is a failure for everybody.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        rng_seed: rng_seed(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn at_most_one_call_is_in_flight(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            let busy = world.slot.is_calling();
            let reconfigured = matches!(step, Step::Reconfigure);
            world.run(step);
            let calls = world.outputs.iter().filter(|o| matches!(o, Output::Call { .. })).count();
            prop_assert!(calls <= 1);
            let ended = reconfigured || world.outputs.iter().any(|o| matches!(o, Output::Report(_)));
            prop_assert!(!busy || ended || calls == 0, "a second call beside the first");
        }
    }

    #[test]
    fn a_late_or_foreign_answer_changes_nothing(steps in steps(), foreign in responses()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            let before = (world.slot.state().clone(), world.slot.is_calling(), world.slot.next_wakeup());
            let current = world.slot.is_calling().then(|| world.calls.last().map(|(id, _)| *id)).flatten();
            let others = world.calls.iter().map(|(id, _)| *id).chain([CallId(u64::MAX)]);
            for id in others.filter(|id| Some(*id) != current).collect::<Vec<_>>() {
                world.slot.handle(world.now, Input::HttpResponse(id, foreign.clone()));
                world.slot.handle(world.now, Input::CallFailed(id, NoAnswer::Broken));
            }
            prop_assert!(outputs(&mut world.slot).is_empty());
            let after = (world.slot.state().clone(), world.slot.is_calling(), world.slot.next_wakeup());
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_call_that_is_never_answered_ends_by_the_machines_own_deadline(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            if world.slot.is_calling() {
                let sent = world.calls.last().expect("a call in flight was made").1;
                let deadline = sent.mono.after(CALL_TIMEOUT + CALL_GRACE);
                prop_assert_eq!(world.slot.next_wakeup(), deadline);
                let mut overdue = World { now: Now { mono: deadline, ..world.now }, ..world };
                overdue.run(Step::Tick);
                prop_assert!(!overdue.slot.is_calling());
                world = overdue;
            }
        }
    }

    #[test]
    fn a_failed_refresh_keeps_the_valid_token(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            let before = world.held();
            world.run(step);
            let published = world.outputs.iter().any(|o| matches!(o, Output::Publish(_)));
            if !published {
                prop_assert_eq!(before, world.held());
            }
        }
    }

    #[test]
    fn an_expired_token_is_never_returned(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            if let Some(token) = world.slot.token(world.now) {
                prop_assert!(world.now.mono < token.expires_mono);
                prop_assert!(world.now.wall < token.expires_wall);
            }
        }
    }

    /// A request compares one clock with one moment; that moment must not promise too much.
    #[test]
    fn until_the_moment_that_a_request_looks_at_the_token_is_valid(steps in steps(), ahead in 0..200_000_u64) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            if let Some(token) = world.slot.token(world.now) {
                let then = common::later(world.now, Duration::from_millis(ahead));
                prop_assert_eq!(then.wall < token.sendable_until(world.now), token.is_valid(then));
            }
        }
    }

    #[test]
    fn expiry_counts_from_when_the_call_was_sent(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            for output in &world.outputs {
                if let Output::Publish(token) = output {
                    let sent = world.calls.last().expect("a token comes of a call").1;
                    let life = token.expires_mono.since(sent.mono);
                    // An unchanged token keeps the life of its first reply.
                    if world.outputs.iter().all(|o| !matches!(o, Output::Report(Event::Unchanged { .. }))) {
                        prop_assert_eq!(life, token.lifetime());
                    }
                    prop_assert_eq!(token.expires_wall.since(sent.wall), life);
                }
            }
        }
    }

    #[test]
    fn after_draining_the_next_wakeup_lies_ahead(steps in steps()) {
        let mut world = World::new();
        world.run(Step::Tick);
        for step in steps {
            let waited = matches!(step, Step::Wait(_) | Step::SetClock(_));
            world.run(step);
            if waited {
                world.run(Step::Tick);
            }
            // A step that the machine ignored leaves an older wake-up; the next tick serves it.
            world.run(Step::Tick);
            prop_assert!(world.slot.next_wakeup() > world.now.mono);
        }
    }

    #[test]
    fn no_call_comes_within_half_a_second_of_the_last_ones_end(steps in steps()) {
        let mut world = World::new();
        let mut last: Option<Now> = None;
        for step in steps {
            // A clock that is set may end a token in hand, which is asked for again at once.
            if matches!(step, Step::SetClock(_)) {
                continue;
            }
            let asked_again = matches!(step, Step::Reconfigure | Step::Unauthorized(_));
            world.run(step);
            if asked_again {
                last = None;
            }
            for output in &world.outputs {
                match output {
                    Output::Call { .. } => {
                        if let Some(last) = last {
                            prop_assert!(world.now.mono.since(last.mono) >= Duration::from_millis(500));
                        }
                    }
                    Output::Report(_) => last = Some(world.now),
                    Output::Publish(_) => {}
                }
            }
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_a_secret(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            let shown = format!("{:?} {:?}", world.slot, world.outputs);
            for secret in ["alpha-1", "bravo-2", "charlie-3"] {
                prop_assert!(!shown.contains(secret), "{}", shown);
            }
        }
    }

    #[test]
    fn a_configuration_change_drops_the_call_in_flight(steps in steps(), response in responses()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.run(Step::Tick);
        let token = world.held();
        world.run(Step::Reconfigure);
        prop_assert!(!world.slot.is_calling());
        world.run(Step::Answer { late: false, response });
        prop_assert!(world.outputs.is_empty());
        prop_assert_eq!(token, world.held());
    }
}

/// The generators must reach what the properties are about.
#[test]
fn the_random_worlds_get_tokens_and_lose_them() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::new(config());
    let (mut published, mut expired, mut failed) = (0, 0, 0);
    for _ in 0..200 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let mut world = World::new();
        for step in steps {
            world.run(step);
            published += usize::from(
                world
                    .outputs
                    .iter()
                    .any(|o| matches!(o, Output::Publish(_))),
            );
            failed += usize::from(
                world
                    .outputs
                    .iter()
                    .any(|o| matches!(o, Output::Report(Event::Failed { .. }))),
            );
            expired += usize::from(world.held().is_some() && world.slot.token(world.now).is_none());
        }
    }
    assert!(
        published > 50 && expired > 50 && failed > 50,
        "{published} {expired} {failed}"
    );
}
