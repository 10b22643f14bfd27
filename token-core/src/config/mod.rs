//! The plugin configuration: the JSON that users write, as types.
//!
//! The types hold parsed values, so every value is valid. [`read`] reports all mistakes at once,
//! [`compile()`] makes the working form, and [`salvage()`] finds the hosts that a configuration with
//! mistakes is for. The JSON Schema under `docs/` is generated from these types.

mod application;
mod compile;
mod cross;
mod fields;
mod identity;
mod managed;
pub mod raw;
mod salvage;
#[cfg(any(test, feature = "schema"))]
mod schema;
mod services;
mod settings;
mod strict;
mod terms;
mod text;

use core::num::NonZeroU32;

use deserr::Deserr;
use serde::Serialize;

pub use application::{Application, WithCredential};
pub use compile::{HoldLimits, Plugin, SlotSpec, TargetSpec, compile};
pub use fields::Fields;
pub use identity::{Authentication, Identity, IdentityType, Tsiam};
pub use managed::{Platform, Selector};
pub use salvage::{Salvage, SalvagedTarget, salvage};
#[cfg(any(test, feature = "schema"))]
pub use schema::fields_of;
pub use services::{AppService, Credential, Entra, Imds};
pub use settings::Setting;
pub use strict::{ConfigError, ConfigErrors, read, unambiguous};
pub use terms::{SettingName, Terms};
pub use text::{
    Authority, ClusterName, HoldTimeout, IdentityName, Percent, ResourceId, SettingLabel, Tenant,
    TokenRequestTimeout, UrlPath, Uuid,
};

use crate::Audience;
use crate::host::HostPattern;
use crate::telemetry_exports::Signal;

/// Configuration of the Entra Auth plugin for Envoy and Istio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(error = ConfigErrors, rename_all = camelCase, deny_unknown_fields)]
pub struct PluginConfig {
    /// What this instance of the filter does.
    #[serde(default)]
    #[deserr(default)]
    pub mode: Mode,
    /// Where in Envoy the filter stands.
    #[serde(default)]
    #[deserr(default)]
    pub placement: Placement,
    /// Who asks for tokens.
    pub identities: Vec<Identity>,
    /// Which requests get a token, and which.
    pub targets: Vec<Target>,
    /// What happens to requests while there is no token; a target may differ.
    #[serde(default)]
    #[deserr(default)]
    pub hold: Hold,
    /// Which answers 401 and 403 that no fresh token can heal are turned into 503 with
    /// `Retry-After`; a target may differ. In upstream placement this is the listener's to do.
    #[serde(default)]
    #[deserr(default)]
    pub auth_errors_retryable: AuthErrorsRetryable,
    /// The share of a token's life before its end at which the next one is asked for.
    #[serde(default)]
    #[deserr(default)]
    pub refresh_before_expiry_percent: Percent,
    /// How long the answer to a call for a token, or for what a token is asked for with, may take
    /// once there is a connection. Requests do not wait longer than `hold.timeout` for it.
    #[serde(default)]
    #[deserr(default)]
    pub token_request_timeout: TokenRequestTimeout,
    /// What Envoy exports by OTLP: for the instances that count the exports, and that show on
    /// `/status` how they end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[deserr(default)]
    pub exports: Vec<Export>,
}

/// A signal that Envoy exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Export {
    /// The signal.
    pub signal: Signal,
    /// The address of the collector, as messages show it.
    pub collector: Authority,
}

/// What an instance of the filter does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Mode {
    /// Puts tokens on requests.
    #[default]
    Authorize,
    /// Answers `GET /ready` and `GET /status`, and lets every other request pass. Two
    /// targets may have the same host.
    Status,
    /// Gets tokens and sees no request: as Envoy's singleton service (`envoy.bootstrap.wasm` with
    /// `singleton: true`), which runs on the main thread. It tells the instances of the same VM id
    /// which thread that is. Two targets may have the same host.
    Service,
    /// Counts the exports of telemetry that pass, each on the path by which OTLP exports the signal, and answers
    /// Envoy's exporter with success: there is nothing that it could do about a failure but fill the log. It
    /// needs neither identities nor targets.
    Exports,
}

/// Where in Envoy the filter stands, which decides how a 401 of the target is healed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Placement {
    /// On a listener, as Istio places it: a 401 that a fresh token may heal becomes 503 with
    /// `Retry-After`, and the client sends its request again.
    #[default]
    Downstream,
    /// In the target's cluster. The route removes the client's `authorization` and retries on
    /// 401, so that Envoy sends the request again with a fresh token.
    Upstream,
}

/// Which requests get 503 with `Retry-After` in place of a 401 or 403 that a fresh token does
/// not heal. Prometheus drops a batch for ever on 401 and 403, and keeps it on 503.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum AuthErrorsRetryable {
    /// Those with `X-Prometheus-Remote-Write-Version`.
    #[default]
    RemoteWrite,
    /// All.
    Always,
    /// None: the target's answer stands.
    Never,
}

impl AuthErrorsRetryable {
    /// Whether a request gets 503 in place of the target's 401 or 403.
    #[must_use]
    pub fn applies_to(self, is_remote_write: bool) -> bool {
        match self {
            Self::RemoteWrite => is_remote_write,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Which requests get which token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Target {
    /// Hosts of the requests: `host`, `*.suffix` or `*`, with a port where it is neither 80
    /// nor 443. The exact host wins, then the longest suffix.
    pub hosts: Vec<HostPattern>,
    /// Name of the identity whose token is sent.
    pub identity: IdentityName,
    /// What the token is for, with or without `/.default`.
    pub audience: Audience,
    /// What messages call the setting that `audience` was taken from, where a program wrote this
    /// configuration. It goes with `settingNames` of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub audience_name: Option<SettingLabel>,
    /// Names of the clusters that may carry the token; `["*"]` for every cluster, which is
    /// right only where the plugin is bound to a cluster (upstream placement). By default
    /// those named after the hosts. Under Istio one that leads out of the mesh without TLS gets no
    /// token, unless it is named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub clusters: Option<Vec<ClusterName>>,
    /// Whether the proxy is ready only with this target's token. By default a single target is
    /// required, and of several one with a token is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub required: Option<bool>,
    /// What happens to requests while there is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub hold: Option<Hold>,
    /// Which answers 401 and 403 are turned into 503 with `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub auth_errors_retryable: Option<AuthErrorsRetryable>,
}

/// What happens to requests while there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Hold {
    /// How long a request waits before it is answered 503. Prometheus gives up after 30 s.
    #[serde(default)]
    #[deserr(default)]
    pub timeout: HoldTimeout,
    /// How many requests may wait for the target's token in one worker; the next one is
    /// answered 503.
    #[serde(default = "default_max_requests")]
    #[deserr(default = default_max_requests())]
    pub max_requests: NonZeroU32,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            timeout: HoldTimeout::default(),
            max_requests: default_max_requests(),
        }
    }
}

fn default_max_requests() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(1023)
}
