//! The filter as a Wasm module, and nothing else.
//!
//! A crate of its own because the crate that is linked sets how link-time optimisation treats all
//! of them: here it is told to keep the module small, while the filter's own code stays fast
//! (`[profile.module]` in the root Cargo.toml).

extern crate entra_auth_filter as _;
