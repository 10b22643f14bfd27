//! The product on a real Envoy and a real Prometheus, against the simulated Azure.

mod cold_start;
mod configuration;
mod demo;
mod downstream;
mod expiry;
mod floods;
mod forward_proxy;
mod guides;
mod healing;
mod identities;
mod identity_rotation;
mod imds;
mod load;
mod main_job;
mod old_proxy;
mod ownership;
mod refusals;
mod secrecy;
mod shutdown;
mod transparency;
mod traps;
mod trust;
mod updates;
