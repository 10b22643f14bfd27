//! Which Envoy thread this VM runs on. The ABI does not say, but Envoy's main thread cannot connect to an
//! internal listener, so it must not call for a token through one.
//!
//! Envoy runs the singleton service on the main thread, in the VM that all root contexts of that thread
//! share, and configures it before the first tick. So this VM knows that it is on the main thread; all other
//! VMs with this id are on workers. (Temporary VMs for trying a configuration never tick.) This requires
//! the service and the filters to have the same `vm_config`. Otherwise the main thread has a second VM,
//! which treats itself as a worker's: some of its calls fail, and the workers get the token anyway.
//! Without a service, a VM that gets requests is on a worker.

use std::cell::Cell;

use entra_token_core::lease::{Cas, SharedData, Thread};

use crate::host::Shared;

/// In shared data from the time when the main thread's VM is known.
const MAIN_IS_KNOWN: &str = "entra-auth/v1/main-thread-is-known";

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread::Unknown) };
}

/// The singleton service is configured in this VM.
pub(crate) fn is_main() {
    THREAD.set(Thread::Main);
    // Whatever is there: version 0 stands for any.
    Shared.write(MAIN_IS_KNOWN, &[1], Some(Cas(0)));
}

/// A request has come to this VM.
pub(crate) fn serves_requests() {
    if THREAD.get() == Thread::Unknown {
        THREAD.set(Thread::Worker);
    }
}

/// The thread, as far as it is known. To be asked at ticks alone, when the main thread's VM has
/// been told.
pub(crate) fn current() -> Thread {
    if THREAD.get() == Thread::Unknown && Shared.read(MAIN_IS_KNOWN).is_some() {
        THREAD.set(Thread::Worker);
    }
    THREAD.get()
}
