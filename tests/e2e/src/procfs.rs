//! What Linux tells about a process and about what it has started.

use std::fs;
use std::ops::{AddAssign, Sub};
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

/// What one or more processes have had of the machine's cores, to the nanosecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// On a core.
    pub running: Duration,
    /// Ready, while others had the core.
    pub waiting: Duration,
}

impl CpuTime {
    /// Of a process with all its descendants. Threads that have ended do not count.
    ///
    /// # Errors
    /// When the process is gone, or the system has no schedstat.
    pub fn of_tree(id: u32) -> Result<Self, String> {
        let mut sum = Self::default();
        let tasks = format!("/proc/{id}/task");
        for task in fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
            let task = task.map_err(|error| error.to_string())?.path();
            // One that ends meanwhile has had none.
            if let Ok(schedstat) = read(&format!("{}/schedstat", task.display())) {
                sum += Self::parse(&schedstat)
                    .ok_or_else(|| format!("no times in a schedstat of {tasks}: {schedstat}"))?;
            }
        }
        for child in children(id)? {
            sum += Self::of_tree(child).unwrap_or_default();
        }
        Ok(sum)
    }

    /// Both in nanoseconds, first (Linux' Documentation/scheduler/sched-stats.rst).
    fn parse(schedstat: &str) -> Option<Self> {
        let mut nanos = schedstat.split_whitespace().map(str::parse);
        let mut next = || nanos.next()?.ok().map(Duration::from_nanos);
        Some(Self {
            running: next()?,
            waiting: next()?,
        })
    }
}

impl AddAssign for CpuTime {
    fn add_assign(&mut self, other: Self) {
        self.running += other.running;
        self.waiting += other.waiting;
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
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
    fn a_schedstat_has_the_time_on_a_core_first() {
        let time = CpuTime {
            running: Duration::from_nanos(12),
            waiting: Duration::from_nanos(34),
        };
        assert_eq!(CpuTime::parse("12 34 5\n"), Some(time));
        assert_eq!(CpuTime::parse("12"), None);
    }

    #[test]
    fn time_on_a_core_grows_with_work_and_not_with_sleep() {
        let work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read line";
        let mut worker = Command::new("sh")
            .args(["-c", work])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let mut line = [0; 4];
        let output = worker.stdout.as_mut().unwrap();
        std::io::Read::read_exact(output, &mut line).unwrap();
        let worked = CpuTime::of_tree(worker.id()).unwrap().running;
        let slept = CpuTime::of_tree(sleeper.id()).unwrap().running;
        for child in [&mut worker, &mut sleeper] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(
            worked > 2 * slept && !slept.is_zero(),
            "{worked:?} {slept:?}"
        );
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
        // The child becomes `sleep` only after the fork, so its memory still changes.
        crate::eventually(std::time::Duration::from_secs(20), "its memory", || {
            let (both, alone) = (Memory::of_tree(id)?, Memory::of(id)?);
            match both.now >= alone.now + Memory::of(child)?.now / 2 {
                true => Ok(()),
                false => Err(format!("{both:?}, alone {alone:?}")),
            }
        });
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
