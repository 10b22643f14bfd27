//! The requests that wait for one slot's token in this VM.

use std::collections::BTreeMap;

use entra_token_core::{Generation, Mono, Now};

/// A request that waits.
pub(crate) struct Waiting {
    /// Its stream's context.
    pub(crate) context: u32,
    /// The generation that the target refused; 0 if it waits for the first token.
    pub(crate) refused: Generation,
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

    pub(crate) fn contains(&self, context: u32) -> bool {
        self.0.contains_key(&context)
    }

    pub(crate) fn add(&mut self, waiting: Waiting) {
        self.0.insert(waiting.context, waiting);
    }

    /// Their contexts, the oldest first.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Those that are served, and those that have waited as long as they may; the oldest first, and
    /// `most` of them.
    pub(crate) fn over(
        &self,
        now: Now,
        most: usize,
        is_served: impl Fn(&Waiting) -> bool,
    ) -> Vec<u32> {
        let over = |waiting: &Waiting| now.mono >= waiting.deadline || is_served(waiting);
        let over = self.0.values().filter(|waiting| over(waiting)).take(most);
        over.map(|waiting| waiting.context).collect()
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, context: u32) -> Option<Waiting> {
        self.0.remove(&context)
    }
}
