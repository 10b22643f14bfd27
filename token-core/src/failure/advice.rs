//! What a person should do about a failure. The texts name no settings, whose names depend on how
//! the filter is configured; [`crate::config::Terms`] adds them.

use super::FailureCode;

impl FailureCode {
    /// What to do, in one sentence; `None` if there is nothing to do but wait.
    #[must_use]
    pub const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::ApplicationDisabled => {
                "Enable the application in the portal (Enterprise applications, Properties, \
                 Enabled for users to sign in), or correct the client id."
            }
            Self::ApplicationNotFound => {
                "Correct the client id or the tenant id: the tenant has no such application."
            }
            // Each attempt uses a new assertion, so a lasting failure means that the clock is wrong.
            Self::AssertionNotValidNow => {
                "Set this machine's clock (NTP): the client assertion is not valid at this time."
            }
            Self::AssertionOver => {
                "Whoever writes its file has stopped (kubelet renews a projected token), or this \
                 machine's clock is wrong."
            }
            Self::AudienceNotFound => {
                "Correct the audience: the tenant knows no resource of that name."
            }
            Self::CertificateRefused => {
                "Upload the certificate to the app registration (Certificates & secrets); renew \
                 it first if it has expired."
            }
            Self::ClientSecretExpired => {
                "Make a new client secret in the app registration (Certificates & secrets) and \
                 put it into its file."
            }
            Self::ClientSecretWrong => {
                "Put the value of the client secret, not its id, into its file."
            }
            Self::CredentialMissing => {
                "Give the application a client secret or a certificate: it proves nothing about \
                 itself."
            }
            Self::CredentialUnavailable => {
                "Check the file of the secret or assertion, and that the token-sidecar runs where \
                 one is used."
            }
            Self::CredentialUnusable => {
                "Mend the file of the secret or assertion; it is read anew for each attempt."
            }
            Self::EndpointClusterMissing => {
                "Correct the cluster's name in the plugin configuration, or see why Envoy does \
                 not have the cluster."
            }
            Self::EndpointNameUnknown => {
                "Correct the name of the token endpoint, or see why DNS does not know it here."
            }
            Self::EndpointTlsFailed => {
                "Check that the token endpoint is the one that is meant, and that its certificate \
                 is of an authority that is trusted here."
            }
            Self::EndpointRedirects => {
                "A redirect is never followed: check the address of the token endpoint."
            }
            Self::EndpointTimeout | Self::EndpointUnreachable => {
                "Check that the proxy may reach the token endpoint (network policy, IMDS access)."
            }
            Self::EntraUnavailable => {
                "Nothing is to be done here; if it lasts, see https://azure.status.microsoft."
            }
            Self::FederatedCredentialNotFound => {
                "Add a federated credential with this issuer, subject and audience to the \
                 application or managed identity of the client id; it works minutes later."
            }
            Self::IdentityNotFound => {
                "Assign the managed identity to this machine or node pool, or correct the id that \
                 names it; a system-assigned identity must be switched on."
            }
            Self::RequestRefused => "Check the identity and the audience.",
            Self::ScopeInvalid => {
                "Correct the audience: write the resource, as https://monitor.azure.com, and no \
                 path."
            }
            Self::TenantIdInvalid => {
                "Correct the tenant id: it is neither the id of a tenant nor one of its domains."
            }
            Self::TenantNotFound => {
                "Correct the tenant id, or choose the cloud that the tenant is in."
            }
            Self::Throttled => {
                "Too much is asked of the endpoint: look for what else asks for tokens in a loop."
            }
            Self::WrongCloud => "Choose the cloud that the tenant is in.",
            Self::EndpointBrokeOff
            | Self::EndpointFailed
            | Self::EndpointNotReady
            | Self::MalformedReply
            | Self::UnexpectedStatus
            | Self::Unknown => return None,
        })
    }
}
