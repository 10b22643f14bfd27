//! Which commands help with a failure.

use super::FailureCode;

const SECRETS: &str =
    "az ad app credential list --id <client id> --query \"[].{hint:hint, ends:endDateTime}\"";
const NEW_SECRET: &str = "az ad app credential reset --id <client id> --append";

impl FailureCode {
    /// Commands of the Azure CLI that show or correct what is wrong, with what is not known in angle brackets.
    /// `on_app_service` tells where a managed identity's token comes from.
    #[must_use]
    pub const fn commands(self, on_app_service: bool) -> &'static [&'static str] {
        match self {
            Self::ClientSecretExpired | Self::ClientSecretWrong | Self::CredentialMissing => {
                &[SECRETS, NEW_SECRET]
            }
            Self::ApplicationNotFound => &[
                "az ad app show --id <client id>",
                "az ad sp create --id <client id>",
            ],
            Self::ApplicationDisabled => &[
                "az ad sp show --id <client id> --query accountEnabled",
                "az ad sp update --id <client id> --set accountEnabled=true",
            ],
            Self::TenantIdInvalid | Self::TenantNotFound => &["az account show --query tenantId"],
            Self::WrongCloud => &["az cloud show --query name"],
            Self::CertificateRefused => &[
                "az ad app credential list --id <client id> --cert",
                "az ad app credential reset --id <client id> --append --cert @<certificate.pem>",
            ],
            Self::FederatedCredentialNotFound => &[
                "az ad app federated-credential list --id <client id>",
                "az identity federated-credential list --identity-name <name> --resource-group <group>",
            ],
            Self::AudienceNotFound | Self::ScopeInvalid => {
                &["az ad sp list --filter \"servicePrincipalNames/any(name:name eq '<audience>')\""]
            }
            Self::IdentityNotFound if on_app_service => &[
                "az webapp identity show --resource-group <group> --name <app>",
                "az containerapp identity show --resource-group <group> --name <app>",
            ],
            Self::IdentityNotFound => &[
                "az vm identity show --resource-group <group> --name <machine>",
                "az aks show --resource-group <group> --name <cluster> --query identityProfile",
            ],
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
            | Self::MalformedReply
            | Self::RequestRefused
            | Self::Throttled
            | Self::UnexpectedStatus
            | Self::Unknown => &[],
        }
    }
}
