//! Counts how often this VM asks for memory, for the test of what a request costs (`tests/cost`).
//! It is not in the shipped module; `make traps` builds the test module that has it.

#![expect(unsafe_code, reason = "an allocator is made of raw pointers")]

use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with a count.
struct Counting(AtomicU64);

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicU64::new(0));

impl Counting {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does what it is asked for; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// How many allocations there were since the VM was loaded.
#[unsafe(no_mangle)]
extern "C" fn entra_auth_allocations() -> u64 {
    ALLOCATOR.0.load(Ordering::Relaxed)
}
