//! Reads ELF files: the loader and the shared libraries that a program needs, and the compilers that
//! built it.

use std::collections::BTreeSet;

use elf::ElfBytes;
use elf::abi::{DT_NEEDED, PT_INTERP};
use elf::endian::AnyEndian;

use crate::arch::Arch;

/// The dynamic linking information of a program or a library.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Linkage {
    /// The path of the loader; `None` for a library.
    pub loader: Option<String>,
    /// The names of the required libraries.
    pub libraries: BTreeSet<String>,
    /// The required symbol versions: a library's name and a version such as `GLIBC_2.34`.
    pub required_versions: BTreeSet<(String, String)>,
    /// The symbol versions that the library itself provides.
    pub provided_versions: BTreeSet<String>,
}

impl Linkage {
    /// Reads a program or a library.
    ///
    /// # Errors
    /// If it is not an ELF file for this architecture.
    pub fn of(bytes: &[u8], arch: Arch) -> Result<Self, String> {
        let why = |error: elf::ParseError| format!("is no program of Linux: {error}");
        let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).map_err(why)?;
        if file.ehdr.e_machine != arch.elf_machine() {
            return Err(format!("is not for {}", arch.name()));
        }
        let segments = file.segments();
        let loader = segments
            .and_then(|all| all.iter().find(|segment| segment.p_type == PT_INTERP))
            .map(|segment| file.segment_data(&segment))
            .transpose()
            .map_err(why)?
            .map(|path| {
                String::from_utf8_lossy(path)
                    .trim_end_matches('\0')
                    .to_owned()
            });
        let mut libraries = BTreeSet::new();
        let common = file.find_common_data().map_err(why)?;
        if let (Some(dynamic), Some(names)) = (common.dynamic, common.dynsyms_strs) {
            for entry in dynamic.iter().filter(|entry| entry.d_tag == DT_NEEDED) {
                let at = usize::try_from(entry.d_val()).unwrap_or(usize::MAX);
                libraries.insert(names.get(at).map_err(why)?.to_owned());
            }
        }
        let (mut required_versions, mut provided_versions) = (BTreeSet::new(), BTreeSet::new());
        let table = file.symbol_version_table().map_err(why)?;
        if let (Some(table), Some(symbols)) = (table, common.dynsyms) {
            for symbol in 0..symbols.len() {
                if let Some(required) = table.get_requirement(symbol).map_err(why)? {
                    required_versions.insert((required.file.to_owned(), required.name.to_owned()));
                }
                if let Some(provided) = table.get_definition(symbol).map_err(why)? {
                    for name in provided.names {
                        provided_versions.insert(name.map_err(why)?.to_owned());
                    }
                }
            }
        }
        Ok(Self {
            loader,
            libraries,
            required_versions,
            provided_versions,
        })
    }
}

/// The compilers and the linker according to a program's section `.comment`. The program's bytes depend
/// on their versions. Empty if the file is not an ELF file.
#[must_use]
pub fn compilers(bytes: &[u8]) -> BTreeSet<String> {
    let comment = || {
        let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
        let section = file.section_header_by_name(".comment").ok()??;
        Some(file.section_data(&section).ok()?.0)
    };
    let texts = comment().unwrap_or_default().split(|byte| *byte == 0);
    texts
        .filter(|text| !text.is_empty())
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}
