//! The files that `make images` writes, made here from a small program of this system as everything
//! that runs, and from the libraries that this test has loaded itself.
#![cfg(target_os = "linux")]

mod files;
mod fixture;
mod records;
mod refusals;
mod unpack;
