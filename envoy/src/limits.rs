//! The CPU and memory limits of the container, read from its control group and that group's ancestors
//! (cgroup v2 or v1). The smallest limit counts.

use std::fs;
use std::path::{Path, PathBuf};

/// The container's limits; `None` if there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPUs, rounded up.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
}

/// cgroup v1 represents "no limit" as the largest multiple of a page below 2^63.
const NO_MEMORY_LIMIT: u64 = 1 << 62;

impl Limits {
    /// Reads the limits of this process under a file-system root.
    #[must_use]
    pub fn detect(root: &Path) -> Self {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mounts = root.join("sys/fs/cgroup");
        let mut limits = Self::default();
        for line in groups.lines() {
            // cgroups(7): hierarchy-ID:controller-list:cgroup-path, with "0::" for v2.
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let has = |name| controllers.split(',').any(|controller| controller == name);
            if controllers.is_empty() {
                for directory in ancestors(&mounts, path) {
                    limits.add_cpus(cpus_v2(&directory));
                    limits.add_memory(read_number(&directory, "memory.max"));
                }
            }
            if has("cpu") {
                for directory in ancestors(&mounts.join(controllers), path)
                    .chain(ancestors(&mounts.join("cpu"), path))
                {
                    limits.add_cpus(cpus_v1(&directory));
                }
            }
            if has("memory") {
                for directory in ancestors(&mounts.join("memory"), path) {
                    limits.add_memory(read_number(&directory, "memory.limit_in_bytes"));
                }
            }
        }
        limits
    }

    fn add_cpus(&mut self, cpus: Option<u32>) {
        self.cpus = self.cpus.into_iter().chain(cpus).min();
    }

    fn add_memory(&mut self, bytes: Option<u64>) {
        let bytes = bytes.filter(|bytes| *bytes < NO_MEMORY_LIMIT);
        self.memory = self.memory.into_iter().chain(bytes).min();
    }
}

/// A group's directory and its ancestors, up to the mount. In a container without a cgroup namespace
/// the path is that of the host and does not exist; then the mount itself is the container's group.
fn ancestors(mount: &Path, group: &str) -> impl Iterator<Item = PathBuf> {
    let group = PathBuf::from(group.trim_start_matches('/'));
    let mount = mount.to_path_buf();
    let mut next = Some(group);
    std::iter::from_fn(move || {
        let current = next.take()?;
        next = current.parent().map(Path::to_path_buf);
        Some(mount.join(current))
    })
}

/// `cpu.max` is `quota period` in microseconds, or `max period`.
fn cpus_v2(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(directory.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cpus(quota.parse().ok()?, period.parse().ok()?)
}

/// `cpu.cfs_quota_us` is -1 if there is no limit.
fn cpus_v1(directory: &Path) -> Option<u32> {
    let quota = read_number(directory, "cpu.cfs_quota_us")?;
    whole_cpus(quota, read_number(directory, "cpu.cfs_period_us")?)
}

fn whole_cpus(quota: u64, period: u64) -> Option<u32> {
    if quota == 0 || period == 0 {
        return None;
    }
    u32::try_from(quota.div_ceil(period)).ok()
}

fn read_number(directory: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(name)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits read from a file-system root that holds exactly these files.
    fn limits(files: &[(&str, &str)]) -> (Option<u32>, Option<u64>) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let limits = Limits::detect(root.path());
        (limits.cpus, limits.memory)
    }

    #[test]
    fn a_container_with_its_own_cgroup_namespace_has_its_limits_at_the_mount() {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
        ];
        assert_eq!(limits(&files), (Some(2), Some(268_435_456)));
    }

    #[test]
    fn no_limit_is_none() {
        let v2 = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ];
        assert_eq!(limits(&v2), (None, None));
        let v1 = [
            ("proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        assert_eq!(limits(&v1), (None, None));
        assert_eq!(limits(&[]), (None, None));
        assert_eq!(limits(&[("proc/self/cgroup", "nonsense")]), (None, None));
    }

    #[test]
    fn the_smallest_limit_of_all_ancestors_counts() {
        let files = [
            ("proc/self/cgroup", "0::/kubepods/pod1/c1\n"),
            ("sys/fs/cgroup/kubepods/cpu.max", "800000 100000"),
            ("sys/fs/cgroup/kubepods/pod1/cpu.max", "300000 100000"),
            ("sys/fs/cgroup/kubepods/pod1/c1/cpu.max", "max 100000"),
            ("sys/fs/cgroup/kubepods/pod1/memory.max", "400000000"),
            ("sys/fs/cgroup/kubepods/pod1/c1/memory.max", "300000000"),
        ];
        assert_eq!(limits(&files), (Some(3), Some(300_000_000)));
    }

    #[test]
    fn the_limits_of_cgroup_v1_are_read() {
        let files = [
            (
                "proc/self/cgroup",
                "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
            ),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912"),
        ];
        assert_eq!(limits(&files), (Some(1), Some(536_870_912)));
    }
}
