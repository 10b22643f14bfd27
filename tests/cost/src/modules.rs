//! The modules that are looked at, and the record.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::figures::Costs;
use crate::kinds::KINDS;
use crate::life::measure;
use crate::vm::Program;

/// The module that ships.
#[must_use]
pub fn shipped() -> PathBuf {
    repository().join("dist/entra_auth_filter.wasm")
}

/// The module that counts its allocations.
#[must_use]
pub fn counting() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = Path::new(&target).join("traps");
    repository().join(folder).join("entra_auth_filter.wasm")
}

/// The record.
#[must_use]
pub fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded.json")
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// What requests of all kinds cost in this module.
///
/// # Errors
/// When it cannot be read, or a request goes wrong.
pub fn costs_of(module: &Path) -> Result<Costs> {
    let wasm = fs::read(module).map_err(|error| {
        let module = module.display();
        format!("{module}: {error}; run `make build traps`")
    })?;
    let program = Program::new(&wasm)?;
    KINDS
        .iter()
        .map(|kind| Ok((kind.name.to_owned(), measure(&program, kind)?)))
        .collect()
}

/// What requests cost in the module that ships, with the allocations of the one that counts them
/// and is else the same.
///
/// # Errors
/// As [`costs_of`], and when the other module does not count.
pub fn costs() -> Result<Costs> {
    let mut costs = costs_of(&shipped())?;
    for (kind, counted) in costs_of(&counting())? {
        let Some(allocations) = counted.allocations else {
            let module = counting();
            let module = module.display();
            return Err(format!("{module} counts no allocations; run `make traps`"));
        };
        if let Some(cost) = costs.get_mut(&kind) {
            cost.allocations = Some(allocations);
        }
    }
    Ok(costs)
}

/// What requests cost by the record.
///
/// # Errors
/// When it cannot be read.
pub fn recorded() -> Result<Costs> {
    let text = fs::read_to_string(record()).map_err(|error| error.to_string());
    text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map_err(|error| {
            let record = record();
            format!(
                "{}: {error}; `make cost-record` writes it",
                record.display()
            )
        })
}

/// Makes these figures the record.
///
/// # Errors
/// When it cannot be written.
pub fn accept(costs: &Costs) -> Result<()> {
    let text = serde_json::to_string_pretty(costs).map_err(|error| error.to_string())?;
    fs::write(record(), text + "\n").map_err(|error| format!("{}: {error}", record().display()))
}
