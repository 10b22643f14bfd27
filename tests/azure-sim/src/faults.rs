//! Faults as given by a test: what goes wrong, where, and how often.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::report::FaultReport;

/// Something that goes wrong at a service. The first active fault that matches a request is
/// played on it; one request never meets two.
///
/// At token sources faults are played on requests that break no rule, so that strictness stays
/// (Entra reads the body of every request first). At the target they are played on every request, after its token was judged and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where.
    pub service: Service,
    /// Only for request targets that begin with this.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// What.
    pub kind: FaultKind,
    /// How often; without it until removed.
    #[serde(default)]
    pub times: Option<u64>,
    /// Handle the request as if nothing were wrong (store its samples, issue its token) and
    /// only then play the fault: the answer is lost, not the work.
    #[serde(default)]
    pub after_handling: bool,
    /// Answer without reading the request body first.
    #[serde(default)]
    pub without_reading: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Another answer. Header values and body may hold what [`crate::fill_in`] fills in.
    Status {
        /// Status code.
        code: u16,
        /// Header fields, e.g. `Retry-After`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Body; without it an Azure-like JSON error.
        #[serde(default)]
        body: Option<String>,
    },
    /// The right answer after so many milliseconds: of reading nothing, or, after handling, of
    /// saying nothing.
    DelayMs(u64),
    /// No answer, while the connection stays open.
    Hang,
    /// HTTP/1.1: the TCP connection is reset. HTTP/2: the stream is reset.
    ResetBefore,
    /// The right header and half of the right body, then a reset.
    ResetMidBody,
    /// The right answer, its body in pieces of so many bytes.
    Trickle {
        /// Bytes in a piece.
        bytes: usize,
        /// Milliseconds between pieces.
        interval_ms: u64,
    },
    /// 200 with another body.
    RawBody {
        /// Its content type.
        content_type: String,
        /// The body.
        body: RawContent,
    },
    /// 200 with an endless-looking JSON string of so many bytes.
    Oversized {
        /// Length of the whole body.
        bytes: u64,
    },
    /// A redirect.
    Redirect {
        /// Status code, 3xx.
        code: u16,
        /// Where to.
        location: String,
    },
}

impl FaultKind {
    /// A status code with an Azure-like error body.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            headers: BTreeMap::new(),
            body: None,
        }
    }

    /// A status code with a `Retry-After` in seconds.
    #[must_use]
    pub fn status_with_retry_after(code: u16, seconds: u64) -> Self {
        Self::Status {
            code,
            headers: BTreeMap::from([("retry-after".to_owned(), seconds.to_string())]),
            body: None,
        }
    }
}

/// A body given by a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawContent {
    /// As text.
    Text(String),
    /// As bytes, in standard base64.
    Base64(String),
}

impl RawContent {
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, InvalidFault> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64(text) => STANDARD
                .decode(text)
                .map_err(|error| InvalidFault(format!("body.base64: {error}"))),
        }
    }
}

impl Fault {
    /// A fault for every request to a service until it is removed.
    #[must_use]
    pub fn new(service: Service, kind: FaultKind) -> Self {
        Self {
            service,
            path_prefix: None,
            kind,
            times: None,
            after_handling: false,
            without_reading: false,
        }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Only for request targets that begin with `prefix`.
    #[must_use]
    pub fn on_path(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Only after the request was handled: the answer is lost, not the work.
    #[must_use]
    pub fn after_handling(mut self) -> Self {
        self.after_handling = true;
        self
    }

    /// Without reading the request body first.
    #[must_use]
    pub fn without_reading(mut self) -> Self {
        self.without_reading = true;
        self
    }

    fn check(&self) -> Result<(), InvalidFault> {
        let invalid = |problem: String| Err(InvalidFault(problem));
        match &self.kind {
            FaultKind::Status { code, headers, .. } => {
                if StatusCode::from_u16(*code).map_or(true, |status| status.is_informational()) {
                    return invalid(format!("{code} is no status code of an answer"));
                }
                for (name, value) in headers {
                    if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err()
                    {
                        return invalid(format!("'{name}' is no header field"));
                    }
                }
            }
            FaultKind::Redirect { code, location } => {
                if StatusCode::from_u16(*code).map_or(true, |status| !status.is_redirection()) {
                    return invalid(format!("{code} is no redirect"));
                }
                if HeaderValue::try_from(location).is_err() {
                    return invalid("location is no header value".to_owned());
                }
            }
            FaultKind::RawBody { content_type, body } => {
                body.bytes()?;
                if HeaderValue::try_from(content_type).is_err() {
                    return invalid("content_type is no header value".to_owned());
                }
            }
            FaultKind::Trickle { bytes: 0, .. } => {
                return invalid("a trickle of 0 bytes never ends".to_owned());
            }
            FaultKind::DelayMs(_)
            | FaultKind::Hang
            | FaultKind::ResetBefore
            | FaultKind::ResetMidBody
            | FaultKind::Trickle { .. }
            | FaultKind::Oversized { .. } => {}
        }
        Ok(())
    }
}

/// Why a fault was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFault(pub(crate) String);

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid fault: {}", self.0)
    }
}

impl std::error::Error for InvalidFault {}

/// The faults given so far. Those that are over stay, so that a test sees how often they were
/// played.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    given: u64,
    faults: Vec<FaultReport>,
}

impl FaultBook {
    pub(crate) fn inject(&mut self, fault: Fault) -> Result<u64, InvalidFault> {
        fault.check()?;
        self.given += 1;
        self.faults.push(FaultReport {
            id: self.given,
            played: 0,
            active: fault.times != Some(0),
            fault,
        });
        Ok(self.given)
    }

    /// The fault to play on a request, which counts as played.
    pub(crate) fn take(&mut self, service: Service, target: &str) -> Option<Fault> {
        let entry = self.faults.iter_mut().find(|entry| {
            let prefix = entry.fault.path_prefix.as_deref().unwrap_or_default();
            entry.active && entry.fault.service == service && target.starts_with(prefix)
        })?;
        entry.played += 1;
        entry.active = entry.fault.times.is_none_or(|times| entry.played < times);
        Some(entry.fault.clone())
    }

    /// Ends a fault; false when it was not in force.
    pub(crate) fn end(&mut self, id: u64) -> bool {
        let found = self
            .faults
            .iter_mut()
            .find(|entry| entry.id == id && entry.active);
        found.is_some_and(|entry| std::mem::take(&mut entry.active))
    }

    pub(crate) fn end_all(&mut self) {
        for entry in &mut self.faults {
            entry.active = false;
        }
    }

    pub(crate) fn report(&self) -> Vec<FaultReport> {
        self.faults.clone()
    }
}
