//! What Linux tells about a process that is no child of this one.

use std::fs;

use rustix::process::Pid;

/// The one child of a process.
///
/// # Errors
/// When it has none, or has ended.
pub(crate) fn only_child(parent: u32) -> Result<Pid, String> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut ids = children
        .split_whitespace()
        .filter_map(|id| id.parse().ok().and_then(Pid::from_raw));
    match (ids.next(), ids.next()) {
        (Some(child), None) => Ok(child),
        _ => Err(format!("{path}: one child was expected: {children:?}")),
    }
}

/// How much of its memory is resident, in bytes.
///
/// # Errors
/// When it has ended.
pub(crate) fn resident_memory(process: Pid) -> Result<u64, String> {
    let path = format!("/proc/{}/status", process.as_raw_nonzero());
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .map(|kilobytes| kilobytes << 10)
        .ok_or_else(|| format!("{path}: no VmRSS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;

    #[test]
    fn a_process_and_its_memory_are_found() {
        let mut shell = Process::spawn("sh", |_| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "sleep 60 & wait"]);
            Ok(command)
        })
        .unwrap();
        let wait = std::time::Duration::from_secs(5);
        let child = crate::eventually(wait, "the child", || only_child(shell.id()));
        let memory = crate::eventually(wait, "its memory", || resident_memory(child));
        assert!(memory > 100 << 10, "{memory}");
        let own = Pid::from_raw(i32::try_from(shell.id()).unwrap()).unwrap();
        assert_ne!(child, own);
        shell.kill();
        assert!(only_child(shell.id()).is_err());
    }
}
