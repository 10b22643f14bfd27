//! The stand-in for Envoy does what Envoy does as far as figures depend on it, and refuses the rest.

use cost::envoy::Envoy;
use cost::kinds::KINDS;
use cost::life::measure;
use cost::vm::{Program, Vm};

fn program(wat: &str) -> Program {
    Program::new(&wat::parse_str(wat).unwrap()).unwrap()
}

fn vm(wat: &str) -> Vm {
    Vm::new(&program(wat), Envoy::new(String::new())).unwrap()
}

/// A plugin that asks for a token and answers `action` to every request, without a token.
fn plugin(action: u32) -> Program {
    program(&format!(
        r#"(module
            (import "env" "proxy_http_call" (func $call
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32))
            (func (export "proxy_on_tick") (param i32)
                i32.const 0 i32.const 0 i32.const 0 i32.const 0 i32.const 0
                i32.const 0 i32.const 0 i32.const 0 i32.const 0 i32.const 8
                call $call drop)
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                i32.const {action}))"#
    ))
}

#[test]
fn a_request_that_gets_no_token_gives_no_figure() {
    let error = measure(&plugin(0), &KINDS[0]).unwrap_err();
    assert_eq!(error, "upstream: the request got no token");
}

#[test]
fn a_request_that_is_parked_gives_no_figure() {
    let error = measure(&plugin(1), &KINDS[0]).unwrap_err();
    assert!(error.ends_with("returned 1: the request waits"), "{error}");
}

#[test]
fn a_host_call_that_is_not_provided_ends_the_run_with_its_name() {
    let mut vm = vm(r#"(module
        (import "env" "proxy_done" (func $done (result i32)))
        (func (export "proxy_on_tick") (param i32) call $done drop))"#);
    let error = vm.callback("proxy_on_tick", &[1]).unwrap_err();
    assert!(error.contains("the module calls proxy_done"), "{error}");
}

#[test]
fn a_callback_that_the_module_does_not_export_is_not_made() {
    let mut vm = vm("(module)");
    assert!(vm.callback("proxy_on_log", &[2]).unwrap().is_none());
}

#[test]
fn instructions_are_counted_that_are_carried_out_and_no_others() {
    let mut vm = vm(r#"(module
        (func (export "short") (result i32) i32.const 1)
        (func (export "long") (param $times i32) (result i32)
            (block $end
                (loop $again
                    (br_if $end (i32.eqz (local.get $times)))
                    (local.set $times (i32.sub (local.get $times) (i32.const 1)))
                    (br $again)))
            (if (result i32) (local.get $times)
                (then (i32.add (i32.const 1) (i32.const 2)))
                (else (i32.const 3)))))"#);
    let mut instructions = |name, arguments: &[u32]| {
        let done = vm.callback(name, arguments).unwrap().unwrap();
        done.instructions
    };
    assert_eq!(instructions("short", &[]), 1);
    let (last_look, choice) = (3, 3);
    assert_eq!(instructions("long", &[0]), last_look + choice);
    let each_time = 8;
    assert_eq!(
        instructions("long", &[5]),
        5 * each_time + last_look + choice
    );
    assert_eq!(instructions("short", &[]), 1);
}

#[test]
fn a_value_comes_in_memory_that_the_module_allocates() {
    // Returns the value's address plus its size, or 99 where there is none.
    let mut vm = vm(r#"(module
        (import "env" "proxy_get_header_map_value" (func $get
            (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) ":status")
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1000)
        (func (export "read") (param $map i32) (result i32)
            (if (call $get (local.get $map) (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 20))
                (then (return (i32.const 99))))
            (i32.add (i32.load (i32.const 16)) (i32.load (i32.const 20)))))"#);
    let headers = &mut vm.envoy().response_headers;
    headers.insert(":status".into(), "200".into());
    let mut read = |map| vm.callback("read", &[map]).unwrap().unwrap().value;
    assert_eq!(read(2), 1003);
    assert_eq!(read(0), 99);
    assert_eq!(vm.envoy().calls["proxy_get_header_map_value"], 2);
}

#[test]
fn shared_data_is_swapped_only_by_who_knows_its_version() {
    let mut vm = vm(r#"(module
        (import "env" "proxy_set_shared_data" (func $set
            (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "key")
        (func (export "set") (param $version i32) (result i32)
            (call $set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3) (local.get $version))))"#);
    let mut set = |version| vm.callback("set", &[version]).unwrap().unwrap().value;
    let (ok, mismatch) = (0, 8);
    let nobodys = u32::MAX;
    assert_eq!(set(nobodys), ok, "creates the key");
    assert_eq!(set(nobodys), mismatch);
    assert_eq!(set(1), ok);
    assert_eq!(set(1), mismatch, "the version has changed");
    assert_eq!(set(0), ok, "0 overwrites");
}
