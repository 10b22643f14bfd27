//! How often the token endpoint is called for one new token, with traffic on every worker.

use std::path::Path;
use std::time::{Duration, Instant};

use anstream::println;
use azure_sim::{Options, Service, Settings};
use e2e::azure::Azure;
use e2e::screen::BOLD;
use serde::Serialize;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::Placement;
use crate::filters::TARGET;
use crate::goals::Goal;
use crate::load::{Client, GET_16};
use crate::test_bed::TestBed;

const WORKERS: [u32; 5] = [1, 2, 4, 8, 16];

/// Of each token. It is renewed when a tenth is left.
const LIFETIME: Duration = Duration::from_secs(8);
/// Three tokens at least.
const TIME: Duration = Duration::from_secs(20);
/// Calls that lie closer together are for one token.
const APART: i64 = 2_000;

/// So many connections that every worker has some.
const CONNECTIONS: usize = 32;
const PAUSE: Duration = Duration::from_millis(100);

/// Calls for a token.
#[derive(Debug, Serialize)]
pub(super) struct Refresh {
    placement: Placement,
    workers: u32,
    calls: usize,
    tokens: usize,
    calls_per_token: f64,
}

impl Refresh {
    pub(super) fn goal(&self) -> Goal {
        let what = format!(
            "token calls per refresh, {} workers, {}",
            self.workers,
            self.placement.name()
        );
        Goal::new(what, self.calls_per_token, 1.0)
    }
}

pub(super) fn measure(test_bed: &TestBed, module: &Path) -> Result<Vec<Refresh>, String> {
    println!("\n{BOLD}token calls per refresh{BOLD:#}");
    let mut all = Vec::new();
    for placement in Placement::BOTH {
        // Side by side: nothing is timed.
        let mut running = Vec::new();
        for workers in WORKERS {
            let azure = azure()?;
            let (bootstrap, port) = placement.bootstrap(test_bed, &azure, module)?;
            let envoy = test_bed.envoy(&bootstrap.0, port, workers)?;
            running.push((workers, azure, envoy, port));
        }
        let ports: Vec<u16> = running.iter().map(|(_, _, _, port)| *port).collect();
        test_bed.run(traffic(&ports))?;
        for (workers, azure, _envoy, _) in &running {
            let refresh = count(placement, *workers, azure)?;
            println!(
                "  {:<10} {:>2} workers: {} calls for {} tokens",
                placement.name(),
                refresh.workers,
                refresh.calls,
                refresh.tokens
            );
            all.push(refresh);
        }
    }
    Ok(all)
}

/// One that gives out a new token at each call: what is asked twice is seen.
fn azure() -> Result<Azure, String> {
    Azure::try_start(Options {
        settings: Settings {
            token_lifetime_seconds: LIFETIME.as_secs().cast_signed(),
            cache: false,
            rate_limit: false,
            ..Settings::default()
        },
        ..Options::default()
    })
}

async fn traffic(ports: &[u16]) -> Result<(), String> {
    let request = GET_16.request(TARGET)?;
    let until = Instant::now() + TIME;
    let mut tasks = Vec::new();
    for port in ports {
        for _ in 0..CONNECTIONS {
            let mut client = Client::open(*port).await?;
            let request = request.clone();
            tasks.push(spawn_local(async move {
                while Instant::now() < until {
                    client.exchange(request.clone()).await?;
                    sleep(PAUSE).await;
                }
                Ok::<_, String>(())
            }));
        }
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

fn count(placement: Placement, workers: u32, azure: &Azure) -> Result<Refresh, String> {
    let requests = azure.requests(Service::Imds, 4096);
    let calls: Vec<i64> = requests.iter().map(|request| request.at_ms).collect();
    let apart = calls.windows(2).filter(|two| two[1] - two[0] > APART);
    let tokens = 1 + apart.count();
    if tokens < 3 {
        return Err(format!(
            "in {TIME:?} there were {} calls for {tokens} tokens that live {LIFETIME:?}",
            calls.len()
        ));
    }
    Ok(Refresh {
        placement,
        workers,
        calls: calls.len(),
        tokens,
        calls_per_token: calls.len() as f64 / tokens as f64,
    })
}
