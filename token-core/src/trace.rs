//! By what Microsoft's support finds an exchange that failed: the ids that Entra gave its answer,
//! or the one that the request carried.
//!
//! They differ in every answer, so they are kept apart from what a failure says: the same reason
//! with other ids is no news.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::CLIENT_REQUEST_ID;
use crate::{Wall, calendar};

/// Longer ones are none of Entra's: a UUID has 36 characters.
const LONGEST: usize = 64;

/// The ids of an exchange; all absent where nobody could find it by them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Entra's id of its answer.
    pub trace_id: Option<String>,
    /// Entra's id of the exchange: the `client-request-id` that it got.
    pub correlation_id: Option<String>,
    /// The request's `client-request-id`, where the answer has no `correlation_id`.
    pub client_request_id: Option<String>,
    /// When, by the clock of whoever gave the id.
    pub timestamp: Option<String>,
}

impl Trace {
    /// What stands in the fields of an error. What is no printable text of a sane length is as
    /// good as absent.
    pub(crate) fn from_fields(trace_id: &Value, correlation_id: &Value, timestamp: &Value) -> Self {
        let kept = |value: &Value| value.as_str().and_then(kept);
        Self {
            trace_id: kept(trace_id),
            correlation_id: kept(correlation_id),
            client_request_id: None,
            timestamp: kept(timestamp),
        }
    }

    /// Cuts an error's description into its words and the ids that Entra writes after them,
    /// `Trace ID: … Correlation ID: … Timestamp: …`, on lines of their own or not.
    pub(crate) fn split_from(description: &str) -> (&str, Self) {
        let whole = (description, Self::default());
        let Some((words, ids)) = description.split_once("Trace ID:") else {
            return whole;
        };
        let (ids, timestamp) = cut(ids, "Timestamp:");
        let (trace_id, correlation_id) = cut(ids, "Correlation ID:");
        let parts = [Some(trace_id), correlation_id, timestamp].map(|part| part.map(kept));
        // What is not understood is left in its place.
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
        (words.trim_end(), trace)
    }

    /// These ids, and for those that are absent the other ones.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            trace_id: self.trace_id.or(other.trace_id),
            correlation_id: self.correlation_id.or(other.correlation_id),
            client_request_id: self.client_request_id.or(other.client_request_id),
            timestamp: self.timestamp.or(other.timestamp),
        }
    }

    /// These ids, and where Entra gave none (it was never reached, or a proxy on the way answered
    /// with a page of its own) the one that the request carried, with the time.
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

    /// Whether there is anything to find the exchange by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What there is: its name in JSON, its name as Entra says it, and its value.
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

/// What precedes the label, and what follows it.
fn cut<'a>(text: &'a str, label: &str) -> (&'a str, Option<&'a str>) {
    match text.split_once(label) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn kept(text: &str) -> Option<String> {
    let text = text.trim();
    let is_printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    (is_printable && (1..=LONGEST).contains(&text.len())).then(|| text.to_owned())
}
