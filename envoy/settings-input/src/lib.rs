//! What the launcher and the token-sidecar share in reading their settings: the environment
//! variables, the files that these name, `[scheme://]host[:port]`, and the form of an error.
//!
//! A rule that holds in both programs stands here: what is one of a few words, and which address may be
//! reached in clear. Each program has its own table of variables. Nothing here knows a variable's name. The crate has few dependencies because the token-sidecar, which holds the
//! private key, links it.

mod authority;
pub mod choices;
mod config_error;
pub mod file;
mod variables;

pub use authority::{Authority, Endpoint, Host, Scheme};
pub use config_error::{ConfigError, Place, Problem, quoted};
pub use variables::Variables;
