//! What the stand-in reports: the same types for the handle in a test and for the admin
//! service's JSON. None of them can hold a token.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Service;
use crate::applications::ApplicationReport;
use crate::directory::Identity;
use crate::entra::EntraRefusal;
use crate::faults::Fault;
use crate::refusals::{AppServiceRefusal, ImdsRefusal, TokenRefusal, TsiamRefusal};
use crate::settings::Settings;

/// Everything counted so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateReport {
    /// Azure's clock, in seconds since 1970 (this machine's plus the skew).
    pub now: i64,
    /// The tenant's id.
    pub tenant_id: String,
    /// IMDS.
    pub imds: SourceReport<ImdsRefusal>,
    /// App Service's identity endpoint.
    pub app_service: SourceReport<AppServiceRefusal>,
    /// tsiam.
    pub tsiam: SourceReport<TsiamRefusal>,
    /// Entra.
    pub entra: EntraReport,
    /// Every access token issued, oldest first.
    pub tokens: Vec<TokenReport>,
    /// The target.
    pub target: TargetReport,
    /// Every fault given so far and how often it was played.
    pub faults: Vec<FaultReport>,
    /// The settings in force.
    pub settings: Settings,
    /// The identities of the machine.
    pub identities: Vec<Identity>,
    /// The applications of the tenant.
    pub applications: Vec<ApplicationReport>,
}

/// What Entra has seen and done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntraReport {
    /// The token endpoints, version 1 and 2. The connections are those of both listeners.
    pub token_endpoint: SourceReport<EntraRefusal>,
    /// The `client-request-id` of requests to the token endpoints.
    pub request_ids: RequestIdReport,
    /// Requests for keys and metadata.
    pub discovery: u64,
}

/// The `client-request-id` header of token requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestIdReport {
    /// A UUID that no request had before.
    pub fresh: u64,
    /// A UUID that an earlier request had.
    pub repeated: u64,
    /// Present, but not one UUID.
    pub malformed: u64,
    /// Absent.
    pub missing: u64,
}

/// What a token source has seen and done; `R` is the rule that a request can break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "R: Ord + Serialize",
    deserialize = "R: Ord + Deserialize<'de>"
))]
pub struct SourceReport<R> {
    /// Requests that arrived.
    pub calls: u64,
    /// Requests that broke no rule (a fault may have been played on them).
    pub accepted: u64,
    /// Requests that were refused, by rule.
    pub refused: BTreeMap<R, u64>,
    /// New tokens issued.
    pub tokens_issued: u64,
    /// Replies that carried a token issued before.
    pub tokens_repeated: u64,
    /// Requests being answered at this moment.
    pub in_flight: u64,
    /// The most requests ever being answered at once.
    pub max_in_flight: u64,
    /// The most requests for one and the same token ever being answered at once.
    pub max_in_flight_alike: u64,
    /// Answers by status code.
    pub answers: BTreeMap<u16, u64>,
    /// Requests that ended without an answer, by a fault.
    pub aborted: u64,
    /// TCP connections.
    pub connections: ConnectionReport,
}

/// Nothing has happened yet. (Derived, it would ask the same of the rule.)
impl<R> Default for SourceReport<R> {
    fn default() -> Self {
        Self {
            calls: 0,
            accepted: 0,
            refused: BTreeMap::new(),
            tokens_issued: 0,
            tokens_repeated: 0,
            in_flight: 0,
            max_in_flight: 0,
            max_in_flight_alike: 0,
            answers: BTreeMap::new(),
            aborted: 0,
            connections: ConnectionReport::default(),
        }
    }
}

/// TCP connections of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// Open at this moment.
    pub open: u64,
    /// Accepted so far.
    pub total: u64,
    /// Those of them on which the TLS handshake failed.
    pub failed_handshakes: u64,
}

/// A token that was issued: everything about it but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReport {
    /// Counts tokens from 1 in the order of issue.
    pub generation: u64,
    /// Who issued it.
    pub source: Service,
    /// Whose token.
    pub object_id: String,
    /// For which resource.
    pub resource: String,
    /// When it was issued, in seconds since 1970 of Azure's clock.
    pub issued_at: i64,
    /// When it expires, in seconds since 1970 of Azure's clock.
    pub expires_at: i64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// How often it was handed out.
    pub handed_out: u64,
    /// Requests at the target that it authorised.
    pub authorized: u64,
    /// Requests at the target that were refused although they carried it.
    pub refused: u64,
}

/// What the target has seen and done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Requests that arrived, probes included.
    pub requests: u64,
    /// Those with a valid token and the role, probes not included.
    pub authorized: u64,
    /// Those without, by reason; probes not included.
    pub refused: BTreeMap<TokenRefusal, u64>,
    /// Requests to the target's own `/health` and `/ready`, which need no token.
    pub probes: ProbeReport,
    /// Requests being answered at this moment.
    pub in_flight: u64,
    /// The most requests ever being answered at once.
    pub max_in_flight: u64,
    /// Answers by status code.
    pub answers: BTreeMap<u16, u64>,
    /// Requests that ended without an answer, by a fault.
    pub aborted: u64,
    /// Requests by HTTP version, e.g. `HTTP/2.0`.
    pub versions: BTreeMap<String, u64>,
    /// Remote-write requests.
    pub writes: WriteReport,
    /// Float samples stored.
    pub samples: SampleCounts,
    /// Native histogram samples stored.
    pub histograms: SampleCounts,
    /// Distinct series stored.
    pub series: u64,
    /// The highest timestamp stored, in milliseconds since 1970.
    pub highest_timestamp_ms: Option<i64>,
    /// What came by OTLP.
    pub otlp: OtlpReport,
    /// Connections to the listener without TLS.
    pub plain_connections: ConnectionReport,
    /// Connections to the listener with TLS.
    pub tls_connections: ConnectionReport,
}

