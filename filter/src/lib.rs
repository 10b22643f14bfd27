//! The proxy-wasm plugin: adapters between Envoy's callbacks and `entra-token-core`.
//!
//! One module serves as the bootstrap singleton service, as the HTTP filter of workers and as
//! the filter that answers `/ready`. Nothing about tokens is decided here: [`root`] turns ticks and answers
//! into inputs of the core, [`streams`] is where requests come in, [`request`] puts the token on
//! one or parks it where [`clusters`] lets it, [`status`] answers for the proxy with what [`process`] knows of Envoy, [`invalid_config`] for a
//! configuration that is wrong, [`local_slot`] holds what all contexts of one VM share, [`active`] is a configuration in use,
//! [`last_good_config`] tells whether a wrong one can be refused, [`responses`] are our own responses, [`target_counts`] counts those of the targets, and
//! [`host`] is the only file that calls Envoy.
//!
//! A panic kills the VM and every request in it, so nothing here may panic. Should it happen all
//! the same, [`panic_response`] answers those that would wait for ever.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the module has exports for Envoy and none for Rust"
)]

mod active;
#[cfg(feature = "allocations")]
mod allocations;
mod clusters;
mod host;
mod invalid_config;
mod last_good_config;
mod local_slot;
mod memo;
mod memory;
mod metrics;
mod panic_response;
mod parked;
mod process;
mod request;
mod responses;
mod root;
mod status;
mod streams;
mod target_counts;
mod thread;
#[cfg(feature = "traps")]
mod trap;

mod entry {
    proxy_wasm::main! {{
        crate::host::log_through_envoy();
        crate::panic_response::prepare();
        proxy_wasm::set_root_context(|id| Box::new(crate::root::Root::new(id)));
    }}
}
