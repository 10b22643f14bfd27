//! Envoy's overload manager: what holds the memory together when clients send more than the target
//! takes. A request too many gets 503; the process is not killed for the ones it holds.

use serde_json::{Value, json};

use super::typed;

/// Connections at most where no memory limit says less. Parked requests hold two each.
const MOST_CONNECTIONS: u64 = 50_000;
/// An idle connection costs about half of this.
const BYTES_PER_CONNECTION: u64 = 32 << 10;

/// What a process of this memory limit spends outside the heap that Envoy watches: the Wasm
/// engine's memory, thread stacks, the program's own pages.
const OUTSIDE_HEAP: u64 = 32 << 20;

pub(super) fn manager(memory_limit: Option<u64>) -> Value {
    let connections = typed(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({ "max_active_downstream_connections": most_connections(memory_limit).to_string() }),
    );
    let Some(limit) = memory_limit else {
        return json!({ "resource_monitors": [connections] });
    };
    let heap = typed(
        "envoy.resource_monitors.fixed_heap",
        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        json!({ "max_heap_size_bytes": heap_bound(limit).to_string() }),
    );
    json!({
        // What comes in between two looks is not bounded.
        "refresh_interval": "0.1s",
        "resource_monitors": [heap, connections],
        "actions": [
            action("envoy.overload_actions.shrink_heap", 0.8),
            // Answers 503; to stop accepting connections instead would let clients hang.
            action("envoy.overload_actions.stop_accepting_requests", 0.9),
        ],
    })
}

fn action(name: &str, threshold: f64) -> Value {
    json!({
        "name": name,
        "triggers": [{
            "name": "envoy.resource_monitors.fixed_heap",
            "threshold": { "value": threshold },
        }],
    })
}

/// A quarter is left for what the requests that were taken before still bring, and for memory that
/// was freed and not yet given back.
fn heap_bound(memory_limit: u64) -> u64 {
    memory_limit.saturating_sub(OUTSIDE_HEAP) / 4 * 3
}

/// How many client connections Envoy takes; each may need another one to the target.
fn most_connections(memory_limit: Option<u64>) -> u64 {
    memory_limit.map_or(MOST_CONNECTIONS, |limit| {
        (heap_bound(limit) / BYTES_PER_CONNECTION).min(MOST_CONNECTIONS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::quantity::LEAST;

    #[test]
    fn the_heap_bound_stays_well_below_the_containers_limit() {
        for limit in [LEAST, 256 << 20, 1 << 30, 64 << 30] {
            let config = manager(Some(limit));
            let heap = &config["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"];
            let heap: u64 = heap.as_str().unwrap().parse().unwrap();
            assert!(heap + OUTSIDE_HEAP < limit / 10 * 9, "{limit}");
            // An idle Envoy's heap is 31 MB.
            assert!(heap / 10 * 8 > 38_000_000, "{limit}");
        }
    }

    #[test]
    fn connections_are_bounded_by_memory_and_in_any_case() {
        assert_eq!(most_connections(None), MOST_CONNECTIONS);
        assert_eq!(most_connections(Some(1 << 40)), MOST_CONNECTIONS);
        assert_eq!(most_connections(Some(256 << 20)), 5376);
    }
}
