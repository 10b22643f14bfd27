//! Parses the lifetimes and expiry times in token replies, in all forms that endpoints are known to
//! use.
//!
//! Lifetimes are JSON numbers (Entra v2) or strings (IMDS, Entra v1). Expiry times are Unix seconds,
//! `MM/dd/yyyy HH:mm:ss` (App Service, with or without AM/PM and zone), `yyyy-MM-dd HH:mm:ss` or
//! RFC 3339. A time without a zone is UTC.

use core::time::Duration;

use serde_json::Value;

use crate::time::millis;
use crate::{Wall, calendar};

/// Why a value cannot be parsed, as the predicate of a sentence: "is …" or "has …".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadTime(pub(crate) String);

/// A number of seconds; `None` if the field is absent or null. Fractions are dropped, negative
/// numbers become zero, and large numbers saturate.
pub(crate) fn seconds(value: &Value) -> Result<Option<Duration>, BadTime> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().map(Some).ok_or_else(not_a_count),
        // As a JSON number: the standard library's parser of floats would add 15 kB to the module.
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

/// A point in time; `None` if the field is absent or null.
pub(crate) fn moment(value: &Value) -> Result<Option<Wall>, BadTime> {
    if let Ok(seconds) = seconds(value) {
        return Ok(seconds.map(|since_epoch| Wall(millis(since_epoch))));
    }
    let Value::String(text) = value else {
        return Err(BadTime("is neither a string nor a number".into()));
    };
    calendar::parse(text.trim())
        .map(Some)
        .ok_or_else(|| BadTime("is in none of the known forms of a date".into()))
}
