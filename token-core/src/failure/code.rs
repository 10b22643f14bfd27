//! The failure codes and their properties. Every property is an exhaustive match, so that a new
//! code does not compile until all its properties are defined.

use core::fmt;
use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! failure_codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal,)*) => {
        /// Why a token could not be acquired. The text form is stable: it appears on `/status`, in
        /// logs and in the record that all VMs of a process share.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FailureCode {
            $($(#[$doc])* $code,)*
        }

        impl FailureCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }
        }
    };
}

failure_codes! {
    /// Entra: the application's service principal is disabled (AADSTS7000112).
    ApplicationDisabled = "application_disabled",
    /// Entra: the tenant has no such application (AADSTS700016).
    ApplicationNotFound = "application_not_found",
    /// Entra: the assertion is not valid at this time (AADSTS700024).
    AssertionNotValidNow = "assertion_not_valid_now",
    /// The assertion had expired before it was sent.
    AssertionOver = "assertion_over",
    /// The tenant has no resource with this name (AADSTS500011, IMDS's `invalid_resource`).
    AudienceNotFound = "audience_not_found",
    /// Entra: the certificate is not registered, or was not sent (AADSTS700026, 700027).
    CertificateRefused = "certificate_refused",
    /// Entra: the client secret has expired (AADSTS7000222).
    ClientSecretExpired = "client_secret_expired",
    /// Entra: the client secret is wrong (AADSTS7000215).
    ClientSecretWrong = "client_secret_wrong",
    /// Entra: the request had no client credential (AADSTS7000218).
    CredentialMissing = "credential_missing",
    /// The secret or assertion could not be read from its file or from the token-sidecar.
    CredentialUnavailable = "credential_unavailable",
    /// The content of the file, or the token-sidecar's response, is not a usable credential.
    CredentialUnusable = "credential_unusable",
    /// The connection ended before the response was complete, or the response was too large.
    EndpointBrokeOff = "endpoint_broke_off",
    /// Envoy has no cluster of the configured name.
    EndpointClusterMissing = "endpoint_cluster_missing",
    /// The endpoint answered 5xx.
    EndpointFailed = "endpoint_failed",
    /// The endpoint's name does not resolve, or Envoy has ejected all of its addresses.
    EndpointNameUnknown = "endpoint_name_unknown",
    /// The endpoint answered 404 or 410, as IMDS does during an update.
    EndpointNotReady = "endpoint_not_ready",
    /// The endpoint answered 3xx; a redirect is never followed.
    EndpointRedirects = "endpoint_redirects",
    /// The endpoint did not answer in time.
    EndpointTimeout = "endpoint_timeout",
    /// The TLS handshake with the endpoint failed.
    EndpointTlsFailed = "endpoint_tls_failed",
    /// No connection to the endpoint could be made.
    EndpointUnreachable = "endpoint_unreachable",
    /// Entra is temporarily unavailable (AADSTS90033 and others, `temporarily_unavailable`).
    EntraUnavailable = "entra_unavailable",
    /// Entra: no federated credential matches the assertion (AADSTS70021 and others).
    FederatedCredentialNotFound = "federated_credential_not_found",
    /// The metadata service has no such managed identity.
    IdentityNotFound = "identity_not_found",
    /// A response with status 200 that does not contain a valid token.
    MalformedReply = "malformed_reply",
    /// Any other 4xx response.
    RequestRefused = "request_refused",
    /// Entra: the scope is invalid (AADSTS70011).
    ScopeInvalid = "scope_invalid",
    /// Entra: the tenant id is neither a GUID nor a domain name (AADSTS900023).
    TenantIdInvalid = "tenant_id_invalid",
    /// Entra: there is no such tenant in this cloud (AADSTS90002).
    TenantNotFound = "tenant_not_found",
    /// Too many requests (429, AADSTS90055).
    Throttled = "throttled",
    /// A 1xx or 2xx response other than 200.
    UnexpectedStatus = "unexpected_status",
    /// A code that another version of the module wrote into the shared record.
    Unknown = "unknown",
    /// Entra: the tenant is in another cloud (AADSTS90038).
    WrongCloud = "wrong_cloud",
}

