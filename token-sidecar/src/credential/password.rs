//! The password of a PFX file or an encrypted key.

use std::fmt;

use zeroize::Zeroizing;

use crate::file::FileName;
use crate::settings::mistake::{Mistake, quoted};

/// A password, and the file that it came from. `Debug` hides it.
pub(super) struct Password {
    text: Zeroizing<String>,
    file: FileName,
}

impl Password {
    /// Takes the password out of a file's content: all of it but one line end, which editors and
    /// `echo` add.
    pub(super) fn of(content: &[u8], file: &FileName) -> Result<Self, Mistake> {
        let Ok(text) = std::str::from_utf8(content) else {
            return Err(file.mistake(
                "holds bytes that are no UTF-8 text",
                "Write the password into it as UTF-8 text.",
            ));
        };
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(file.mistake(
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

    /// It does not fit.
    #[must_use]
    pub(super) fn wrong(&self, encrypted: &FileName) -> Mistake {
        self.file.mistake(
            format!(
                "does not hold the password of {}",
                quoted(&encrypted.path.to_string_lossy())
            ),
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

    fn password(content: &[u8]) -> Result<Password, Mistake> {
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
        ] {
            assert_eq!(password(content.as_bytes()).unwrap().expose(), text);
        }
    }

    #[test]
    fn a_file_without_a_password_is_a_mistake() {
        for (content, wrong) in [
            (&b"\n"[..], "holds nothing but a line end. Write"),
            (b"\xff", "holds bytes that are no UTF-8 text. Write"),
        ] {
            let refused = password(content).unwrap_err().to_string();
            let start = format!("{PASSWORD} is \"/secrets/password\", which {wrong}");
            assert!(refused.starts_with(&start), "{refused}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        assert_eq!(format!("{:?}", password(b"secret").unwrap()), "...");
    }
}
