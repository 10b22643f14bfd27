//! The directories that must stay readable so that a file can be replaced.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Symbolic links in these directories belong to the system (`/var/run`, `/bin`) and are not replaced.
/// Read access to these directories would include nearly all files.
const OF_THE_SYSTEM: [&str; 2] = ["/", "/var"];

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The directory of a file, and the directory of each symbolic link on the way to it: Kubernetes and
/// its CSI drivers replace files by replacing such a link. Of a file in one of the system's directories,
/// the file itself.
#[must_use]
pub(super) fn readable(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut resolved = PathBuf::from("/");
    let mut ahead = names(&std::path::absolute(path).unwrap_or_else(|_| path.into()));
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                if !is_of_the_system(&resolved) {
                    found.insert(resolved.clone());
                }
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                for name in names(&target).into_iter().rev() {
                    ahead.push_front(name);
                }
            }
            _ => resolved = next,
        }
    }
    let directory = resolved.parent().unwrap_or(&resolved);
    if is_of_the_system(directory) {
        found.insert(resolved);
    } else {
        found.insert(directory.into());
    }
    found
}

fn is_of_the_system(directory: &Path) -> bool {
    OF_THE_SYSTEM
        .iter()
        .any(|system| directory == Path::new(system))
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_plain_file_needs_its_directory() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(readable(&root.join("a.pem")), [root].into());
    }

    #[test]
    fn links_need_the_directories_that_they_are_in() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (mounts, data) = (root.join("mounts"), root.join("data"));
        fs::create_dir_all(data.join("v1")).unwrap();
        fs::create_dir(&mounts).unwrap();
        fs::write(data.join("v1/a.pem"), "x").unwrap();
        symlink("../data/current/a.pem", mounts.join("a.pem")).unwrap();
        symlink("v1", data.join("current")).unwrap();

        let expected = [mounts.clone(), data.clone(), data.join("v1")].into();
        assert_eq!(readable(&mounts.join("a.pem")), expected);
    }

    #[test]
    fn a_file_in_a_directory_of_the_system_needs_only_itself() {
        assert_eq!(readable(Path::new("/a.pem")), ["/a.pem".into()].into());
        assert_eq!(
            readable(Path::new("/var/a.pem")),
            ["/var/a.pem".into()].into()
        );
    }

    #[test]
    fn links_that_lead_in_circles_come_to_an_end() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("loop");
        symlink("loop", &link).unwrap();
        assert!(readable(&link).contains(&root.path().canonicalize().unwrap()));
    }
}
