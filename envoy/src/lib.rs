//! The launcher: environment → checked settings → Envoy's bootstrap → Envoy under supervision.
//!
//! It decides nothing about tokens: the filter inside Envoy does, with the configuration that
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
