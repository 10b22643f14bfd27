//! The launcher and its bootstrap on a real Envoy: what a client and a target see on the wire. No token is
//! added here: a module that lets every request pass stands in for ours (see `setup`).

mod accepted;
mod access_log;
mod addresses;
mod bootstrap;
mod commands;
mod envoy_headers;
mod example;
mod failures;
mod headers;
mod health;
mod http2;
mod idle;
mod many;
#[cfg(target_os = "linux")]
mod no_ipv6;
mod overload;
mod request_line;
mod setup;
mod streaming;
mod supervision;
mod tls;
mod trust_store;
