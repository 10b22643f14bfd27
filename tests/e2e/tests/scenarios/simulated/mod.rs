//! Plays a scenario into the product's core, under clocks that stand in no relation to ours:
//! hours take milliseconds. Three VMs share a slot, as in an Envoy with two workers.
//!
//! Each scenario is played without a token at first, and with a valid one.

mod endpoint;
mod shared;

use std::time::Duration;

use endpoint::{Answer, Endpoint};
use entra_token_core::failure::{Failure, NoAnswer};
use entra_token_core::http;
use entra_token_core::identity::{ManagedIdentity, MetadataService, Plan, Source};
use entra_token_core::lease::{Call, LeaseParticipant, Outcome};
use entra_token_core::record::OwnerId;
use entra_token_core::slot::{Event, Policy};
use entra_token_core::{Mono, Now, Token, Wall};
use shared::OneKey;

use crate::scenario::Scenario;

/// What spreads the waits; each VM adds its number.
const SEEDS: [u64; 2] = [0, 1000];
/// How often a VM ticks that has nothing to do.
const TICK: Duration = Duration::from_secs(1);
/// No two calls come closer together, whatever is answered.
const LEAST_GAP: Duration = Duration::from_millis(500);
/// A served request waits for its token no longer than the product does between two calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What rounding to milliseconds and seconds may cost.
const ROUNDING: Duration = Duration::from_secs(2);
/// From the end of the last reply, beyond the wait: a call in flight that gets no answer.
const LAST_CALL: Duration = Duration::from_secs(6);
/// How long a run goes on that has nothing left to wait for.
const AFTERWARDS: Duration = Duration::from_secs(300);
/// How long a scenario is played in which nothing fails.
const SERVED: Duration = Duration::from_secs(2 * 3600);
/// A run that is not over by then never will be.
const LIMIT: Duration = Duration::from_secs(6 * 3600);

/// Plays the scenario, without a token at first and with one.
pub(crate) fn run(scenario: &Scenario) -> Result<(), String> {
    for seed in SEEDS {
        for (start, right_first) in [("without a token", 0), ("with a valid token", 1)] {
            Run::new(scenario, right_first, seed)
                .and_then(Run::play)
                .map_err(|why| format!("{start}, seed {seed}: {why}"))?;
        }
    }
    Ok(())
}

/// A call on its way: when its answer comes, and to whom.
struct InFlight {
    arrives: Duration,
    participant: usize,
    call: Call,
    answer: Answer,
}

struct Failed {
    at: Duration,
    failure: Failure,
    attempt: u32,
    is_new: bool,
}

/// The token that the slot has.
struct Held {
    /// When it really ends.
    end: Option<Duration>,
    slack: Duration,
    /// The setting of the clock when it came.
    clock: i64,
}

