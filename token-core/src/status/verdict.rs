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
    /// One identity has no token, or one target refuses its identity, while others work.
    Degraded,
    /// No request gets a token that it needs.
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

    /// One sentence for a person, with the consequence for requests.
    pub(super) fn summary(self, slots: &[SlotStatus], targets: &[TargetStatus]) -> String {
        match self {
            Self::Serving => match first_to_end(slots) {
                Some(slot) => format!(
                    "Serving: requests get a token that is good until {} and is renewed before.",
                    until(slot)
                ),
                None => "Serving: no target needs a token.".into(),
            },
            Self::OnBorrowedTime => {
                let failing = slots.iter().filter(|slot| slot.consecutive_failures > 0);
                match first_to_end(failing) {
                    Some(slot) => format!(
                        "Serving, but {} is not renewed: requests go on until {}, then they get 503.",
                        token_of(slot, slots),
                        until(slot)
                    ),
                    None => self.title().into(),
                }
            }
            Self::Degraded => degraded(slots, targets).unwrap_or_else(|| self.title().into()),
            Self::NotServing => not_serving(slots),
        }
    }
}

fn degraded(slots: &[SlotStatus], targets: &[TargetStatus]) -> Option<String> {
    let refusing = targets
        .iter()
        .find_map(|target| Some((target, target.refusals.as_ref()?)));
    if let Some((target, refusals)) = refusing {
        let status = match (refusals.unauthorized, refusals.forbidden) {
            (_, 0) => "401",
            (0, _) => "403",
            _ => "401 or 403",
        };
        let count = refusals.unauthorized.saturating_add(refusals.forbidden);
        let requests = if count == 1 { "request" } else { "requests" };
        return Some(format!(
            "Degraded: the target {} refuses the identity `{}`. {count} {requests} got {status} since {}.",
            target.target,
            target.identity,
            time(refusals.since.as_deref()),
        ));
    }
    let slot = slots.iter().find(|slot| slot.state != TokenState::Valid)?;
    Some(format!(
        "Degraded: {}; its requests get 503, the others go on.",
        without_token(slot)
    ))
}

fn not_serving(slots: &[SlotStatus]) -> String {
    let without = || slots.iter().filter(|slot| slot.state != TokenState::Valid);
    let failing = without().find(|slot| slot.last_error.is_some());
    match failing.or_else(|| without().next()) {
        Some(slot) if slot.last_error.is_some() => {
            format!(
                "Not serving: {}; its requests get 503.",
                without_token(slot)
            )
        }
        Some(slot) if slot.state == TokenState::Expired => format!(
            "Not serving: the token of the identity `{}` has ended, and the next one is asked for; its requests wait.",
            slot.identity
        ),
        _ => "Not serving yet: the first token is asked for, and requests wait for it.".into(),
    }
}

/// The slot whose token ends first.
fn first_to_end<'a>(slots: impl IntoIterator<Item = &'a SlotStatus>) -> Option<&'a SlotStatus> {
    let valid = slots.into_iter().filter(|slot| slot.sent_until.is_some());
    valid.min_by_key(|slot| slot.expires_in_seconds)
}

fn without_token(slot: &SlotStatus) -> String {
    let identity = &slot.identity;
    match &slot.failing_since {
        Some(since) => format!(
            "the identity `{identity}` has no token, because every attempt since {} has failed",
            time(Some(since))
        ),
        None => format!("the identity `{identity}` has no token yet"),
    }
}

/// The token of this slot, of the only slot without the identity's name.
fn token_of(slot: &SlotStatus, slots: &[SlotStatus]) -> String {
    match slots {
        [_] => "the token".into(),
        _ => format!("the token of the identity `{}`", slot.identity),
    }
}

/// Until when requests get the token, as `21:42 UTC (in 56 min)`.
fn until(slot: &SlotStatus) -> String {
    let left = span(slot.expires_in_seconds.unwrap_or_default());
    format!("{} (in {left})", time(slot.sent_until.as_deref()))
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

/// The time of day of a moment in RFC 3339, to the minute. The page and the JSON have the date.
pub(crate) fn time(moment: Option<&str>) -> String {
    let clock = moment.and_then(|moment| moment.get(11..16));
    clock.map_or_else(|| "an unknown time".into(), |clock| format!("{clock} UTC"))
}
