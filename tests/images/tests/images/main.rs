//! The images of `make images`, as containers.

mod identities;
mod inside;
mod proxy;
