//! Which wrong configurations the module accepts
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md), to the second and in each kind of VM.

use std::{fs, mem};

use cost::envoy::Envoy;
use cost::kinds::{KINDS, Kind};
use cost::modules;
use cost::vm::{Program, Vm};
use entra_token_core::config::Placement;

const ROOT: u32 = 1;

fn module() -> Program {
    let module = modules::shipped();
    let wasm = fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    Program::new(&wasm).unwrap()
}

fn good() -> String {
    let is_downstream = |kind: &&Kind| kind.placement == Placement::Downstream;
    let kind = KINDS.iter().find(is_downstream).unwrap();
    kind.configuration().unwrap()
}

fn wrong() -> String {
    good().replace("systemAssigned", "magic")
}

/// Envoy as it knows this plugin by its name.
fn envoy(plugin: &str) -> Envoy {
    let mut envoy = Envoy::new(String::new());
    let property = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    envoy.properties.extend([
        property("plugin_name", plugin),
        property("plugin_root_id", "entra-auth"),
    ]);
    envoy
}

/// A new VM of this Envoy.
fn vm(program: &Program, envoy: Envoy) -> Vm {
    let mut vm = Vm::new(program, envoy).unwrap();
    vm.callback("_initialize", &[]).unwrap();
    vm
}

/// Whether a new root context of the VM accepts this configuration.
fn accepts(vm: &mut Vm, root: u32, configuration: &str) -> bool {
    configuration.clone_into(&mut vm.envoy().configuration);
    vm.envoy().may_log_errors = true;
    vm.callback("proxy_on_context_create", &[root, 0]).unwrap();
    let size = u32::try_from(configuration.len()).unwrap();
    let accepted = vm.callback("proxy_on_configure", &[root, size]).unwrap();
    accepted.unwrap().value == 1
}

/// Envoy with the clocks and the shared data that the VM leaves.
fn envoy_of(vm: &mut Vm) -> Envoy {
    mem::replace(vm.envoy(), Envoy::new(String::new()))
}

/// Envoy where a root context with a good configuration ticked so many seconds ago.
fn after_a_good_one(program: &Program, seconds: u32) -> Envoy {
    let mut vm = vm(program, envoy("mine"));
    assert!(accepts(&mut vm, ROOT, &good()));
    vm.callback("proxy_on_tick", &[ROOT]).unwrap();
    for _ in 0..seconds {
        vm.envoy().pass_a_second();
    }
    envoy_of(&mut vm)
}

#[test]
fn a_wrong_one_is_accepted_when_no_good_one_has_been_in_use_for_ten_seconds() {
    let program = module();
    assert!(accepts(&mut vm(&program, envoy("mine")), ROOT, &wrong()));
    for (seconds, accepted) in [(0, false), (9, false), (10, true), (100, true)] {
        let mut canary = vm(&program, after_a_good_one(&program, seconds));
        let is = accepts(&mut canary, ROOT, &wrong());
        assert_eq!(is, accepted, "after {seconds} s");
    }
}

#[test]
fn a_good_one_that_was_only_tried_is_none_in_use() {
    let program = module();
    let mut tried = vm(&program, envoy("mine"));
    assert!(accepts(&mut tried, ROOT, &good()));
    let mut canary = vm(&program, envoy_of(&mut tried));
    assert!(accepts(&mut canary, ROOT, &wrong()));
}

#[test]
fn a_good_one_of_another_plugin_is_none_of_this_one() {
    let program = module();
    let mut envoy_after = after_a_good_one(&program, 0);
    envoy_after.properties = envoy("yours").properties;
    assert!(accepts(&mut vm(&program, envoy_after), ROOT, &wrong()));
}

/// Nobody asks in such a VM but after the throw-away one has accepted.
#[test]
fn a_vm_in_which_others_are_configured_accepts_it_and_keeps_the_good_one_of_the_same_plugin() {
    let program = module();
    for (second, is_kept) in [("mine", true), ("yours", false)] {
        let mut vm = vm(&program, after_a_good_one(&program, 0));
        assert!(accepts(&mut vm, ROOT, &good()));
        vm.envoy().properties = envoy(second).properties;
        assert!(accepts(&mut vm, ROOT + 1, &wrong()));
        let log = vm.envoy().log.join("\n");
        assert_eq!(log.contains("the one in use stays"), is_kept, "{log}");
        assert_eq!(log.contains("no good one to keep"), !is_kept, "{log}");
    }
}

#[test]
fn one_of_a_filter_that_stands_alone_is_refused_though_it_is_the_first() {
    let program = module();
    for (field, value, stands_alone) in [
        ("mode", "status", true),
        ("mode", "service", true),
        ("placement", "upstream", false),
    ] {
        let mut configuration: serde_json::Value = serde_json::from_str(&wrong()).unwrap();
        configuration[field] = value.into();
        let mut vm = vm(&program, envoy("mine"));
        let accepted = accepts(&mut vm, ROOT, &configuration.to_string());
        assert_eq!(accepted, !stands_alone, "{value}");
    }
}

/// A wrong one in use is no reason to refuse the next.
#[test]
fn a_wrong_one_is_accepted_after_a_wrong_one() {
    let program = module();
    let mut first = vm(&program, envoy("mine"));
    assert!(accepts(&mut first, ROOT, &wrong()));
    first.callback("proxy_on_tick", &[ROOT]).unwrap();
    let mut canary = vm(&program, envoy_of(&mut first));
    assert!(accepts(&mut canary, ROOT, &wrong()));
}
