//! The forms in which token endpoints write when a token expires.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::settings::{ExpiresInForm, ExpiresOnForm};

/// `expires_on` for a moment in seconds since 1970; `None` when it is to be left out.
/// A moment beyond the calendar is written in seconds, whatever the form.
pub(crate) fn expires_on(form: ExpiresOnForm, unix_seconds: i64) -> Option<Value> {
    let pattern = match form {
        ExpiresOnForm::Absent => return None,
        ExpiresOnForm::UnixNumber => return Some(json!(unix_seconds)),
        ExpiresOnForm::UnixString => return Some(json!(unix_seconds.to_string())),
        ExpiresOnForm::Rfc3339 => "%Y-%m-%dT%H:%M:%SZ",
        ExpiresOnForm::UsDateWithOffset => "%m/%d/%Y %H:%M:%S +00:00",
        ExpiresOnForm::UsDate => "%m/%d/%Y %H:%M:%S",
        ExpiresOnForm::IsoDate => "%Y-%m-%d %H:%M:%S",
    };
    Some(json!(Timestamp::from_second(unix_seconds).map_or_else(
        |_| unix_seconds.to_string(),
        |moment| moment.strftime(pattern).to_string()
    )))
}

/// `expires_in` for a remaining lifetime in seconds; `None` when it is to be left out.
pub(crate) fn expires_in(form: ExpiresInForm, seconds: i64) -> Option<Value> {
    match form {
        ExpiresInForm::String => Some(json!(seconds.to_string())),
        ExpiresInForm::Number => Some(json!(seconds)),
        ExpiresInForm::Absent => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_expires_on_is_the_same_moment() {
        let moment = 1_767_225_599;
        let text = |form| expires_on(form, moment);
        assert_eq!(text(ExpiresOnForm::UnixString), Some(json!("1767225599")));
        assert_eq!(text(ExpiresOnForm::UnixNumber), Some(json!(1_767_225_599)));
        assert_eq!(
            text(ExpiresOnForm::Rfc3339),
            Some(json!("2025-12-31T23:59:59Z"))
        );
        assert_eq!(
            text(ExpiresOnForm::UsDateWithOffset),
            Some(json!("12/31/2025 23:59:59 +00:00"))
        );
        assert_eq!(
            text(ExpiresOnForm::UsDate),
            Some(json!("12/31/2025 23:59:59"))
        );
        assert_eq!(
            text(ExpiresOnForm::IsoDate),
            Some(json!("2025-12-31 23:59:59"))
        );
        assert_eq!(text(ExpiresOnForm::Absent), None);
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_written_in_seconds() {
        assert_eq!(
            expires_on(ExpiresOnForm::Rfc3339, i64::MAX),
            Some(json!(i64::MAX.to_string()))
        );
    }
}
