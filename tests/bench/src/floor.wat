;; The floor of the mechanism: the least that a Wasm filter can do to put a token on a request. One
;; callback, one host call, a header value that never changes: the plugin's configuration.
;;
;; Numbers and names are those of the Proxy-Wasm ABI 0.2.1
;; (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1).
(module
  (import "env" "proxy_get_buffer_bytes"
    (func $get_buffer_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace_header (param i32 i32 i32 i32 i32) (result i32)))

  ;; At 0 the address of the header's value, at 4 its length, at 16 the header's name; what the host
  ;; writes begins at 1024.
  (memory (export "memory") 2)
  (data (i32.const 16) "authorization")
  (global $free (mut i32) (i32.const 1024))

  (func (export "proxy_abi_version_0_2_1"))

  ;; Nothing is ever given back: the host asks once, for the configuration.
  (func (export "proxy_on_memory_allocate") (param $bytes i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $bytes))))

  ;; 7 is the plugin's configuration, status 0 success.
  (func (export "proxy_on_configure") (param $root i32) (param $bytes i32) (result i32)
    (i32.eqz (call $get_buffer_bytes
      (i32.const 7) (i32.const 0) (local.get $bytes) (i32.const 0) (i32.const 4))))

  ;; 0 are the request's headers; the answer 0 lets the request go on.
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $replace_header
      (i32.const 0)
      (i32.const 16) (i32.const 13)
      (i32.load (i32.const 0)) (i32.load (i32.const 4)))))
