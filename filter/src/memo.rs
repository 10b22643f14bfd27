//! Remembers the last answer to a question that is asked with nearly every request.

use std::cell::RefCell;

/// The last text, and what was found for it.
#[derive(Default)]
pub(crate) struct Memo<T>(RefCell<(Vec<u8>, T)>);

impl<T: Copy + Default> Memo<T> {
    /// What `find` says of `text`, which must be the same until [`Self::forget`]. What is no text has no
    /// answer.
    pub(crate) fn get(&self, text: &[u8], find: impl FnOnce(&str) -> T) -> Option<T> {
        let mut last = self.0.borrow_mut();
        if !is_same(&last.0, text) {
            let found = find(str::from_utf8(text).ok()?);
            last.0.clear();
            last.0.extend_from_slice(text);
            last.1 = found;
        }
        Some(last.1)
    }

    /// The next question is asked anew.
    pub(crate) fn forget(&self) {
        let mut last = self.0.borrow_mut();
        last.0.clear();
        last.1 = T::default();
    }
}

/// `==`, which goes byte by byte here, in the C library's `memcmp`.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((one_words, one_rest), (other_words, other_rest)) =
        (one.as_chunks::<8>(), other.as_chunks::<8>());
    let words = || one_words.iter().zip(other_words);
    one.len() == other.len()
        && words().all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other))
        && one_rest.iter().eq(other_rest)
}
