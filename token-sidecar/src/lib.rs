//! The process beside the proxy that holds a certificate's private key and signs client assertions with it.
//!
//! It has no network: the filter fetches the assertion through a Unix socket and calls Entra
//! itself. A reader begins with [`answer`]: what each request gets; then [`signer`], [`store`]
//! (which credential is in use) and [`credential`] (what the files hold).

pub mod answer;
pub mod credential;
pub mod file;
pub mod listen;
pub mod log;
pub mod run;
pub mod sandbox;
pub mod serve;
pub mod served_file;
pub mod settings;
pub mod signer;
pub mod store;
pub mod text;
