//! Files that the token-sidecar serves for an Envoy that cannot read them itself: the `file_content`
//! formatter exists from Envoy 1.38.

use entra_auth_settings_input::ConfigError;
use zeroize::Zeroizing;

use crate::file::NamedFile;
use crate::text;

/// A file that may be served, and the setting that names it.
#[derive(Debug)]
pub struct ServedFile {
    /// The name of the environment variable.
    pub setting: &'static str,
    /// The file; none where the variable is not set.
    pub file: Option<NamedFile>,
}

impl ServedFile {
    /// Reads the file and gives its text without the white space around it; `None` where the variable
    /// is not set. Characters that no token and no secret contains are an error here, because Entra's
    /// refusal would not name them.
    #[must_use]
    pub fn content(&self) -> Option<Result<Zeroizing<String>, ConfigError>> {
        self.file.as_ref().map(read)
    }
}

fn read(file: &NamedFile) -> Result<Zeroizing<String>, ConfigError> {
    const FIX: &str = "Write the token or secret into it as plain text, and nothing else.";
    let content = file.read()?;
    let text = text::utf8(&content, file, FIX)?.trim_ascii();
    if text.is_empty() {
        return Err(file.config_error("holds nothing but white space", FIX));
    }
    if text.chars().any(char::is_control) {
        return Err(file.config_error("holds line ends or other control characters", FIX));
    }
    if let Some(text::Invisible { name, position, .. }) = text::first_invisible(text) {
        let wrong = format!("holds {name} as character {position}");
        return Err(file.config_error(wrong, FIX));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_of(content: &[u8]) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, content).unwrap();
        let setting = "AZURE_FEDERATED_TOKEN_FILE";
        let served_file = ServedFile {
            setting,
            file: Some(NamedFile { setting, path }),
        };
        match served_file.content().unwrap() {
            Ok(text) => Ok(text.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn white_space_around_the_content_is_cut_off() {
        assert_eq!(content_of(b"\n a.b.c \r\n").unwrap(), "a.b.c");
        assert_eq!(content_of("gänse füße".as_bytes()).unwrap(), "gänse füße");
        // And the mark of Windows' editors.
        assert_eq!(content_of("\u{feff}a.b.c\r\n".as_bytes()).unwrap(), "a.b.c");
    }

    #[test]
    fn what_no_token_or_secret_holds_is_refused() {
        let cases: [(&[u8], &str); 11] = [
            (b"", "is empty"),
            (b" \n\t ", "holds nothing but white space"),
            (b"a\nb", "holds line ends or other control characters"),
            (b"a\0b", "holds line ends or other control characters"),
            (b"a\xff", "holds bytes that are no UTF-8 text"),
            (b"\xff\xfea\0", "is text in UTF-16. Save it in UTF-8"),
            (
                "a.b.c\u{a0}\n".as_bytes(),
                "holds a no-break space (U+00A0) as character 6. Write",
            ),
            (
                "\u{200b}a.b.c".as_bytes(),
                "holds a zero width space (U+200B) as character 1. Write",
            ),
            (
                "a.b\u{200b}.c".as_bytes(),
                "holds a zero width space (U+200B) as character 4. Write",
            ),
            (
                "\u{feff}a.\u{feff}b.c".as_bytes(),
                "holds a byte-order mark (U+FEFF) as character 3. Write",
            ),
            ("\u{feff}\n".as_bytes(), "holds nothing but white space"),
        ];
        for (content, expected) in cases {
            let refused = content_of(content).unwrap_err();
            assert!(
                refused.starts_with("AZURE_FEDERATED_TOKEN_FILE is \"/"),
                "{refused}"
            );
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
