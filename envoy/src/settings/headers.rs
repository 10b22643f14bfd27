//! `OVERRIDE_REQUEST_HEADERS`, and `requestHeaders` of a target in the file: request headers that are set on every request to the target. Their
//! values may be secrets: they are never shown, and reach Envoy by its environment, so that they
//! stand neither in the bootstrap nor in a log.

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map, ValueKind, ValuePointerRef,
    take_cf_content,
};
use entra_auth_settings_input::{Problem, Variables, quoted};
use entra_token_core::config::{ConfigErrors, unambiguous};
use http::HeaderName;
use serde::Serialize;
use serde_json::Value;

use super::Settings;
use super::variables::HEADER;

/// A header to set.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderOverride {
    /// Its name, in lower case.
    pub name: HeaderName,
    /// Its value.
    pub value: String,
    /// The variable by which Envoy gets the value.
    pub variable: String,
}

impl std::fmt::Debug for HeaderOverride {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// The headers of all targets.
pub fn all(settings: &Settings) -> impl Iterator<Item = &HeaderOverride> {
    let targets = settings.targets.iter();
    targets.flat_map(|target| &target.override_headers)
}

/// The headers of a target in the file, each with its name; a mistake in one hides no other.
#[derive(Default)]
pub(super) struct GivenHeaders(pub(super) Vec<(String, Result<HeaderValue, ConfigErrors>)>);

impl Deserr<ConfigErrors> for GivenHeaders {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, ConfigErrors> {
        let deserr::Value::Map(map) = value else {
            let accepted = &[ValueKind::Map];
            let error = ErrorKind::IncorrectValueKind {
                actual: value,
                accepted,
            };
            return Err(take_cf_content(ConfigErrors::error(None, error, location)));
        };
        let read = |(name, value): (String, V)| {
            let location = location.push_key(&name);
            let value = HeaderValue::deserialize_from_value(value.into_value(), location);
            (name, value)
        };
        Ok(Self(map.into_iter().map(read).collect()))
    }
}

/// The value of a header: text, or a variable of the environment that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum HeaderValue {
    /// The value itself.
    Text(String),
    /// Where it is, for a value that is secret.
    From(Variable),
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub from_environment: String,
}

impl<E: DeserializeError> Deserr<E> for HeaderValue {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        match value {
            deserr::Value::Map(_) => {
                Variable::deserialize_from_value(value, location).map(Self::From)
            }
            deserr::Value::String(text) => Ok(Self::Text(text)),
            // It may be a secret, and is not shown.
            _ => {
                let msg =
                    "is neither text nor `fromEnvironment` with the name of a variable".into();
                let error = ErrorKind::Unexpected { msg };
                Err(take_cf_content(E::error::<V>(None, error, location)))
            }
        }
    }
}

impl HeaderValue {
    /// The value itself.
    pub(super) fn in_environment(self, variables: &Variables) -> Result<Value, Problem> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::From(Variable { from_environment }) => {
                let value = variables.value(&from_environment);
                value
                    .map(Value::from)
                    .ok_or_else(|| unset(&from_environment))
            }
        }
    }
}

fn unset(variable: &str) -> Problem {
    // Text that does not look like the name of a variable may be the secret value itself.
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let shown = if variable.chars().all(is_name) {
        variable
    } else {
        "a variable whose name is not written in capitals"
    };
    Problem::new(
        format!("is to come from {shown}, which is not set"),
        "Name a variable that is set in the environment, or give the value as text.",
    )
}

/// What a proxy decides by itself for every message: how it is framed, and what concerns one connection
/// (RFC 9110 §7.6.1).
const OF_EVERY_MESSAGE: [(&str, &str); 12] = [
    ("connection", HOP_BY_HOP),
    ("content-length", FRAMING),
    ("expect", FRAMING),
    ("http2-settings", HOP_BY_HOP),
    ("keep-alive", HOP_BY_HOP),
    ("proxy-authenticate", HOP_BY_HOP),
    ("proxy-authorization", HOP_BY_HOP),
    ("proxy-connection", HOP_BY_HOP),
    ("te", HOP_BY_HOP),
    ("trailer", FRAMING),
    ("transfer-encoding", FRAMING),
    ("upgrade", HOP_BY_HOP),
];
const HOP_BY_HOP: &str = "it concerns one connection only";
const FRAMING: &str = "it belongs to the message's framing";

/// What it decides for a request to a target: the token, the target, and by what it tells a client's
/// remote write.
const OF_A_REQUEST: [(&str, &str); 3] = [
    ("authorization", "the token goes there"),
    ("host", "it is TARGET_HOST"),
    (
        "x-prometheus-remote-write-version",
        "by it a client says that it can wait for the role to be granted",
    ),
];

const FIX: &str = r#"Write a JSON object of strings, as {"X-Scope-OrgID": "team-a"}."#;

