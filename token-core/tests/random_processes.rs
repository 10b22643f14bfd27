//! Many VMs of one Envoy process under random orders of ticks, answers, deaths and damage.

mod common;

use core::time::Duration;

use common::seed::rng_seed;
use common::{OneKey, START, answer, later, participants, plan, policy, token};
use entra_token_core::Now;
use entra_token_core::lease::{Call, LeaseParticipant};
use entra_token_core::record::OwnerId;
use proptest::prelude::*;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// What happens in the world around several VMs.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Tick(usize),
    /// The endpoint answers the call that is longest in flight.
    Answer {
        lifetime: u64,
        ok: bool,
    },
    /// A VM traps: its call and its memory are gone.
    Die(usize),
    /// A root context goes and takes its call along; the VM stays.
    Abandon(usize),
    Damage(usize),
}

/// Random steps; `damage` is how often the record is damaged, in parts of about twenty.
fn steps(damage: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![0..3_000_u64, 0..100_000_u64].prop_map(Step::Wait),
        10 => (0..6_usize).prop_map(Step::Tick),
        4 => (1..120_u64, any::<bool>()).prop_map(|(lifetime, ok)| Step::Answer { lifetime, ok }),
        1 => (0..6_usize).prop_map(Step::Die),
        1 => (0..6_usize).prop_map(Step::Abandon),
        damage => (0..400_usize).prop_map(Step::Damage),
    ];
    proptest::collection::vec(step, 1..120)
}

/// Six VMs, their shared data, and the calls that the endpoint has not answered yet.
struct Process {
    shared: OneKey,
    now: Now,
    participants: Vec<LeaseParticipant>,
    ids: Vec<OwnerId>,
    calls: Vec<(OwnerId, usize, Call, Now)>,
    born: u64,
    answers: u64,
}

impl Process {
    fn new() -> Self {
        Self {
            shared: OneKey::default(),
            now: START,
            participants: participants(6),
            ids: (1..=6).map(OwnerId).collect(),
            calls: Vec::new(),
            born: 6,
            answers: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Wait(ms) => self.now = later(self.now, Duration::from_millis(ms)),
            Step::Tick(n) => {
                if let Some(call) = self.participants[n].step(self.now, &self.shared).call {
                    self.calls.push((self.ids[n], n, call, self.now));
                }
            }
            Step::Answer { lifetime, ok } if !self.calls.is_empty() => {
                let (id, n, call, sent) = self.calls.remove(0);
                self.answers += 1;
                let reply = if ok && self.is_open(sent) {
                    token(&format!("t{}", self.answers), lifetime)
                } else {
                    answer(504, "")
                };
                if self.ids[n] == id {
                    self.participants[n].answered(self.now, call.id, reply, &self.shared);
                }
            }
            Step::Answer { .. } => {}
            Step::Die(n) => {
                self.born += 1;
                self.ids[n] = OwnerId(self.born);
                self.participants[n] = LeaseParticipant::new(self.ids[n], plan(), policy());
            }
            Step::Abandon(n) => {
                let gone = self.ids[n];
                for (_, _, call, _) in self.calls.extract_if(.., |(id, ..)| *id == gone) {
                    self.participants[n].abandoned(self.now, call.id, &self.shared);
                }
            }
            Step::Damage(byte) => self.shared.damage(byte),
        }
    }

    /// Envoy's own time-out ends every call 4 s after it was sent.
    fn is_open(&self, sent: Now) -> bool {
        self.now.mono.since(sent.mono) < common::CALL_TIMEOUT
    }

    fn open_calls(&self) -> usize {
        self.calls
            .iter()
            .filter(|(_, _, _, sent)| self.is_open(*sent))
            .count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: rng_seed(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn at_most_one_call_of_the_process_is_in_flight(steps in steps(0)) {
        let mut process = Process::new();
        for step in steps {
            process.run(&step);
            prop_assert!(process.open_calls() <= 1);
        }
    }

    #[test]
    fn no_vm_sends_an_expired_token_whatever_dies_or_is_damaged(steps in steps(2)) {
        let mut process = Process::new();
        for step in steps {
            process.run(&step);
            for participant in &process.participants {
                if let Some(token) = participant.token(process.now) {
                    prop_assert!(process.now.mono < token.expires_mono);
                }
            }
        }
    }
}