struct Run<'a> {
    scenario: &'a Scenario,
    endpoint: Endpoint<'a>,
    shared: OneKey,
    participants: Vec<LeaseParticipant>,
    /// True time since the start.
    at: Duration,
    /// By how many seconds this machine's clock is off.
    clock: i64,
    clock_steps_at: Option<Duration>,
    in_flight: Option<InFlight>,
    called_at: Option<Duration>,
    failed: Vec<Failed>,
    held: Option<Held>,
    without_token_since: Option<Duration>,
    recovered_at: Option<Duration>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, right_first: u64, seed: u64) -> Result<Self, String> {
        let plan = Plan {
            source: Source::Managed(MetadataService::Imds {
                endpoint: http::Endpoint {
                    cluster: "imds".into(),
                    authority: scenario.imds_authority().into(),
                    forward_proxy: None,
                },
                identity: ManagedIdentity::SystemAssigned,
            }),
            audience: "https://monitor.azure.com".parse().expect("an audience"),
            via_internal_listener: false,
        };
        let policy = Policy {
            refresh_before_expiry_percent: scenario.refresh_percent()?,
            call_timeout: scenario.token_request_timeout()?,
        };
        Ok(Self {
            scenario,
            endpoint: Endpoint::new(scenario, right_first),
            shared: OneKey::default(),
            participants: (1..=3)
                .map(|id| LeaseParticipant::new(OwnerId(seed + id), plan.clone(), policy))
                .collect(),
            at: Duration::ZERO,
            clock: 0,
            clock_steps_at: None,
            in_flight: None,
            called_at: None,
            failed: Vec::new(),
            held: None,
            without_token_since: None,
            recovered_at: None,
        })
    }

    fn play(mut self) -> Result<(), String> {
        while !self.is_over() {
            self.moment()
                .map_err(|why| format!("after {:?}: {why}", self.at))?;
            self.at = self.next_moment();
        }
        self.judge()
    }

    fn is_over(&self) -> bool {
        let end = match self.recovered_at {
            _ if self.scenario.expect.served => SERVED,
            Some(recovered) => recovered + AFTERWARDS,
            None => LIMIT,
        };
        self.at > end
    }

    /// The true time, in seconds since 1970.
    fn since_1970(&self) -> i64 {
        1_790_000_000_i64.saturating_add_unsigned(self.at.as_secs())
    }

    /// What this machine's clocks show.
    fn now(&self) -> Now {
        let millis = u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX);
        let wall = 1_790_000_000_000 + millis;
        Now {
            mono: Mono(5_000_000 + millis),
            wall: Wall(wall.saturating_add_signed(self.clock * 1000)),
        }
    }

    fn moment(&mut self) -> Result<(), String> {
        if self.clock_steps_at.is_some_and(|when| when <= self.at) {
            self.clock_steps_at = None;
            self.clock = self.scenario.clock.map_or(0, |step| step.by_seconds);
        }
        if let Some(due) = self.in_flight.take_if(|call| call.arrives <= self.at) {
            let (now, participant) = (self.now(), &mut self.participants[due.participant]);
            let outcome = match due.answer {
                Answer::Response(response) => {
                    participant.answered(now, due.call.id, response, &self.shared)
                }
                Answer::None(why) => participant.call_failed(now, due.call.id, why, &self.shared),
            };
            self.settle(due.participant, outcome)?;
        }
        for index in 0..self.participants.len() {
            let now = self.now();
            let outcome = self.participants[index].step(now, &self.shared);
            self.settle(index, outcome)?;
        }
        self.check_token()
    }

    /// When the next thing happens.
    fn next_moment(&self) -> Duration {
        let now = self.now();
        let wakeups = self
            .participants
            .iter()
            .map(|participant| self.at + participant.next_wakeup(now).since(now.mono));
        wakeups
            .chain(self.in_flight.as_ref().map(|call| call.arrives))
            .chain(self.clock_steps_at)
            .chain([Duration::from_secs(self.at.as_secs()) + TICK])
            .min()
            .unwrap_or_default()
            .max(self.at + Duration::from_millis(1))
    }

    fn settle(&mut self, participant: usize, outcome: Outcome) -> Result<(), String> {
        for event in outcome.events {
            match event {
                Event::Failed {
                    failure,
                    attempt,
                    is_new,
                    ..
                } => {
                    if self.recovered_at.is_some() {
                        return Err(format!("a failure after the recovery: {failure}"));
                    }
                    self.failed.push(Failed {
                        at: self.at,
                        failure,
                        attempt,
                        is_new,
                    });
                }
                Event::Acquired { after_failures, .. } | Event::Unchanged { after_failures } => {
                    self.got_token(participant, after_failures)?;
                }
                Event::ClockSkew(_) | Event::LifetimeIgnored => {}
            }
        }
        match outcome.call {
            Some(call) => self.call(participant, call),
            None => Ok(()),
        }
    }

    fn got_token(&mut self, participant: usize, after_failures: u32) -> Result<(), String> {
        let in_a_row = self.failed.last().map_or(0, |failed| failed.attempt);
        if after_failures > 0 && after_failures != in_a_row {
            return Err(format!("{after_failures} failures told, of {in_a_row}"));
        }
        if after_failures > 0 {
            self.recovered_at = Some(self.at);
        }
        let Some(token) = self.participants[participant].slot().state().token.as_ref() else {
            return Err("a token is told of that is not there".into());
        };
        if self.held.is_none() {
            let step = self.scenario.clock;
            self.clock_steps_at =
                step.map(|step| self.at + Duration::from_secs(step.after_seconds));
        }
        self.held = Some(Held {
            end: self.endpoint.end_of(token.secret.expose()),
            slack: Token::slack(token.lifetime()),
            clock: self.clock,
        });
        Ok(())
    }

    fn call(&mut self, participant: usize, call: Call) -> Result<(), String> {
        if self.in_flight.is_some() {
            return Err("a second call while one is in flight".into());
        }
        if let Some(gap) = self.called_at.map(|before| self.at - before)
            && gap < LEAST_GAP
        {
            return Err(format!("two calls within {gap:?}"));
        }
        if let Some(last) = self.failed.last().filter(|_| self.recovered_at.is_none()) {
            let waited = (self.at - last.at).as_secs_f64();
            let wait = self.scenario.wait(last.attempt);
            if waited < wait.start() - 0.002 || waited > wait.end() + 0.002 {
                return Err(format!(
                    "{waited:.3} s after failure {} the endpoint was asked again, not after {wait:?} s",
                    last.attempt
                ));
            }
        }
        let (after, answer) = self
            .endpoint
            .answer(self.at, call.timeout, self.since_1970());
        // What has no address never leaves, and is looked for more often at first.
        if !matches!(answer, Answer::None(NoAnswer::NoAddress)) {
            self.called_at = Some(self.at);
        }
        self.in_flight = Some(InFlight {
            arrives: self.at + after,
            participant,
            call,
            answer,
        });
        Ok(())
    }

    /// A valid token is sent whatever comes, and one that has ended is not.
    fn check_token(&mut self) -> Result<(), String> {
        let now = self.now();
        // A clock that was set forward may end a token; one that was set back may not keep it.
        let ahead = self.held.as_ref().map_or(0, |held| self.clock - held.clock);
        let ahead = Duration::from_secs(u64::try_from(ahead).unwrap_or(0));
        for token in self
            .participants
            .iter()
            .filter_map(|participant| participant.token(now))
        {
            let end = self.endpoint.end_of(token.secret.expose());
            if end.is_some_and(|end| end <= self.at + ahead) {
                return Err("a token that has ended may be sent".into());
            }
        }
        if self
            .participants
            .iter()
            .all(|participant| participant.token(now).is_some())
        {
            self.without_token_since = None;
            return Ok(());
        }
        let since = *self.without_token_since.get_or_insert(self.at);
        if self.scenario.expect.served && self.at - since > LONGEST_PAUSE {
            return Err(format!("no token since {since:?}"));
        }
        let is_good = |held: &Held| {
            held.end
                .is_some_and(|end| self.at + ahead + held.slack + ROUNDING < end)
        };
        if self.held.as_ref().is_some_and(is_good) {
            return Err("a valid token was withdrawn".into());
        }
        Ok(())
    }

    /// Whether everything came that was to come.
    fn judge(&self) -> Result<(), String> {
        let expect = &self.scenario.expect;
        let Some(last) = self.failed.last() else {
            return if expect.served {
                Ok(())
            } else {
                Err("nothing failed".into())
            };
        };
        if expect.served {
            return Err(format!("an attempt failed: {}", last.failure));
        }
        let Failure {
            code,
            message,
            permanent,
            ..
        } = &last.failure;
        let advice = last.failure.advice().unwrap_or_default();
        self.scenario.judge(code.as_str(), message, advice)?;
        if *permanent != expect.permanent {
            return Err(format!("permanent: {permanent}"));
        }
        let told = last.failure.to_string();
        if !told.contains(advice) {
            return Err(format!("the advice is not in the log: {told}"));
        }
        let news = self.failed.iter().filter(|failed| failed.is_new).count();
        // That the token in hand has ended is told once more.
        let ends = self.failed.windows(2).filter(|pair| {
            let (before, after) = (&pair[0].failure, &pair[1].failure);
            before.had_valid_token && !after.had_valid_token && before.code == after.code
        });
        if news != expect.reasons + ends.count() {
            let attempts = self.failed.len();
            return Err(format!("{news} log lines for {attempts} attempts"));
        }
        let well_since = self.endpoint.well_since.ok_or("the replies never end")?;
        let recovered = self.recovered_at.ok_or("it never recovers")?;
        let within = Duration::from_secs_f64(self.scenario.longest_wait()) + LAST_CALL;
        if recovered > well_since + within {
            return Err(format!(
                "the endpoint was well after {well_since:?}, a token came after {recovered:?}"
            ));
        }
        Ok(())
    }
}
