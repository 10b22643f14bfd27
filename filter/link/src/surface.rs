//! What the module shows to Envoy and takes from it, and how large it may be: the one place to
//! change any of these.
//!
//! Source of the names: proxy-wasm ABI 0.2.1,
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>; and of what Envoy's host
//! provides and calls, `include/proxy-wasm/wasm_vm.h` and `src/wasm.cc` of
//! <https://github.com/proxy-wasm/proxy-wasm-cpp-host>.

/// One export of the module as it ships.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// What Envoy looks for.
    pub name: &'static str,
    /// What the linker exports it as.
    pub symbol: &'static str,
    /// Why Envoy must find it.
    pub why: &'static str,
}

const fn keep(name: &'static str, why: &'static str) -> Export {
    Export {
        name,
        symbol: name,
        why,
    }
}

const fn instead_of_the_sdks(
    name: &'static str,
    symbol: &'static str,
    why: &'static str,
) -> Export {
    Export { name, symbol, why }
}

/// Every export that stays. Of each other one Envoy does by itself what the SDK's would answer, and
/// need not enter the VM for it: for each chunk of a response, each trailer, each access log.
pub const EXPORTS: &[Export] = &[
    keep("memory", "Envoy reads and writes what calls point to"),
    keep(
        "_initialize",
        "runs once in a new VM: constructors, logger, panic hook",
    ),
    keep(
        "proxy_abi_version_0_2_1",
        "tells Envoy how to call the others",
    ),
    keep("proxy_on_configure", "reads the plugin configuration"),
    keep(
        "proxy_on_tick",
        "refreshes tokens, releases parked requests",
    ),
    keep("proxy_on_http_call_response", "a token endpoint's answer"),
    instead_of_the_sdks(
        "proxy_on_memory_allocate",
        "entra_on_memory_allocate",
        "room for what host calls return",
    ),
    instead_of_the_sdks(
        "proxy_on_context_create",
        "entra_on_context_create",
        "a context for each plugin configuration and request",
    ),
    instead_of_the_sdks(
        "proxy_on_request_headers",
        "entra_on_request_headers",
        "puts the token on a request, or parks it",
    ),
    instead_of_the_sdks(
        "proxy_on_request_body",
        "entra_on_request_body",
        "holds the body of a parked request back",
    ),
    instead_of_the_sdks(
        "proxy_on_response_headers",
        "entra_on_response_headers",
        "judges 401 and 403 in downstream placement",
    ),
    instead_of_the_sdks(
        "proxy_on_response_trailers",
        "entra_on_response_trailers",
        "the outcome of an export by gRPC; other responses rarely have trailers",
    ),
    instead_of_the_sdks(
        "proxy_on_done",
        "entra_on_done",
        "judges the status in upstream placement, and forgets a context",
    ),
];

/// What the module of `make traps` exports, too.
pub const FOR_TESTS: &[Export] = &[keep(
    "entra_auth_allocations",
    "tests/cost counts what a request allocates",
)];

/// What Envoy provides for a module to import. Another import would keep it from loading.
pub const IMPORTS: &[(&str, &[&str])] = &[
    (
        "env",
        &[
            "proxy_add_header_map_value",
            "proxy_call_foreign_function",
            "proxy_close_stream",
            "proxy_continue_stream",
            "proxy_define_metric",
            "proxy_dequeue_shared_queue",
            "proxy_done",
            "proxy_enqueue_shared_queue",
            "proxy_get_buffer_bytes",
            "proxy_get_buffer_status",
            "proxy_get_current_time_nanoseconds",
            "proxy_get_header_map_pairs",
            "proxy_get_header_map_size",
            "proxy_get_header_map_value",
            "proxy_get_log_level",
            "proxy_get_metric",
            "proxy_get_property",
            "proxy_get_shared_data",
            "proxy_get_status",
            "proxy_grpc_call",
            "proxy_grpc_cancel",
            "proxy_grpc_close",
            "proxy_grpc_send",
            "proxy_grpc_stream",
            "proxy_http_call",
            "proxy_increment_metric",
            "proxy_log",
            "proxy_record_metric",
            "proxy_register_shared_queue",
            "proxy_remove_header_map_value",
            "proxy_replace_header_map_value",
            "proxy_resolve_shared_queue",
            "proxy_send_local_response",
            "proxy_set_buffer_bytes",
            "proxy_set_effective_context",
            "proxy_set_header_map_pairs",
            "proxy_set_property",
            "proxy_set_shared_data",
            "proxy_set_tick_period_milliseconds",
        ],
    ),
    (
        "wasi_snapshot_preview1",
        &[
            "args_get",
            "args_sizes_get",
            "clock_time_get",
            "environ_get",
            "environ_sizes_get",
            "fd_close",
            "fd_fdstat_get",
            "fd_read",
            "fd_seek",
            "fd_write",
            "proc_exit",
            "random_get",
        ],
    ),
];

/// The module may be this large, in bytes: 5 % above what it is.
pub const MAX_BYTES: usize = 498_000;
