//! The process beside the proxy that holds a certificate's private key and signs client assertions
//! with it.
//!
//! It has no network: the filter fetches the assertion through a Unix socket and calls Entra itself.
//!
//! Each module imports only modules that come before it in this list:
//!
//! - [`variables`], [`log`]: names and levels.
//! - [`mod@file`], [`text`]: the files that settings name, and errors about them.
//! - [`credential`]: a certificate and its private key, from the content of the files.
//! - [`store`]: which credential is in use while the files change.
//! - [`client_assertion`], [`served_file`]: the content of the answers.
//! - [`settings`]: all of the above, from the environment.
//! - [`answer`]: the answer to each request.
//! - [`listen`], [`sandbox`], [`serve`]: sockets, confinement, HTTP.
//! - [`run`]: the process from its start to its end.

pub mod answer;
pub mod client_assertion;
pub mod credential;
pub mod file;
pub mod listen;
pub mod log;
pub mod run;
pub mod sandbox;
pub mod serve;
pub mod served_file;
pub mod settings;
pub mod store;
pub mod text;
pub mod variables;
