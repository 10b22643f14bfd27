//! Invisible characters, which get into settings and secrets when they are copied from web pages and
//! office programs.

/// The byte-order mark that editors on Windows write at the beginning of a file (RFC 3629 §6).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Removes a byte-order mark at the beginning of a text.
#[must_use]
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// The name, for messages, of a character that is invisible or looks like a space: a control
/// character, white space or a default-ignorable code point of Unicode. `None` for all other
/// characters and for the space itself.
#[must_use]
pub fn name(c: char) -> Option<&'static str> {
    Some(match c {
        ' ' => return None,
        '\r' | '\n' | '\u{2028}' | '\u{2029}' => "a line break",
        '\t' => "a tab",
        '\u{A0}' | '\u{202F}' => "a no-break space",
        '\u{AD}' => "a soft hyphen",
        '\u{200B}' => "a zero width space",
        '\u{FEFF}' => "a byte-order mark",
        c if c.is_control() => "a control character",
        c if c.is_whitespace() => "a space that is not the usual one",
        '\u{34F}'
        | '\u{61C}'
        | '\u{115F}'..='\u{1160}'
        | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200C}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}' => "a character that cannot be seen",
        _ => return None,
    })
}
