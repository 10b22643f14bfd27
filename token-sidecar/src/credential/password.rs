//! The password of a PFX file or an encrypted key.

use std::fmt;

use zeroize::Zeroizing;

use crate::file::FileName;
use crate::settings::config_error::{ConfigError, quoted};
use crate::text;

/// A password, and the file that it came from. `Debug` hides it.
pub(super) struct Password {
    text: Zeroizing<String>,
    file: FileName,
}

impl Password {
    /// Takes the password out of a file's content: all of it but a byte-order mark at the beginning
    /// and one line end, which editors and `echo` add. Any other character may be the password's,
    /// and whether it is shows when the file is opened.
    pub(super) fn of(content: &[u8], file: &FileName) -> Result<Self, ConfigError> {
        let text = text::of(content, file, "Write the password into it as UTF-8 text.")?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(file.config_error(
                "holds nothing but a line end",
                "Write the password into it, or unset the variable where there is none.",
            ));
        }
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            file: file.clone(),
        })
    }

    /// The password itself, for the one place that decrypts with it.
    #[must_use]
    pub(super) fn expose(&self) -> &str {
        &self.text
    }

    /// It is given for a file that has none.
    #[must_use]
    pub(super) fn needless(&self, opened: &FileName) -> ConfigError {
        self.file.config_error(
            format!(
                "holds a password, but {} has none",
                quoted(&opened.path.to_string_lossy())
            ),
            format!(
                "Unset {}, or name the file that has this password.",
                self.file.setting
            ),
        )
    }

    /// It does not fit.
    #[must_use]
    pub(super) fn wrong(&self, encrypted: &FileName) -> ConfigError {
        let encrypted = quoted(&encrypted.path.to_string_lossy());
        let mut wrong = format!("does not hold the password of {encrypted}");
        if let Some(text::Invisible { name, position, .. }) = text::first_invisible(&self.text) {
            wrong += &format!(", but {name} as character {position}");
        }
        self.file.config_error(
            wrong,
            "Write the right password into it; one line end after it is ignored, other white space \
             counts.",
        )
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::variables::PASSWORD;

    fn password(content: &[u8]) -> Result<Password, ConfigError> {
        let file = FileName {
            setting: PASSWORD,
            path: "/secrets/password".into(),
        };
        Password::of(content, &file)
    }

    #[test]
    fn one_line_end_is_no_part_of_the_password() {
        for (content, text) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            (" secret \n\n", " secret \n"),
            ("\u{feff}secret\n", "secret"),
            // It may be meant.
            ("sec\u{a0}ret", "sec\u{a0}ret"),
        ] {
            assert_eq!(password(content.as_bytes()).unwrap().expose(), text);
        }
    }

    #[test]
    fn a_file_without_a_password_is_a_mistake() {
        for (content, wrong) in [
            (&b"\n"[..], "holds nothing but a line end. Write"),
            (b"\xff", "holds bytes that are no UTF-8 text. Write"),
            (b"\xff\xfes\0", "is text in UTF-16. Save"),
            (b"\xef\xbb\xbf\n", "holds nothing but a line end. Write"),
        ] {
            let refused = password(content).unwrap_err().to_string();
            let start = format!("{PASSWORD} is \"/secrets/password\", which {wrong}");
            assert!(refused.starts_with(&start), "{refused}");
        }
    }

    #[test]
    fn a_wrong_password_with_a_character_that_nobody_sees_says_which() {
        let file = FileName {
            setting: "AAD_CLIENT_CERTIFICATE_PATH",
            path: "/secrets/a.pfx".into(),
        };
        let wrong = |content: &str| password(content.as_bytes()).unwrap().wrong(&file).wrong;
        assert!(wrong("secret").ends_with("the password of \"/secrets/a.pfx\""));
        let said = wrong("sec\u{200b}ret");
        let expected = "\"/secrets/a.pfx\", but a zero width space (U+200B) as character 4";
        assert!(said.ends_with(expected), "{said}");
    }

    #[test]
    fn debug_shows_no_password() {
        assert_eq!(format!("{:?}", password(b"secret").unwrap()), "...");
    }
}
