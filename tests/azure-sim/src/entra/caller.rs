//! The trace headers of a token request: `client-request-id`, `return-client-request-id`.

use std::collections::HashSet;

use hyper::header::HeaderValue;
use hyper::{HeaderMap, Response};
use uuid::Uuid;

use crate::http::Body;
use crate::report::RequestIdReport;

const CLIENT_REQUEST_ID: &str = "client-request-id";

/// How Entra names a request, and how its client did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) trace_id: Uuid,
    /// The client's own id, else one of Entra's.
    pub(crate) correlation_id: Uuid,
    wants_id_back: bool,
}

impl Caller {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let wants_id_back = headers
            .get("return-client-request-id")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        Self {
            trace_id: Uuid::new_v4(),
            correlation_id: sent_id(headers).flatten().unwrap_or_else(Uuid::new_v4),
            wants_id_back,
        }
    }

    /// Puts the ids into a reply.
    pub(crate) fn sign(self, response: &mut Response<Body>) {
        let mut put = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        };
        put("x-ms-request-id", self.trace_id.to_string());
        put("cache-control", "no-store, no-cache".to_owned());
        if self.wants_id_back {
            put(CLIENT_REQUEST_ID, self.correlation_id.to_string());
        }
    }
}

/// The client's id: absent, present and good, or present and not one UUID.
fn sent_id(headers: &HeaderMap) -> Option<Option<Uuid>> {
    let mut values = headers.get_all(CLIENT_REQUEST_ID).iter();
    let first = values.next()?;
    let id = first.to_str().ok().and_then(|text| text.parse().ok());
    Some(id.filter(|_| values.next().is_none()))
}

/// The ids seen so far.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    seen: HashSet<Uuid>,
    counts: RequestIdReport,
}

impl RequestIds {
    pub(crate) fn count(&mut self, headers: &HeaderMap) {
        match sent_id(headers) {
            None => self.counts.missing += 1,
            Some(None) => self.counts.malformed += 1,
            Some(Some(id)) if self.seen.insert(id) => self.counts.fresh += 1,
            Some(Some(_)) => self.counts.repeated += 1,
        }
    }

    pub(crate) fn report(&self) -> RequestIdReport {
        self.counts
    }
}
