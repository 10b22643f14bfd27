//! The state of one target, as `/status` shows it: how it responds, and whether it refuses the identity.

use serde::Serialize;

use crate::config::{SlotSpec, TargetSpec, Uuid};
use crate::state::State;
use crate::target_responses::{Classes, RECENT_MINUTES, Refusals, Refused, TargetResponses};
use crate::{Audience, Now, calendar};

/// The state of a target.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The target's name in metrics: its first host.
    pub target: String,
    /// The name of the identity whose token it gets.
    pub identity: String,
    /// Its recent responses.
    pub responses: RecentResponses,
    /// Its refusals of the identity; `None` if it does not refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals: Option<RefusalStatus>,
}

/// Recent responses by class.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecentResponses {
    /// The period, in minutes. It includes the current minute.
    pub minutes: u64,
    /// The number of responses of each class.
    #[serde(flatten)]
    pub classes: Classes,
}

/// Refusals of the identity, and what to do.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RefusalStatus {
    /// When the first of these refusals occurred, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When the last one occurred, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The number of 401s: the target does not accept the token.
    pub unauthorized: u64,
    /// The number of 403s: the identity lacks a permission.
    pub forbidden: u64,
    /// What to do.
    pub advice: String,
    /// A shell command that grants the role; `None` if no role is missing or the role is unknown. Placeholders are
    /// in angle brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The log message for a refusal: the status, the number of earlier refusals and since when, and what to do.
/// `responses` are those that all VMs have counted until their last ticks.
#[must_use]
pub fn refusal_warning(
    target: &TargetSpec,
    slot: &SlotSpec,
    state: &State,
    refused: Refused,
    responses: &TargetResponses,
    now: Now,
) -> String {
    let audience = &slot.plan.audience;
    let mut refusals = responses.refusals(now.wall).unwrap_or(Refusals {
        since: now.wall,
        last: now.wall,
        unauthorized: 0,
        forbidden: 0,
    });
    let earlier = refusals.unauthorized.saturating_add(refusals.forbidden);
    let history = match earlier {
        0 => String::new(),
        1.. => format!(
            " It has refused {earlier} requests since {}.",
            calendar::rfc3339(refusals.since).unwrap_or_default()
        ),
    };
    match refused {
        Refused::Unauthorized => refusals.unauthorized = 1,
        Refused::Forbidden => refusals.forbidden = 1,
    }
    let status = RefusalStatus::of(refusals, audience, state);
    let command = status.command.map(|command| format!(" {command}"));
    format!(
        "identity `{}`: the target {} answers {} to its token for {audience}.{history} {}{}",
        slot.identity,
        target.name,
        refused.status(),
        status.advice,
        command.unwrap_or_default(),
    )
}

impl RefusalStatus {
    fn of(refusals: Refusals, audience: &Audience, state: &State) -> Self {
        // Only a target that knows the identity answers 403.
        let lacks_role = refusals.forbidden > 0;
        Self {
            since: calendar::rfc3339(refusals.since),
            last: calendar::rfc3339(refusals.last),
            unauthorized: refusals.unauthorized,
            forbidden: refusals.forbidden,
            advice: if lacks_role {
                audience.role_advice().into()
            } else {
                format!(
                    "The target does not accept tokens for {audience} of this tenant and cloud: check the audience, \
                     the cloud and the target's host."
                )
            },
            command: audience.role().filter(|_| lacks_role).map(|role| {
                let token = state.token.as_ref();
                let object_id = token.and_then(|token| token.claim("oid"));
                // It stands in a command that people copy, and nobody has verified the token.
                let object_id = object_id.filter(|id| id.parse::<Uuid>().is_ok());
                role.grant(object_id.as_deref())
            }),
        }
    }
}

impl TargetStatus {
    pub(super) fn of(
        target: &TargetSpec,
        slot: &SlotSpec,
        state: &State,
        responses: &TargetResponses,
        now: Now,
    ) -> Self {
        let refusals = responses.refusals(now.wall);
        Self {
            target: target.name.clone(),
            identity: slot.identity.clone(),
            responses: RecentResponses {
                minutes: RECENT_MINUTES,
                classes: responses.recent(now.wall),
            },
            refusals: refusals
                .map(|refusals| RefusalStatus::of(refusals, &slot.plan.audience, state)),
        }
    }
}
