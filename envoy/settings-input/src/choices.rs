//! Values that are one of a few words, in any case.

use crate::{Problem, quoted};

/// Reads `on` or `off`.
///
/// # Errors
/// Another word.
pub fn on_or_off(value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(unknown(value, &["on", "off"])),
    }
}

/// The algorithm that signs client assertions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256 (RFC 7518 §3.5). The header names the certificate by its SHA-256 thumbprint.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), as old clients sign. The header names the certificate by
    /// its SHA-1 thumbprint.
    Rs256,
}

impl AssertionAlgorithm {
    /// The value of the JWT's `alg` header (RFC 7518 §3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// Another word.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        const ALL: [AssertionAlgorithm; 2] = [AssertionAlgorithm::Ps256, AssertionAlgorithm::Rs256];
        ALL.into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(value))
            .ok_or_else(|| unknown(value, &ALL.map(Self::name)))
    }
}

/// A word that is none of those that are known.
#[must_use]
pub fn unknown(value: &str, known: &[&str]) -> Problem {
    let fix = match known {
        [one, other] => format!("Use {one} or {other}."),
        _ => format!("Use one of {}.", known.join(", ")),
    };
    Problem::new(format!("is {}, which is unknown", quoted(value)), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_on_or_off() {
        assert_eq!(on_or_off("on"), Ok(true));
        assert_eq!(on_or_off("Off"), Ok(false));
        let problem = on_or_off("yes").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "is \"yes\", which is unknown. Use on or off."
        );
    }

    #[test]
    fn assertions_are_signed_by_one_of_two_algorithms() {
        for (value, algorithm) in [
            ("PS256", AssertionAlgorithm::Ps256),
            ("rs256", AssertionAlgorithm::Rs256),
        ] {
            assert_eq!(AssertionAlgorithm::parse(value), Ok(algorithm));
        }
        let problem = AssertionAlgorithm::parse("HS256").unwrap_err();
        assert_eq!(problem.fix, "Use PS256 or RS256.");
    }

    #[test]
    fn an_unknown_word_is_told_all_that_are_known() {
        let problem = unknown("x", &["a", "b", "c"]);
        assert_eq!(problem.fix, "Use one of a, b, c.");
    }
}
