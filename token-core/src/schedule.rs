//! When the next call is due: pure functions of lifetimes, failures and a random number generator.

use core::time::Duration;

use fastrand::Rng;

use crate::failure::NoAnswer;
use crate::{Now, Token};

/// The shortest time between a success and the next call, whatever lifetime the server gives. The
/// first failure is retried after at least half of it.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);

const BACKOFF_CAP: Duration = Duration::from_secs(60);
const RETRY_AFTER_CAP: Duration = Duration::from_secs(600);
/// The back-off after a permanent failure, in milliseconds.
const PERMANENT_BACKOFF: core::ops::RangeInclusive<u64> = 30_000..=60_000;
const SAME_TOKEN_CAP: Duration = Duration::from_secs(300);

/// How long after a slot's configuration a missing cluster is not a failure: a control plane often
/// sends the clusters after the listeners.
const CLUSTER_STARTUP_GRACE: Duration = Duration::from_secs(5);

/// How long after a slot's configuration a cluster without addresses is not a failure: Envoy opens
/// its listeners without waiting for DNS.
const DNS_STARTUP_GRACE: Duration = Duration::from_secs(2);

/// The interval between attempts during the startup grace.
pub const STARTUP_RETRY: Duration = Duration::from_millis(200);

/// The wait after a new token: until `percent` of its lifetime is left, or until `refresh_in`,
/// whichever is earlier. Up to a tenth of the shorter part is subtracted as jitter, so that the
/// proxies of a fleet do not refresh at the same time.
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

/// The wait after the endpoint returned the token that the slot already has: until its refresh is
/// due, and after that a tenth of the remaining lifetime (at least 1 s, at most 5 min), because IMDS
/// issues the next token only shortly before the expiry.
#[must_use]
pub fn recheck_after(token: &Token, now: Now, percent: u8, rng: &mut Rng) -> Duration {
    let left = token.until_expiry(now);
    let until_due = left.saturating_sub(token.lifetime() * u32::from(percent.min(99)) / 100);
    let wait = (left / 10).min(SAME_TOKEN_CAP).max(until_due);
    (wait - random_up_to(wait / 10, rng)).max(MIN_INTERVAL)
}

/// The wait after the `failures`-th consecutive failure (1 = the first): a random time between half
/// and all of 1 s, 2 s, 4 s … 60 s, but at least the server's `Retry-After` (RFC 9110 §10.2.3), which is
/// capped at 10 min.
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

/// How long after a slot's configuration a call without a response, for this reason, is not a failure.
#[must_use]
pub fn startup_grace(why: &NoAnswer) -> Duration {
    match why {
        NoAnswer::NoCluster => CLUSTER_STARTUP_GRACE,
        NoAnswer::NoAddress => DNS_STARTUP_GRACE,
        NoAnswer::Refused
        | NoAnswer::NoConnection(_)
        | NoAnswer::Tls(_)
        | NoAnswer::Broken
        | NoAnswer::TimedOut => Duration::ZERO,
    }
}

/// The wait after a failure that needs a person: 30 s to 60 s. It is not longer, because somebody may
/// be correcting the cause right now.
#[must_use]
pub fn permanent_backoff(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(PERMANENT_BACKOFF))
}

fn random_up_to(limit: Duration, rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(0..=crate::time::millis(limit)))
}
