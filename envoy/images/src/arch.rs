//! The architectures of the images.

use clap::ValueEnum;

/// An architecture, by its name in Debian and OCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// The name in Debian and OCI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name of the Rust target.
    #[must_use]
    pub fn rust_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The folder under `/lib` where Debian's loader looks for libraries.
    #[must_use]
    pub fn library_folder(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// The machine field of the ELF header.
    #[must_use]
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => elf::abi::EM_X86_64,
            Self::Arm64 => elf::abi::EM_AARCH64,
        }
    }
}
