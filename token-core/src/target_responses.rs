//! How a target has responded lately, and since when it refuses the proxy's identity.
//!
//! Each VM counts the responses that it sees in a [`Tally`]. At its tick it adds the tally to the
//! [`TargetResponses`] in shared data, which all VMs of the process share, and starts a new tally. A response
//! thus needs neither a clock reading nor shared data; its time is that of the tick.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Wall;
use crate::shared_data::SharedRecord;

/// What [`TargetResponses::recent`] covers, the current minute included.
pub const RECENT_MINUTES: u64 = 5;

/// How long after the last refusal a target still counts as refusing, if it accepts other requests. An identity
/// may have its role for one request and lack it for another, and a client may send either only now and then.
pub const REFUSAL_MEMORY: Duration = Duration::from_secs(300);

/// Responses by the class of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Classes {
    /// 2xx.
    pub success: u64,
    /// 1xx and 3xx.
    pub redirect: u64,
    /// 4xx.
    pub client_error: u64,
    /// 5xx and above.
    pub server_error: u64,
}

impl Classes {
    fn of(&mut self, status: u16) -> &mut u64 {
        match status {
            200..=299 => &mut self.success,
            ..=399 => &mut self.redirect,
            400..=499 => &mut self.client_error,
            500.. => &mut self.server_error,
        }
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in [
            (&mut self.success, other.success),
            (&mut self.redirect, other.redirect),
            (&mut self.client_error, other.client_error),
            (&mut self.server_error, other.server_error),
        ] {
            *count = count.saturating_add(more);
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A refusal of the identity, which no newer token heals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 401: the target does not accept the token.
    Unauthorized,
    /// 403: the identity may not do this.
    Forbidden,
}

impl Refused {
    /// The status of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
        }
    }
}

/// What one VM has seen of a target since its last tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    classes: Classes,
    unauthorized: u64,
    forbidden: u64,
}

impl Tally {
    /// Counts so many responses of the target with this status.
    pub fn responded(&mut self, status: u16, how_many: u64) {
        let count = self.classes.of(status);
        *count = count.saturating_add(how_many);
    }

    /// Counts a refusal that no newer token heals. Its response is counted by [`Self::responded`], too.
    pub fn refused(&mut self, refused: Refused) {
        let count = match refused {
            Refused::Unauthorized => &mut self.unauthorized,
            Refused::Forbidden => &mut self.forbidden,
        };
        *count = count.saturating_add(1);
    }

    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// That a target refuses the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// When the first of these refusals was seen.
    pub since: Wall,
    /// When the last one was seen.
    pub last: Wall,
    /// How many were 401.
    pub unauthorized: u64,
    /// How many were 403.
    pub forbidden: u64,
}

/// The responses of one minute of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    /// Minutes since the Unix epoch.
    start: u64,
    classes: Classes,
}

/// How a target has responded, as all VMs of the process know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResponses {
    /// The newest is last.
    minutes: Vec<Minute>,
    refusals: Option<Refusals>,
    /// When the target last accepted a request.
    accepted: Option<Wall>,
}

impl TargetResponses {
    /// Adds what a VM has seen until `now`.
    pub fn add(&mut self, tally: &Tally, now: Wall) {
        let start = now.0 / 60_000;
        // A clock that was set back must not leave minutes that never end.
        self.minutes.retain(|minute| {
            (start.saturating_sub(RECENT_MINUTES - 1)..=start).contains(&minute.start)
        });
        if !tally.classes.is_empty() {
            match self.minutes.last_mut().filter(|last| last.start == start) {
                Some(minute) => minute.classes.add(&tally.classes),
                None => self.minutes.push(Minute {
                    start,
                    classes: tally.classes,
                }),
            }
        }
        // The same for these moments.
        self.accepted = self.accepted.map(|at| at.min(now));
        if let Some(refusals) = &mut self.refusals {
            refusals.since = refusals.since.min(now);
            refusals.last = refusals.last.min(now);
        }
        if tally.classes.success > 0 {
            self.accepted = Some(now);
        }
        self.refusals = self.refusals(now);
        if tally.unauthorized > 0 || tally.forbidden > 0 {
            let refusals = self.refusals.get_or_insert(Refusals {
                since: now,
                last: now,
                unauthorized: 0,
                forbidden: 0,
            });
            refusals.last = now;
            refusals.unauthorized = refusals.unauthorized.saturating_add(tally.unauthorized);
            refusals.forbidden = refusals.forbidden.saturating_add(tally.forbidden);
        }
    }

