//! The password of a PFX file or an encrypted key.

use std::fmt;

use entra_auth_settings_input::{ConfigError, quoted};
use zeroize::Zeroizing;

use crate::file::NamedFile;
use crate::text;

/// A password, and the file that it came from. `Debug` hides it.
pub(super) struct Password {
    text: Zeroizing<String>,
    file: NamedFile,
}

impl Password {
    /// The password in a file: the whole content without a byte-order mark at the beginning and without
    /// one line end, which editors and `echo` add. Any other character may belong to the password.
    pub(super) fn read_from(content: &[u8], file: &NamedFile) -> Result<Self, ConfigError> {
        let text = text::utf8(content, file, "Write the password into it as UTF-8 text.")?;
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

    /// The text of the password, for decryption.
    #[must_use]
    pub(super) fn expose(&self) -> &str {
        &self.text
    }

    /// The error where `opened` has no password.
    #[must_use]
    pub(super) fn not_needed(&self, opened: &NamedFile) -> ConfigError {
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

    /// The error where `encrypted` has another password.
    #[must_use]
    pub(super) fn wrong(&self, encrypted: &NamedFile) -> ConfigError {
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
    use crate::variables::PASSWORD;

    fn password(content: &[u8]) -> Result<Password, ConfigError> {
        let file = NamedFile {
            setting: PASSWORD,
            path: "/secrets/password".into(),
        };
        Password::read_from(content, &file)
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
    fn a_file_without_a_password_is_refused() {
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
        let file = NamedFile {
            setting: "AAD_CLIENT_CERTIFICATE_PATH",
            path: "/secrets/a.pfx".into(),
        };
        let wrong = |content: &str| {
            password(content.as_bytes())
                .unwrap()
                .wrong(&file)
                .problem
                .wrong
        };
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
