//! The proxy-wasm plugin: adapters between Envoy's callbacks and `entra-token-core`.
//!
//! The same module is the bootstrap singleton service, the HTTP filter and the filter that answers `/ready`.
//! It decides nothing about tokens. From the outside in:
//!
//! - [`root`]: ticks and call responses become inputs of the core.
//! - [`streams`]: where requests enter. [`request`] puts the token on one, or parks it; [`clusters`] tells
//!   whether its cluster may have the token.
//! - [`active`]: a configuration in use. [`local_slot`]: what all contexts of one VM share.
//! - [`status`]: `/ready` and `/status`. [`process`]: facts about the Envoy process.
//! - [`invalid_config`], [`last_good_config`]: what happens with an invalid configuration.
//! - [`responses`]: sends the filter's own responses. [`target_counts`]: counts the targets' responses.
//!   [`exports`]: counts the exports of telemetry. [`certificate_gauge`]: when the certificate of an identity ends.
//! - [`host`]: the only file that calls Envoy.
//!
//! Nothing here may panic: a panic kills the VM and every request in it. If one does occur, [`panic_response`]
//! answers the requests that would otherwise wait forever.

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
mod certificate_gauge;
mod clusters;
mod exports;
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
