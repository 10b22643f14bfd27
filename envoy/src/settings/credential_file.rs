//! Checks files with a secret, assertion, certificate or key before Envoy starts. Envoy does not start if
//! one is missing, and serves an empty file or a directory as empty content.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use entra_auth_settings_input::{Problem, file};
use entra_token_core::identity::{CredentialKind, credential_text};
use zeroize::Zeroizing;

use super::files::absolute;

/// unix(7): `sun_path` has 108 bytes, the last of which ends it.
pub const LONGEST_SOCKET: usize = 107;

/// A file of any kind: its absolute path.
pub fn any(value: &str) -> Result<PathBuf, Problem> {
    content(value).map(|_| absolute(value))
}

/// A file with a secret or an assertion, which Envoy serves to the filter.
pub fn credential(value: &str, kind: CredentialKind) -> Result<PathBuf, Problem> {
    let content = content(value)?;
    let fix = match kind {
        CredentialKind::Secret => "Put the secret's value into it, in one line and nothing else.",
        CredentialKind::Assertion => "Name the file of a token that Entra is to trust.",
    };
    credential_text(kind, &content).map_err(|wrong| Problem::which(value, wrong, fix))?;
    let path = absolute(value);
    servable(&path).map_err(|wrong| Problem::which(value, wrong, "Name it by another path."))?;
    Ok(path)
}

/// Whether Envoy understands a path: it stands in `%FILE_CONTENT(path:directory)%`, where nothing
/// can be escaped.
pub fn servable(path: &Path) -> Result<(), &'static str> {
    let text = path.to_string_lossy();
    if text.contains(':') || text.contains(")%") || text.contains(char::is_control) {
        return Err("holds a colon, `)%` or a control character, of which Envoy can serve none");
    }
    Ok(())
}

/// The socket of another process, which need not be there yet.
pub fn socket(value: &str) -> Result<PathBuf, Problem> {
    let path = absolute(value);
    if path.as_os_str().len() > LONGEST_SOCKET {
        return Err(Problem::which(
            value,
            "is longer than 107 bytes",
            "Use a shorter path.",
        ));
    }
    match path.metadata() {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(Problem::which(
            value,
            "is no socket",
            "Name the Unix socket that the token-sidecar listens on.",
        )),
        _ => Ok(path),
    }
}

/// The content of a regular file of 1 MiB at most.
pub(super) fn content(value: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    content_of(value, file::LIMIT)
}

