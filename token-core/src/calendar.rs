//! Parses and formats dates and times.
//!
//! The calendar is that of the crate `time`. The text forms are parsed and formatted here, because
//! the parsers of date crates would multiply the module's size
//! (`docs/decisions/0015-how-the-module-is-kept-small.md`).

use core::str::FromStr;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::Wall;

/// Parses `yyyy-MM-dd` or `M/d/yyyy`, then `T` or a space, then `H:mm:ss` with an optional fraction,
/// optional AM or PM and an optional zone. A time without a zone is UTC; a time before 1970 becomes the
/// Unix epoch.
pub(crate) fn parse(text: &str) -> Option<Wall> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let clock_end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.'));
    let (clock, rest) = rest.split_at_checked(clock_end.unwrap_or(rest.len()))?;
    let (half, zone) = half_of_day(rest.trim_start());
    let moment = PrimitiveDateTime::new(parse_date(date)?, parse_clock(clock, half)?)
        .assume_offset(parse_zone(zone)?);
    let millis = moment.unix_timestamp() * 1000 + i64::from(moment.millisecond());
    Some(Wall(u64::try_from(millis).unwrap_or(0)))
}

/// RFC 3339 in UTC, to the second; `None` after the year 9999.
pub(crate) fn rfc3339(moment: Wall) -> Option<String> {
    format_utc(moment, 'T')
}

/// The time of day in UTC, `HH:mm:ss`; `None` after the year 9999.
pub(crate) fn time_of_day(moment: Wall) -> Option<String> {
    let text = format_utc(moment, 'T')?;
    text.get(11..19).map(str::to_owned)
}

/// The form of Entra's timestamps: RFC 3339 with a space in place of the `T`.
pub(crate) fn entra_timestamp(moment: Wall) -> Option<String> {
    format_utc(moment, ' ')
}

fn format_utc(moment: Wall, separator: char) -> Option<String> {
    let seconds = i64::try_from(moment.0 / 1000).ok()?;
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let month = u8::from(month);
    Some(format!(
        "{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}Z"
    ))
}

fn parse_date(text: &str) -> Option<Date> {
    let (year, month, day) = match text.split_once('/') {
        Some((month, rest)) => {
            let (day, year) = rest.split_once('/')?;
            (year, month, day)
        }
        None => {
            let (year, rest) = text.split_once('-')?;
            let (month, day) = rest.split_once('-')?;
            (year, month, day)
        }
    };
    let year = number(year).filter(|_| year.len() == 4)?;
    let month = Month::try_from(number::<u8>(month)?).ok()?;
    Date::from_calendar_date(year, month, number(day)?).ok()
}

/// AM or PM of a 12-hour clock.
#[derive(Clone, Copy)]
enum HalfOfDay {
    Morning,
    Afternoon,
}

fn half_of_day(text: &str) -> (Option<HalfOfDay>, &str) {
    let rest = text.get(2..).unwrap_or_default().trim_start();
    match text.get(..2) {
        Some(half) if half.eq_ignore_ascii_case("am") => (Some(HalfOfDay::Morning), rest),
        Some(half) if half.eq_ignore_ascii_case("pm") => (Some(HalfOfDay::Afternoon), rest),
        _ => (None, text),
    }
}

fn parse_clock(text: &str, half: Option<HalfOfDay>) -> Option<Time> {
    let (text, fraction) = match text.split_once('.') {
        Some((text, fraction)) => (text, millis(fraction)?),
        None => (text, 0),
    };
    let mut parts = text.split(':').map(number::<u8>);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let hour = match half {
        None => hour,
        // Some formats add AM or PM to a 24-hour clock, where it is redundant.
        Some(HalfOfDay::Morning) if hour == 0 => hour,
        Some(HalfOfDay::Afternoon) if (13..24).contains(&hour) => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(HalfOfDay::Morning) => hour % 12,
        Some(HalfOfDay::Afternoon) => hour % 12 + 12,
    };
    // A leap second counts as the second before it.
    let second = if second == 60 { 59 } else { second };
    Time::from_hms_milli(hour, minute, second, fraction).ok()
}

/// The first three digits of a fraction of a second.
fn millis(digits: &str) -> Option<u16> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let digits = digits.bytes().chain(*b"00").take(3);
    is_number.then(|| digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}

