//! What every test here needs: an Envoy behind the launcher, something to forward to that records
//! what it gets, and bytes on the wire without a client library that would tidy them up.

pub(crate) mod bootstrap;
pub(crate) mod files;
pub(crate) mod proxy;
pub(crate) mod recorder;
pub(crate) mod secure_target;
pub(crate) mod wire;
