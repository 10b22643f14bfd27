//! Files that the environment names or that are searched for: the filter and the programs. They are checked
//! before Envoy starts, because Envoy's own message comes late and includes the whole bootstrap.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use entra_auth_settings_input::{Problem, quoted};

/// The filter's file name, beside the launcher.
pub const MODULE: &str = "entra_auth_filter.wasm";

/// Checks `ENTRA_AUTH_MODULE`, or finds the filter beside the launcher.
pub fn module(value: Option<&str>, launcher_dir: Option<&Path>) -> Result<PathBuf, Problem> {
    let path = match (value, launcher_dir) {
        (Some(value), _) => absolute(value),
        (None, Some(directory)) => directory.join(MODULE),
        (None, None) => {
            return Err(Problem::new(
                "is not set, and the launcher's own directory is unknown",
                format!("Set it to the path of {MODULE}."),
            ));
        }
    };
    let path_shown = quoted(&path.to_string_lossy());
    let is = match value {
        Some(_) => format!("is {path_shown}, which"),
        None => format!("is not set, and {path_shown}"),
    };
    let fix = format!("Set it to the path of {MODULE}, or put that file beside the launcher.");
    let mut magic = [0; 4];
    fs::File::open(&path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .map_err(|error| Problem::new(format!("{is} cannot be read: {error}"), fix.as_str()))?;
    if magic != *b"\0asm" {
        return Err(Problem::new(format!("{is} is no Wasm module"), fix));
    }
    Ok(path)
}

/// A program that is named by a variable, or lies beside the launcher or on `PATH`. A value without
/// a slash is a name to search for, as in a shell.
pub fn program(
    name: &str,
    value: Option<&str>,
    launcher_dir: Option<&Path>,
    search_path: Option<&str>,
) -> Result<PathBuf, Problem> {
    let fix = format!("Set it to the program, or put {name} beside the launcher or on PATH.");
    if let Some(value) = value.filter(|value| value.contains('/')) {
        let path = absolute(value);
        let shown = quoted(value);
        return match fs::metadata(&path) {
            Ok(_) if is_program(&path) => Ok(path),
            Ok(_) => Err(Problem::new(
                format!("is {shown}, which is not executable"),
                fix,
            )),
            Err(error) => Err(Problem::new(
                format!("is {shown}, which cannot be read: {error}"),
                fix,
            )),
        };
    }
    let name = value.unwrap_or(name);
    let beside = launcher_dir.into_iter().map(Path::to_path_buf);
    beside
        .chain(search_path.into_iter().flat_map(std::env::split_paths))
        .map(|directory| directory.join(name))
        .find(|path| is_program(path))
        .ok_or_else(|| {
            let state = match value {
                Some(value) => format!("is {}", quoted(value)),
                None => "is not set".to_owned(),
            };
            Problem::new(
                format!("{state}, and {name} is neither beside the launcher nor on PATH"),
                fix,
            )
        })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A bootstrap outlives the directory that the launcher was called in.
pub(super) fn absolute(value: &str) -> PathBuf {
    std::path::absolute(value).unwrap_or_else(|_| PathBuf::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_module_is_named_or_lies_beside_the_launcher() {
        let directory = tempfile::tempdir().unwrap();
        let problem = module(None, Some(directory.path())).unwrap_err();
        assert!(problem.wrong.contains("cannot be read"));
        assert!(problem.fix.contains(MODULE));

        let beside = file(directory.path(), MODULE, b"\0asm\x01\0\0\0", 0o600);
        assert_eq!(module(None, Some(directory.path())), Ok(beside));

        let other = file(directory.path(), "other", b"\0asm\x01\0\0\0", 0o600);
        assert_eq!(module(other.to_str(), Some(directory.path())), Ok(other));

        let text = file(directory.path(), "text", b"text", 0o600);
        let problem = module(text.to_str(), None).unwrap_err();
        assert!(problem.wrong.contains("which is no Wasm module"));
        assert!(module(None, None).unwrap_err().wrong.contains("is not set"));
    }

    #[test]
    fn a_program_is_named_or_lies_beside_the_launcher_or_on_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let envoy = |value: Option<&str>, here: Option<&Path>, on_path: Option<&str>| {
            program("envoy", value, here, on_path)
        };
        let (here, on_path) = (Some(directory.path()), other.path().to_str());

        let problem = envoy(None, here, on_path).unwrap_err();
        assert!(
            problem
                .wrong
                .contains("neither beside the launcher nor on PATH")
        );

        file(other.path(), "envoy", b"", 0o600);
        assert!(envoy(None, here, on_path).is_err(), "not executable");
        let found = file(other.path(), "envoy", b"", 0o755);
        assert_eq!(envoy(None, here, on_path), Ok(found.clone()));
        assert_eq!(envoy(Some("envoy"), here, on_path), Ok(found));

        let beside = file(directory.path(), "envoy", b"", 0o755);
        assert_eq!(envoy(None, here, on_path), Ok(beside.clone()));
        assert_eq!(envoy(beside.to_str(), None, None), Ok(beside));

        let plain = file(directory.path(), "plain", b"", 0o600);
        let problem = envoy(plain.to_str(), here, on_path).unwrap_err();
        assert!(problem.wrong.contains("which is not executable"));
        let problem = envoy(Some("/nowhere/envoy"), here, on_path).unwrap_err();
        assert!(problem.wrong.contains("cannot be read"));
    }
}
