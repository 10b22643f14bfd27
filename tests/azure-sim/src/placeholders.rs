//! Parts of a fault's answer that differ each time it is played.

use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

/// A text with its placeholders filled in: `@uuid@` becomes a new UUID, and `@date+60@` the HTTP
/// date (RFC 9110 §5.6.7) 60 s after `now`, which is in seconds since 1970. What is between two
/// `@` and is neither stays.
#[must_use]
pub fn fill_in(text: &str, now: i64) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        filled.push_str(before);
        let placeholder = after.split_once('@');
        match placeholder.and_then(|(name, rest)| Some((value(name, now)?, rest))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('@');
                rest = after;
            }
        }
    }
    filled + rest
}

fn value(placeholder: &str, now: i64) -> Option<String> {
    if placeholder == "uuid" {
        return Some(Uuid::new_v4().to_string());
    }
    let ahead: u32 = placeholder.strip_prefix("date+")?.parse().ok()?;
    let moment = u64::try_from(now).ok()?.checked_add(ahead.into())?;
    // As much as fits into the four digits of a year.
    let moment = moment.min(253_402_300_799);
    Some(httpdate::fmt_http_date(
        UNIX_EPOCH + Duration::from_secs(moment),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn a_date_lies_so_many_seconds_ahead() {
        assert_eq!(
            fill_in("at @date+60@.", NOW),
            "at Mon, 21 Sep 2026 14:14:20 GMT."
        );
        assert_eq!(
            fill_in("@date+0@", i64::MAX),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }

    #[test]
    fn every_uuid_is_another() {
        let filled = fill_in("@uuid@ @uuid@", NOW);
        let (one, two) = filled.split_once(' ').unwrap();
        assert_ne!(one, two);
        assert!(Uuid::parse_str(one).is_ok() && Uuid::parse_str(two).is_ok());
    }

    #[test]
    fn everything_else_stays() {
        for text in ["", "a", "@", "a@b", "@x@y@", "@date+x@", "@@", "@date+60"] {
            assert_eq!(fill_in(text, NOW), text);
        }
        assert!(fill_in("a@b @date+0@", NOW).starts_with("a@b "));
    }
}
