//! Which fault comes when: at each place one after another with calm in between, in random order,
//! none again before all have come.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use fastrand::Rng;

use super::catalog::{CATALOG, FaultInjection, Place};

/// Milliseconds without a fault at a place between two of them. A proxy that always stands still,
/// or whose back-off always ends in the next fault, lets no request meet the faults of the target.
fn calm(place: Place) -> RangeInclusive<u64> {
    match place {
        Place::TokenEndpoint => 4000..=12_000,
        Place::Target => 500..=4000,
        Place::Proxy => 3000..=12_000,
    }
}

/// A fault that is played from one moment to another, counted from the start.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Its begin.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// The fault.
    pub injection: &'static FaultInjection,
}

/// The seed in the environment (`FAULT_SEED`), else one from the clock.
///
/// # Errors
/// When it is no number.
pub fn seed() -> Result<u64, String> {
    match std::env::var("FAULT_SEED") {
        Ok(seed) => seed
            .parse()
            .map_err(|error| format!("FAULT_SEED={seed}: {error}")),
        Err(_) => Ok(SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())),
    }
}

/// The faults that are over within `time`, in the order of their begin. The same seed gives the
/// same ones.
#[must_use]
pub fn schedule(seed: u64, time: Duration, wanted: fn(&FaultInjection) -> bool) -> Vec<Act> {
    let mut rng = Rng::with_seed(seed);
    let mut acts = Vec::new();
    for place in [Place::TokenEndpoint, Place::Target, Place::Proxy] {
        let injections = CATALOG
            .iter()
            .filter(|injection| injection.place == place && wanted(injection));
        acts.extend(at_one_place(
            &mut rng,
            time,
            &injections.collect::<Vec<_>>(),
        ));
    }
    acts.sort_by_key(|act| act.from);
    acts
}

fn at_one_place(rng: &mut Rng, time: Duration, injections: &[&'static FaultInjection]) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut deck = Vec::new();
    let mut now = Duration::ZERO;
    while !injections.is_empty() {
        if deck.is_empty() {
            deck.extend_from_slice(injections);
            rng.shuffle(&mut deck);
        }
        let Some(injection) = deck.pop() else { break };
        let (least, most) = injection.lasts;
        let from = now + Duration::from_millis(rng.u64(calm(injection.place)));
        let to = from + Duration::from_millis(rng.u64(least * 1000..=most * 1000));
        if to > time {
            break;
        }
        acts.push(Act {
            from,
            to,
            injection,
        });
        now = to;
    }
    acts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(acts: &[Act]) -> Vec<&str> {
        acts.iter().map(|act| act.injection.name).collect()
    }

    #[test]
    fn a_seed_repeats_a_schedule_and_another_one_gives_another() {
        let of = |seed| format!("{:?}", schedule(seed, HOUR, |_| true));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn in_ten_minutes_every_fault_comes() {
        for seed in 0..50 {
            let acts = schedule(seed, HOUR / 6, |_| true);
            let distinct: BTreeSet<_> = names(&acts).into_iter().collect();
            assert_eq!(distinct.len(), CATALOG.len(), "seed {seed}");
        }
    }

    #[test]
    fn faults_at_one_place_do_not_overlap_and_all_end_in_time() {
        for seed in 0..50 {
            let acts = schedule(seed, HOUR, |injection| !injection.action.restarts());
            for place in [Place::TokenEndpoint, Place::Target, Place::Proxy] {
                let mut now = Duration::ZERO;
                for act in acts.iter().filter(|act| act.injection.place == place) {
                    assert!(now < act.from && act.from < act.to && act.to <= HOUR);
                    assert!(!act.injection.action.restarts());
                    now = act.to;
                }
            }
        }
    }
}
