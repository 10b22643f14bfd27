//! A token, and when it may be sent.

use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{Mono, Now, Secret, Wall};

/// The sequence number of a slot's token; 0 means that there was none yet. An endpoint that returns
/// the same token again does not start a new generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// An access token and its expiry on both clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token's number within its slot.
    pub generation: Generation,
    /// The access token itself.
    pub secret: Secret,
    /// The expiry on the monotonic clock, counted from when the request was sent.
    pub expires_mono: Mono,
    /// The expiry on the wall clock.
    pub expires_wall: Wall,
    /// The lifetime in milliseconds, counted from when the request was sent.
    pub lifetime_ms: u64,
}

/// The longest claim that is shown.
const LONGEST_CLAIM: usize = 128;

/// The longest slack. It covers the time that a request takes to reach the target.
const MAX_SLACK: Duration = Duration::from_secs(5);

impl Token {
    /// How long before its expiry a token is no longer sent: a twentieth of its lifetime, at most 5 s.
    #[must_use]
    pub fn slack(lifetime: Duration) -> Duration {
        (lifetime / 20).min(MAX_SLACK)
    }

    /// A claim of the token, if it is text; `None` if the token lacks it or is not a JWT (RFC 7519). The token is not
    /// verified, which is the target's task, so the claim is only for display.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<String> {
        let payload = self.secret.expose().split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        let text = claims.get(name)?.as_str()?;
        let is_plain = |c: char| c.is_ascii_graphic();
        (text.len() <= LONGEST_CLAIM && text.chars().all(is_plain)).then(|| text.to_owned())
    }

    /// The lifetime, counted from when the request was sent.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime_ms)
    }

    /// Whether the token may be sent at `now`: it must be valid on both clocks.
    #[must_use]
    pub fn is_valid(&self, now: Now) -> bool {
        !self.remaining(now).is_zero()
    }

    /// How long the token may still be sent: the time until its expiry, less the slack.
    #[must_use]
    pub fn remaining(&self, now: Now) -> Duration {
        self.until_expiry(now)
            .saturating_sub(Self::slack(self.lifetime()))
    }

    /// The time until the token expires, on the clock on which it expires first.
    #[must_use]
    pub fn until_expiry(&self, now: Now) -> Duration {
        self.expires_mono
            .since(now.mono)
            .min(self.expires_wall.since(now.wall))
    }

    /// Whether the token has expired on the wall clock only: the clock was set forward, or the machine
    /// was suspended while the monotonic clock stood still. A refresh resolves both.
    #[must_use]
    pub fn is_over_by_wall_clock_only(&self, now: Now) -> bool {
        !self.is_valid(now) && self.expires_mono.since(now.mono) > Self::slack(self.lifetime())
    }

    /// Until when, on the wall clock, the token may be sent, considering both clocks. With this a
    /// request needs to read the wall clock only.
    #[must_use]
    pub fn sendable_until(&self, now: Now) -> Wall {
        now.wall.after(self.remaining(now))
    }
}
