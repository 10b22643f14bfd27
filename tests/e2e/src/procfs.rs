//! What Linux tells about a process and about what it has started.

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

/// Memory of one or more processes in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use now.
    pub now: u64,
    /// The most that was in use at any time; of several processes the sum of each one's most.
    pub most: u64,
}

impl Memory {
    /// Of a process with all its descendants.
    ///
    /// # Errors
    /// When the process is gone, or the system has no procfs.
    pub fn of_tree(id: u32) -> Result<Self, String> {
        let mut sum = Self::of(id)?;
        // One that ends meanwhile uses none.
        let children = children(id)?.into_iter().map(Self::of_tree);
        for child in children.filter_map(Result::ok) {
            sum.now += child.now;
            sum.most += child.most;
        }
        Ok(sum)
    }

    /// Of a process alone.
    ///
    /// # Errors
    /// When the process is gone, or the system has no procfs.
    pub fn of(id: u32) -> Result<Self, String> {
        let status = read(&format!("/proc/{id}/status"))?;
        let bytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            let kilobytes = line.trim().strip_suffix(" kB")?;
            kilobytes.parse::<u64>().ok().map(|count| count << 10)
        };
        // proc_pid_status(5).
        match (bytes("VmRSS:"), bytes("VmHWM:")) {
            (Some(now), Some(most)) => Ok(Self { now, most }),
            _ => Err(format!("no memory in the status of process {id}: {status}")),
        }
    }
}

/// The time that a process with all its descendants has had on any core, to the nanosecond. Threads
/// that have ended do not count.
///
/// # Errors
/// When the process is gone, or the system has no schedstat.
pub fn cpu_time(id: u32) -> Result<Duration, String> {
    let mut sum = Duration::ZERO;
    let tasks = format!("/proc/{id}/task");
    for task in fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
        let task = task.map_err(|error| error.to_string())?.path();
        let schedstat = read(&format!("{}/schedstat", task.display()))?;
        // Linux' Documentation/scheduler/sched-stats.rst: the first is the time on a core, in
        // nanoseconds.
        let first = schedstat.split(' ').next();
        let nanos = first.and_then(|nanos| nanos.parse().ok());
        sum += Duration::from_nanos(nanos.ok_or_else(|| format!("{tasks}: {schedstat:?}"))?);
    }
    for child in children(id)? {
        // One that ends meanwhile uses none.
        sum += cpu_time(child).unwrap_or_default();
    }
    Ok(sum)
}

/// Whether every thread of a process has been stopped by a signal. They stop one after another,
/// and after the sender of the signal has gone on.
///
/// # Errors
/// When the process is gone, or the system has no procfs.
pub fn is_stopped(process: Pid) -> Result<bool, String> {
    let tasks = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
    for task in tasks {
        let task = task.map_err(|error| error.to_string())?.path();
        let status = read(&format!("{}/status", task.display()))?;
        if !status.lines().any(|line| line.starts_with("State:\tT")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The processes that a process, whichever of its threads, has started and that have not ended.
///
/// # Errors
/// When the system has no procfs.
pub fn children(parent: u32) -> Result<Vec<u32>, String> {
    let parent = parent.to_string();
    let is_child = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // proc_pid_stat(5): after the name, which may hold anything, the state and the parent.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent.as_str())
    };
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.filter(is_child).collect())
}

/// The one child of a process.
///
/// # Errors
/// When it has none or several, or has ended.
pub(crate) fn only_child(id: u32) -> Result<Pid, String> {
    let pid = |id| i32::try_from(id).ok().and_then(Pid::from_raw);
    match children(id)?.as_slice() {
        [child] => pid(*child).ok_or_else(|| format!("{child} is no process id")),
        others => Err(format!("process {id} has the children {others:?}, not one")),
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};

    use super::*;

    #[test]
    fn the_most_is_no_less_than_what_is_used_now() {
        let memory = Memory::of_tree(process::id()).unwrap();
        assert!(memory.now > 0 && memory.most >= memory.now, "{memory:?}");
    }

    #[test]
    fn time_on_a_core_grows_with_work_and_not_with_sleep() {
        let before = cpu_time(process::id()).unwrap();
        let mut number = 0_u64;
        let worked = crate::eventually(Duration::from_secs(20), "50 ms of work", || {
            for _ in 0..1_000_000 {
                number = std::hint::black_box(number.wrapping_mul(3).wrapping_add(1));
            }
            let worked = cpu_time(process::id())? - before;
            match worked >= Duration::from_millis(50) {
                true => Ok(worked),
                false => Err(format!("{worked:?}")),
            }
        });
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let slept = cpu_time(sleeper.id()).unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(slept < worked, "{slept:?}");
    }

    #[test]
    fn what_a_child_uses_counts() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & read line; kill $!"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let id = shell.id();
        let child = crate::eventually(std::time::Duration::from_secs(20), "a child", || {
            let children = children(id)?;
            children.first().copied().ok_or("none yet".to_owned())
        });
        let (both, alone) = (Memory::of_tree(id).unwrap(), Memory::of(id).unwrap());
        assert!(
            both.now >= alone.now + Memory::of(child).unwrap().now / 2,
            "{both:?}"
        );
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
