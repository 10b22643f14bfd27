//! What stays of a module, and what goes.

use entra_auth_link::surface::Export;
use entra_auth_link::{LinkError, link};
use walrus::Module;

const fn export(name: &'static str, symbol: &'static str) -> Export {
    Export {
        name,
        symbol,
        why: "of a test",
    }
}

/// `kept` needs `helper` and one host call; `dropped` needs another function and another call.
const LINKED: &str = r#"(module
    (import "env" "wanted" (func $wanted))
    (import "env" "unwanted" (func $unwanted))
    (func $helper (call $wanted))
    (func $idle (call $unwanted))
    (func $kept (export "kept") (call $helper))
    (func $dropped (export "dropped") (call $idle))
    (memory (export "memory") 1)
    (@custom "producers" "\00")
    (@custom "a note" "of the linker"))"#;

fn linked() -> Vec<u8> {
    wat::parse_str(LINKED).expect("a module")
}

fn read(wasm: &[u8]) -> Module {
    Module::from_buffer(wasm).expect("a module")
}

fn exports(module: &Module) -> Vec<&str> {
    module.exports.iter().map(|e| e.name.as_str()).collect()
}

#[test]
fn what_is_not_on_the_list_goes_with_all_that_only_it_needs() {
    let list = [export("memory", "memory"), export("kept", "kept")];
    let module = read(&link(&linked(), &list).expect("a module"));
    assert_eq!(exports(&module), ["memory", "kept"]);
    assert_eq!(module.funcs.iter_local().count(), 2);
    let imports: Vec<_> = module.imports.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(imports, ["wanted"]);
}

#[test]
fn an_export_may_take_the_place_of_another_one() {
    let list = [export("dropped", "kept")];
    let module = read(&link(&linked(), &list).expect("a module"));
    assert_eq!(exports(&module), ["dropped"]);
    let imports: Vec<_> = module.imports.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(imports, ["wanted"], "the code is that of `kept`");
}

#[test]
fn names_and_notes_of_the_linker_go() {
    let module = read(&link(&linked(), &[export("kept", "kept")]).expect("a module"));
    assert_eq!(module.customs.iter().count(), 0);
    assert!(module.funcs.iter().all(|function| function.name.is_none()));
}

#[test]
fn every_symbol_that_is_missing_is_named() {
    let list = [
        export("a", "not_there"),
        export("b", "kept"),
        export("c", "nor_there"),
    ];
    let error = link(&linked(), &list).expect_err("two are missing");
    assert_eq!(error, LinkError::Missing(vec!["not_there", "nor_there"]));
}

#[test]
fn what_is_no_module_is_an_error() {
    let error = link(b"\0asm, but no module", &[]).expect_err("no module");
    assert!(matches!(error, LinkError::NotWasm(_)), "{error}");
}