/// Requests to `/health` and `/ready`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// With a valid token.
    pub with_token: u64,
    /// Without.
    pub without_token: u64,
}

/// Authorised remote-write requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReport {
    /// Stored, as `prometheus.WriteRequest`.
    pub v1: u64,
    /// Stored, as `io.prometheus.write.v2.Request`.
    pub v2: u64,
    /// Refused with 4xx: not the headers, encoding or content of remote write.
    pub malformed: u64,
    /// Metric metadata entries in `prometheus.WriteRequest`.
    pub metadata: u64,
}

/// What became of the samples in stored requests. `received` is the sum of `distinct` and
/// `duplicate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCounts {
    /// All that arrived.
    pub received: u64,
    /// The first of their (series, timestamp).
    pub distinct: u64,
    /// Not the first of their (series, timestamp).
    pub duplicate: u64,
    /// Duplicates whose value differs from the stored one, which is kept.
    pub conflicting: u64,
    /// Distinct ones that are older than the newest of their series.
    pub out_of_order: u64,
}

/// Authorised OTLP exports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtlpReport {
    /// Spans stored.
    pub spans: ItemCounts,
    /// Data points of metrics stored.
    pub data_points: ItemCounts,
    /// Log records stored.
    pub log_records: ItemCounts,
    /// The names of the spans and metrics stored.
    pub names: BTreeSet<String>,
    /// Requests refused with 4xx: not the headers, encoding or content of OTLP.
    pub malformed: u64,
}

/// What became of the items in stored exports. `received` is the sum of `distinct` and
/// `duplicate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemCounts {
    /// All that arrived.
    pub received: u64,
    /// The first of their content.
    pub distinct: u64,
    /// Not the first of their content.
    pub duplicate: u64,
}

/// Which series to report, and how fully.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesQuery {
    /// The metric name (`__name__`).
    pub name: Option<String>,
    /// Labels that must have exactly these values.
    pub labels: BTreeMap<String, String>,
    /// Whether to report every sample.
    pub full: bool,
}

/// A stored series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesReport {
    /// Its labels, `__name__` included.
    pub labels: BTreeMap<String, String>,
    /// Distinct samples stored so far.
    pub count: u64,
    /// Timestamp of the oldest remembered sample, in milliseconds since 1970.
    pub first_timestamp_ms: Option<i64>,
    /// Timestamp of the newest sample, in milliseconds since 1970.
    pub last_timestamp_ms: Option<i64>,
    /// The remembered samples, oldest first; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<SamplePoint>>,
}

/// A stored sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplePoint {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The value as text, since JSON has no `NaN` and `inf`; of a histogram its sum.
    pub value: String,
}

/// A fault and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The number by which it is removed.
    pub id: u64,
    /// How often it was played.
    pub played: u64,
    /// Whether it is still in force.
    pub active: bool,
    /// The fault.
    pub fault: Fault,
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Counts requests of the service from 1.
    pub sequence: u64,
    /// When, in milliseconds since 1970 of this machine's clock.
    pub at_ms: i64,
    /// Where.
    pub service: Service,
    /// The method.
    pub method: String,
    /// The request target as sent (path and query).
    pub target: String,
    /// The HTTP version, e.g. `HTTP/1.1`.
    pub version: String,
    /// The header fields as (lower-case name, value). Fields of one name stand together; the
    /// values of `authorization` and `x-identity-header` are replaced by what they were found to
    /// be.
    pub headers: Vec<(String, String)>,
    /// The parameters of a form sent to Entra, in order; the values of `client_secret` and
    /// `client_assertion` are replaced by what they were found to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<(String, String)>,
}

/// What the target's echo paths answer: what arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoReport {
    /// The request line and header.
    #[serde(flatten)]
    pub request: RequestRecord,
    /// `:authority` of HTTP/2; absent in HTTP/1.1, which has `host` among the headers.
    pub authority: Option<String>,
    /// The claims of the verified token.
    pub token: TokenSummary,
    /// Length of the body in bytes.
    pub body_length: u64,
    /// SHA-256 of the body, in lower-case hex.
    pub body_sha256: String,
    /// Trailer fields as (lower-case name, value).
    pub trailers: Vec<(String, String)>,
}

/// The claims of a verified token that matter to a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSummary {
    /// Audience.
    pub aud: String,
    /// Issuer.
    pub iss: String,
    /// Object id of the identity.
    pub oid: String,
    /// Client id of the identity.
    pub appid: String,
    /// Expiry in seconds since 1970.
    pub exp: i64,
    /// The generation, when this stand-in issued it.
    pub generation: Option<u64>,
}

/// The name of a reason as it stands in JSON.
pub(crate) fn reason_text(reason: impl Serialize) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(text)) => text,
        _ => "unknown".to_owned(),
    }
}
