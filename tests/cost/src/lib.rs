//! What a request costs inside the Wasm module, counted so that two runs give the same figures on
//! any machine, however busy it is.
//!
//! The module runs in an interpreter ([`vm`]) with a small stand-in for Envoy around it ([`envoy`],
//! [`calls`]): it is configured, gets its token and then sees requests ([`life`]) of several kinds
//! ([`kinds`]). Of each kind are counted ([`figures`]): the Wasm instructions that were carried out,
//! by callback; the calls to the host, by name; and allocations. `recorded.json` holds the figures
//! that were agreed to, and [`verdict`] says where a module differs from it.
//!
//! Instructions are no time: what a host call costs on Envoy's side is not among them, which is why
//! these are counted by name; and a copy of memory is one instruction, whatever its length.
//! `tests/bench` measures time.

pub mod calls;
pub mod envoy;
pub mod figures;
mod guest;
pub mod kinds;
pub mod life;
mod meter;
pub mod modules;
pub mod verdict;
pub mod vm;

/// A mistake is a text for whoever runs the check.
pub type Result<T> = core::result::Result<T, String>;
