//! The state of the whole proxy: in one word, and in one sentence with its consequence.

use serde::Serialize;

use super::slot::{SlotStatus, TokenState};
use super::target::TargetStatus;

/// The state of the whole proxy, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every token is valid and renewed, and no target refuses it.
    Serving,
    /// Every token is valid, but one cannot be renewed.
    OnBorrowedTime,
    /// The proxy is ready, but an identity has no token or a target refuses its identity.
    Degraded,
    /// The proxy is not ready: a token that it must have is missing.
    NotServing,
}

impl Verdict {
    pub(super) fn of(ready: bool, slots: &[SlotStatus], targets: &[TargetStatus]) -> Self {
        let lacks_token = |slot: &SlotStatus| slot.state != TokenState::Valid;
        if !ready {
            Self::NotServing
        } else if slots.iter().any(lacks_token)
            || targets.iter().any(|target| target.refusals.is_some())
        {
            Self::Degraded
        } else if slots.iter().any(|slot| slot.consecutive_failures > 0) {
            Self::OnBorrowedTime
        } else {
            Self::Serving
        }
    }

    /// The verdict for the title of a page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::OnBorrowedTime => "Serving on borrowed time",
            Self::Degraded => "Degraded",
            Self::NotServing => "Not serving",
        }
    }

    /// One sentence for a person, with the consequence for requests. `now` is in RFC 3339.
    pub(super) fn summary(
        self,
        slots: &[SlotStatus],
        targets: &[TargetStatus],
        now: Option<&str>,
    ) -> String {
        match self {
            Self::Serving => match first_to_end(slots) {
                Some(slot) => format!(
                    "Serving: requests get a token that is good until {} and is renewed before.",
                    until(slot, now)
                ),
                None => "Serving: no target needs a token.".into(),
            },
            Self::OnBorrowedTime => {
                let failing = slots.iter().filter(|slot| slot.consecutive_failures > 0);
                match first_to_end(failing) {
                    Some(slot) => format!(
                        "Serving, but {} is not renewed: requests go on until {}, then they get 503.",
                        token_of(slot, slots),
                        until(slot, now)
                    ),
                    None => self.title().into(),
                }
            }
            Self::Degraded => {
                let without = without_token(slots.iter(), now);
                let without = without.map(|it| format!("{it}, the others go on"));
                let refusal = refusal(targets, now);
                let reasons: Vec<_> = without.into_iter().chain(refusal).collect();
                format!("Degraded: {}.", reasons.join("; and "))
            }
            Self::NotServing => {
                // The others do not decide.
                let counted = slots.iter().filter(|slot| slot.counts);
                match without_token(counted, now) {
                    Some(reason) => format!("Not serving: {reason}."),
                    None => self.title().into(),
                }
            }
        }
    }
}

/// Which identity has no token, why, and what becomes of its requests. One that has failed comes first.
fn without_token<'a>(
    slots: impl Iterator<Item = &'a SlotStatus>,
    now: Option<&str>,
) -> Option<String> {
    let mut without = slots.filter(|slot| slot.state != TokenState::Valid);
    let first = without.next()?;
    let mut failing = core::iter::once(first)
        .chain(without)
        .filter(|slot| slot.failing_since.is_some());
    let slot = failing.next().unwrap_or(first);
    let identity = &slot.identity;
    Some(match (&slot.failing_since, slot.state) {
        (Some(since), _) => format!(
            "the identity `{identity}` has no token, because every attempt since {} has failed; its requests get \
             503",
            time(Some(since), now)
        ),
        (None, TokenState::Expired) => format!(
            "the token of the identity `{identity}` has expired, and the next one is requested; its requests wait"
        ),
        (None, _) => format!(
            "the first token of the identity `{identity}` is requested; its requests wait for it"
        ),
    })
}

/// Which target refuses which identity, how often and since when.
fn refusal(targets: &[TargetStatus], now: Option<&str>) -> Option<String> {
    let mut refusing = targets
        .iter()
        .filter_map(|target| Some((target, target.refusals.as_ref()?)));
    let (target, refusals) = refusing.next()?;
    let status = match (refusals.unauthorized, refusals.forbidden) {
        (_, 0) => "401",
        (0, _) => "403",
        _ => "401 or 403",
    };
    let count = refusals.unauthorized.saturating_add(refusals.forbidden);
    let requests = if count == 1 { "request" } else { "requests" };
    Some(format!(
        "the target {} refuses the identity `{}`: {count} {requests} got {status} since {}",
        target.target,
        target.identity,
        time(refusals.since.as_deref(), now),
    ))
}

/// The slot whose token ends first.
fn first_to_end<'a>(slots: impl IntoIterator<Item = &'a SlotStatus>) -> Option<&'a SlotStatus> {
    let valid = slots.into_iter().filter(|slot| slot.sent_until.is_some());
    valid.min_by_key(|slot| slot.expires_in_seconds)
}

/// The token of this slot, of the only slot without the identity's name.
fn token_of(slot: &SlotStatus, slots: &[SlotStatus]) -> String {
    match slots {
        [_] => "the token".into(),
        _ => format!("the token of the identity `{}`", slot.identity),
    }
}

/// Until when requests get the token, as `21:42 UTC (in 56 min)`.
fn until(slot: &SlotStatus, now: Option<&str>) -> String {
    let left = span(slot.expires_in_seconds.unwrap_or_default());
    format!("{} (in {left})", time(slot.sent_until.as_deref(), now))
}

/// A span of time for people, in its largest unit of which there are two or more.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}

/// A moment for people, to the minute: the time of day, with the date if it is not that of `now`. Both moments are
/// in RFC 3339.
pub(crate) fn time(moment: Option<&str>, now: Option<&str>) -> String {
    let part = |range| moment.and_then(|moment| moment.get::<core::ops::Range<usize>>(range));
    match (part(0..10), part(11..16)) {
        (Some(date), Some(clock)) if now.is_some_and(|now| now.starts_with(date)) => {
            format!("{clock} UTC")
        }
        (Some(date), Some(clock)) => format!("{date} {clock} UTC"),
        _ => "an unknown time".into(),
    }
}
