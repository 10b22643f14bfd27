//! Envoy's overload manager. When clients send more than the target accepts, Envoy answers excess
//! requests with 503, so that the process is not killed for exceeding its memory limit.
//!
//! The bodies of accepted requests keep growing, and each is stored twice while it waits for a token and
//! when it is retried. So refusing new requests is not enough: Envoy also answers 503 to requests whose
//! body is still arriving, to more of them the less memory is left.
//! [Decision 9](../../../docs/decisions/0009-what-a-flood-may-take.md) has the measurements.

use serde_json::{Value, json};

use super::{http, typed, with};
use crate::settings::quantity::LEAST;

/// The largest number of client connections, unless the memory limit allows fewer. A held request has
/// two connections.
const MAX_CONNECTIONS: u64 = 50_000;
/// The memory of a connection even if its request is refused: request headers of the largest size, which
/// Envoy keeps for a second after a refusal (`delayed_close_timeout`), and the cost of an idle
/// connection.
const BYTES_PER_CONNECTION: u64 = (http::MAX_HEADERS_KIB as u64 + 16) << 10;

/// The process's memory outside the heap that Envoy monitors: the Wasm engine's memory, thread stacks
/// and the program's pages.
const OUTSIDE_HEAP: u64 = 32 << 20;
/// The heap of an idle Envoy; 31 to 36 MB were measured.
const IDLE_HEAP: u64 = 38 << 20;

/// The interval between measurements of the heap. Nothing limits what arrives in between: with an
/// interval of a second, a flood took 273 MiB of an allowed 256. With this interval an idle Envoy takes
/// 0.4 % of a core instead of 0.2.
const REFRESH_INTERVAL: &str = "0.02s";

/// The share of the heap above an idle one from which requests are refused. It is below a half, because
/// the target may answer all held requests with 401 at once, and each is then stored twice until it is
/// retried.
const SHED_FROM: f64 = 0.4;
/// The share from which all requests are refused.
const SHED_ALL_FROM: f64 = 0.7;
/// The share from which connections are closed. HTTP/2 has no load shedding for a request whose body is
/// still arriving. HTTP/1.1 connections are closed as well, so their requests are refused earlier.
const CLOSE_FROM: f64 = 0.8;

/// The overload manager and the memory allocator's configuration.
pub(super) fn config(memory_limit: Option<u64>) -> Value {
    let connections = typed(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({ "max_active_downstream_connections": max_connections(memory_limit).to_string() }),
    );
    let Some(limit) = memory_limit else {
        return json!({ "overload_manager": { "resource_monitors": [connections] } });
    };
    let bound = heap_bound(limit);
    let heap = typed(
        "envoy.resource_monitors.fixed_heap",
        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        json!({ "max_heap_size_bytes": bound.to_string() }),
    );
    let refuse = json!({ "threshold": { "value": pressure(bound, SHED_FROM) } });
    let shed_increasingly = json!({ "scaled": {
        "scaling_threshold": pressure(bound, SHED_FROM),
        "saturation_threshold": pressure(bound, SHED_ALL_FROM),
    } });
    let close = json!({ "threshold": { "value": pressure(bound, CLOSE_FROM) } });
    json!({
        // Returns freed memory to the system before the heap exceeds its limit.
        "memory_allocator_manager": { "soft_memory_limit_bytes": bound.to_string() },
        "overload_manager": {
            "refresh_interval": REFRESH_INTERVAL,
            "resource_monitors": [heap, connections],
            "actions": [
                // Answers 503. (If Envoy stopped accepting connections, clients would hang.)
                on_heap("envoy.overload_actions.stop_accepting_requests", refuse),
            ],
            "loadshed_points": [
                // Answers 500, which `local_replies` turns into 503.
                on_heap("envoy.load_shed_points.http1_server_abort_dispatch", shed_increasingly),
                on_heap("envoy.load_shed_points.http2_server_go_away_and_close_on_dispatch", close),
            ],
        },
    })
}

fn on_heap(name: &str, trigger: Value) -> Value {
    let heap = json!({ "name": "envoy.resource_monitors.fixed_heap" });
    json!({ "name": name, "triggers": [with(heap, trigger)] })
}

/// The limit of the heap. A quarter of the memory is reserved for what arrives between two measurements,
/// and for freed memory that was not yet returned. A container's memory limit may be below the least that
/// the launcher accepts and is then raised to that: with less, even an idle Envoy would refuse all
/// requests.
fn heap_bound(memory_limit: u64) -> u64 {
    (memory_limit.max(LEAST) - OUTSIDE_HEAP) / 4 * 3
}

/// Envoy's pressure (heap size divided by the limit) at this share of the heap above an idle one.
fn pressure(bound: u64, share: f64) -> f64 {
    let idle = IDLE_HEAP as f64 / bound as f64;
    // Rounded for readability of the bootstrap.
    ((idle + (1.0 - idle) * share) * 1000.0).round() / 1000.0
}

/// The largest number of client connections. Each may need another one to the target.
fn max_connections(memory_limit: Option<u64>) -> u64 {
    memory_limit.map_or(MAX_CONNECTIONS, |limit| {
        ((heap_bound(limit) - IDLE_HEAP) / BYTES_PER_CONNECTION).min(MAX_CONNECTIONS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::quantity::LEAST;

    #[test]
    fn the_heap_bound_stays_well_below_the_containers_limit() {
        for limit in [LEAST, 256 << 20, 1 << 30, 64 << 30] {
            assert!(heap_bound(limit) + OUTSIDE_HEAP < limit / 10 * 9, "{limit}");
        }
    }

    /// A body of 8 MB is stored twice while it waits for a token.
    #[test]
    fn even_the_least_memory_has_room_for_a_large_body_that_waits() {
        let bound = heap_bound(LEAST);
        let idle = 33_000_000.0;
        assert!((idle + 16_000_000.0) / (bound as f64) < pressure(bound, SHED_FROM));
    }

    #[test]
    fn a_container_with_too_little_memory_does_not_refuse_everything() {
        let bound = heap_bound(32 << 20);
        assert_eq!(bound, heap_bound(LEAST));
        assert!(IDLE_HEAP < bound && pressure(bound, CLOSE_FROM) < 1.0);
    }

    #[test]
    fn connections_are_bounded_by_memory_and_in_any_case() {
        assert_eq!(max_connections(None), MAX_CONNECTIONS);
        assert_eq!(max_connections(Some(1 << 40)), MAX_CONNECTIONS);
        assert_eq!(max_connections(Some(256 << 20)), 1040);
    }
}
