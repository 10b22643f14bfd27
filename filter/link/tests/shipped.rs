//! The module that `make build` leaves in `dist/`: what it shows, what it takes, how large it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use entra_auth_link::surface::{EXPORTS, IMPORTS, MAX_BYTES};
use walrus::Module;

fn shipped() -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/entra_auth_filter.wasm");
    fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}; run `make build` first", file.display()))
}

fn module() -> Module {
    Module::from_buffer(&shipped()).expect("a module")
}

#[test]
fn the_module_exports_what_the_list_says_and_nothing_else() {
    let module = module();
    let exported: BTreeSet<_> = module.exports.iter().map(|e| e.name.as_str()).collect();
    let listed: BTreeSet<_> = EXPORTS.iter().map(|e| e.name).collect();
    assert_eq!(exported, listed);
}

#[test]
fn the_module_imports_only_what_envoy_provides() {
    let module = module();
    for import in module.imports.iter() {
        let provided = IMPORTS
            .iter()
            .any(|(from, names)| *from == import.module && names.contains(&import.name.as_str()));
        assert!(provided, "{}.{}", import.module, import.name);
    }
}

#[test]
fn the_module_is_no_larger_than_its_budget() {
    let bytes = shipped().len();
    assert!(
        bytes <= MAX_BYTES,
        "{bytes} bytes, of {MAX_BYTES} that it may have: see docs/decisions/ for what it is made of"
    );
}
