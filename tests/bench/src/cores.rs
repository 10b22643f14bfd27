//! Two cores: one for the proxy that is measured, one for everything else.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// The two cores of a measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// Takes two that this process may use, and moves the calling thread to the second one. What it
    /// starts from now on goes there, too.
    pub(crate) fn take() -> Result<Self, String> {
        let allowed = sched_getaffinity(None)
            .map_err(|error| format!("the cores of this process: {error}"))?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        let (Some(proxy), Some(other)) = (allowed.first(), allowed.get(1)) else {
            return Err(format!(
                "this process may use {} core, but two are needed: one for Envoy, one for the load \
                 and the target. Run it where there are two.",
                allowed.len()
            ));
        };
        let siblings = siblings(*proxy);
        // A sibling would share the very units that are measured.
        let load = allowed[1..].iter().find(|core| !siblings.contains(core));
        let cores = Self {
            proxy: *proxy,
            load: *load.unwrap_or(other),
        };
        move_to(cores.load)?;
        Ok(cores)
    }

    /// Does this on the proxy's core; what it starts stays there.
    pub(crate) fn on_proxys<T>(
        self,
        action: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        move_to(self.proxy)?;
        let result = action();
        move_to(self.load)?;
        result
    }
}

fn move_to(core: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("cannot move to core {core}: {error}"))
}

/// The cores that are threads of the same one; none where the system does not say.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let list = fs::read_to_string(path).unwrap_or_default();
    cores_of(list.trim())
}

/// Reads a list such as `0,2-4` (cpuset(7), "List format").
fn cores_of(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_has_single_ones_and_ranges() {
        assert_eq!(cores_of("0,2-4"), [0, 2, 3, 4]);
        assert_eq!(cores_of("7"), [7]);
        assert!(cores_of("").is_empty());
    }
}
