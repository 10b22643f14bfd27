//! The machines that images are made for.

use clap::ValueEnum;

/// A kind of machine, by Debian's and OCI's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// Debian's and OCI's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Rust's name of the target.
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

    /// What stands in the head of its programs.
    #[must_use]
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => elf::abi::EM_X86_64,
            Self::Arm64 => elf::abi::EM_AARCH64,
        }
    }
}