impl FailureCode {
    /// Whether a retry is useless until a person acts. The status of a response may still ask for a
    /// retry, see [`Failure::permanent`](super::Failure::permanent).
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        match self {
            Self::ApplicationDisabled
            | Self::ApplicationNotFound
            | Self::AudienceNotFound
            | Self::CertificateRefused
            | Self::ClientSecretExpired
            | Self::ClientSecretWrong
            | Self::CredentialMissing
            | Self::IdentityNotFound
            | Self::RequestRefused
            | Self::ScopeInvalid
            | Self::TenantIdInvalid
            | Self::TenantNotFound
            | Self::WrongCloud => true,
            // Files are read again for each attempt. A redirect may come from a captive portal. A
            // new federated credential takes minutes to reach all of Entra.
            Self::AssertionNotValidNow
            | Self::AssertionOver
            | Self::CredentialUnavailable
            | Self::CredentialUnusable
            | Self::EndpointBrokeOff
            | Self::EndpointClusterMissing
            | Self::EndpointFailed
            | Self::EndpointNameUnknown
            | Self::EndpointNotReady
            | Self::EndpointRedirects
            | Self::EndpointTimeout
            | Self::EndpointTlsFailed
            | Self::EndpointUnreachable
            | Self::EntraUnavailable
            | Self::FederatedCredentialNotFound
            | Self::MalformedReply
            | Self::Throttled
            | Self::UnexpectedStatus
            | Self::Unknown => false,
        }
    }

    /// Whether a retry may succeed without any change.
    #[must_use]
    pub const fn recovery(self) -> Recovery {
        match self {
            Self::CredentialUnavailable
            | Self::EndpointBrokeOff
            | Self::EndpointClusterMissing
            | Self::EndpointFailed
            | Self::EndpointNameUnknown
            | Self::EndpointNotReady
            | Self::EndpointRedirects
            | Self::EndpointTimeout
            | Self::EndpointTlsFailed
            | Self::EndpointUnreachable
            | Self::EntraUnavailable
            | Self::MalformedReply
            | Self::Throttled
            | Self::UnexpectedStatus
            | Self::Unknown => Recovery::Automatic,
            Self::ApplicationDisabled
            | Self::ApplicationNotFound
            | Self::AssertionNotValidNow
            | Self::AssertionOver
            | Self::AudienceNotFound
            | Self::CertificateRefused
            | Self::ClientSecretExpired
            | Self::ClientSecretWrong
            | Self::CredentialMissing
            | Self::CredentialUnusable
            | Self::FederatedCredentialNotFound
            | Self::IdentityNotFound
            | Self::RequestRefused
            | Self::ScopeInvalid
            | Self::TenantIdInvalid
            | Self::TenantNotFound
            | Self::WrongCloud => Recovery::Manual,
        }
    }

    /// How far the call got.
    #[must_use]
    pub const fn call_outcome(self) -> CallOutcome {
        match self {
            Self::EndpointClusterMissing => CallOutcome::NotMade,
            Self::CredentialUnavailable => CallOutcome::NoCredential,
            Self::EndpointBrokeOff
            | Self::EndpointNameUnknown
            | Self::EndpointTimeout
            | Self::EndpointTlsFailed
            | Self::EndpointUnreachable => CallOutcome::NoAnswer,
            Self::ApplicationDisabled
            | Self::ApplicationNotFound
            | Self::AssertionNotValidNow
            | Self::AssertionOver
            | Self::AudienceNotFound
            | Self::CertificateRefused
            | Self::ClientSecretExpired
            | Self::ClientSecretWrong
            | Self::CredentialMissing
            | Self::CredentialUnusable
            | Self::EndpointFailed
            | Self::EndpointNotReady
            | Self::EndpointRedirects
            | Self::EntraUnavailable
            | Self::FederatedCredentialNotFound
            | Self::IdentityNotFound
            | Self::MalformedReply
            | Self::RequestRefused
            | Self::ScopeInvalid
            | Self::TenantIdInvalid
            | Self::TenantNotFound
            | Self::Throttled
            | Self::UnexpectedStatus
            | Self::Unknown
            | Self::WrongCloud => CallOutcome::Answered,
        }
    }
}

/// What ends a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A retry may succeed.
    Automatic,
    /// A person has to change a setting, a file, the clock or something in Azure.
    Manual,
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call could not be made.
    NotMade,
    /// The endpoint did not respond.
    NoAnswer,
    /// The credential could not be read, so the endpoint was not called.
    NoCredential,
    /// The endpoint, or the source of the credential, responded.
    Answered,
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads the text form. An unknown text becomes [`FailureCode::Unknown`]: two versions of the module
/// may share a record, and a code that one of them does not know must not invalidate the token in the
/// same record. So a new code needs no new record version.
impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        Ok(known.copied().unwrap_or(Self::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn codes_survive_a_round_trip_and_an_unknown_text_is_accepted() {
        for code in FailureCode::ALL {
            let bytes = postcard::to_allocvec(code).expect("bytes");
            assert_eq!(postcard::from_bytes(&bytes), Ok(*code));
            let is_plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
            assert!(code.as_str().bytes().all(is_plain), "{code}");
        }
        let bytes = postcard::to_allocvec("of_a_later_version").expect("bytes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(FailureCode::Unknown));
    }

    #[test]
    fn a_failure_that_needs_a_person_has_one_sentence_of_advice_without_setting_names() {
        for code in FailureCode::ALL {
            let advice = code.advice();
            assert!(
                advice.is_some() || code.recovery() == Recovery::Automatic,
                "{code}: no advice"
            );
            let advice = advice.unwrap_or("Wait.");
            assert!(
                advice.ends_with('.') && !advice.contains(". ") && !advice.contains(['\n', '_']),
                "{code}: {advice}"
            );
        }
    }

    #[test]
    fn a_permanent_failure_needs_a_person() {
        for code in FailureCode::ALL {
            assert!(
                !code.is_permanent() || code.recovery() == Recovery::Manual,
                "{code}"
            );
        }
    }
}
