//! A token and the only rule that says whether it may be sent.

use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{Mono, Now, Secret, Wall};

/// Counts the distinct tokens of a slot; 0 means that there was none yet.
///
/// A byte-identical answer of the endpoint is no newer generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// An access token with both its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Which of the slot's tokens this is.
    pub generation: Generation,
    /// What goes behind `Bearer `.
    pub secret: Secret,
    /// Its end on the monotonic clock, counted from when the call was sent.
    pub expires_mono: Mono,
    /// Its end on the wall clock.
    pub expires_wall: Wall,
    /// Life left when it was asked for, in milliseconds.
    pub lifetime_ms: u64,
}

/// The longest claim that is shown. A target may be asked for with a token of anybody.
const LONGEST_CLAIM: usize = 128;

/// The longest slack: a token this close to its end may be over when it reaches the target.
const MAX_SLACK: Duration = Duration::from_secs(5);

impl Token {
    /// How long before its end the token counts as over: a twentieth of its life, at most 5 s.
    #[must_use]
    pub fn slack(lifetime: Duration) -> Duration {
        (lifetime / 20).min(MAX_SLACK)
    }

    /// A claim of the token that is text; `None` when it has none, or is no JWT. Nothing here rests on it: it is
    /// for people, and the token is not verified (RFC 7519; that is the target's to do).
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<String> {
        let payload = self.secret.expose().split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        let text = claims.get(name)?.as_str()?;
        let is_plain = |c: char| c.is_ascii_graphic();
        (text.len() <= LONGEST_CLAIM && text.chars().all(is_plain)).then(|| text.to_owned())
    }

    /// Life left when the token was asked for.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime_ms)
    }

    /// Whether the token may be sent at `now`: both clocks must agree.
    #[must_use]
    pub fn is_valid(&self, now: Now) -> bool {
        !self.remaining(now).is_zero()
    }

    /// How long the token may still be sent, by the clock that ends it first.
    #[must_use]
    pub fn remaining(&self, now: Now) -> Duration {
        self.until_expiry(now)
            .saturating_sub(Self::slack(self.lifetime()))
    }

    /// How long until the token's true end, by the clock that ends it first.
    #[must_use]
    pub fn until_expiry(&self, now: Now) -> Duration {
        self.expires_mono
            .since(now.mono)
            .min(self.expires_wall.since(now.wall))
    }

    /// Whether only the wall clock says that the token is over: it was set forward, or the
    /// machine slept while the monotonic clock stood still. Asking again tells which.
    #[must_use]
    pub fn is_stranded(&self, now: Now) -> bool {
        !self.is_valid(now) && self.expires_mono.since(now.mono) > Self::slack(self.lifetime())
    }

    /// The wall-clock moment until which the token may be sent, as both clocks see it from
    /// `now`. A request compares one clock reading with this and needs no second one.
    #[must_use]
    pub fn sendable_until(&self, now: Now) -> Wall {
        now.wall.after(self.remaining(now))
    }
}
