//! Who asks for a token, and the one or two requests that ask.
//!
//! A [`Plan`] is data: what the token is for and where it comes from. Some sources want a
//! credential first, which another call brings: a secret or an assertion from a file or from the
//! token-sidecar, or the token of a managed identity that Entra takes as an assertion.

mod credential;
mod entra;
mod managed;

use crate::Audience;
use crate::Secret;
use crate::failure::Failure;
use crate::http::{Endpoint, Request, Response};
use crate::{Now, reply};

pub use credential::credential_text;
pub use entra::{Exchange, Proof};
pub use managed::{ManagedIdentity, MetadataService};

/// How a slot gets its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Where it comes from.
    pub source: Source,
    /// What it is for.
    pub audience: Audience,
    /// Whether one of its calls leads through an internal listener of Envoy, which Envoy's main
    /// thread cannot connect to.
    pub via_internal_listener: bool,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The managed identity of the machine, from a service at hand.
    Managed(MetadataService),
    /// An application, which proves to Entra who it is.
    Entra(Exchange),
}

/// A text that is served inside this Envoy or by the token-sidecar: a file's content, or an
/// assertion signed for this occasion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// Where it is served.
    pub endpoint: Endpoint,
    /// Path and query, percent-encoded.
    pub path: String,
}

/// What a credential is, which says how it must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A password of any form.
    Secret,
    /// A JWT, which has an end of its own.
    Assertion,
}

impl Local {
    fn request(&self) -> Request {
        Request::get(self.path.clone(), Vec::new())
    }
}

impl Plan {
    /// The call that brings the credential; `None` when the token is asked for without one.
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

    /// Whether the credential comes from a file or the token-sidecar, and not from an endpoint that
    /// gives tokens.
    #[must_use]
    pub(crate) fn has_local_credential(&self) -> bool {
        match &self.source {
            Source::Managed(service) => service.key().is_some(),
            Source::Entra(exchange) => !matches!(exchange.proof, Proof::ManagedIdentity(..)),
        }
    }

    /// Reads the credential from the answer to [`Plan::credential_call`].
    ///
    /// # Errors
    /// When the answer is none, or one that must not be sent on.
    pub fn credential(&self, response: &Response, now: Now) -> Result<Secret, Failure> {
        let kind = match &self.source {
            Source::Managed(_) => CredentialKind::Secret,
            Source::Entra(exchange) => match &exchange.proof {
                Proof::Secret(_) => CredentialKind::Secret,
                Proof::Assertion(_) => CredentialKind::Assertion,
                Proof::ManagedIdentity(..) if response.status != 200 => {
                    return Err(Failure::refused(response, now, None));
                }
                Proof::ManagedIdentity(..) => {
                    let reply = reply::parse(&response.body.0);
                    return reply
                        .map(|reply| reply.secret)
                        .map_err(|error| Failure::malformed(&error));
                }
            },
        };
        credential::read(kind, response, now)
    }

    /// The call that brings the token, with the credential where one was wanted. `trace` is a
    /// fresh UUID by which Entra's support finds the request.
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

    /// Every input that changes what the token is, in one unambiguous text; the slot's key is
    /// made from it.
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
