//! The last requests of each service as they arrived, for a test to look at.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::{HeaderMap, Request, Version};

use crate::Service;
use crate::report::RequestRecord;

/// How many requests of a service are remembered.
const REMEMBERED: usize = 4096;

/// The header fields that hold a secret.
const SECRET_FIELDS: [HeaderName; 2] =
    [AUTHORIZATION, HeaderName::from_static("x-identity-header")];

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    arrived: u64,
    records: VecDeque<RequestRecord>,
}

impl RequestLog {
    /// Remembers a request and returns its record.
    pub(crate) fn add<B>(
        &mut self,
        service: Service,
        request: &Request<B>,
        secret: &str,
    ) -> RequestRecord {
        self.push(record(service, request, secret))
    }

    /// Remembers a record, which gets its number.
    pub(crate) fn push(&mut self, mut record: RequestRecord) -> RequestRecord {
        self.arrived += 1;
        record.sequence = self.arrived;
        if self.records.len() == REMEMBERED {
            self.records.pop_front();
        }
        self.records.push_back(record.clone());
        record
    }

    /// The last `count` requests, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<RequestRecord> {
        let skipped = self.records.len().saturating_sub(count);
        self.records.iter().skip(skipped).cloned().collect()
    }
}

/// A request as it arrived, with `secret` in the place of each header field that holds one.
pub(crate) fn record<B>(service: Service, request: &Request<B>, secret: &str) -> RequestRecord {
    RequestRecord {
        sequence: 0,
        at_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }),
        service,
        method: request.method().to_string(),
        target: target_as_sent(request),
        version: version_text(request.version()),
        headers: fields(request.headers(), secret),
        form: Vec::new(),
    }
}

/// The request target, byte for byte. A `#fragment`, which must not be sent, is the one thing
/// that hyper drops. HTTP/2 sends the authority apart from the path.
fn target_as_sent<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    let in_one_piece = uri.authority().is_some() && request.version() < Version::HTTP_2;
    match uri.path_and_query() {
        Some(path_and_query) if !in_one_piece => path_and_query.as_str().to_owned(),
        _ => uri.to_string(),
    }
}

pub(crate) fn version_text(version: Version) -> String {
    format!("{version:?}")
}

/// Header fields in order of arrival, with something else in the place of each secret.
pub(crate) fn fields(headers: &HeaderMap, secret: &str) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let shown = if SECRET_FIELDS.contains(name) {
                secret.to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            (name.as_str().to_owned(), shown)
        })
        .collect()
}
