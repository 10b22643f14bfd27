//! Reads objects whose fields depend on each other, which deserr's derive cannot express: a `type` that
//! determines the other fields, and groups of which exactly one must be given. The launcher uses it for its
//! file, too.

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map, Value, ValueKind, ValuePointerRef,
    take_cf_content,
};

use super::strict::{list, path};
use super::{ConfigError, ConfigErrors};

/// The fields of an object that are not read yet, and what was wrong with those that are.
///
/// A field that is null counts as absent. A method that returns `None` for a value that is needed
/// has noted a mistake, which [`Fields::finish`] returns.
pub struct Fields<'a, V: IntoValue> {
    rest: V::Map,
    location: ValuePointerRef<'a>,
    /// Who needs the fields, in messages; `None` as long as that is not known.
    subject: Option<String>,
    known: Vec<&'static str>,
    mistakes: Option<ConfigErrors>,
}

impl<'a, V: IntoValue> Fields<'a, V> {
    /// The fields of a value.
    ///
    /// # Errors
    /// When the value is no object.
    pub fn of(value: Value<V>, location: ValuePointerRef<'a>) -> Result<Self, ConfigErrors> {
        match value {
            Value::Map(rest) => Ok(Self {
                rest,
                location,
                subject: None,
                known: Vec::new(),
                mistakes: None,
            }),
            actual => {
                let accepted = &[ValueKind::Map];
                let error = ErrorKind::IncorrectValueKind { actual, accepted };
                Err(take_cf_content(ConfigErrors::error(None, error, location)))
            }
        }
    }

    /// Says who needs the fields that are read from now on, as in "a tsiam identity".
    pub fn are_of(&mut self, subject: String) {
        self.subject = Some(subject);
    }

    /// A field that must be given.
    pub fn needed<T: Deserr<ConfigErrors>>(&mut self, name: &'static str) -> Option<T> {
        match self.take(name) {
            Some(value) => self.read(name, value),
            None => {
                self.is_missing(name);
                None
            }
        }
    }

    /// A field that may be left out; `None` also after a mistake.
    pub fn optional<T: Deserr<ConfigErrors>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.take(name)?;
        self.read(name, value)
    }

    /// A field that may be left out and has a default, which `default` makes or fails to make.
    pub fn or<T: Deserr<ConfigErrors>>(
        &mut self,
        name: &'static str,
        default: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        match self.take(name) {
            Some(value) => self.read(name, value),
            None => default(),
        }
    }

    /// The one field that is given of a group. `read` makes something of a field's name and value by
    /// [`Fields::read`]; it gets all that are given, so that all mistakes in them are noted.
    pub fn one_of<T>(
        &mut self,
        group: &[&'static str],
        read: impl Fn(&mut Self, &'static str, V) -> Option<T>,
    ) -> Option<T> {
        let mut one = None;
        let mut given = Vec::new();
        for name in group {
            if let Some(value) = self.take(name) {
                given.push(*name);
                one = read(self, name, value);
            }
        }
        self.is_one(group, &given).then_some(one).flatten()
    }

    fn is_one(&mut self, group: &[&'static str], given: &[&'static str]) -> bool {
        let (names, subject) = (list(group), self.subject.as_deref().unwrap_or("it"));
        match given {
            [_] => true,
            [] => {
                let message = format!("{subject} needs one of {names}");
                self.wrong_at(None, message);
                false
            }
            [_, second, ..] => {
                let message = format!("{subject} takes one of {names}; remove the others");
                self.wrong_at(Some(second), message);
                false
            }
        }
    }

    /// The value of a field.
    pub fn read<T: Deserr<ConfigErrors>>(&mut self, name: &str, value: V) -> Option<T> {
        let location = self.location.push_key(name);
        match T::deserialize_from_value(value.into_value(), location) {
            Ok(value) => Some(value),
            Err(found) => {
                self.note(found);
                None
            }
        }
    }

    /// Notes what is wrong with a field, or with the object where `field` is `None`.
    fn wrong_at(&mut self, field: Option<&str>, message: String) {
        let location = self.location;
        let path = path(field.map_or(location, |field| location.push_key(field)));
        self.mistakes
            .get_or_insert_default()
            .0
            .push(ConfigError { path, message });
    }

    /// The value that was made of the fields, unless a mistake was noted or fields are left.
    ///
    /// `kind` is the value of `type`, and `None` where that is not known. `others` are the fields
    /// that belong to one type or another.
    ///
    /// # Errors
    /// All mistakes.
    pub fn finish<T>(
        self,
        value: Option<T>,
        kind: Option<&str>,
        others: &[&'static str],
    ) -> Result<T, ConfigErrors> {
        match (self.with_rest_refused(kind, others), value) {
            (None, Some(value)) => Ok(value),
            // Where a value is missing, a mistake says why: see the description of the type.
            (mistakes, _) => Err(mistakes.unwrap_or_default()),
        }
    }

    fn with_rest_refused(
        mut self,
        kind: Option<&str>,
        others: &[&'static str],
    ) -> Option<ConfigErrors> {
        if kind.is_none() {
            self.known.extend(others);
        }
        let (location, mut mistakes) = (self.location, self.mistakes);
        for (name, value) in self.rest.into_iter() {
            let is_of_others = others.contains(&name.as_str());
            match kind {
                // Null is as good as absent, and of an unknown type nothing is known.
                _ if is_of_others && (kind.is_none() || value.kind() == ValueKind::Null) => {}
                Some(kind) if is_of_others => {
                    mistakes.get_or_insert_default().0.push(ConfigError {
                        path: path(location.push_key(&name)),
                        message: format!("does not go with the type `{kind}`; remove it"),
                    });
                }
                _ => {
                    let (key, accepted) = (name.as_str(), self.known.as_slice());
                    let error = ErrorKind::UnknownKey { key, accepted };
                    let found = ConfigErrors::error::<V>(mistakes, error, location);
                    mistakes = Some(take_cf_content(found));
                }
            }
        }
        mistakes
    }

    /// A field's value, unless it is null.
    fn take(&mut self, name: &'static str) -> Option<V> {
        self.known.push(name);
        let value = self.rest.remove(name)?;
        (value.kind() != ValueKind::Null).then_some(value)
    }

    fn is_missing(&mut self, field: &'static str) {
        match &self.subject {
            Some(subject) => {
                let message = format!("{subject} needs `{field}`");
                self.wrong_at(None, message);
            }
            None => {
                let error = ErrorKind::MissingField { field };
                let found = ConfigErrors::error::<V>(None, error, self.location);
                self.note(take_cf_content(found));
            }
        }
    }

    /// Adds mistakes that were found below the fields by other means.
    pub fn note(&mut self, found: ConfigErrors) {
        self.mistakes.get_or_insert_default().0.extend(found.0);
    }
}
