//! The state of a slot that outlives a single call: the newest token, when the next call is due, and
//! whether the target accepts the token. All VMs of a process share it through the record.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::identity::SigningCertificate;
use crate::schedule::MIN_INTERVAL;
use crate::{Generation, Mono, Now, Token, Wall};

/// The shortest interval between two refreshes that the target forces by refusing a token that it
/// never accepted. Without it, a target that refuses every token would cause a call for each request.
pub const FORCED_REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// A refused request waits for a call that is due within this time.
const SOON: Duration = Duration::from_secs(1);

/// The state of a slot that the VMs of a process share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The newest token, which may have expired.
    pub token: Option<Token>,
    /// When the next call is due.
    pub next_attempt: Mono,
    /// The number of consecutive failures since the last success.
    pub failures: u32,
    /// When the first of them failed; `None` without a failure.
    pub failing_since: Option<Wall>,
    /// Why the last attempt failed; `None` after a success.
    pub last_failure: Option<Failure>,
    /// Whether the target has accepted the newest token.
    pub accepted: bool,
    /// Whether the endpoint has returned the newest token more than once, because it caches tokens.
    pub repeated: bool,
    /// The `next_attempt` that a refusal by the target set last.
    pub forced_at: Option<Mono>,
    /// The certificate that signed the last assertion, if the token-sidecar tells it.
    pub certificate: Option<SigningCertificate>,
}

/// The shortest interval between two log messages about the same refusal. A target may refuse an
/// identity for some requests only, so refusals and successes may alternate.
pub const DENIAL_INTERVAL: Duration = Duration::from_secs(600);

/// When a target's refusal of an identity was last reported, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials(Vec<(u16, Mono)>);

impl Denials {
    /// Whether to report this refusal. If so, it is recorded as reported.
    pub fn should_report(&mut self, status: u16, now: Mono) -> bool {
        let known = |(of, at): &(u16, Mono)| *of == status && now.since(*at) < DENIAL_INTERVAL;
        if self.0.iter().any(known) {
            return false;
        }
        self.0.retain(|(of, _)| *of != status);
        self.0.push((status, now));
        true
    }
}

/// What to do with a request whose token the target refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The slot has a newer token: retry the request with it.
    Outdated,
    /// A refresh is under way or due: wait for its outcome.
    Refreshing,
    /// No refresh is due: pass on the target's response.
    Final,
}

impl State {
    /// The generation of the newest token.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.token
            .as_ref()
            .map(|token| token.generation)
            .unwrap_or_default()
    }

    /// Whether the next call is due because the target refused the token.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.forced_at == Some(self.next_attempt)
    }

    /// Whether a refused request should wait for the next call: it is due within a second, or
    /// attempts are failing and are retried with back-off.
    #[must_use]
    pub fn is_refreshing(&self, now: Now) -> bool {
        self.failures > 0 || self.next_attempt.since(now.mono) <= SOON
    }

    /// Notes that the target accepted the token of this generation.
    pub(crate) fn accept(&mut self, generation: Generation) {
        self.accepted |= self.generation() == generation;
    }

    /// Notes that the target refused the token of this generation. If it is the newest token, a
    /// refresh becomes due: at once if the target had accepted the token, which therefore was revoked;
    /// otherwise, or if the endpoint only repeats the same token, at most every
    /// [`FORCED_REFRESH_INTERVAL`]. A back-off after failures is not shortened.
    pub(crate) fn refuse(&mut self, generation: Generation, now: Now) {
        if self.generation() != generation || self.failures > 0 {
            return;
        }
        let revoked = self.accepted && !self.repeated;
        let interval = if revoked {
            MIN_INTERVAL
        } else {
            FORCED_REFRESH_INTERVAL
        };
        let soonest = Mono(now.mono.0.saturating_add(1));
        let allowed = self
            .forced_at
            .map_or(soonest, |at| at.after(interval).max(soonest));
        if allowed < self.next_attempt {
            self.next_attempt = allowed;
            self.forced_at = Some(allowed);
            self.accepted = false;
        }
    }

    /// What to do with a request whose token, of this generation, was refused.
    #[must_use]
    pub fn refusal(&self, generation: Generation, now: Now) -> Refusal {
        if self.generation() != generation {
            Refusal::Outdated
        } else if self.is_refreshing(now) {
            Refusal::Refreshing
        } else {
            Refusal::Final
        }
    }
}
