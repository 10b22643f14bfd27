//! Text files: the encodings and invisible characters that editors, web pages and shells put into
//! them.

use entra_auth_settings_input::{ConfigError, file};
use entra_token_core::invisible;
pub use entra_token_core::invisible::without_mark;

use crate::file::NamedFile;

/// The text of a file without the byte-order mark at its beginning. `fix` is for content that is
/// not UTF-8.
///
/// # Errors
/// The content is in UTF-16, or is not UTF-8.
pub fn utf8<'a>(content: &'a [u8], file: &NamedFile, fix: &str) -> Result<&'a str, ConfigError> {
    refuse_utf16(content, file)?;
    std::str::from_utf8(without_mark(content))
        .map_err(|_| file.config_error("holds bytes that are no UTF-8 text", fix))
}

/// Refuses UTF-16, which the redirections of Windows PowerShell 5 write.
///
/// # Errors
/// The content begins with a byte-order mark of UTF-16.
pub fn refuse_utf16(content: &[u8], file: &NamedFile) -> Result<(), ConfigError> {
    if file::is_utf16(content) {
        return Err(file.config_error(
            "is text in UTF-16",
            "Save it in UTF-8; in PowerShell, write it with `Set-Content -Encoding ascii`.",
        ));
    }
    Ok(())
}

/// A character that cannot be seen or looks like a space. No token, secret or PEM file contains one,
/// so it was copied along with the text.
#[derive(Debug, PartialEq, Eq)]
pub struct Invisible {
    /// Its name with an article, and its code point: "a no-break space (U+00A0)".
    pub name: String,
    /// Its position in characters, counted from 1.
    pub position: usize,
    /// Its line, counted from 1.
    pub line: usize,
}

/// The first invisible character outside ASCII.
#[must_use]
pub fn first_invisible(text: &str) -> Option<Invisible> {
    let (index, found, name) = text
        .chars()
        .enumerate()
        .find_map(|(index, found)| Some((index, found, name(found)?)))?;
    let before = text.chars().take(index);
    Some(Invisible {
        name: format!("{name} (U+{:04X})", u32::from(found)),
        position: index + 1,
        line: before.filter(|character| *character == '\n').count() + 1,
    })
}

/// The name of an invisible character outside ASCII. The control characters of ASCII are allowed: a
/// PEM file has line ends, and a password may have tabs.
fn name(c: char) -> Option<&'static str> {
    if c.is_ascii() {
        None
    } else {
        invisible::name(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> NamedFile {
        NamedFile {
            setting: "AAD_CLIENT_SECRET_FILE",
            path: "/secrets/secret".into(),
        }
    }

    #[test]
    fn a_mark_at_the_beginning_is_no_part_of_the_text() {
        assert_eq!(utf8("\u{feff}text".as_bytes(), &file(), ""), Ok("text"));
        assert_eq!(utf8("text".as_bytes(), &file(), ""), Ok("text"));
        let twice = "\u{feff}\u{feff}text".as_bytes();
        assert_eq!(utf8(twice, &file(), ""), Ok("\u{feff}text"));
    }

    #[test]
    fn text_in_another_encoding_is_refused() {
        let utf16: Vec<u8> = "\u{feff}text"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (content, expected) in [
            (&utf16[..], "is text in UTF-16. Save it in UTF-8"),
            (b"\xfe\xff\0t", "is text in UTF-16. Save it in UTF-8"),
            (b"g\xe4nse", "holds bytes that are no UTF-8 text. Fix"),
        ] {
            let refused = utf8(content, &file(), "Fix").unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn what_nobody_sees_is_named_with_its_place() {
        for (text, name, position, line) in [
            ("ab\u{a0}c", "a no-break space (U+00A0)", 3, 1),
            ("\u{200b}", "a zero width space (U+200B)", 1, 1),
            ("ä\n\nb\u{feff}\u{a0}", "a byte-order mark (U+FEFF)", 5, 3),
            (
                "a\u{2060}",
                "a character that cannot be seen (U+2060)",
                2,
                1,
            ),
            (
                "a\u{2003}",
                "a space that is not the usual one (U+2003)",
                2,
                1,
            ),
            ("a\u{85}", "a control character (U+0085)", 2, 1),
        ] {
            let expected = Invisible {
                name: name.into(),
                position,
                line,
            };
            assert_eq!(first_invisible(text), Some(expected), "{text:?}");
        }
        assert_eq!(first_invisible(" plain\ttext,\r\n gänse füße 🦆\n"), None);
    }
}
