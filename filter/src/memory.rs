//! What the host returns: bytes that it has put where this module told it to.

#![expect(unsafe_code, reason = "the host writes through a raw pointer")]

use core::cell::{Cell, UnsafeCell};
use core::ops::Deref;
use core::ptr::{self, null_mut};

/// Longer than most hosts, paths, properties and statuses.
const SCRATCH_BYTES: usize = 512;

/// The place for a short value, so that reading a header allocates nothing.
struct Scratch {
    bytes: UnsafeCell<[u8; SCRATCH_BYTES]>,
    is_lent: Cell<bool>,
}

// SAFETY: a VM has one thread.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch {
    bytes: UnsafeCell::new([0; SCRATCH_BYTES]),
    is_lent: Cell::new(false),
};

/// Where the host may write `size` bytes; they become a [`Returned`].
pub(crate) fn allocate(size: usize) -> *mut u8 {
    if size <= SCRATCH_BYTES && !SCRATCH.is_lent.replace(true) {
        SCRATCH.bytes.get().cast()
    } else {
        Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
    }
}

/// Bytes that the host returned.
pub(crate) struct Returned {
    data: *mut u8,
    size: usize,
}

impl Returned {
    /// Runs a host call that stores the place and the size of what it returns; gives its status,
    /// and what it returned if it returned anything.
    pub(crate) fn by(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Self) {
        let mut returned = Self {
            data: null_mut(),
            size: 0,
        };
        let status = call(&raw mut returned.data, &raw mut returned.size);
        (status, returned)
    }
}

impl Deref for Returned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the host has written `size` bytes to what `allocate` gave it.
        unsafe { core::slice::from_raw_parts(self.data, self.size) }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        if ptr::eq(self.data, SCRATCH.bytes.get().cast()) {
            SCRATCH.is_lent.set(false);
        } else if !self.data.is_null() {
            let bytes = ptr::slice_from_raw_parts_mut(self.data, self.size);
            // SAFETY: `allocate` made this box, with exactly this size.
            drop(unsafe { Box::from_raw(bytes) });
        }
    }
}
