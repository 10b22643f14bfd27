//! How soon after an Envoy takes connections its first request is answered, with a token: it has to
//! be fetched first, from an endpoint that answers after 10 ms.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anstream::println;
use azure_sim::{Fault, FaultKind, Options, Service, Settings};
use e2e::Envoy;
use e2e::azure::Azure;
use e2e::screen::BOLD;
use serde::Serialize;

use super::Placement;
use crate::filters::TARGET;
use crate::goals::Goal;
use crate::load::{Client, GET_16};
use crate::statistics::Spread;
use crate::test_bed::TestBed;

const STARTS: usize = 7;
const ROUND_TRIP_MS: u64 = 10;
/// The launcher's default.
const WORKERS: &str = "2";
const PATIENCE: Duration = Duration::from_secs(60);

/// In milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct First {
    placement: Placement,
    token_round_trip_ms: u64,
    /// From the start of the process until it takes connections.
    listening: Spread,
    /// From then until the first answer.
    answered: Spread,
}

impl First {
    pub(super) fn goal(&self) -> Goal {
        let what = format!(
            "first request after Envoy is up, in ms, {}",
            self.placement.name()
        );
        let limit = (self.token_round_trip_ms + 100) as f64;
        Goal::new(what, self.answered.median, limit)
    }
}

pub(super) fn measure(test_bed: &TestBed, module: &Path) -> Result<Vec<First>, String> {
    println!("\n{BOLD}the first request{BOLD:#} (token endpoint: {ROUND_TRIP_MS} ms)");
    let azure = Azure::try_start(Options {
        settings: Settings {
            rate_limit: false,
            ..Settings::default()
        },
        ..Options::default()
    })?;
    let delay = Fault::new(Service::Imds, FaultKind::DelayMs(ROUND_TRIP_MS));
    azure.inject(delay).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for placement in Placement::BOTH {
        let (mut listening, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let (up, first) = start(test_bed, placement, &azure, module)?;
            listening.push(up.as_secs_f64() * 1e3);
            answered.push(first.as_secs_f64() * 1e3);
        }
        let first = First {
            placement,
            token_round_trip_ms: ROUND_TRIP_MS,
            listening: Spread::of(&listening).ok_or("no starts")?,
            answered: Spread::of(&answered).ok_or("no starts")?,
        };
        println!(
            "  {:<10} Envoy listens after {:.0} ms; from then {:.0} ms ({:.0}–{:.0}) to the first answer",
            placement.name(),
            first.listening.median,
            first.answered.median,
            first.answered.lower_quartile,
            first.answered.upper_quartile,
        );
        all.push(first);
    }
    Ok(all)
}

/// How long it takes to listen, and from then to the first answer.
fn start(
    test_bed: &TestBed,
    placement: Placement,
    azure: &Azure,
    module: &Path,
) -> Result<(Duration, Duration), String> {
    let (bootstrap, port) = placement.bootstrap(test_bed, azure, module)?;
    let request = GET_16.request(TARGET)?;
    let text = bootstrap.0.to_string();
    let started = Instant::now();
    let envoy = test_bed
        .cores
        .on_proxys(|| Envoy::launch(&text, &["--concurrency", WORKERS]))?;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if started.elapsed() > PATIENCE {
            let tail = envoy.process().tail();
            return Err(format!("{tail}Envoy does not listen"));
        }
        sleep(Duration::from_millis(1));
    }
    let up = Instant::now();
    let answered = test_bed.run(async {
        let mut client = Client::open(port).await?;
        client.exchange(request).await?;
        Ok(Instant::now())
    });
    let answered = answered.map_err(|reason| format!("{}{reason}", envoy.process().tail()))?;
    Ok((up - started, answered - up))
}
