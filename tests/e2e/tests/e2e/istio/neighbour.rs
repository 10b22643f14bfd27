//! Another WasmPlugin of the same proxy, without `vm_id` as ours: its keys in shared data are in the
//! same namespace.

use std::path::Path;

use serde_json::{Value, json};

use crate::downstream::WASM;

/// Counts requests in shared data under a key of its own, and says the count in a header of the
/// request. It defines a metric, too.
///
/// Numbers and names are those of the Proxy-Wasm ABI 0.2.1
/// (<https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>).
const WAT: &str = r#"
(module
  (import "env" "proxy_get_shared_data"
    (func $get_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data"
    (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric"
    (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric"
    (func $increment_metric (param i32 i64) (result i32)))

  ;; At 0 the address of what the host returned, at 4 its length, at 8 its version, at 12 the
  ;; metric's id, at 16 the count; what the host writes goes to 4096.
  (memory (export "memory") 1)
  (data (i32.const 100) "neighbour/requests")
  (data (i32.const 200) "x-neighbour")
  (data (i32.const 300) "neighbour_requests")

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (i32.eqz (call $define_metric (i32.const 0) (i32.const 300) (i32.const 18) (i32.const 12))))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    ;; Without a count it is `0`.
    (i32.store8 (i32.const 16) (i32.const 48))
    (if (i32.eqz (call $get_shared
          (i32.const 100) (i32.const 18) (i32.const 0) (i32.const 4) (i32.const 8)))
      (then
        (i32.store8 (i32.const 16) (i32.load8_u (i32.load (i32.const 0))))))
    ;; From `9` on it stays.
    (if (i32.lt_u (i32.load8_u (i32.const 16)) (i32.const 57))
      (then
        (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))))
    (drop (call $set_shared
      (i32.const 100) (i32.const 18) (i32.const 16) (i32.const 1) (i32.const 0)))
    (drop (call $increment_metric (i32.load (i32.const 12)) (i64.const 1)))
    (drop (call $replace_header
      (i32.const 0) (i32.const 200) (i32.const 11) (i32.const 16) (i32.const 1)))
    (i32.const 0)))
"#;

/// Its header.
pub(super) const HEADER: &str = "x-neighbour";

/// Its counter.
pub(super) const COUNTER: &str = "neighbour_requests";

/// The filter as istiod writes it, with its module as a file in `folder`.
pub(super) fn filter(folder: &Path) -> Value {
    let module = folder.join("neighbour.wasm");
    let binary = wat::parse_str(WAT).expect("a module");
    std::fs::write(&module, binary).expect("written");
    json!({
        "@type": WASM,
        "config": {
            "name": "monitoring.neighbour",
            "root_id": "neighbour",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
                "environment_variables": {"key_values": {
                    "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "",
                }},
            },
        },
    })
}
