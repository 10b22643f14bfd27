//! What tests of the container images need: the images of `make images` in a Docker engine, a
//! simulated Azure that containers can reach, and containers as careful people run them.
//!
//! `scripts/with-docker` brings the engine. Where there is none, it fails, and so does every test.
#![cfg(feature = "docker")]

pub mod azure;
pub mod engine;
pub mod running;

pub use azure::{HOST, azure};
pub use engine::Volume;
pub use running::{Running, proxy, sidecar};