/// The content of a regular file of this many bytes (a multiple of 1 MiB) at most.
pub(super) fn content_of(value: &str, limit: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    file::read(Path::new(value), limit).map_err(|error| {
        let fix = match error {
            file::Error::Io(_) => "Mount the file, and let this user read it.",
            file::Error::Directory => "Name the file in it.",
            file::Error::NotRegular => "Name a regular file: it is read more than once.",
            file::Error::Empty => "Fill it, or name another file.",
            file::Error::TooLarge(_) => "Name another file: nothing that is read here is as large.",
        };
        Problem::which(value, error, fix)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// `{"alg":"none"}.{}.`, in base64url.
    const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

    fn wrong<T>(result: Result<T, Problem>) -> String {
        let problem = result.err().expect("a problem");
        assert!(!problem.fix.is_empty());
        problem.wrong
    }

    #[test]
    fn a_secret_and_an_assertion_may_end_in_a_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let name = path.to_str().unwrap();
        fs::write(&path, "s3cret~.\n").unwrap();
        assert_eq!(credential(name, CredentialKind::Secret), Ok(path.clone()));
        fs::write(&path, format!("{JWT}\n")).unwrap();
        assert_eq!(
            credential(name, CredentialKind::Assertion),
            Ok(path.clone())
        );
    }

    #[test]
    fn what_is_no_credential_is_refused_with_the_path_and_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let large = vec![b'x'; (1 << 20) + 1];
        let pem = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        let files: [(&str, &[u8]); 6] = [
            ("empty", b""),
            ("blank", b" \n"),
            ("large", &large),
            ("long", &large[..40_000]),
            ("pem", pem),
            ("binary", b"\xff\xfe"),
        ];
        for (name, content) in files {
            fs::write(path(name), content).unwrap();
        }
        let _socket = UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        let cases = [
            ("missing", "cannot be read: No such file"),
            ("directory", "is a directory"),
            ("empty", "is empty"),
            ("blank", "is empty"),
            ("large", "is larger than 1 MiB"),
            ("long", "is longer than 32 KiB"),
            ("pem", "holds a line break"),
            ("binary", "is not text"),
            ("socket", "cannot be read"),
        ];
        for (name, reason) in cases {
            for kind in [CredentialKind::Secret, CredentialKind::Assertion] {
                let wrong = wrong(credential(path(name).to_str().unwrap(), kind));
                assert!(
                    wrong.contains(&format!("/{name}\", which {reason}")),
                    "{wrong}"
                );
            }
        }
        fs::write(path("text"), "no-jwt").unwrap();
        let text = path("text");
        let wrong = wrong(credential(
            text.to_str().unwrap(),
            CredentialKind::Assertion,
        ));
        assert!(wrong.contains("is no JWT"), "{wrong}");
    }

    /// What came along where a secret was copied from a page, or saved by an editor of Windows.
    #[test]
    fn a_character_that_nobody_sees_is_refused_with_its_place_but_for_a_mark_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let read = |content: &str, kind| {
            fs::write(&path, content).unwrap();
            credential(path.to_str().unwrap(), kind)
        };
        for (kind, good) in [
            (CredentialKind::Secret, "s3cret~."),
            (CredentialKind::Assertion, JWT),
        ] {
            for content in [format!("\u{feff}{good}"), format!("\u{feff}{good}\r\n")] {
                assert_eq!(read(&content, kind), Ok(path.clone()), "{content:?}");
            }
            let end = good.len() + 1;
            for (content, point, place) in [
                (format!("{good}\u{feff}\n"), "U+FEFF", end),
                (format!("\u{feff}\u{feff}{good}"), "U+FEFF", 1),
                (format!("{good}\u{a0}"), "U+00A0", end),
                (format!("\u{200b}{good}"), "U+200B", 1),
                (format!("{}\u{200b}{}", &good[..3], &good[3..]), "U+200B", 4),
                (format!("{}\n{}", &good[..3], &good[3..]), "U+000A", 4),
            ] {
                let problem = read(&content, kind).unwrap_err();
                let said = format!("({point}) as character {place}");
                assert!(problem.wrong.contains(&said), "{content:?}: {problem}");
                let shows_it = problem.to_string().contains(&good[..3]);
                assert!(!shows_it, "{problem}");
            }
        }
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_its_other_end() {
        let wrong = wrong(any("/dev/null"));
        assert!(wrong.contains("is a pipe, a socket or a device"), "{wrong}");
    }

    #[test]
    fn a_path_that_envoy_would_misread_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (name, servable) in [
            ("100%", true),
            ("a)b", true),
            ("a b", true),
            ("ä", true),
            ("a:b", false),
            ("a)%b", false),
            ("a\nb", false),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, "secret").unwrap();
            let read = credential(path.to_str().unwrap(), CredentialKind::Secret);
            assert_eq!(read.is_ok(), servable, "{name}: {read:?}");
        }
    }

    #[test]
    fn a_socket_need_not_be_there_but_nothing_else_may_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sidecar.sock");
        assert_eq!(socket(path.to_str().unwrap()), Ok(path.clone()));
        fs::write(&path, "x").unwrap();
        assert!(wrong(socket(path.to_str().unwrap())).contains("is no socket"));
        let long = format!("/{}", "x".repeat(LONGEST_SOCKET));
        assert!(wrong(socket(&long)).contains("is longer than 107 bytes"));
    }
}
