//! How one target responds, as this VM counts it until its next tick: for the metric, and for `/status`, whose VM
//! learns it through shared data.

use std::cell::RefCell;

use entra_token_core::Wall;
use entra_token_core::lease::{Cas, SharedData};
use entra_token_core::record::SlotKey;
use entra_token_core::target_responses::{Refused, Tally, TargetResponses};

use crate::host::Shared;
use crate::metrics::Counter;

/// How many status codes of one target have a time series of their own. A target chooses its codes, and each
/// series costs memory for as long as Envoy runs.
const MOST_CODES: usize = 32;

/// The label of all further codes.
const OTHER_CODES: &str = "other";

/// How often the record is written again when another VM writes it at the same moment. After that, the counts
/// wait for the next tick.
const WRITE_ATTEMPTS: usize = 4;

pub(crate) struct TargetCounts {
    target: String,
    /// Names the record in shared data.
    key: String,
    tally: RefCell<Tally>,
    /// A counter for each status code that the target has sent; [`OTHER`] is that of the rest.
    by_code: RefCell<Vec<(u16, Counter)>>,
}

/// Stands for [`OTHER_CODES`] among the codes.
const OTHER: u16 = 0;

impl TargetCounts {
    pub(crate) fn new(slot: &SlotKey, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            key: slot.of_target(target),
            tally: RefCell::default(),
            by_code: RefCell::default(),
        }
    }

    /// Counts a response of the target.
    pub(crate) fn responded(&self, status: u16) {
        self.tally.borrow_mut().responded(status);
        let mut by_code = self.by_code.borrow_mut();
        let known = by_code.iter().position(|(code, _)| *code == status);
        let known = known.or_else(|| {
            let is_full = by_code.len() >= MOST_CODES;
            let code = if is_full { OTHER } else { status };
            let other = by_code.iter().position(|(it, _)| is_full && *it == OTHER);
            other.or_else(|| {
                by_code.push((code, self.counter(code)));
                Some(by_code.len() - 1)
            })
        });
        if let Some((_, counter)) = known.and_then(|known| by_code.get(known)) {
            counter.count();
        }
    }

    fn counter(&self, code: u16) -> Counter {
        let code = match code {
            OTHER => OTHER_CODES.to_owned(),
            code => code.to_string(),
        };
        Counter::new(
            "target_responses_total",
            &[("target", &self.target), ("status_code", &code)],
        )
    }

    /// Counts a refusal of the identity that no newer token heals.
    pub(crate) fn refused(&self, refused: Refused) {
        self.tally.borrow_mut().refused(refused);
    }

    /// Hands the counts to Envoy, and to the other VMs.
    pub(crate) fn publish(&self, now: Wall) {
        for (_, counter) in self.by_code.borrow().iter() {
            counter.flush();
        }
        let mut tally = self.tally.borrow_mut();
        if tally.is_empty() {
            return;
        }
        for _ in 0..WRITE_ATTEMPTS {
            let (mut responses, cas) = read(&self.key);
            responses.add(&tally, now);
            if Shared.write(&self.key, &responses.encode(), cas) {
                *tally = Tally::default();
                return;
            }
        }
    }

    /// What all VMs together have counted until their last ticks.
    pub(crate) fn of_all_vms(&self) -> TargetResponses {
        read(&self.key).0
    }
}

fn read(key: &str) -> (TargetResponses, Option<Cas>) {
    match Shared.read(key) {
        Some((bytes, cas)) => (
            TargetResponses::decode(&bytes).unwrap_or_default(),
            Some(cas),
        ),
        None => (TargetResponses::default(), None),
    }
}
