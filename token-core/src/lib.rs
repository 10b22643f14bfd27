//! What a Microsoft Entra token is and when to get the next one.
//!
//! Read in this order:
//!
//! * [`time`], [`Secret`], [`Token`]: a token has two ends, one on each clock, and is over when
//!   either says so.
//! * [`slot`]: the life of one token as a state machine that knows no clock, network or
//!   storage. Events and the time go in; calls, tokens and reports come out.
//! * [`state`]: what outlives a call, and what a refusal by the target means.
//! * [`schedule`]: the pure functions that say how long to wait.
//! * [`identity`], [`cloud`]: who asks, and the one or two requests that ask.
//! * [`reply`], [`failure`], [`trace`]: what an endpoint answered, or why that is no token, and by
//!   what its support finds the exchange.
//! * [`lease`], [`record`]: how the many VMs of one Envoy process agree on who asks, through
//!   one record in shared data.
//! * [`config`]: the plugin configuration: strict JSON in, types that cannot be wrong out.
//! * [`host`], [`cluster`], [`mesh`]: which requests get which token, and which never do.
//! * [`target_responses`]: how the targets respond, and since when one refuses the identity.
//! * [`status`], [`page`]: what `/ready` and `/status` say.
//!
//! There is no I/O, no clock, no environment and no proxy-wasm in this crate, so every rule of
//! the product can be tested in simulated time, natively and on wasm.

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
pub mod slot;
pub mod state;
pub mod status;
pub mod target_responses;
pub mod time;
mod token;
pub mod trace;

pub use audience::Audience;
pub use secret::Secret;
pub use time::{Mono, Now, Wall};
pub use token::{Generation, Token};
