//! Every form in which an endpoint has been seen to say when a token ends.
//!
//! Numbers come as JSON numbers (Entra v2) or strings (IMDS, Entra v1); moments as Unix
//! seconds, `MM/dd/yyyy HH:mm:ss` (App Service, with or without AM/PM and zone),
//! `yyyy-MM-dd HH:mm:ss` and RFC 3339. A moment without a zone is UTC.

use core::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::Value;

use crate::Wall;
use crate::time::millis;

/// Why a value is no time; a sentence that starts with "is" or "has".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadTime(pub(crate) String);

/// Tried in this order. The zone, where one is given, follows as `+00:00`.
const FORMATS: [&str; 3] = [
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
];

/// A count of seconds; `None` when the field is absent or null. Fractions are cut, negative
/// numbers are zero (the token is over), what is too large saturates.
pub(crate) fn seconds(value: &Value) -> Result<Option<Duration>, BadTime> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().map(Some).ok_or_else(not_a_count),
        Value::String(text) => text
            .trim()
            .parse::<f64>()
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
    date_time(text.trim())
        .map(Some)
        .ok_or_else(|| BadTime("is in none of the known forms of a date".into()))
}

fn date_time(text: &str) -> Option<Wall> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        FORMATS
            .iter()
            .find_map(|format| with_zone(format, text).or_else(|| without_zone(format, text)))
    })?;
    Some(Wall(u64::try_from(timestamp.as_millisecond()).unwrap_or(0)))
}

fn with_zone(format: &str, text: &str) -> Option<Timestamp> {
    strtime::parse(format!("{format} %:z"), text)
        .ok()?
        .to_timestamp()
        .ok()
}

fn without_zone(format: &str, text: &str) -> Option<Timestamp> {
    let civil = strtime::parse(format, text).ok()?.to_datetime().ok()?;
    jiff::tz::Offset::UTC.to_timestamp(civil).ok()
}
