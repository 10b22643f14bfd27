//! Every form in which an endpoint has been seen to say when a token ends.
//!
//! Numbers come as JSON numbers (Entra v2) or strings (IMDS, Entra v1); moments as Unix
//! seconds, `MM/dd/yyyy HH:mm:ss` (App Service, with or without AM/PM and zone),
//! `yyyy-MM-dd HH:mm:ss` and RFC 3339. A moment without a zone is UTC.

use core::time::Duration;

use serde_json::Value;

use crate::time::millis;
use crate::{Wall, calendar};

/// Why a value is no time; a sentence that starts with "is" or "has".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadTime(pub(crate) String);

/// A count of seconds; `None` when the field is absent or null. Fractions are cut, negative
/// numbers are zero (the token is over), what is too large saturates.
pub(crate) fn seconds(value: &Value) -> Result<Option<Duration>, BadTime> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().map(Some).ok_or_else(not_a_count),
        // A number of JSON: its parser is here anyway, the standard library's is 15 kB more.
        Value::String(text) => serde_json::from_str(text.trim())
            .map(Some)
            .map_err(|_| not_a_count()),
        _ => Err(not_a_count()),
    }?
    .map(whole_seconds)
    .transpose()
}

fn not_a_count() -> BadTime {
    BadTime("is not a number of seconds".into())
}

fn whole_seconds(number: f64) -> Result<Duration, BadTime> {
    if number.is_nan() {
        return Err(not_a_count());
    }
    // A float-to-integer `as` saturates at both ends: negative is 0, infinity is the maximum.
    Ok(Duration::from_secs(number as u64))
}

/// An absolute moment; `None` when the field is absent or null.
pub(crate) fn moment(value: &Value) -> Result<Option<Wall>, BadTime> {
    if let Ok(seconds) = seconds(value) {
        return Ok(seconds.map(|since_epoch| Wall(millis(since_epoch))));
    }
    let Value::String(text) = value else {
        return Err(BadTime("is neither a string nor a number".into()));
    };
    calendar::read(text.trim())
        .map(Some)
        .ok_or_else(|| BadTime("is in none of the known forms of a date".into()))
}
