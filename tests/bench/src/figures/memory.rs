//! The memory that an Envoy with our module has over the smallest one, when every worker has had a
//! request.

use std::path::Path;

use anstream::println;
use e2e::screen::BOLD;
use serde::Serialize;

use super::Placement;
use crate::filters::TARGET;
use crate::goals::Goal;
use crate::load::{Client, GET_16};
use crate::test_bed::{TestBed, Upstream};
use crate::variants;

const WORKERS: [u32; 4] = [1, 2, 4, 8];

/// The kernel deals connections out by their addresses: with so many for each worker every one has
/// some.
const CONNECTIONS: u32 = 16;

/// Resident memory in MB.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    workers: u32,
    /// The smallest Envoy.
    minimal_mb: f64,
    /// The same with the least Wasm filter: what V8 takes.
    floor_mb: f64,
    /// The launcher's Envoy without our module.
    without_module_mb: f64,
    launcher_mb: f64,
    over_minimal_mb: f64,
    over_without_module_mb: f64,
}

impl Memory {
    pub(super) fn goal(&self) -> Goal {
        let what = format!("memory over a bare Envoy in MB, {} workers", self.workers);
        let limit = 25.0 + 1.5 * f64::from(self.workers);
        Goal::new(what, self.over_minimal_mb, limit)
    }
}

pub(super) fn measure(test_bed: &TestBed, module: &Path) -> Result<Vec<Memory>, String> {
    println!("\n{BOLD}resident memory in MB{BOLD:#}");
    WORKERS
        .iter()
        .map(|workers| {
            let memory = at(test_bed, module, *workers)?;
            println!(
                "  {} workers: launcher {:.1}, the same without our module {:.1}, floor {:.1}, minimal {:.1}; over minimal {:.1}",
                memory.workers,
                memory.launcher_mb,
                memory.without_module_mb,
                memory.floor_mb,
                memory.minimal_mb,
                memory.over_minimal_mb,
            );
            Ok(memory)
        })
        .collect()
}

fn at(test_bed: &TestBed, module: &Path, workers: u32) -> Result<Memory, String> {
    let (ours, port) = Placement::Launcher.bootstrap(test_bed, &test_bed.azure, module)?;
    let launcher_mb = resident(test_bed, &ours.0, port, workers)?;
    let without = ours.clone().without_module()?;
    let without_module_mb = resident(test_bed, &without.0, port, workers)?;
    let way = ours.clone().take()?;
    let smallest = |with_floor| {
        let (bootstrap, port) = variants::alone(test_bed, Upstream::Plain, &way, with_floor)?;
        resident(test_bed, &bootstrap, port, workers)
    };
    let minimal_mb = smallest(false)?;
    let floor_mb = smallest(true)?;
    Ok(Memory {
        workers,
        minimal_mb,
        floor_mb,
        without_module_mb,
        launcher_mb,
        over_minimal_mb: launcher_mb - minimal_mb,
        over_without_module_mb: launcher_mb - without_module_mb,
    })
}

fn resident(
    test_bed: &TestBed,
    bootstrap: &serde_json::Value,
    port: u16,
    workers: u32,
) -> Result<f64, String> {
    let envoy = test_bed.envoy(bootstrap, port, workers)?;
    let request = GET_16.request(TARGET)?;
    test_bed.run(async {
        let mut clients = Vec::new();
        for _ in 0..workers * CONNECTIONS {
            let mut client = Client::open(port).await?;
            client.exchange(request.clone()).await?;
            clients.push(client);
        }
        Ok(())
    })?;
    let memory = e2e::Memory::of(envoy.process().id())?;
    Ok(memory.now as f64 / 1e6)
}
