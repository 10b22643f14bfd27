//! Tests of `token-sidecar` as users see it: of the library, with files and a clock of the tests, where
//! time or many cases matter; else of the program.

mod chains;
mod confinement;
mod encrypted;
mod environment;
mod file_errors;
mod http;
mod inputs;
mod jwt;
mod listening;
mod reload;
mod secrets;
mod support;
