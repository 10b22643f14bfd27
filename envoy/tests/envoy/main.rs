//! The launcher and its bootstrap on a real Envoy: what a client and a target see on the wire.
//!
//! Envoy is `ENVOY_BINARY`, else `.tools/bin/envoy` of the workspace. The filter is
//! `ENTRA_AUTH_MODULE` if that is set, else a stand-in that lets every request pass: what is shown
//! here is Envoy's part. The end-to-end tests show the filter's.

mod support;

mod access_log;
mod addresses;
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
mod streaming;
mod supervision;
mod tls;
mod trust_store;
