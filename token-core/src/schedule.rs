//! When to ask next: pure functions of lifetimes, failures and a source of randomness.

use core::time::Duration;

use fastrand::Rng;

use crate::failure::NoAnswer;
use crate::{Now, Token};

/// After a success no call comes sooner than this, whatever a server says of lifetimes; a first
/// failure is retried after half of it at the earliest.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// A lifetime beyond this is taken as this: no Entra token lives longer than 28 h, and the
/// arithmetic must not overflow on what a server makes up.
pub const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

const BACKOFF_CAP: Duration = Duration::from_secs(60);
const RETRY_AFTER_CAP: Duration = Duration::from_secs(600);
const PERMANENT: core::ops::RangeInclusive<u64> = 30_000..=60_000;
const SAME_TOKEN_CAP: Duration = Duration::from_secs(300);

/// For so long after a slot got its configuration, a cluster that Envoy does not have is no failure:
/// a control plane sends the clusters in its own time, often after the listeners.
const CLUSTERS_COME_WITHIN: Duration = Duration::from_secs(5);

/// As long for a name that DNS has not answered for: Envoy opens its listeners without waiting for it.
const NAMES_RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// How soon after such an attempt the next one is made.
pub const NEXT_LOOK: Duration = Duration::from_millis(200);

/// How long after a token was asked for the next one is asked for: `percent` of its life
/// before its end or at `refresh_in`, whichever is earlier, up to a tenth of the shorter side
/// earlier still so that a fleet does not ask as one.
#[must_use]
pub fn refresh_after(
    lifetime: Duration,
    refresh_in: Option<Duration>,
    percent: u8,
    rng: &mut Rng,
) -> Duration {
    let margin = lifetime * u32::from(percent.min(99)) / 100;
    let latest = lifetime.saturating_sub(margin);
    let due = refresh_in.map_or(latest, |hint| latest.min(hint));
    let jitter = random_up_to(margin.min(due) / 10, rng);
    (due - jitter).max(MIN_INTERVAL)
}

/// The wait after the endpoint returned the token that is already held: until its refresh is
/// due anyway, and from then on more often as the end comes closer (a tenth of what is left, at
/// least a second), because IMDS gives the next one only shortly before.
#[must_use]
pub fn recheck_after(token: &Token, now: Now, percent: u8, rng: &mut Rng) -> Duration {
    let left = token.until_expiry(now);
    let until_due = left.saturating_sub(token.lifetime() * u32::from(percent.min(99)) / 100);
    let wait = (left / 10).min(SAME_TOKEN_CAP).max(until_due);
    (wait - random_up_to(wait / 10, rng)).max(MIN_INTERVAL)
}

/// The wait after the `failures`-th failure in a row (1 = the first): between half and all of
/// 1 s, 2 s, 4 s … 60 s; never less than the server asked for (RFC 9110 §10.2.3), except that
/// more than 10 min is not believed.
#[must_use]
pub fn backoff(failures: u32, retry_after: Option<Duration>, rng: &mut Rng) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (MIN_INTERVAL * (1 << doublings)).min(BACKOFF_CAP);
    let wait = full / 2 + random_up_to(full / 2, rng);
    match retry_after.map(|asked| asked.min(RETRY_AFTER_CAP)) {
        Some(asked) if asked > wait => asked + random_up_to(asked / 10, rng),
        _ => wait,
    }
}

/// For how long after a slot got its configuration it is no failure that a call got no answer for this reason.
#[must_use]
pub fn grace(why: &NoAnswer) -> Duration {
    match why {
        NoAnswer::NoCluster => CLUSTERS_COME_WITHIN,
        NoAnswer::NoAddress => NAMES_RESOLVE_WITHIN,
        NoAnswer::Refused
        | NoAnswer::NoConnection(_)
        | NoAnswer::Tls(_)
        | NoAnswer::Broken
        | NoAnswer::TimedOut => Duration::ZERO,
    }
}

/// The wait after an error that only a person can mend: 30 s to 60 s, because somebody may be
/// granting the role or fixing the identity right now.
#[must_use]
pub fn permanent_backoff(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(PERMANENT))
}

fn random_up_to(limit: Duration, rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(0..=crate::time::millis(limit)))
}
