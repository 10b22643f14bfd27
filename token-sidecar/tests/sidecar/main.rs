//! What users get of `token-sidecar`: the library with files and a clock of the tests' own where
//! time or many cases matter, else the program as a process.

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
