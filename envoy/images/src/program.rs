//! What a program needs beside itself, and what it was made by: the loader, the shared libraries and
//! the compilers that it names.

use std::collections::BTreeSet;

use elf::ElfBytes;
use elf::abi::{DT_NEEDED, PT_INTERP};
use elf::endian::AnyEndian;

use crate::arch::Arch;

/// What stands in the head of a program or a library.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The path of the loader; a library has none.
    pub loader: Option<String>,
    /// Names of libraries.
    pub libraries: BTreeSet<String>,
    /// What it wants of one of them: the library's name, and a version such as `GLIBC_2.34`.
    pub versions: BTreeSet<(String, String)>,
    /// What it offers to others, as a library: such versions.
    pub offers: BTreeSet<String>,
}

impl Needs {
    /// Reads the head of a program for this machine.
    ///
    /// # Errors
    /// When it is not one.
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
        let (mut versions, mut offers) = (BTreeSet::new(), BTreeSet::new());
        let table = file.symbol_version_table().map_err(why)?;
        if let (Some(table), Some(symbols)) = (table, common.dynsyms) {
            for symbol in 0..symbols.len() {
                if let Some(wanted) = table.get_requirement(symbol).map_err(why)? {
                    versions.insert((wanted.file.to_owned(), wanted.name.to_owned()));
                }
                if let Some(offered) = table.get_definition(symbol).map_err(why)? {
                    for name in offered.names {
                        offers.insert(name.map_err(why)?.to_owned());
                    }
                }
            }
        }
        Ok(Self {
            loader,
            libraries,
            versions,
            offers,
        })
    }
}

/// The compilers and the linker that have left their names in a program, its section `.comment`:
/// its bytes depend on their versions. What is no such program has none.
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
