//! Parses the error responses of token endpoints, which have many forms, into one short line
//! without secrets.

use serde_json::{Map, Value};

use super::{FailureCode, aadsts};
use crate::Secret;
use crate::invisible;
use crate::trace::Trace;

/// The longest summary for logs and `/status`, in characters.
const MAX_SUMMARY: usize = 400;

/// The fields that may hold the error's text, in order of preference: OAuth (RFC 6749 §5.2, used by
/// Entra and IMDS), ASP.NET, App Service and Azure Resource Manager, RFC 9457.
const TEXTS: [&str; 4] = ["error_description", "exceptionMessage", "message", "detail"];
/// The fields that may hold the error's short name.
const NAMES: [&str; 3] = ["error", "code", "title"];

/// The parts of an error response. Any of them may be empty.
#[derive(Debug, Default)]
pub(super) struct ErrorDetails {
    /// The short name, such as `invalid_request`.
    pub(super) name: String,
    text: String,
    error_codes: Vec<u64>,
    trace: Trace,
}

impl ErrorDetails {
    /// Reads an error in JSON.
    pub(super) fn from_json(body: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> =
            serde_json::from_slice(invisible::without_mark(body)).ok()?;
        let details = Self::from_fields(&fields);
        (!details.is_empty()).then_some(details)
    }

    /// Reads a body as text: plain text, HTML, a JSON string, or JSON of an unknown form.
    pub(super) fn from_text(body: &[u8]) -> Option<Self> {
        let body = invisible::without_mark(body);
        let text: String = serde_json::from_slice(body)
            .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
        let text = if text.trim_start().starts_with('<') {
            without_tags(&text)
        } else {
            text
        };
        let details = Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            ..Self::default()
        };
        (!details.is_empty()).then_some(details)
    }

    fn from_fields(fields: &Map<String, Value>) -> Self {
        // Azure Resource Manager nests it: `{"error":{"code":…,"message":…}}`.
        let nested = field(fields, "error").and_then(Value::as_object);
        let it = nested.unwrap_or(fields);
        let text_of = |name: &&str| field(it, name).and_then(Value::as_str);
        let filled = |text: &&str| !text.is_empty();
        let name = NAMES.iter().find_map(text_of).unwrap_or_default();
        // A text with an AADSTS number is the most specific one, in whichever field it is.
        let texts = || TEXTS.iter().filter_map(text_of).filter(filled);
        let text = texts()
            .find(|text| aadsts::is_in(text))
            .or_else(|| find_aadsts_text(fields).filter(|text| *text != name))
            .or_else(|| texts().next());
        let value = |name| {
            let value = field(it, name).or_else(|| field(fields, name));
            value.unwrap_or(&Value::Null)
        };
        Self {
            name: name.to_owned(),
            text: text.unwrap_or_default().to_owned(),
            error_codes: numbers(value("error_codes")),
            trace: Trace::from_fields(
                value("trace_id"),
                value("correlation_id"),
                value("timestamp"),
            ),
        }
    }

    fn is_empty(&self) -> bool {
        self.summary(None).is_empty()
    }

    /// The failure code, if the AADSTS number or the name determines it.
    pub(super) fn code(&self) -> Option<FailureCode> {
        let unavailable = self.name == "temporarily_unavailable";
        aadsts::code(&self.error_codes, &self.text)
            .or_else(|| aadsts::code(&[], &self.name))
            .or(unavailable.then_some(FailureCode::EntraUnavailable))
    }

    /// Whether IMDS or App Service reports that the managed identity does not exist.
    pub(super) fn is_identity_not_found(&self) -> bool {
        let words = format!("{} {}", self.name, self.text).to_ascii_lowercase();
        words.contains("identity not found")
            || words.contains("managed identity found for specified")
    }

    pub(super) fn trace(&self) -> Box<Trace> {
        let (_, in_text) = Trace::split_from(&self.text);
        Box::new(self.trace.clone().or(in_text))
    }

    /// The error on one line, at most [`MAX_SUMMARY`] characters, without invisible characters, without
    /// the credential that was `sent`, without anything that looks like a secret, and without the ids
    /// that [`Self::trace`] returns.
    pub(super) fn summary(&self, sent: Option<&Secret>) -> String {
        let (text, _) = Trace::split_from(&self.text);
        let line = match (self.name.as_str(), text) {
            (one, "") | ("", one) => one.to_owned(),
            (name, text) => format!("{name}: {text}"),
        };
        let line = without_secrets(&line, sent).replace(|c| invisible::name(c).is_some(), " ");
        bounded(line.trim()).to_owned()
    }
}

