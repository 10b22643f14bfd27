//! What a program needs beside itself: the loader and the shared libraries that its head names.

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
        Ok(Self { loader, libraries })
    }
}
