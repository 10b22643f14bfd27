//! Landlock: access to the allowed files only, and no TCP.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use super::Allowed;
use super::directories::readable;

/// The newest ABI that is used. An older kernel enforces the part that it supports.
const RULES: ABI = ABI::V7;

/// Restricts files and TCP (from Linux 6.7), and gives for each whether the kernel enforces it.
pub(super) fn restrict(allowed: &Allowed) -> (Result<(), String>, Result<(), String>) {
    let abi = match landlock(allowed) {
        Ok(status) => match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi),
            LandlockStatus::NotEnabled => Err("Landlock is switched off".to_owned()),
            _ => Err("this kernel has no Landlock".to_owned()),
        },
        Err(error) => Err(error),
    };
    let tcp = match &abi {
        Ok(abi) if *abi < ABI::V4 => Err("this kernel's Landlock is too old for TCP".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.clone()),
    };
    (abi.map(drop), tcp)
}

fn landlock(allowed: &Allowed) -> Result<RestrictionStatus, String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(RULES)))
        .and_then(|rules| rules.scope(Scope::from_all(RULES)))
        .and_then(Ruleset::create)
        .map_err(|error| said(&error))?;
    let mut allow = |place: &Path, access: AccessFs| {
        let place = PathFd::new(place).map_err(|error| said(&error))?;
        (&mut rules)
            .add_rule(PathBeneath::new(place, access))
            .map(drop)
            .map_err(|error| said(&error))
    };
    for place in allowed.read.iter().flat_map(|path| readable(path)) {
        allow(&place, AccessFs::ReadFile)?;
    }
    if let Some(directory) = allowed.remove.as_deref().and_then(directory_of) {
        allow(&directory, AccessFs::RemoveFile)?;
    }
    rules.restrict_self().map_err(|error| said(&error))
}

fn directory_of(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()?.parent().map(Into::into)
}
