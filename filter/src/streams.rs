//! The streams of this VM, and the callbacks that every request pays for.
//!
//! The SDK keeps a boxed trait object for each stream and looks it up in up to three maps for each
//! callback. Here one map holds plain values, and nothing is allocated per request. `filter/link` exports
//! these functions under the names of the ABI instead of the SDK's functions. Calls for root contexts are
//! passed on to the SDK (docs/decisions/0016-a-lean-entry-for-streams.md).
//!
//! Source of names and signatures: proxy-wasm ABI 0.2.1,
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>.

#![expect(unsafe_code, reason = "exports, and calls of the SDK's")]

use core::hash::{BuildHasherDefault, Hasher};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proxy_wasm::types::Action;

use crate::active::Active;
use crate::memory;
use crate::request::Request;

/// Hashes the ids of contexts. The host counts them up, so no client can choose colliding ones.
#[derive(Default)]
struct ContextHasher(u64);

impl Hasher for ContextHasher {
    fn write_u32(&mut self, id: u32) {
        // Knuth's multiplicative hashing, because the map also uses the upper bits.
        self.0 = u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte) ^ self.0 as u32);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByContext<T> = HashMap<u32, T, BuildHasherDefault<ContextHasher>>;

thread_local! {
    /// The configuration of each root context; none before it is configured.
    static ROOTS: RefCell<ByContext<Option<Rc<Active>>>> =
        const { RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) };
    static STREAMS: RefCell<ByContext<Request>> =
        const { RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) };
}

/// Sets the configuration of the streams of this root context.
pub(crate) fn configured(root: u32, active: Rc<Active>) {
    ROOTS.with_borrow_mut(|roots| roots.insert(root, Some(active)));
}

/// A configuration in use by some root context of this VM for which `is_wanted` holds.
pub(crate) fn find_configured(is_wanted: impl Fn(&Active) -> bool) -> Option<Rc<Active>> {
    ROOTS.with_borrow(|roots| {
        let mut found = roots.values().flatten().filter(|active| is_wanted(active));
        found.next().cloned()
    })
}

/// Whether another root context of this VM has a configuration.
pub(crate) fn others_are_configured(root: u32) -> bool {
    ROOTS.with_borrow(|roots| {
        let mut others = roots.iter().filter(|(id, _)| **id != root);
        others.any(|(_, active)| active.is_some())
    })
}

/// Calls `use_it` with a stream, if the stream still exists. The streams are borrowed meanwhile, so no host call
/// in `use_it` may call back at once. Envoy resumes and answers streams after the callback.
pub(crate) fn with(context: u32, use_it: impl FnOnce(&mut Request)) {
    STREAMS.with_borrow_mut(|streams| streams.get_mut(&context).map(use_it));
}

fn action(context: u32, of: impl FnOnce(&mut Request) -> Action) -> u32 {
    STREAMS.with_borrow_mut(|streams| streams.get_mut(&context).map_or(Action::Continue, of) as u32)
}

// The functions of the SDK.
unsafe extern "C" {
    fn proxy_on_context_create(context: u32, root: u32);
    fn proxy_on_done(context: u32) -> u32;
    fn proxy_on_delete(context: u32);
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_memory_allocate(size: usize) -> *mut u8 {
    memory::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_context_create(context: u32, root: u32) {
    if root == 0 {
        ROOTS.with_borrow_mut(|roots| roots.insert(context, None));
        // SAFETY: the arguments are those of the host's call.
        unsafe { proxy_on_context_create(context, root) };
        return;
    }
    let active = ROOTS.with_borrow(|roots| roots.get(&root).cloned().flatten());
    // Envoy uses no root context whose configuration was refused.
    if let Some(active) = active {
        STREAMS.with_borrow_mut(|streams| streams.insert(context, Request::new(context, active)));
    }
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_request_headers(context: u32, _: usize, _: u32) -> u32 {
    action(context, Request::on_request_headers)
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_request_body(context: u32, _: usize, _: u32) -> u32 {
    action(context, |request| request.on_request_body())
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_response_headers(context: u32, _: usize, _: u32) -> u32 {
    action(context, Request::on_response_headers)
}

#[unsafe(no_mangle)]
extern "C" fn entra_on_response_trailers(context: u32, _: usize) -> u32 {
    action(context, Request::on_response_trailers)
}

/// Ends a context. There is nothing to wait for, so this also does the work of the ABI's `proxy_on_delete`,
/// which would follow at once.
#[unsafe(no_mangle)]
extern "C" fn entra_on_done(context: u32) -> u32 {
    const OVER: u32 = 1;
    if let Some(request) = STREAMS.with_borrow_mut(|streams| streams.remove(&context)) {
        request.on_done();
    } else if ROOTS
        .with_borrow_mut(|roots| roots.remove(&context))
        .is_some()
    {
        // SAFETY: the argument is that of the host's call.
        unsafe {
            proxy_on_done(context);
            proxy_on_delete(context);
        }
    }
    OVER
}
