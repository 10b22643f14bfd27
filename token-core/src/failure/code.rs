//! The codes of failures, and what follows from each. Every property is an exhaustive match: a
//! new code does not compile before all of them are decided.

use core::fmt;
use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! failure_codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal,)*) => {
        /// Why a token could not be had. The text form is stable: it is part of `/status`, of
        /// logs and of the record that all VMs of a process share.
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
    /// Entra: the application has no service principal that is switched on (AADSTS7000112).
    ApplicationDisabled = "application_disabled",
    /// Entra: the tenant has no such application (AADSTS700016).
    ApplicationNotFound = "application_not_found",
    /// Entra: the assertion is not valid at this time (AADSTS700024).
    AssertionNotValidNow = "assertion_not_valid_now",
    /// The assertion in the file had ended before it was to be sent.
    AssertionOver = "assertion_over",
    /// The tenant knows no resource of the audience's name (AADSTS500011, IMDS's `invalid_resource`).
    AudienceNotFound = "audience_not_found",
    /// Entra: the certificate is not registered, or was not sent (AADSTS700026, 700027).
    CertificateRefused = "certificate_refused",
    /// Entra: the client secret has expired (AADSTS7000222).
    ClientSecretExpired = "client_secret_expired",
    /// Entra: the client secret is another one (AADSTS7000215).
    ClientSecretWrong = "client_secret_wrong",
    /// Entra: the request had no proof of the application (AADSTS7000218).
    CredentialMissing = "credential_missing",
    /// The place of a secret or an assertion did not give it out.
    CredentialUnavailable = "credential_unavailable",
    /// What the place of a secret or an assertion gave out must not be sent.
    CredentialUnusable = "credential_unusable",
    /// The connection ended before the answer was whole, or the answer was too large.
    EndpointBrokeOff = "endpoint_broke_off",
    /// Envoy has no cluster of the configured name.
    EndpointClusterMissing = "endpoint_cluster_missing",
    /// The endpoint answered 5xx.
    EndpointFailed = "endpoint_failed",
    /// The endpoint's name does not resolve, or Envoy has ejected all of its addresses.
    EndpointNameUnknown = "endpoint_name_unknown",
    /// The endpoint answered 404 or 410, which IMDS does while it is updated.
    EndpointNotReady = "endpoint_not_ready",
    /// The endpoint answered 3xx; a redirect is never followed.
    EndpointRedirects = "endpoint_redirects",
    /// The endpoint did not answer in time.
    EndpointTimeout = "endpoint_timeout",
    /// There is a connection to the endpoint, and TLS comes to no agreement.
    EndpointTlsFailed = "endpoint_tls_failed",
    /// There is no connection to the endpoint.
    EndpointUnreachable = "endpoint_unreachable",
    /// Entra says that it is in trouble (AADSTS90033 and others, `temporarily_unavailable`).
    EntraUnavailable = "entra_unavailable",
    /// Entra: no federated credential matches the assertion (AADSTS70021 and others).
    FederatedCredentialNotFound = "federated_credential_not_found",
    /// The metadata service knows no such managed identity.
    IdentityNotFound = "identity_not_found",
    /// An answer with status 200 that is no token.
    MalformedReply = "malformed_reply",
    /// Another answer 4xx.
    RequestRefused = "request_refused",
    /// Entra: the scope is no resource's (AADSTS70011).
    ScopeInvalid = "scope_invalid",
    /// Entra: the tenant's name is none (AADSTS900023).
    TenantIdInvalid = "tenant_id_invalid",
    /// Entra: there is no such tenant in this cloud (AADSTS90002).
    TenantNotFound = "tenant_not_found",
    /// Too much is asked (429, AADSTS90055).
    Throttled = "throttled",
    /// A success that is not 200.
    UnexpectedStatus = "unexpected_status",
    /// A code that another version of the module wrote into the shared record.
    Unknown = "unknown",
    /// Entra: the tenant is in another cloud (AADSTS90038).
    WrongCloud = "wrong_cloud",
}

impl FailureCode {
    /// Whether asking again soon is useless, because a person has to act first. (The status of an
    /// answer may still ask for another try: [`Failure::permanent`](super::Failure::permanent).)
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
            // A file is read anew for each attempt; a redirect is what a captive proxy answers,
            // and it may go away; a new federated credential takes minutes to reach all of Entra.
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

    /// What ends the failure: time alone may, or somebody has to change something.
    #[must_use]
    pub const fn ends_by(self) -> EndsBy {
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
            | Self::Unknown => EndsBy::Time,
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
            | Self::WrongCloud => EndsBy::Person,
        }
    }

    /// Who gave an answer.
    #[must_use]
    pub const fn reached(self) -> Reached {
        match self {
            Self::EndpointClusterMissing => Reached::NotAsked,
            Self::CredentialUnavailable => Reached::NoCredential,
            Self::EndpointBrokeOff
            | Self::EndpointNameUnknown
            | Self::EndpointTimeout
            | Self::EndpointTlsFailed
            | Self::EndpointUnreachable => Reached::Nobody,
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
            | Self::WrongCloud => Reached::Somebody,
        }
    }
}

/// What ends a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndsBy {
    /// Time may: the next attempt comes soon, and it may well succeed.
    Time,
    /// Somebody has to change a setting, a file, the clock or something in Azure.
    Person,
}

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Nobody was asked: the call could not be made.
    NotAsked,
    /// Nobody: the endpoint itself said nothing.
    Nobody,
    /// The place of a secret or an assertion did not give it out, so the endpoint was not asked.
    NoCredential,
    /// The endpoint, or the place of a secret or an assertion.
    Somebody,
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

/// By its text. A text that this version does not know is [`FailureCode::Unknown`]: two versions of
/// the module may share a record, and a reason that is half understood must not cost the token in
/// the same record. So a new code needs no new version of the record.
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
    fn the_text_of_a_code_is_read_back_and_an_unknown_one_does_no_harm() {
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
    fn whoever_must_act_gets_one_sentence_of_advice_that_names_no_setting() {
        for code in FailureCode::ALL {
            let advice = code.advice();
            assert!(
                advice.is_some() || code.ends_by() == EndsBy::Time,
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
    fn what_is_permanent_takes_a_person() {
        for code in FailureCode::ALL {
            assert!(
                !code.is_permanent() || code.ends_by() == EndsBy::Person,
                "{code}"
            );
        }
    }
}
