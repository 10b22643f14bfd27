//! One key of Envoy's shared data, with its compare-and-swap.

use std::cell::RefCell;

use entra_token_core::lease::{Cas, SharedData};

#[derive(Default)]
pub(super) struct OneKey(RefCell<Option<(Vec<u8>, u32)>>);

impl SharedData for OneKey {
    fn read(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
        let stored = self.0.borrow();
        stored
            .as_ref()
            .map(|(value, cas)| (value.clone(), Cas(*cas)))
    }

    fn write(&self, _: &str, value: &[u8], expected: Option<Cas>) -> bool {
        let mut stored = self.0.borrow_mut();
        let cas = stored.as_ref().map(|(_, cas)| *cas);
        if cas.map(Cas) != expected {
            return false;
        }
        *stored = Some((value.to_vec(), cas.unwrap_or_default() + 1));
        true
    }
}
