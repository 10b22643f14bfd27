//! The requests that wait for one slot's token in this VM.

use std::collections::BTreeMap;
use std::rc::Rc;

use entra_token_core::{Mono, Now};

use crate::root::Active;

/// A request that waits.
pub(crate) struct Waiting {
    /// Its stream's context.
    pub(crate) context: u32,
    /// The configuration that it came under.
    pub(crate) active: Rc<Active>,
    /// Index of its target there.
    pub(crate) target: usize,
    /// When it is answered at the latest.
    pub(crate) deadline: Mono,
}

/// Waiting requests by context id, which grows: the oldest comes first.
#[derive(Default)]
pub(crate) struct Parked(BTreeMap<u32, Waiting>);

impl Parked {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn add(&mut self, waiting: Waiting) {
        self.0.insert(waiting.context, waiting);
    }

    /// Says whether it was there.
    pub(crate) fn remove(&mut self, context: u32) -> bool {
        self.0.remove(&context).is_some()
    }

    /// Takes all out.
    pub(crate) fn take_all(&mut self) -> Vec<Waiting> {
        core::mem::take(&mut self.0).into_values().collect()
    }

    /// Takes out those that have waited as long as they may.
    pub(crate) fn take_overdue(&mut self, now: Now) -> Vec<Waiting> {
        self.0
            .extract_if(.., |_, waiting| now.mono >= waiting.deadline)
            .map(|(_, w)| w)
            .collect()
    }
}
