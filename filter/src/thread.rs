//! Which of Envoy's threads this VM runs on. Nothing in the ABI tells, but Envoy's main thread can
//! make no connection to an internal listener, so it must not ask for a token by way of one.
//!
//! Envoy runs a singleton service on the main thread, in the VM that all root contexts of that
//! thread share, and configures it before its first timer runs. So that VM is told for sure, and
//! every other VM of the same id is a worker's, from the first tick on. (A temporary VM in which
//! Envoy tries a configuration does not tick.) That holds where the service and the filters have one
//! and the same `vm_config`: with two, the main thread has two VMs, and the filters' takes itself for a
//! worker's. It then fails now and then, and the workers get the token nevertheless. Where there is no
//! service, a VM that gets requests is a worker's.

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
