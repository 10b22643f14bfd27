//! Variables that take a word or a small number: ports, percentages, worker counts, log levels.

use std::ops::RangeInclusive;

use entra_auth_settings_input::choices::unknown;
use entra_auth_settings_input::{Problem, quoted};
use entra_token_core::config::{AuthErrorsRetryable, Percent, TokenRequestTimeout};

/// How much Envoy writes to its own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(&'static str);

impl LogLevel {
    /// The level unless a variable says otherwise.
    pub const DEFAULT: Self = Self("info");
    /// What is wrong, and no more.
    pub const WARNING: Self = Self("warning");

    /// Reads `LOG_LEVEL`: Envoy's own names, and `warn`.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        const LEVELS: [&str; 7] = [
            "trace", "debug", "info", "warning", "error", "critical", "off",
        ];
        let lower = value.to_ascii_lowercase();
        let lower = if lower == "warn" { "warning" } else { &lower };
        LEVELS
            .into_iter()
            .find(|level| *level == lower)
            .map(Self)
            .ok_or_else(|| unknown(value, &LEVELS))
    }

    /// Whether somebody wants to see every step.
    #[must_use]
    pub fn is_verbose(self) -> bool {
        matches!(self.0, "trace" | "debug")
    }

    /// As Envoy's `--log-level` takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// Which requests get a line in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    All,
    /// Those that failed: status 400 and above, and those that were cut short.
    Errors,
    /// None.
    Off,
}

impl AccessLog {
    /// Reads `ACCESS_LOG`.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        match value.to_ascii_lowercase().as_str() {
            "all" => Ok(Self::All),
            "errors" => Ok(Self::Errors),
            "off" => Ok(Self::Off),
            _ => Err(unknown(value, &["all", "errors", "off"])),
        }
    }
}

/// Reads `AUTH_ERRORS_RETRYABLE`.
pub fn auth_errors_retryable(value: &str) -> Result<AuthErrorsRetryable, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "remotewrite" => Ok(AuthErrorsRetryable::RemoteWrite),
        "always" => Ok(AuthErrorsRetryable::Always),
        "never" => Ok(AuthErrorsRetryable::Never),
        _ => Err(unknown(value, &["remoteWrite", "always", "never"])),
    }
}

/// Reads a port.
pub fn port(value: &str) -> Result<u16, Problem> {
    number(value, 1..=u16::MAX)
}

/// Reads a percentage from 1 to 99.
pub fn percent(value: &str) -> Result<Percent, Problem> {
    Percent::try_from(number(value, 1..=99)?).map_err(|why| Problem::of_value(value, &why))
}

/// Reads a whole number within bounds.
pub fn number<N>(value: &str, bounds: RangeInclusive<N>) -> Result<N, Problem>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let digits_only = value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits_only && bounds.contains(&number) => Ok(number),
        _ => {
            let (from, to) = bounds.into_inner();
            Err(Problem::new(
                format!(
                    "is {}, which is no whole number from {from} to {to}",
                    quoted(value)
                ),
                "Give one of these numbers.",
            ))
        }
    }
}

/// Whole seconds, or a duration with a unit.
pub fn token_request_timeout(value: &str) -> Result<TokenRequestTimeout, Problem> {
    let in_seconds = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let unit = if in_seconds { "s" } else { "" };
    format!("{value}{unit}")
        .parse()
        .map_err(|why: String| Problem::of_value(value, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_levels_are_envoys_and_warn() {
        assert_eq!(LogLevel::parse("INFO").unwrap().as_str(), "info");
        assert_eq!(LogLevel::parse("warn").unwrap().as_str(), "warning");
        assert_eq!(LogLevel::parse("off").unwrap().as_str(), "off");
        let problem = LogLevel::parse("verbose").unwrap_err();
        assert_eq!(problem.wrong, "is \"verbose\", which is unknown");
        assert!(problem.fix.contains("trace, debug, info"));
    }

    #[test]
    fn auth_errors_are_retryable_for_remote_write_always_or_never() {
        let parse = auth_errors_retryable;
        assert_eq!(parse("RemoteWrite"), Ok(AuthErrorsRetryable::RemoteWrite));
        assert_eq!(parse("always"), Ok(AuthErrorsRetryable::Always));
        assert_eq!(parse("NEVER"), Ok(AuthErrorsRetryable::Never));
        assert!(parse("true").is_err());
    }

    #[test]
    fn access_logs_are_all_errors_or_off() {
        assert_eq!(AccessLog::parse("all"), Ok(AccessLog::All));
        assert_eq!(AccessLog::parse("Errors"), Ok(AccessLog::Errors));
        assert_eq!(AccessLog::parse("OFF"), Ok(AccessLog::Off));
        assert!(AccessLog::parse("true").is_err());
    }

    #[test]
    fn the_time_for_a_token_request_is_one_that_the_help_and_the_errors_name() {
        fn parse(value: &str) -> Result<u64, Problem> {
            token_request_timeout(value).map(|time| time.get().as_secs())
        }
        for (value, seconds) in [("1", 1), ("300", 300), ("1m30s", 90), ("1000ms", 1)] {
            assert_eq!(parse(value), Ok(seconds), "{value}");
        }
        for wrong in ["0", "301", "", "-1", "1.5", "500ms", "6m", "soon"] {
            let problem = parse(wrong).unwrap_err().to_string();
            let mut offers = 0;
            for offer in problem.split('`').skip(1).step_by(2) {
                assert!(parse(offer).is_ok(), "{offer}: {problem}");
                offers += 1;
            }
            assert_eq!(offers, 2, "{problem}");
        }
        let mut served = crate::settings::variables::SERVED.iter();
        let known = served.find(|known| known.name == "TOKEN_REQUEST_TIMEOUT");
        let help = known.unwrap().meaning;
        let offers: Vec<_> = help
            .split([' ', ',', ';', '[', ']'])
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        assert!(offers.len() > 1, "{help}");
        for offer in offers {
            assert!(parse(offer).is_ok(), "{offer}: {help}");
        }
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        assert_eq!(port("8081"), Ok(8081));
        for value in [
            "0",
            "65536",
            "-1",
            "+1",
            "1.5",
            "http",
            "8081 ",
            "tcp://10.0.0.1:80",
        ] {
            assert!(
                port(value).unwrap_err().wrong.contains("from 1 to 65535"),
                "{value}"
            );
        }
        assert_eq!(percent("99").unwrap().get(), 99);
        for value in ["0", "100", "10%"] {
            assert!(
                percent(value).unwrap_err().wrong.contains("from 1 to 99"),
                "{value}"
            );
        }
    }
}
