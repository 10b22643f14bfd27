//! Envoy's overload manager: what holds the memory together when clients send more than the target
//! takes. A request too many gets 503; the process is not killed for the ones it holds.
//!
//! Bodies that were let in go on growing, and each is held twice while it waits for a token and when
//! it is sent again. So it is not enough to refuse new requests: requests whose body is still coming
//! are answered with 503, too, the more of them the less memory is left.
//! [Decision 9](../../../docs/decisions/0009-what-a-flood-may-take.md) has the measurements.

use serde_json::{Value, json};

use super::{http, typed, with};
use crate::settings::quantity::LEAST;

/// Connections at most where no memory limit says less. Parked requests hold two each.
const MOST_CONNECTIONS: u64 = 50_000;
/// What a connection can hold whether its request is refused or not: a head as long as it may be, of
/// which Envoy keeps what it has read for a second after a refusal (`delayed_close_timeout`), and as
/// much as an idle connection costs.
const BYTES_PER_CONNECTION: u64 = (http::MAX_HEADERS_KIB as u64 + 16) << 10;

/// What a process of this memory limit spends outside the heap that Envoy watches: the Wasm
/// engine's memory, thread stacks, the program's own pages.
const OUTSIDE_HEAP: u64 = 32 << 20;
/// The heap of an Envoy that has nothing to do: 31 to 36 MB were seen.
const IDLE_HEAP: u64 = 38 << 20;

/// What comes in between two looks is not bounded: with a look a second, a flood took 273 MiB where
/// 256 were allowed. Looking this often makes an idle Envoy take 0.4 % of a core in place of 0.2.
const LOOK_EVERY: &str = "0.02s";

/// The share of the room above an idle heap beyond which requests are refused. It is below a half
/// because a target may answer all the requests that are held with 401 at once, and each is then
/// held twice until it is sent again.
const REFUSE_FROM: f64 = 0.4;
/// From here on everything that still comes is refused.
const REFUSE_ALL_FROM: f64 = 0.7;
/// HTTP/2 has no answer for a request whose body is still coming: the connection is closed. So is one
/// of HTTP/1.1 then, which is why those are refused before.
const CLOSE_FROM: f64 = 0.8;

/// The overload manager, and what it needs beside it in the bootstrap.
pub(super) fn config(memory_limit: Option<u64>) -> Value {
    let connections = typed(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({ "max_active_downstream_connections": most_connections(memory_limit).to_string() }),
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
    let refuse = json!({ "threshold": { "value": pressure(bound, REFUSE_FROM) } });
    let refuse_more_and_more = json!({ "scaled": {
        "scaling_threshold": pressure(bound, REFUSE_FROM),
        "saturation_threshold": pressure(bound, REFUSE_ALL_FROM),
    } });
    let close = json!({ "threshold": { "value": pressure(bound, CLOSE_FROM) } });
    json!({
        // What was freed goes back to the system before the heap outgrows its bound.
        "memory_allocator_manager": { "soft_memory_limit_bytes": bound.to_string() },
        "overload_manager": {
            "refresh_interval": LOOK_EVERY,
            "resource_monitors": [heap, connections],
            "actions": [
                // Answers 503; to stop accepting connections instead would let clients hang.
                on_heap("envoy.overload_actions.stop_accepting_requests", refuse),
            ],
            "loadshed_points": [
                // Answers 500, of which `local_replies` makes a 503.
                on_heap("envoy.load_shed_points.http1_server_abort_dispatch", refuse_more_and_more),
                on_heap("envoy.load_shed_points.http2_server_go_away_and_close_on_dispatch", close),
            ],
        },
    })
}

fn on_heap(name: &str, trigger: Value) -> Value {
    let heap = json!({ "name": "envoy.resource_monitors.fixed_heap" });
    json!({ "name": name, "triggers": [with(heap, trigger)] })
}

/// A quarter is left for what comes in between two looks, and for memory that was freed and not yet
/// given back. A limit below the least that the launcher accepts (the container's own may be) counts
/// as that: with less an idle Envoy would refuse everything.
fn heap_bound(memory_limit: u64) -> u64 {
    (memory_limit.max(LEAST) - OUTSIDE_HEAP) / 4 * 3
}

/// Envoy's measure of a heap that has filled this share of the room above an idle one.
fn pressure(bound: u64, share: f64) -> f64 {
    let idle = IDLE_HEAP as f64 / bound as f64;
    // Rounded for people, who read it in a bootstrap.
    ((idle + (1.0 - idle) * share) * 1000.0).round() / 1000.0
}

/// How many client connections Envoy takes; each may need another one to the target.
fn most_connections(memory_limit: Option<u64>) -> u64 {
    memory_limit.map_or(MOST_CONNECTIONS, |limit| {
        ((heap_bound(limit) - IDLE_HEAP) / BYTES_PER_CONNECTION).min(MOST_CONNECTIONS)
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

    /// A body of 8 MB is held twice while it waits for a token.
    #[test]
    fn even_the_least_memory_has_room_for_a_large_body_that_waits() {
        let bound = heap_bound(LEAST);
        let idle = 33_000_000.0;
        assert!((idle + 16_000_000.0) / (bound as f64) < pressure(bound, REFUSE_FROM));
    }

    #[test]
    fn a_container_with_too_little_memory_does_not_refuse_everything() {
        let bound = heap_bound(32 << 20);
        assert_eq!(bound, heap_bound(LEAST));
        assert!(IDLE_HEAP < bound && pressure(bound, CLOSE_FROM) < 1.0);
    }

    #[test]
    fn connections_are_bounded_by_memory_and_in_any_case() {
        assert_eq!(most_connections(None), MOST_CONNECTIONS);
        assert_eq!(most_connections(Some(1 << 40)), MOST_CONNECTIONS);
        assert_eq!(most_connections(Some(256 << 20)), 1040);
    }
}
