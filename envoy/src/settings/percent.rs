//! Percent-encoding in values of settings (RFC 3986 §2.1).

use percent_encoding::percent_decode_str;

/// The bytes of a percent-encoded text; `None` where a `%` begins no escape.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let is_escape = |after: &str| {
        after
            .as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_valid = text.split('%').skip(1).all(is_escape);
    is_valid.then(|| percent_decode_str(text).collect())
}
