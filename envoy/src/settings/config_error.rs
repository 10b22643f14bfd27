//! What is wrong with the settings, said so that the reader can mend it: the variable or the place
//! in the file, the problem with its value, the way out. All mistakes are reported at once.

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
    /// A problem and its way out.
    pub fn new(wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            wrong: wrong.into(),
            fix: fix.into(),
        }
    }

    /// What `entra-token-core` says of a value: "is no such thing; give one as in …".
    #[must_use]
    pub fn of_value(value: &str, why: &str) -> Self {
        let (wrong, fix) = why.split_once("; ").unwrap_or((why, "correct it"));
        let mut fix: String = fix.into();
        if let Some(first) = fix.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(format!("{} {wrong}", quoted(value)), fix + ".")
    }

    /// The same problem, laid at the door of a variable or of a place in the file.
    #[must_use]
    pub fn of(self, place: impl Into<Place>) -> ConfigError {
        ConfigError {
            place: place.into(),
            problem: self,
        }
    }
}

/// As the end of a sentence, and what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fix.as_str() {
            // What is wrong says it.
            "" => write!(f, "{}.", self.wrong),
            fix => write!(f, "{}. {fix}", self.wrong),
        }
    }
}

/// What says something.
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

/// A [`Problem`] of one environment variable, or of one place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What says what is wrong.
    pub place: Place,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = match &self.place {
            Place::File(_) => ": ",
            Place::Variable(_) => " ",
        };
        write!(f, "{}{after}{}", self.place, self.problem)
    }
}

/// A value as it may be shown in a message: quoted, control characters escaped, cut after 80.
#[must_use]
pub fn quoted(value: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = value.chars().take(LONGEST).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_the_variable_the_problem_and_the_fix() {
        let error = Problem::new("is empty", "Give a host.").of("TARGET_HOST");
        assert_eq!(error.to_string(), "TARGET_HOST is empty. Give a host.");
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
        assert_eq!(quoted(&"x".repeat(200)), format!("\"{}…\"", "x".repeat(80)));
    }
}