    /// The responses of the last [`RECENT_MINUTES`].
    #[must_use]
    pub fn recent(&self, now: Wall) -> Classes {
        let start = now.0 / 60_000;
        let mut sum = Classes::default();
        for minute in &self.minutes {
            if (start.saturating_sub(RECENT_MINUTES - 1)..=start).contains(&minute.start) {
                sum.add(&minute.classes);
            }
        }
        sum
    }

    /// The refusals, if the target refuses the identity: until it has accepted a request after the last refusal,
    /// and has refused none for [`REFUSAL_MEMORY`].
    #[must_use]
    pub fn refusals(&self, now: Wall) -> Option<Refusals> {
        let refusals = self.refusals?;
        let has_accepted = self.accepted.is_some_and(|at| at > refusals.last);
        let is_over = has_accepted && now.since(refusals.last) >= REFUSAL_MEMORY;
        (!is_over).then_some(refusals)
    }
}

impl SharedRecord for TargetResponses {
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::seed::rng_seed;

    const START: Wall = Wall(1_800_000_000_000);

    fn at(seconds: u64) -> Wall {
        START.after(Duration::from_secs(seconds))
    }

    fn saw(statuses: &[u16]) -> Tally {
        let mut tally = Tally::default();
        for status in statuses {
            tally.responded(*status, 1);
            match status {
                401 => tally.refused(Refused::Unauthorized),
                403 => tally.refused(Refused::Forbidden),
                _ => {}
            }
        }
        tally
    }

    #[test]
    fn responses_are_counted_by_class_and_forgotten_after_five_minutes() {
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[204, 204, 304, 429, 500, 503]), at(0));
        responses.add(&saw(&[204]), at(60));
        let all = Classes {
            success: 3,
            redirect: 1,
            client_error: 1,
            server_error: 2,
        };
        assert_eq!(responses.recent(at(60)), all);
        assert_eq!(responses.recent(at(5 * 60)).success, 1);
        assert_eq!(responses.recent(at(6 * 60)), Classes::default());
    }

    #[test]
    fn refusals_last_until_the_target_accepts_and_has_refused_none_for_five_minutes() {
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[204]), at(0));
        assert_eq!(responses.refusals(at(0)), None);
        responses.add(&saw(&[403, 403]), at(10));
        responses.add(&saw(&[401]), at(20));
        let refusals = Refusals {
            since: at(10),
            last: at(20),
            unauthorized: 1,
            forbidden: 2,
        };
        // Nothing is heard of the target: nothing says that the role has been granted.
        assert_eq!(responses.refusals(at(7200)), Some(refusals));
        responses.add(&saw(&[204]), at(30));
        assert_eq!(responses.refusals(at(31)), Some(refusals));
        assert_eq!(responses.refusals(at(20 + 300)), None);
        // The next refusal starts anew.
        responses.add(&saw(&[403]), at(400));
        assert_eq!(
            responses
                .refusals(at(400))
                .map(|refusals| (refusals.since, refusals.forbidden)),
            Some((at(400), 1))
        );
    }

    #[test]
    fn a_success_in_the_same_tick_as_a_refusal_does_not_end_it() {
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[204, 403]), at(0));
        assert!(responses.refusals(at(3600)).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_what_lies_ahead() {
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[204]), at(3600));
        responses.add(&saw(&[500]), at(0));
        assert_eq!(
            responses.recent(at(0)),
            Classes {
                server_error: 1,
                ..Classes::default()
            }
        );
        // A refusal from ahead ends as any other does.
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[403]), at(3600));
        responses.add(&saw(&[204]), at(0));
        responses.add(&saw(&[204]), at(1));
        assert!(responses.refusals(at(1)).is_some());
        assert_eq!(responses.refusals(at(300)), None);
    }

    #[test]
    fn a_redirect_is_no_acceptance() {
        let mut responses = TargetResponses::default();
        responses.add(&saw(&[403]), at(0));
        responses.add(&saw(&[302]), at(10));
        assert!(responses.refusals(at(3600)).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: rng_seed(),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn whatever_comes_the_record_stays_small_and_is_read_back(
            events in prop::collection::vec((0..1_000_000_u64, prop::collection::vec(100..1000_u16, 0..5)), 0..50),
        ) {
            let mut responses = TargetResponses::default();
            for (seconds, statuses) in events {
                responses.add(&saw(&statuses), at(seconds));
                let bytes = responses.encode();
                prop_assert!(bytes.len() < 256, "{} bytes", bytes.len());
                prop_assert_eq!(TargetResponses::decode(&bytes), Some(responses.clone()));
            }
        }
    }
}
