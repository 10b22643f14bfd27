//! The launcher: environment → checked settings → Envoy's bootstrap → Envoy under supervision.
//!
//! It decides nothing about tokens: the filter inside Envoy does, with the configuration that
//! [`bootstrap`] writes for it.

pub mod admin;
pub mod bootstrap;
mod check;
pub mod children;
pub mod cli;
pub mod companion;
pub mod drain;
pub mod launch;
pub mod limits;
pub mod machine;
mod refusal;
pub mod run_dir;
pub mod settings;
pub mod supervise;
mod unix_http;
