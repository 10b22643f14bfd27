//! How each kind of identity acquires a token, by one or two requests.
//!
//! A [`Plan`] describes where a token comes from and which audience it is for. Some sources need a
//! credential, which a first call fetches: a secret or an assertion from a file or from the
//! token-sidecar, or the token of a managed identity that Entra accepts as a client assertion.

mod certificate;
mod credential;
mod entra;
mod local;
mod managed;

use crate::failure::Failure;
use crate::http::{Endpoint, Request, Response};
use crate::{Audience, Now, Secret, reply};

pub use certificate::{CERTIFICATE_NOT_AFTER, NO_END, SigningCertificate};
pub use credential::{CredentialKind, credential_text};
pub use entra::{Exchange, Proof};
pub use local::LocalResource;
pub use managed::{ManagedIdentity, MetadataService};

/// How a slot acquires its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Where the token comes from.
    pub source: Source,
    /// The token's audience.
    pub audience: Audience,
    /// Whether a call goes through an internal listener of Envoy, to which Envoy's main thread cannot
    /// connect.
    pub via_internal_listener: bool,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A managed identity, whose token comes from a metadata service.
    Managed(MetadataService),
    /// An application, which authenticates to Entra.
    Entra(Exchange),
}

impl Plan {
    /// The call that fetches the credential; `None` if the token request needs none.
    #[must_use]
    pub fn credential_call(&self) -> Option<(&Endpoint, Request)> {
        match &self.source {
            Source::Managed(service) => service.key().map(|key| (&key.endpoint, key.request())),
            Source::Entra(exchange) => Some(match &exchange.proof {
                Proof::Secret(local) | Proof::Assertion(local) => {
                    (&local.endpoint, local.request())
                }
                Proof::ManagedIdentity(service, audience) => {
                    (service.endpoint(), service.request(audience, None))
                }
            }),
        }
    }

    /// Whether the credential comes from a file or the token-sidecar, and not from a metadata service.
    #[must_use]
    pub(crate) fn has_local_credential(&self) -> bool {
        match &self.source {
            Source::Managed(service) => service.key().is_some(),
            Source::Entra(exchange) => !matches!(exchange.proof, Proof::ManagedIdentity(..)),
        }
    }

    /// Reads the credential from the response to [`Plan::credential_call`].
    ///
    /// # Errors
    /// If the response contains no credential, or an unusable one.
    pub fn credential(&self, response: &Response, now: Now) -> Result<Secret, Failure> {
        let kind = match &self.source {
            Source::Managed(_) => CredentialKind::Secret,
            Source::Entra(exchange) => match &exchange.proof {
                Proof::Secret(_) => CredentialKind::Secret,
                Proof::Assertion(_) => CredentialKind::Assertion,
                Proof::ManagedIdentity(..) if response.status != 200 => {
                    return Err(Failure::from_response(response, now, None));
                }
                Proof::ManagedIdentity(..) => {
                    let reply = reply::parse(&response.body.0);
                    return reply
                        .map(|reply| reply.secret)
                        .map_err(|error| Failure::malformed_reply(&error));
                }
            },
        };
        credential::read(kind, response, now)
    }

    /// The certificate that signed the assertion in the response to [`Plan::credential_call`]; `None` if
    /// the credential is no assertion, or if the response does not tell the certificate's end, as that of
    /// a file or of an older token-sidecar.
    #[must_use]
    pub fn signing_certificate(&self, response: &Response, now: Now) -> Option<SigningCertificate> {
        match &self.source {
            Source::Entra(exchange) if matches!(exchange.proof, Proof::Assertion(_)) => {
                SigningCertificate::read(response.certificate_not_after.as_deref()?, now)
            }
            Source::Entra(_) | Source::Managed(_) => None,
        }
    }

    /// The call that fetches the token, with the credential from [`Plan::credential`], if any. `trace`
    /// is a fresh UUID by which Microsoft's support finds the request.
    #[must_use]
    pub fn token_call(&self, credential: Option<&Secret>, trace: String) -> (&Endpoint, Request) {
        match &self.source {
            Source::Managed(service) => (
                service.endpoint(),
                service.request(&self.audience, credential),
            ),
            Source::Entra(exchange) => {
                let request = exchange.request(&self.audience, credential, trace);
                (&exchange.endpoint, request)
            }
        }
    }

    /// The endpoint that gives the token.
    #[must_use]
    pub fn token_endpoint(&self) -> &Endpoint {
        match &self.source {
            Source::Managed(service) => service.endpoint(),
            Source::Entra(exchange) => &exchange.endpoint,
        }
    }

    /// Every input that determines the token, as one unambiguous text. The slot's key is derived from
    /// it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut parts = match &self.source {
            Source::Managed(service) => service.fingerprint(),
            Source::Entra(exchange) => exchange.fingerprint(),
        };
        parts.push(self.audience.resource());
        // Newlines cannot occur in any part.
        parts.join("\n")
    }
}