/// A field by its name, ignoring case.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| {
        let mut fields = fields.iter();
        fields
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The first text that contains an AADSTS number, at any depth.
fn find_aadsts_text(fields: &Map<String, Value>) -> Option<&str> {
    fn in_value(value: &Value) -> Option<&str> {
        match value {
            Value::String(text) => aadsts::is_in(text).then_some(text),
            Value::Array(values) => values.iter().find_map(in_value),
            Value::Object(fields) => fields.values().find_map(in_value),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
    fields.values().find_map(in_value)
}

/// Every number in `error_codes`. Entra documents a list of numbers; some gateways turn it into text.
fn numbers(value: &Value) -> Vec<u64> {
    match value {
        Value::Number(number) => number.as_u64().into_iter().collect(),
        Value::String(text) => text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect(),
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}

/// The text of an HTML page.
fn without_tags(page: &str) -> String {
    let mut words = String::new();
    for part in page.split('<') {
        words.push(' ');
        words.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    words
}

/// The fields of requests and responses whose values are secret.
const SECRET_FIELDS: [&str; 7] = [
    "access_token",
    "authorization",
    "client_assertion",
    "client_secret",
    "id_token",
    "refresh_token",
    "x-identity-header",
];
/// How every JWT begins (base64url of `{"`), and the length from which a text is taken for one.
const JWT: &str = "eyJ";
const MIN_JWT_LENGTH: usize = 20;

/// The length from which the sent credential is searched for: a shorter one may occur in ordinary
/// words.
const MIN_CREDENTIAL_LENGTH: usize = 6;

/// Cuts a text before the first occurrence of the `sent` credential, plain or URL-encoded, or of
/// anything that looks like a secret. Some servers echo the request.
fn without_secrets(text: &str, sent: Option<&Secret>) -> String {
    let sent = sent.map(Secret::expose).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let form: String = form_urlencoded::byte_serialize(sent.as_bytes()).collect();
    // URL encoding keeps the tilde (RFC 3986 §2.3), which Entra's secrets contain; form encoding does not.
    let url = form.replace("%7E", "~");
    let of_sent = [sent, &form, &url]
        .into_iter()
        .filter(|credential| credential.len() >= MIN_CREDENTIAL_LENGTH)
        .filter_map(|credential| lower.find(&credential.to_ascii_lowercase()));
    let of_fields = SECRET_FIELDS.iter().filter_map(|field| {
        lower.match_indices(field).find_map(|(at, _)| {
            let rest = lower.get(at + field.len()..)?;
            let rest = rest.trim_start_matches(['"', '\'', '\\', ' ', ']']);
            rest.starts_with([':', '=', ',', '&', '%']).then_some(at)
        })
    });
    let of_jwts = text.match_indices(JWT).filter_map(|(at, _)| {
        let is_of_it = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        let length = text.get(at..)?.bytes().take_while(is_of_it).count();
        (length >= MIN_JWT_LENGTH).then_some(at)
    });
    match of_sent.chain(of_fields).chain(of_jwts).min() {
        None => text.to_owned(),
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// The first [`MAX_SUMMARY`] characters of a line, up to a word boundary.
fn bounded(line: &str) -> &str {
    let Some((end, _)) = line.char_indices().nth(MAX_SUMMARY) else {
        return line;
    };
    let kept = line.get(..end).unwrap_or_default();
    kept.rsplit_once(' ').map_or(kept, |(whole, _)| whole)
}