/// Reads the variable; or says all that is wrong with it.
pub fn parse(value: &str) -> Result<Vec<HeaderOverride>, Vec<Problem>> {
    let json = unambiguous(value.as_bytes()).map_err(|error| {
        let wrong = if error.is_data() {
            // What is named twice may be a whole header with its value.
            let (line, column) = (error.line(), error.column());
            format!("names a header twice (the second time at line {line} column {column})")
        } else {
            // serde_json's syntax errors name a position, never a value.
            format!("is no JSON ({error})")
        };
        vec![Problem::new(wrong, FIX)]
    })?;
    let Value::Object(members) = json else {
        return Err(vec![Problem::new("is no JSON object", FIX)]);
    };
    let mut headers: Vec<HeaderOverride> = Vec::with_capacity(members.len());
    let mut problems = Vec::new();
    for (name, value) in &members {
        match header(name, value, headers.len()) {
            Ok(header) if headers.iter().any(|other| other.name == header.name) => {
                problems.push(twice(name));
            }
            Ok(header) => headers.push(header),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(headers)
    } else {
        Err(problems)
    }
}

/// A header that is named a second time.
pub(super) fn twice(name: &str) -> Problem {
    Problem::new(
        format!("names {} twice", quoted(name)),
        "Keep one; the case of a header's name has no meaning.",
    )
}

/// Of a name that is none, what comes before a colon or a blank: the value may come after it.
pub(super) fn beginning(name: &str) -> &str {
    let end = name.find([':', ' ']).filter(|end| *end > 0);
    end.map_or(name, |end| &name[..end])
}

/// Reads one header, before which there are `before` others.
pub(super) fn header(name: &str, value: &Value, before: usize) -> Result<HeaderOverride, Problem> {
    let Ok(header_name) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(Problem::new(
            format!("names {}, which is no header", quoted(beginning(name))),
            "Correct the name; pseudo headers as :path cannot be set.",
        ));
    };
    check_name(&header_name, &OF_A_REQUEST)?;
    let Value::String(value) = value else {
        return Err(Problem::new(
            format!("gives {header_name} a value that is no string"),
            "Put it in quotes.",
        ));
    };
    check_value(&header_name, value)?;
    Ok(HeaderOverride {
        name: header_name,
        value: value.clone(),
        variable: format!("{HEADER}{before}"),
    })
}

/// Checks that a setting may set a header of this name. `refused` are the names that this setting may not
/// set, besides those that none may, each with the reason.
pub(super) fn check_name(name: &HeaderName, refused: &[(&str, &str)]) -> Result<(), Problem> {
    let mut all = OF_EVERY_MESSAGE.iter().chain(refused);
    let reason = match all.find(|(refused, _)| *refused == name) {
        Some((_, reason)) => reason,
        None if name.as_str().starts_with("x-envoy-") => "such headers steer Envoy and stay inside",
        None => return Ok(()),
    };
    Err(Problem::new(
        format!("may not set {name}: {reason}"),
        "Remove it.",
    ))
}

/// Checks that a header can have this value for Envoy: no control characters, and no white space to trim.
pub(super) fn check_value(name: &HeaderName, value: &str) -> Result<(), Problem> {
    match http::HeaderValue::from_str(value) {
        Ok(_) if value.is_ascii() && value.trim() == value => Ok(()),
        _ => Err(Problem::new(
            format!("gives {name} a value that no header can have"),
            "Use visible ASCII characters and spaces between them.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, String)> {
        parse(value)
            .unwrap()
            .into_iter()
            .map(|header| (header.name.to_string(), header.value))
            .collect()
    }

    #[test]
    fn a_json_object_of_strings_is_read() {
        assert_eq!(read("{}"), []);
        assert_eq!(
            read(r#"{"X-Scope-OrgID": "100% a", "x-b": ""}"#),
            [
                ("x-scope-orgid".into(), "100% a".into()),
                ("x-b".into(), String::new())
            ]
        );
    }

    #[test]
    fn what_cannot_be_set_is_a_mistake_that_shows_no_value() {
        let cases = [
            ("secret", "is no JSON"),
            (r#"["secret"]"#, "is no JSON object"),
            (r#""secret""#, "is no JSON object"),
            (r#"{"x-a": "secret"#, "is no JSON"),
            (
                r#"{"x-a": ["secret"]}"#,
                "gives x-a a value that is no string",
            ),
            (r#"{"x-a": 1}"#, "gives x-a a value that is no string"),
            (
                r#"{"x-a": "secret\nx-b: 1"}"#,
                "a value that no header can have",
            ),
            (
                r#"{"x-a": "secret\u0000"}"#,
                "a value that no header can have",
            ),
            (r#"{"x-a": " secret"}"#, "a value that no header can have"),
            (r#"{"x secret": "a"}"#, "names \"x\", which is no header"),
            (
                r#"{"x-a: secret": "a"}"#,
                "names \"x-a\", which is no header",
            ),
            (
                r#"{"x-a": "clé secret"}"#,
                "a value that no header can have",
            ),
            (r#"{"": "secret"}"#, "which is no header"),
            (r#"{":path": "secret"}"#, "which is no header"),
            (r#"{"x-a": "secret", "X-A": "secret"}"#, "twice"),
            (
                r#"{"x-a": "secret", "x-a": "secret"}"#,
                "names a header twice",
            ),
            (
                r#"{"Authorization": "secret"}"#,
                "may not set authorization",
            ),
            (r#"{"HOST": "secret"}"#, "may not set host"),
            (
                r#"{"Transfer-Encoding": "secret"}"#,
                "may not set transfer-encoding",
            ),
            (
                r#"{"X-Envoy-Retry-On": "secret"}"#,
                "may not set x-envoy-retry-on",
            ),
        ];
        for (value, reason) in cases {
            let problems = parse(value).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].wrong.contains(reason), "{value}: {problems:?}");
            assert!(!format!("{problems:?}").contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let problems = parse(r#"{"host": "x", "te": "y", "x-a": 5, "x-b": "z"}"#).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn every_header_that_a_proxy_decides_itself_is_refused() {
        for (name, reason) in OF_EVERY_MESSAGE.into_iter().chain(OF_A_REQUEST) {
            let problems = parse(&format!(r#"{{"{name}": "x"}}"#)).unwrap_err();
            assert_eq!(problems[0].wrong, format!("may not set {name}: {reason}"));
        }
    }

    #[test]
    fn debug_shows_no_header_value() {
        let headers = parse(r#"{"x-api-key": "secret"}"#).unwrap();
        assert_eq!(format!("{headers:?}"), "[x-api-key: …]");
    }
}
