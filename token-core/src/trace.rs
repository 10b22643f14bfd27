//! The ids by which Microsoft's support finds a failed exchange: those in Entra's response, or else
//! the one in the request.
//!
//! The ids differ in every response. They are kept apart from a failure's message, so that two
//! failures with the same cause have the same message.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::CLIENT_REQUEST_ID;
use crate::{Wall, calendar};

/// The longest accepted value. Entra's ids are UUIDs of 36 characters.
const MAX_LENGTH: usize = 64;

/// The ids of an exchange; all `None` if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Entra's id of the response.
    pub trace_id: Option<String>,
    /// Entra's id of the exchange: the `client-request-id` that Entra received.
    pub correlation_id: Option<String>,
    /// The request's `client-request-id`, if the response has no `correlation_id`.
    pub client_request_id: Option<String>,
    /// When the id was assigned, by the clock of the side that assigned it.
    pub timestamp: Option<String>,
}

impl Trace {
    /// Reads the fields of an error response. A value that is too long or not printable is ignored.
    pub(crate) fn from_fields(trace_id: &Value, correlation_id: &Value, timestamp: &Value) -> Self {
        let kept = |value: &Value| value.as_str().and_then(kept);
        Self {
            trace_id: kept(trace_id),
            correlation_id: kept(correlation_id),
            client_request_id: None,
            timestamp: kept(timestamp),
        }
    }

    /// Splits an error description into its text and the ids that Entra appends to it:
    /// `Trace ID: … Correlation ID: … Timestamp: …`, separated by newlines or spaces.
    pub(crate) fn split_from(description: &str) -> (&str, Self) {
        let whole = (description, Self::default());
        let Some((text, ids)) = description.split_once("Trace ID:") else {
            return whole;
        };
        let (ids, timestamp) = cut(ids, "Timestamp:");
        let (trace_id, correlation_id) = cut(ids, "Correlation ID:");
        let parts = [Some(trace_id), correlation_id, timestamp].map(|part| part.map(kept));
        // An unknown form is left as it is.
        if parts.contains(&Some(None)) {
            return whole;
        }
        let [trace_id, correlation_id, timestamp] = parts.map(Option::flatten);
        let trace = Self {
            trace_id,
            correlation_id,
            client_request_id: None,
            timestamp,
        };
        (text.trim_end(), trace)
    }

    /// Fills absent ids with those of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            trace_id: self.trace_id.or(other.trace_id),
            correlation_id: self.correlation_id.or(other.correlation_id),
            client_request_id: self.client_request_id.or(other.client_request_id),
            timestamp: self.timestamp.or(other.timestamp),
        }
    }

    /// Adds the request's id and the time if Entra returned no id, because it was not reached or a
    /// proxy on the way answered.
    pub(crate) fn or_sent(self, client_request_id: &str, now: Wall) -> Self {
        if self.correlation_id.is_some() {
            return self;
        }
        self.or(Self {
            client_request_id: Some(client_request_id.to_owned()),
            timestamp: calendar::entra_timestamp(now),
            ..Self::default()
        })
    }

    /// Whether there are no ids.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The ids that are present: the name in JSON, Entra's name, and the value.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        [
            ("traceId", "trace_id", &self.trace_id),
            ("correlationId", "correlation_id", &self.correlation_id),
            (
                "clientRequestId",
                CLIENT_REQUEST_ID,
                &self.client_request_id,
            ),
            ("timestamp", "timestamp", &self.timestamp),
        ]
        .into_iter()
        .filter_map(|(json, name, value)| Some((json, name, value.as_deref()?)))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, name, value) in self.parts() {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// The text before the label, and the text after it if the label occurs.
fn cut<'a>(text: &'a str, label: &str) -> (&'a str, Option<&'a str>) {
    match text.split_once(label) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn kept(text: &str) -> Option<String> {
    let text = text.trim();
    let is_printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    (is_printable && (1..=MAX_LENGTH).contains(&text.len())).then(|| text.to_owned())
}
