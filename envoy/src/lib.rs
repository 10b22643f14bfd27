//! The launcher. It reads and checks the settings ([`settings`]), writes Envoy's bootstrap
//! ([`bootstrap`]), and runs Envoy as a supervised child process ([`supervise`]).
//!
//! It makes no decisions about tokens: the filter in Envoy does, with the configuration that
//! [`bootstrap`] writes for it.

mod addresses;
pub mod admin;
pub mod bootstrap;
mod check;
pub mod children;
pub mod cli;
pub mod drain;
pub mod exit;
pub mod launch;
pub mod limits;
pub mod machine;
mod prepare;
pub mod process;
mod refusal;
pub mod run_dir;
pub mod settings;
pub mod supervise;
pub mod supervised_process;
mod unix_http;
