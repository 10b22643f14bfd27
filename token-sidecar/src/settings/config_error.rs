//! What is wrong with the environment or with a file that it names, said so that the reader can
//! mend it: the setting, the problem, the way out.

use std::fmt;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable's name.
    pub setting: &'static str,
    /// What is wrong, as the end of a sentence that begins with the variable's name.
    pub wrong: String,
    /// What to do about it, as a sentence.
    pub fix: String,
}

impl ConfigError {
    /// A mistake and its way out.
    pub fn new(setting: &'static str, wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            setting,
            wrong: wrong.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}. {}", self.setting, self.wrong, self.fix)
    }
}

/// A value as it may be shown in a message: quoted, control characters escaped, cut after 200.
#[must_use]
pub fn quoted(value: &str) -> String {
    const LONGEST: usize = 200;
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
    fn a_mistake_names_the_setting_the_problem_and_the_fix() {
        let error = ConfigError::new("AAD_TENANT_ID", "is not set", "Set it.");
        assert_eq!(error.to_string(), "AAD_TENANT_ID is not set. Set it.");
    }

    #[test]
    fn a_shown_value_is_quoted_escaped_and_cut() {
        assert_eq!(quoted("a\nb\u{1b}[1m"), r#""a\nb\u{1b}[1m""#);
        let long = quoted(&"x".repeat(300));
        assert_eq!(long, format!("\"{}…\"", "x".repeat(200)));
    }
}
