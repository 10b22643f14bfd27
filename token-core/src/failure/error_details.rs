//! What an endpoint says of itself in an answer that is no token: the many forms of an error,
//! as one short line that may be shown.

use serde_json::{Map, Value};

use super::{FailureCode, aadsts};
use crate::Secret;
use crate::invisible;
use crate::trace::Trace;

/// The longest part of a server's own words that is kept for logs and `/status`, in characters.
const MAX_DETAIL: usize = 400;

/// The fields that hold an error's text, the best first: of OAuth (RFC 6749 §5.2) as Entra and
/// IMDS write it, of ASP.NET, of App Service and Azure Resource Manager, of RFC 9457.
const TEXTS: [&str; 4] = ["error_description", "exceptionMessage", "message", "detail"];
/// Those that hold its short name.
const NAMES: [&str; 3] = ["error", "code", "title"];

/// An error as its sender describes it. Of a body that is half understood the other half is kept:
/// half a reason is better than none.
#[derive(Debug, Default)]
pub(super) struct ErrorDetails {
    /// Its short name, as `invalid_request`.
    pub(super) name: String,
    text: String,
    error_codes: Vec<u64>,
    trace: Trace,
}

impl ErrorDetails {
    /// Reads an error in JSON.
    pub(super) fn in_json(body: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> =
            serde_json::from_slice(invisible::without_mark(body)).ok()?;
        let details = Self::of_fields(&fields);
        (!details.is_empty()).then_some(details)
    }

    /// Takes a body as text: a plain one, a page, a string of JSON, or JSON of an unknown form.
    pub(super) fn in_words(body: &[u8]) -> Option<Self> {
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

    fn of_fields(fields: &Map<String, Value>) -> Self {
        // Azure Resource Manager nests it: `{"error":{"code":…,"message":…}}`.
        let nested = field(fields, "error").and_then(Value::as_object);
        let it = nested.unwrap_or(fields);
        let text_of = |name: &&str| field(it, name).and_then(Value::as_str);
        let filled = |text: &&str| !text.is_empty();
        let name = NAMES.iter().find_map(text_of).unwrap_or_default();
        // The text with Entra's number says most, wherever it stands.
        let texts = || TEXTS.iter().filter_map(text_of).filter(filled);
        let text = texts()
            .find(|text| aadsts::is_in(text))
            .or_else(|| anywhere(fields).filter(|text| *text != name))
            .or_else(|| texts().next());
        let value = |name| {
            let value = field(it, name).or_else(|| field(fields, name));
            value.unwrap_or(&Value::Null)
        };
        Self {
            name: name.to_owned(),
            text: text.unwrap_or_default().to_owned(),
            error_codes: numbers(value("error_codes")),
            trace: Trace::of_fields(
                value("trace_id"),
                value("correlation_id"),
                value("timestamp"),
            ),
        }
    }

    fn is_empty(&self) -> bool {
        self.detail(None).is_empty()
    }

    /// The code of the failure, where Entra's number or name tells it.
    pub(super) fn code(&self) -> Option<FailureCode> {
        let unavailable = self.name == "temporarily_unavailable";
        aadsts::code(&self.error_codes, &self.text)
            .or_else(|| aadsts::code(&[], &self.name))
            .or(unavailable.then_some(FailureCode::EntraUnavailable))
    }

    /// In the words of IMDS and in those of App Service.
    pub(super) fn finds_no_identity(&self) -> bool {
        let words = format!("{} {}", self.name, self.text).to_ascii_lowercase();
        words.contains("identity not found")
            || words.contains("managed identity found for specified")
    }

    pub(super) fn trace(&self) -> Box<Trace> {
        let (_, in_text) = Trace::cut_off(&self.text);
        Box::new(self.trace.clone().or(in_text))
    }

    /// The sender's words on one line, bounded, without what cannot be seen, without the credential
    /// that was `sent` and without anything that looks like a secret. The ids after them are told
    /// apart.
    pub(super) fn detail(&self, sent: Option<&Secret>) -> String {
        let (text, _) = Trace::cut_off(&self.text);
        let line = match (self.name.as_str(), text) {
            (one, "") | ("", one) => one.to_owned(),
            (name, text) => format!("{name}: {text}"),
        };
        let line = without_secrets(&line, sent).replace(|c| invisible::name(c).is_some(), " ");
        bounded(line.trim()).to_owned()
    }
}

/// A field by its name, in whatever case.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| {
        let mut fields = fields.iter();
        fields
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The first text with a number of Entra's in it, at any depth.
fn anywhere(fields: &Map<String, Value>) -> Option<&str> {
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

/// Every number in `error_codes`: a list of numbers by Entra's documentation, and text behind some
/// gateways.
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

/// The words of a page.
fn without_tags(page: &str) -> String {
    let mut words = String::new();
    for part in page.split('<') {
        words.push(' ');
        words.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    words
}

/// The fields of requests and replies whose values are secret.
const SECRET_FIELDS: [&str; 7] = [
    "access_token",
    "authorization",
    "client_assertion",
    "client_secret",
    "id_token",
    "refresh_token",
    "x-identity-header",
];
/// How every JWT begins (base64url of `{"`), and from which length on it is worth anything.
const JWT: &str = "eyJ";
const LEAST_JWT: usize = 20;

/// From which length on the credential that was sent is looked for: a shorter one would be found in
/// ordinary words.
const LEAST_CREDENTIAL: usize = 6;

/// A text up to where it gives the credential back that was `sent`, as it is or encoded, or where it seems to give another secret back: some servers echo the request.
fn without_secrets(text: &str, sent: Option<&Secret>) -> String {
    let sent = sent.map(Secret::expose).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let form: String = form_urlencoded::byte_serialize(sent.as_bytes()).collect();
    // A URL's encoding leaves the tilde, which Entra's secrets have, as it is (RFC 3986 §2.3).
    let url = form.replace("%7E", "~");
    let of_sent = [sent, &form, &url]
        .into_iter()
        .filter(|credential| credential.len() >= LEAST_CREDENTIAL)
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
        (length >= LEAST_JWT).then_some(at)
    });
    match of_sent.chain(of_fields).chain(of_jwts).min() {
        None => text.to_owned(),
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// The line up to [`MAX_DETAIL`] characters, without the word that is cut there.
fn bounded(line: &str) -> &str {
    let Some((end, _)) = line.char_indices().nth(MAX_DETAIL) else {
        return line;
    };
    let kept = line.get(..end).unwrap_or_default();
    kept.rsplit_once(' ').map_or(kept, |(whole, _)| whole)
}
