//! The environment variables of a process.

use std::collections::BTreeMap;

/// The variables of a process: a map, so that tests need no process environment.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process. Bytes that are not UTF-8 become U+FFFD, which no variable of
    /// these programs accepts except in a path, and there the file is then not found.
    #[must_use]
    pub fn of_this_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// A variable's value. An empty variable counts as unset, because templates often leave it so.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The names of the variables that are set, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, _)| name.as_str())
    }
}

/// Of two pairs with the same name the later one counts.
impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let variables: Variables = [("A", ""), ("B", "b")].into_iter().collect();
        assert_eq!(variables.value("A"), None);
        assert_eq!(variables.value("B"), Some("b"));
        assert_eq!(variables.names().collect::<Vec<_>>(), ["B"]);
    }
}
