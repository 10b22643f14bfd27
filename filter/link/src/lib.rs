//! The last step of building the Wasm module, after Rust's own linker.
//!
//! The SDK exports every callback there is, and what a module exports Envoy calls: a call into the
//! VM for each chunk of a body, each trailer, each access log, though nothing happens there. Rust
//! has no way to take an export back. Here all but those of [`surface::EXPORTS`] go, and with them
//! the code that nothing else reaches, the names of functions and the linker's notes.

pub mod surface;

use core::fmt;

use surface::Export;
use walrus::{Module, ModuleConfig, passes};

/// Why a module could not be made.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The input is no module, or one that is not understood.
    NotWasm(String),
    /// These exports of the list are not in the input.
    Missing(Vec<&'static str>),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm(why) => write!(f, "not a WebAssembly module: {why}"),
            Self::Missing(symbols) => write!(
                f,
                "the linked module does not export {}; define it in filter/src, or change the list \
                 in filter/link/src/surface.rs",
                symbols.join(", ")
            ),
        }
    }
}

impl core::error::Error for LinkError {}

/// The module with these exports and what they need.
///
/// # Errors
/// When the input is no module or lacks one of them.
pub fn link(wasm: &[u8], exports: &[Export]) -> Result<Vec<u8>, LinkError> {
    let mut config = ModuleConfig::new();
    config
        .generate_name_section(false)
        .generate_producers_section(false);
    let mut module = config
        .parse(wasm)
        .map_err(|error| LinkError::NotWasm(format!("{error:#}")))?;
    show_only(&mut module, exports)?;
    let notes: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in notes {
        module.customs.delete(id);
    }
    passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn show_only(module: &mut Module, exports: &[Export]) -> Result<(), LinkError> {
    let linked: Vec<_> = module
        .exports
        .iter()
        .map(|export| (export.id(), export.name.clone(), export.item))
        .collect();
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    for export in exports {
        match linked.iter().find(|(_, symbol, _)| symbol == export.symbol) {
            Some(&(_, _, item)) => shown.push((export.name, item)),
            None => missing.push(export.symbol),
        }
    }
    if !missing.is_empty() {
        return Err(LinkError::Missing(missing));
    }
    for (id, _, _) in linked {
        module.exports.delete(id);
    }
    for (name, item) in shown {
        module.exports.add(name, item);
    }
    Ok(())
}
