//! Errors in the settings. Each names the variable or the place in the configuration file, what is
//! wrong with the value, and the fix. The programs collect them and report all at once.

use std::fmt;

/// A value that cannot be used: what is wrong with it and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, as the end of a sentence that begins with the variable's name.
    pub wrong: String,
    /// What to do about it, as a sentence.
    pub fix: String,
}

impl Problem {
    /// A problem and its fix.
    pub fn new(wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            wrong: wrong.into(),
            fix: fix.into(),
        }
    }

    /// A problem with a value. `wrong` continues "is VALUE, which".
    pub fn which(value: &str, wrong: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self::new(format!("is {}, which {wrong}", quoted(value)), fix)
    }

    /// A problem with a value in the words of `entra-token-core`: what is wrong and the fix, separated by
    /// a semicolon, as in "is no UUID; give one as in …".
    #[must_use]
    pub fn of_value(value: &str, why: &str) -> Self {
        let (wrong, fix) = why.split_once("; ").unwrap_or((why, "correct it"));
        let mut fix: String = fix.into();
        if let Some(first) = fix.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(format!("{} {wrong}", quoted(value)), fix + ".")
    }

    /// This problem as the error of a variable or of a place in the configuration file.
    #[must_use]
    pub fn of(self, place: impl Into<Place>) -> ConfigError {
        ConfigError {
            place: place.into(),
            problem: self,
        }
    }
}

/// The end of a sentence that begins with the variable's name, then the fix as a sentence.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fix.as_str() {
            // `wrong` includes the fix.
            "" => write!(f, "{}.", self.wrong),
            fix => write!(f, "{}. {fix}", self.wrong),
        }
    }
}

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An environment variable.
    Variable(&'static str),
    /// A place in the configuration file, as `targets[0].audience`.
    File(String),
}

impl From<&'static str> for Place {
    fn from(variable: &'static str) -> Self {
        Self::Variable(variable)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::File(path) if path.is_empty() => f.write_str("the whole file"),
            Self::File(path) => f.write_str(path),
        }
    }
}

/// A [`Problem`] and the place of the setting that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the setting stands.
    pub place: Place,
    /// What is wrong with it.
    pub problem: Problem,
}

impl ConfigError {
    /// The error of a setting: see [`Problem`] for `wrong` and `fix`.
    pub fn new(place: impl Into<Place>, wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Problem::new(wrong, fix).of(place)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = match &self.place {
            Place::File(_) => ": ",
            Place::Variable(_) => " ",
        };
        write!(f, "{}{after}{}", self.place, self.problem)
    }
}

/// How many characters of a value a message shows: enough for a path, and for a long host.
const LONGEST_SHOWN: usize = 200;

/// A value as messages show it: in quotes, control characters escaped, and cut after 200 characters
/// with an ellipsis.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(LONGEST_SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_variable_the_problem_and_the_fix() {
        let error = Problem::new("is empty", "Give a host.").of("TARGET_HOST");
        assert_eq!(error.to_string(), "TARGET_HOST is empty. Give a host.");
        let error = Problem::which("a b", "holds white space", "Remove it.").of("TARGET_HOST");
        assert_eq!(
            error.to_string(),
            "TARGET_HOST is \"a b\", which holds white space. Remove it."
        );
    }

    #[test]
    fn an_error_of_the_file_names_the_path_in_it() {
        let at = |path: &str| ConfigError::new(Place::File(path.into()), "is empty", "Fill it.");
        assert_eq!(
            at("targets[0].host").to_string(),
            "targets[0].host: is empty. Fill it."
        );
        assert_eq!(at("").to_string(), "the whole file: is empty. Fill it.");
    }

    #[test]
    fn what_the_core_says_of_a_value_becomes_a_problem_and_a_fix() {
        let error = Problem::of_value("x", "is no UUID; give one as in `0`").of("AAD_CLIENT_ID");
        assert_eq!(
            error.to_string(),
            "AAD_CLIENT_ID \"x\" is no UUID. Give one as in `0`."
        );
    }

    #[test]
    fn a_shown_value_is_quoted_escaped_and_cut() {
        assert_eq!(quoted("a\nb\u{1b}[1m"), r#""a\nb\u{1b}[1m""#);
        assert_eq!(quoted(&"x".repeat(200)), format!("\"{}\"", "x".repeat(200)));
        assert_eq!(
            quoted(&"x".repeat(201)),
            format!("\"{}…\"", "x".repeat(200))
        );
    }
}
