//! Another proxy, given by its command line, as a process of its own in the same rounds.
//!
//! A shell runs it, with the environment of whoever has started the benchmark and with what it has
//! to know of this run:
//!
//! | variable | what |
//! |---|---|
//! | `BENCH_PORT` | where it is to listen, on 127.0.0.1, without TLS |
//! | `BENCH_TARGET` | where it is to send requests, e.g. `https://localhost:4711` |
//! | `BENCH_AUTHORITY` | the PEM file of the authority that signed the target's certificate |
//! | `BENCH_IMDS` | the instance metadata service, e.g. `http://127.0.0.1:4712` |
//! | `BENCH_AUDIENCE` | what the tokens are to be for |
//!
//! It is measured over TLS alone: most proxies send a token in no other way.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use azure_sim::AZURE_MONITOR;
use e2e::{Process, eventually_ok, free_port};

use crate::filters::TARGET;
use crate::load::GET_16;
use crate::rounds::Subject;
use crate::test_bed::TestBed;
use crate::variants::{Variant, Wanted};

const START: Duration = Duration::from_secs(60);

/// The running proxy, which ends with this value.
pub(crate) struct Peer {
    pub(crate) process: Process,
    port: u16,
}

impl Peer {
    /// Starts it on the proxy's core, and waits until a request gets through.
    pub(crate) fn start(test_bed: &TestBed, command_line: &str) -> Result<Self, String> {
        let port = free_port();
        let spawn = || {
            Process::spawn("the peer", |_| {
                let mut command = Command::new("sh");
                command
                    .args(["-c", command_line])
                    .env("BENCH_PORT", port.to_string())
                    .env(
                        "BENCH_TARGET",
                        format!("https://localhost:{}", test_bed.target.tls.port()),
                    )
                    .env("BENCH_AUTHORITY", &test_bed.authority)
                    .env(
                        "BENCH_IMDS",
                        format!("http://{}", test_bed.azure.addresses().imds),
                    )
                    .env("BENCH_AUDIENCE", AZURE_MONITOR);
                Ok(command)
            })
        };
        let mut process = test_bed.cores.on_proxys(spawn)?;
        process.wait_ready(START, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map(drop)
                .map_err(|error| error.to_string())
        })?;
        eventually_ok(START, "a request gets through the peer", || {
            test_bed.sees(&GET_16, port, TARGET)
        })
        .map_err(|reason| format!("{}{reason}", process.tail()))?;
        Ok(Self { process, port })
    }

    /// What is measured of it.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            variant: Variant {
                name: "peer".to_owned(),
                meaning: "another proxy (PEER)",
                port: self.port,
                host: TARGET.to_owned(),
                wanted: Wanted::Bearer,
            },
            process: self.process.id(),
        }
    }
}