/// `Z`, `+hh:mm`, `-hh:mm`, the same without colon or minutes, or empty.
fn parse_zone(text: &str) -> Option<UtcOffset> {
    if matches!(text, "" | "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_at_checked(2)?;
    let minutes = match minutes.strip_prefix(':').unwrap_or(minutes) {
        "" => 0,
        minutes => number::<i8>(minutes)?,
    };
    UtcOffset::from_hms(sign * number::<i8>(hours)?, sign * minutes, 0).ok()
}

/// A number of one to four digits.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let fits = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::fmt::strtime;
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::seed::rng_seed;

    /// The end of the year 9999, less the largest offset of a time zone.
    const LAST: i64 = 253_402_207_200;

    /// Every form, as a format string of the crate `jiff`.
    const FORMS: [&str; 11] = [
        "%Y-%m-%dT%H:%M:%S%:z",
        "%Y-%m-%dt%H:%M:%S%z",
        "%Y-%m-%d %H:%M:%S %:z",
        "%m/%d/%Y %H:%M:%S %:z",
        "%-m/%-d/%Y %-H:%M:%S %:z",
        "%m/%d/%Y %I:%M:%S %p %:z",
        "%-m/%-d/%Y %-I:%M:%S %P%:z",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%m/%d/%Y %H:%M:%S",
        "%-m/%-d/%Y %-I:%M:%S %p",
    ];

    fn wall(text: &str) -> Option<u64> {
        parse(text).map(|Wall(millis)| millis)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: rng_seed(),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn each_form_is_parsed_as_another_library_formats_it(
            seconds in 0..LAST,
            quarters in -48..=56_i32,
        ) {
            let moment = Timestamp::from_second(seconds).expect("in range");
            let zone = Offset::from_seconds(quarters * 900).expect("in range");
            for form in FORMS {
                let zone = if form.ends_with('z') { zone } else { Offset::UTC };
                let text = strtime::format(form, &moment.to_zoned(TimeZone::fixed(zone)));
                let text = text.expect("a form");
                prop_assert_eq!(wall(&text), Some(seconds as u64 * 1000), "{}", text);
            }
        }

        #[test]
        fn times_are_formatted_as_by_another_library(seconds in 0..LAST) {
            let moment = Timestamp::from_second(seconds).expect("in range");
            let wall = Wall(seconds as u64 * 1000 + 999);
            prop_assert_eq!(rfc3339(wall), Some(moment.to_string()));
            let entra = moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            prop_assert_eq!(entra_timestamp(wall), Some(entra));
        }

        #[test]
        fn no_text_makes_the_parser_panic(
            text in "[0-9TZ:/.+ aAmMpP-]{0,32}|\\PC{0,32}",
        ) {
            parse(&text);
        }
    }

    #[test]
    fn fractions_are_cut_to_milliseconds() {
        for (fraction, millis) in [("5", 500), ("05", 50), ("0009", 0), ("123456789", 123)] {
            let text = format!("1970-01-01T00:00:01.{fraction}Z");
            assert_eq!(wall(&text), Some(1000 + millis), "{text}");
        }
    }

    #[test]
    fn am_and_pm_are_converted_to_24_hours() {
        for (text, hour) in [
            ("12:00:00 AM", 0),
            ("1:00:00 AM", 1),
            ("12:00:00 PM", 12),
            ("11:00:00 pm", 23),
            // A 24-hour clock with AM or PM.
            ("13:00:00 PM", 13),
            ("16:00:00 PM +00:00", 16),
            ("23:00:00pm", 23),
            ("0:00:00 AM", 0),
            ("00:00:00 AM", 0),
        ] {
            assert_eq!(
                wall(&format!("1/1/1970 {text}")),
                Some(hour * 3_600_000),
                "{text}"
            );
        }
        // As an endpoint has sent it.
        let afternoon = ((16 * 60 + 25) * 60 + 6) * 1000;
        assert_eq!(wall("1/1/1970 16:25:06 PM"), Some(afternoon));
    }

    #[test]
    fn a_leap_second_is_the_one_before_it() {
        assert_eq!(wall("2016-12-31T23:59:60Z"), wall("2016-12-31T23:59:59Z"));
    }

    #[test]
    fn times_before_1970_become_the_epoch_and_times_after_9999_are_not_formatted() {
        assert_eq!(wall("0001-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339(Wall(u64::MAX)), None);
        assert_eq!(rfc3339(Wall((LAST as u64 + 172_800) * 1000)), None);
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "2026-09-21",
            "2026-09-21T",
            "2026-09-21T15:13Z",
            "2026-09-21T15:13:20:00Z",
            "2026-09-21T15:13:61Z",
            "2026-09-21T24:00:00Z",
            "2026-09-21T15:13:20.Z",
            "2026-09-21T15:13:20.1.1Z",
            "2026-09-21T15:13:20X",
            "2026-09-21T15:13:20+",
            "2026-09-21T15:13:20+1:00",
            "2026-09-21T15:13:20+99:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "26-09-21T00:00:00Z",
            "+2026-09-21T00:00:00Z",
            "13/45/2026 00:00:00",
            "9/21/2026 13:00:00 AM",
            "9/21/2026 0:00:00 PM",
            "9/21/2026 24:00:00 PM",
            "9-21/2026 0:00:00",
            "2026/09/21 00:00:00",
        ] {
            assert_eq!(wall(text), None, "{text}");
        }
    }
}
