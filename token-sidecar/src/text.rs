//! Text files: the marks and invisible characters that editors, web pages and shells put into them.

use entra_token_core::invisible;
pub use entra_token_core::invisible::without_mark;

use crate::file::FileName;
use crate::settings::config_error::ConfigError;

/// The text of a file, without a byte-order mark at its beginning; `fix` is what to do about
/// content that is none.
pub fn of<'a>(content: &'a [u8], file: &FileName, fix: &str) -> Result<&'a str, ConfigError> {
    refuse_utf16(content, file)?;
    std::str::from_utf8(without_mark(content))
        .map_err(|_| file.config_error("holds bytes that are no UTF-8 text", fix))
}

/// Refuses what the redirections of Windows PowerShell 5 write.
pub fn refuse_utf16(content: &[u8], file: &FileName) -> Result<(), ConfigError> {
    match content {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(file.config_error(
            "is text in UTF-16",
            "Save it in UTF-8; in PowerShell, write it with `Set-Content -Encoding ascii`.",
        )),
        _ => Ok(()),
    }
}

/// A character that nobody sees, or takes for a space, and that no token, secret or PEM file has:
/// it came in by copying.
#[derive(Debug, PartialEq, Eq)]
pub struct Invisible {
    /// What it is, with an article and its number: "a no-break space (U+00A0)".
    pub name: String,
    /// Which character of the text it is, counted from 1.
    pub position: usize,
    /// In which line it stands, counted from 1.
    pub line: usize,
}

/// The first of them.
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

/// As [`invisible::name`], but for the characters that ASCII has: a PEM file has lines, and a
/// password may have tabs.
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

    fn file() -> FileName {
        FileName {
            setting: "AAD_CLIENT_SECRET_FILE",
            path: "/secrets/secret".into(),
        }
    }

    #[test]
    fn a_mark_at_the_beginning_is_no_part_of_the_text() {
        assert_eq!(of("\u{feff}text".as_bytes(), &file(), ""), Ok("text"));
        assert_eq!(of("text".as_bytes(), &file(), ""), Ok("text"));
        let twice = "\u{feff}\u{feff}text".as_bytes();
        assert_eq!(of(twice, &file(), ""), Ok("\u{feff}text"));
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
            let refused = of(content, &file(), "Fix").unwrap_err().to_string();
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
