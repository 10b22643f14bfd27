//! How one target responds, as this VM counts it until its next tick: for the metric, and for `/status`, whose VM
//! learns it through shared data.

use core::time::Duration;
use std::cell::{Cell, RefCell};

use entra_token_core::record::SlotKey;
use entra_token_core::shared_data;
use entra_token_core::target_responses::{Refused, Tally, TargetResponses};
use entra_token_core::{Mono, Now, Wall};

use crate::host::{self, Shared};
use crate::metrics::Counter;

/// How often the counts go to the other VMs. Envoy gets them at each tick.
const EVERY: Duration = Duration::from_secs(1);

/// How many status codes of one target have a time series of their own. A target chooses its codes, and each
/// series costs memory for as long as Envoy runs.
const MOST_CODES: usize = 32;

/// The label of all further codes.
const OTHER_CODES: &str = "other";

pub(crate) struct TargetCounts {
    target: String,
    /// Names the record in shared data.
    key: String,
    /// What the record in shared data does not have yet.
    tally: RefCell<Tally>,
    /// When the record is written next.
    next: Cell<Mono>,
    /// A counter for each status code that the target has sent. A number below 100 stands for all further codes
    /// of its hundred.
    by_code: RefCell<Vec<(u16, Counter)>>,
}

impl TargetCounts {
    pub(crate) fn new(slot: &SlotKey, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            key: slot.of_target(target),
            tally: RefCell::default(),
            next: Cell::default(),
            by_code: RefCell::default(),
        }
    }

    /// Counts a response of the target.
    pub(crate) fn responded(&self, status: u16) {
        let known = |code: u16| {
            let by_code = self.by_code.borrow();
            let counter = by_code.iter().find(|(it, _)| *it == code);
            counter.map(|(_, counter)| counter.count()).is_some()
        };
        if !known(status) {
            self.responded_anew(status, known);
        }
    }

    /// Counts a response with a status code that has no counter yet.
    #[cold]
    fn responded_anew(&self, status: u16, known: impl Fn(u16) -> bool) {
        let (code, label) = if self.by_code.borrow().len() < MOST_CODES {
            (status, status.to_string())
        } else if known(status / 100) {
            return;
        } else {
            (status / 100, OTHER_CODES.to_owned())
        };
        let labels = [("target", self.target.as_str()), ("status_code", &label)];
        let counter = Counter::new("target_responses_total", &labels);
        counter.count();
        self.by_code.borrow_mut().push((code, counter));
    }

    /// Counts a refusal of the identity that no newer token heals.
    pub(crate) fn refused(&self, refused: Refused) {
        self.tally.borrow_mut().refused(refused);
    }

    /// Hands the counts to Envoy, and now and then to the other VMs.
    pub(crate) fn publish(&self, now: Now) {
        self.flush();
        if now.mono >= self.next.get() && !self.tally.borrow().is_empty() {
            self.next.set(now.mono.after(EVERY));
            self.share(now.wall);
        }
    }

    /// Hands the counts to Envoy.
    fn flush(&self) {
        let mut tally = self.tally.borrow_mut();
        for (code, counter) in self.by_code.borrow().iter() {
            let status = if *code < 100 { code * 100 } else { *code };
            tally.responded(status, counter.flush());
        }
    }

    /// Adds the counts to the record of all VMs. If other VMs are faster, the counts wait for the next tick.
    #[inline(never)]
    fn share(&self, now: Wall) {
        let mut tally = self.tally.borrow_mut();
        let add = |responses: &mut TargetResponses| responses.add(&tally, now);
        if shared_data::update(&Shared, &self.key, add).is_some() {
            *tally = Tally::default();
        }
    }

    /// What all VMs together have counted until their last ticks.
    pub(crate) fn of_all_vms(&self) -> TargetResponses {
        shared_data::get(&Shared, &self.key)
    }
}

impl Drop for TargetCounts {
    /// Another configuration has replaced the one that this belongs to.
    fn drop(&mut self) {
        self.flush();
        if !self.tally.borrow().is_empty() {
            self.share(host::wall());
        }
    }
}
