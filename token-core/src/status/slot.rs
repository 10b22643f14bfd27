//! The state of one slot, as `/status` shows it.

use serde::{Serialize, Serializer};

use crate::config::SlotSpec;
use crate::failure::Failure;
use crate::identity::{ManagedIdentity, MetadataService, Plan, Proof, SigningCertificate, Source};
use crate::state::State;
use crate::trace::Trace;
use crate::{Now, Token, calendar};

use super::CertificateStatus;

/// The state of a slot.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// The identity's name in the configuration.
    pub identity: String,
    /// The token's audience.
    pub audience: String,
    /// Whether the slot has a token that may be sent.
    pub state: TokenState,
    /// The ids with which the token is requested.
    #[serde(flatten)]
    pub subject: Subject,
    /// The authority of the token endpoint.
    pub endpoint: String,
    /// The token's generation, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When the newest token was requested, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obtained_on: Option<String>,
    /// When the newest token expires or expired, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// The seconds until the newest token expires; 0 if it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Until when requests get the token, in RFC 3339: shortly before it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_until: Option<String>,
    /// The number of consecutive failures.
    pub consecutive_failures: u32,
    /// When the first of them occurred, in RFC 3339; `None` without a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// Why the last attempt failed; `None` after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// The certificate that signed the identity's last assertion; `None` for an identity without one, before its
    /// first assertion, and with a token-sidecar that does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// The seconds until the next attempt.
    pub next_attempt_in_seconds: u64,
    /// Whether the proxy's readiness depends on it.
    #[serde(skip)]
    pub(super) counts: bool,
}

/// Whether a slot has a token that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TokenState {
    /// The token may be sent.
    Valid,
    /// There has been no token yet.
    Waiting,
    /// The token has expired.
    Expired,
}

/// The ids with which a token is requested; none for the machine's own identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The tenant of an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The client id of an application or of a user-assigned identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The object id of a user-assigned identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<String>,
    /// The resource id of a user-assigned identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

impl Subject {
    fn of(plan: &Plan) -> Self {
        match &plan.source {
            Source::Entra(exchange) => Self {
                tenant_id: Some(exchange.tenant.clone()),
                client_id: Some(exchange.client_id.clone()),
                ..Self::default()
            },
            Source::Managed(service) => match service.identity().cloned() {
                None | Some(ManagedIdentity::SystemAssigned) => Self::default(),
                Some(ManagedIdentity::ClientId(id)) => Self {
                    client_id: Some(id),
                    ..Self::default()
                },
                Some(ManagedIdentity::ObjectId(id)) => Self {
                    object_id: Some(id),
                    ..Self::default()
                },
                Some(ManagedIdentity::ResourceId(id)) => Self {
                    resource_id: Some(id),
                    ..Self::default()
                },
            },
        }
    }
}

/// The failure of the last attempt.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The stable code, see [`FailureCode`](crate::failure::FailureCode).
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The settings to check, by the names under which they were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Shell commands that show or correct the cause. Placeholders are in angle brackets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// How long requests are unaffected; `None` if the token has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<String>,
    /// The ids by which Microsoft's support finds the exchange.
    #[serde(flatten, serialize_with = "trace_fields")]
    #[cfg_attr(any(test, feature = "schema"), schemars(with = "TraceIds"))]
    pub trace: Trace,
}

/// What [`trace_fields`] writes, for the JSON Schema.
#[cfg(any(test, feature = "schema"))]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TraceIds {
    /// Entra's id of the exchange.
    trace_id: Option<String>,
    /// Entra's id of what the exchange belongs to.
    correlation_id: Option<String>,
    /// Entra's time of the exchange, or this machine's where Entra told none.
    timestamp: Option<String>,
    /// The id that the proxy sent with its request, where Entra told none of its own.
    client_request_id: Option<String>,
}

/// Serializes the ids that are present.
fn trace_fields<S: Serializer>(trace: &Trace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(trace.parts().map(|(name, _, value)| (name, value)))
}

impl LastError {
    fn of(failure: &Failure, spec: &SlotSpec, meanwhile: Option<String>) -> Self {
        let settings = spec.terms.to_look_at(failure).into_iter();
        Self {
            code: failure.code.to_string(),
            message: failure.message.clone(),
            advice: failure.advice().unwrap_or_default().to_owned(),
            settings: settings.map(str::to_owned).collect(),
            commands: commands(failure, &spec.plan),
            meanwhile,
            trace: Trace::clone(&failure.trace),
        }
    }
}

/// The commands for this failure, with the client id if it is known.
fn commands(failure: &Failure, plan: &Plan) -> Vec<String> {
    let is_app_service = matches!(
        &plan.source,
        Source::Managed(MetadataService::AppService { .. })
    );
    let client_id = match &plan.source {
        Source::Entra(exchange) if !matches!(exchange.proof, Proof::ManagedIdentity(..)) => {
            exchange.client_id.as_str()
        }
        _ => CLIENT_ID,
    };
    let commands = failure.code.commands(is_app_service).iter();
    commands
        .map(|command| command.replace(CLIENT_ID, client_id))
        .collect()
}

/// The placeholder for the client id in commands.
const CLIENT_ID: &str = "<client id>";

/// How long requests are unaffected by a failed refresh, as a sentence; `None` if the token may no
/// longer be sent.
#[must_use]
pub fn meanwhile(token: Option<&Token>, now: Now) -> Option<String> {
    let token = token.filter(|token| token.is_valid(now))?;
    let end = calendar::time_of_day(token.sendable_until(now))?;
    let minutes = token.remaining(now).as_secs() / 60;
    Some(format!(
        "requests go on with the token in hand until {end} UTC ({minutes} min)"
    ))
}

impl SlotStatus {
    pub(super) fn of(
        spec: &SlotSpec,
        state: &State,
        certificate: Option<SigningCertificate>,
        any_required: bool,
        now: Now,
    ) -> Self {
        let token = state.token.as_ref();
        let valid = token.filter(|token| token.is_valid(now));
        Self {
            identity: spec.identity.clone(),
            audience: spec.plan.audience.to_string(),
            state: match token {
                None => TokenState::Waiting,
                Some(_) if valid.is_some() => TokenState::Valid,
                Some(_) => TokenState::Expired,
            },
            subject: Subject::of(&spec.plan),
            endpoint: spec.plan.token_endpoint().authority.clone(),
            generation: token.map(|token| token.generation.0),
            obtained_on: token
                .and_then(|token| calendar::rfc3339(token.expires_wall.before(token.lifetime()))),
            expires_on: token.and_then(|token| calendar::rfc3339(token.expires_wall)),
            expires_in_seconds: token.map(|token| token.until_expiry(now).as_secs()),
            sent_until: valid.and_then(|token| calendar::rfc3339(token.sendable_until(now))),
            consecutive_failures: state.failures,
            failing_since: state.failing_since.and_then(calendar::rfc3339),
            last_error: state
                .last_failure
                .as_ref()
                .map(|failure| LastError::of(failure, spec, meanwhile(token, now))),
            certificate: certificate
                .and_then(|certificate| CertificateStatus::of(spec, certificate, now)),
            next_attempt_in_seconds: state.next_attempt.since(now.mono).as_secs(),
            counts: spec.counts_for_readiness(any_required),
        }
    }
}
