//! What is known of a slot beyond a single call: its newest token, when the next call is due,
//! and what the target thought of the token. All VMs of a process share it through the record.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::schedule::MIN_INTERVAL;
use crate::{Generation, Mono, Now, Token, Wall};

/// At most this often is a token asked for because the target refused one that it had never
/// accepted: a target that refuses every token must not cost a call a request.
pub const FORCED_REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// A call that is due within this time is worth waiting for.
const SOON: Duration = Duration::from_secs(1);

/// Everything about a slot that outlives a call and is shared between the VMs of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The newest token, which may be over.
    pub token: Option<Token>,
    /// When the next call is due.
    pub next_attempt: Mono,
    /// Failures in a row since the last success.
    pub failures: u32,
    /// When the first of them failed; none without a failure.
    pub failing_since: Option<Wall>,
    /// Why the last attempt failed; absent after a success.
    pub last_failure: Option<Failure>,
    /// Whether the target has accepted the newest token.
    pub accepted: bool,
    /// Whether the endpoint has given the newest token more than once: it has no other yet.
    pub repeated: bool,
    /// When a refusal by the target last made a call due.
    pub forced_at: Option<Mono>,
}

/// People are told of one kind of refusal by the target at most this often: an identity may well
/// have its role for one request and lack it for the next.
pub const DENIAL_INTERVAL: Duration = Duration::from_secs(600);

/// When people were told last that the target refuses an identity, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials(Vec<(u16, Mono)>);

impl Denials {
    /// Whether to tell people of this refusal, which then counts as told.
    pub fn is_news(&mut self, status: u16, now: Mono) -> bool {
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
    /// There is a newer token: send the request again with it.
    Outdated,
    /// A newer one may come soon: wait for it.
    Refreshing,
    /// No newer one is to be had now: the target's answer stands.
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

    /// Whether a call is due so soon, or already tried again so often, that waiting for its
    /// outcome is better than the token in hand.
    #[must_use]
    pub fn is_refreshing(&self, now: Now) -> bool {
        self.failures > 0 || self.next_attempt.since(now.mono) <= SOON
    }

    /// Takes in that the target accepted a token. Says whether that is news.
    pub(crate) fn accept(&mut self, generation: Generation) -> bool {
        let news = self.generation() == generation && !self.accepted;
        self.accepted |= news;
        news
    }

    /// Takes in that the target refused a token. Only the current one is worth replacing: at
    /// once if the target had accepted it, so that it was revoked; otherwise, and when the
    /// endpoint only repeats itself, every [`FORCED_REFRESH_INTERVAL`]. A back-off is not cut
    /// short.
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

    /// What to do with a request whose token of this generation was refused.
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
