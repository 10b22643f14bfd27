//! The rules of Entra Auth for Envoy: how Microsoft Entra tokens are acquired, refreshed and shared,
//! and which requests get one.
//!
//! The filter runs in many VMs, one in each of Envoy's threads. Its configuration names *identities*
//! (how to get tokens) and *targets* (which hosts get a token of which identity, for which audience).
//! Each distinct pair of an identity and an audience is a *slot*: one token, which all VMs of the
//! process share through one record in Envoy's shared data. When a slot is due, one VM takes its lease,
//! calls the endpoint and publishes the token. A request to a target gets the token of its slot; while
//! there is none, it waits.
//!
//! This crate has no I/O, no clock, no environment and no dependency on proxy-wasm: the caller passes
//! the time and the responses, and carries out the calls. So every rule can be tested in simulated
//! time, natively and on wasm. `filter/` is the caller inside Envoy; the launcher's `check` is another.
//!
//! Read the modules in this order; each depends only on those before it:
//!
//! 1. [`time`], [`Secret`], [`Token`]: when a token may be sent.
//! 2. [`audience`], [`cloud`], [`http`]: what a token is for, and the requests as plain data.
//! 3. [`reply`]: parses a successful reply. [`failure`], [`trace`], [`local_reply`]: what went wrong
//!    otherwise, whether a retry helps, what to do.
//! 4. [`identity`]: the requests by which each kind of identity acquires a token.
//! 5. [`schedule`]: when the next call is due. [`state`]: what the VMs share about a slot, and what
//!    follows when a target refuses a token.
//! 6. [`slot`]: the state machine of one token, which puts 1 to 5 together.
//! 7. [`record`], [`lease`]: how the VMs of one process agree on which of them calls.
//! 8. [`host`], [`cluster`], [`mesh`]: which requests get which token, and which clusters may carry it.
//! 9. [`config`]: the plugin configuration, parsed and compiled into slots, targets and a host table.
//! 10. [`target_responses`]: how the targets respond, and since when one refuses the identity.
//! 11. [`telemetry_exports`]: how the exports of telemetry end, and since when they fail.
//! 12. [`status`], [`page`]: the proxy's own responses, such as `/ready` and `/status`.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod audience;
mod calendar;
pub mod cloud;
pub mod cluster;
pub mod config;
mod expiry;
pub mod failure;
pub mod host;
pub mod http;
pub mod identity;
pub mod invisible;
pub mod lease;
pub mod local_reply;
pub mod mesh;
pub mod page;
pub mod record;
pub mod reply;
pub mod schedule;
#[cfg(all(test, not(target_family = "wasm")))]
mod schemas;
mod sealed;
mod secret;
#[cfg(test)]
#[path = "../tests/common/seed.rs"]
mod seed;
pub mod shared_data;
pub mod slot;
pub mod state;
pub mod status;
pub mod target_responses;
pub mod telemetry_exports;
pub mod time;
mod token;
pub mod trace;

pub use audience::Audience;
pub use secret::Secret;
pub use time::{Mono, Now, Wall};
pub use token::{Generation, Token};
