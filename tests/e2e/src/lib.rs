//! What every test on a real Envoy needs: the launcher, a plain Envoy and a Prometheus as real child
//! processes, clients that send and targets that answer exactly what a test says, and patience with a
//! time limit.
//!
//! Everything blocks, and every child lives in a process group of its own that ends with the
//! value that stands for it. A test that fails prints the last log lines of its children.
//! A tool that is missing fails the test and is named: nothing passes silently.

pub mod azure;
pub mod browser;
mod collector;
pub mod credentials;
mod envoy;
pub mod faults;
mod forward_proxy;
pub mod http;
mod look;
mod metrics;
pub mod otlp;
mod patience;
mod ports;
mod process;
mod procfs;
mod prometheus;
mod proxy;
pub mod raw;
mod recorder;
pub mod screen;
mod secrecy;
pub mod secure_target;
pub mod stand_in;
pub mod starts;
mod stop;
mod token_sidecar;
pub mod tools;
pub mod verdict;

pub use collector::Collector;
pub use envoy::Envoy;
pub use forward_proxy::{ForwardProxy, ForwardProxyBuilder};
pub use look::{Look, ProxyLook};
pub use metrics::{Metrics, Sample};
pub use patience::{eventually, eventually_ok};
pub use ports::{free_port, is_free};
pub use process::Process;
pub use procfs::{CpuTime, Memory, children, is_stopped};
pub use prometheus::{Prometheus, PrometheusBuilder, Protocol, Release, RemoteWrite};
pub use proxy::{Proxy, ProxyBuilder};
pub use recorder::Recorder;
pub use secrecy::Shown;
pub use stop::stop_signal;
pub use token_sidecar::token_sidecar;
