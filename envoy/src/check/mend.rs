//! What a person can do about a failure, beside the advice of token-core: which settings to look at,
//! and which commands of the Azure CLI show or mend what is wrong. As tables.

use entra_token_core::failure::{Failure, FailureCode, Reached};

use super::place::Place;

/// What a failure means for whoever started the check. Of several the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nobody answers, or not with what was asked for: `EX_UNAVAILABLE` of sysexits.h.
    Unreachable,
    /// The endpoint refuses the identity: `EX_NOPERM`.
    Refused,
    /// What is here is wrong: `EX_USAGE`, as for the environment.
    Misconfigured,
}

impl Verdict {
    /// The code to end with.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Misconfigured => crate::launch::USAGE,
            Self::Unreachable => 69,
            Self::Refused => 77,
        }
    }

    /// Of a failure.
    pub(super) fn of(failure: &Failure) -> Self {
        match failure.code {
            FailureCode::CredentialUnavailable
            | FailureCode::EndpointBrokeOff
            | FailureCode::EndpointClusterMissing
            | FailureCode::EndpointFailed
            | FailureCode::EndpointNameUnknown
            | FailureCode::EndpointNotReady
            | FailureCode::EndpointRedirects
            | FailureCode::EndpointTimeout
            | FailureCode::EndpointTlsFailed
            | FailureCode::EndpointUnreachable
            | FailureCode::EntraUnavailable
            | FailureCode::MalformedReply
            | FailureCode::Throttled
            | FailureCode::UnexpectedStatus
            | FailureCode::Unknown => Self::Unreachable,
            FailureCode::AssertionOver | FailureCode::CredentialUnusable => Self::Misconfigured,
            FailureCode::ApplicationDisabled
            | FailureCode::ApplicationNotFound
            | FailureCode::AssertionNotValidNow
            | FailureCode::AudienceNotFound
            | FailureCode::CertificateRefused
            | FailureCode::ClientSecretExpired
            | FailureCode::ClientSecretWrong
            | FailureCode::CredentialMissing
            | FailureCode::FederatedCredentialNotFound
            | FailureCode::IdentityNotFound
            | FailureCode::RequestRefused
            | FailureCode::ScopeInvalid
            | FailureCode::TenantIdInvalid
            | FailureCode::TenantNotFound
            | FailureCode::WrongCloud => Self::Refused,
        }
    }
}

/// Whether somebody answered.
pub(super) fn was_reached(failure: &Failure) -> bool {
    failure.code.reached() == Reached::Somebody
}

/// Those of an endpoint that is there, and says to come back.
fn is_busy(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::EndpointFailed | FailureCode::EntraUnavailable | FailureCode::Throttled
    )
}

/// What to do about a refusal of this code.
struct Refusal {
    code: FailureCode,
    /// By whom; by anybody if none.
    place: Option<Place>,
    settings: &'static [&'static str],
    /// What stands in angle brackets is filled in where it is known.
    commands: &'static [&'static str],
}

const fn refusal(
    code: FailureCode,
    settings: &'static [&'static str],
    commands: &'static [&'static str],
) -> Refusal {
    Refusal {
        code,
        place: None,
        settings,
        commands,
    }
}

const REFUSALS: &[Refusal] = &[
    refusal(
        FailureCode::ClientSecretWrong,
        &["AAD_CLIENT_SECRET_FILE", "AAD_CLIENT_ID"],
        &[
            "az ad app credential list --id <client id> --query \"[].{hint:hint, ends:endDateTime}\"",
            "az ad app credential reset --id <client id> --append",
        ],
    ),
    refusal(
        FailureCode::ClientSecretExpired,
        &["AAD_CLIENT_SECRET_FILE"],
        &[
            "az ad app credential list --id <client id> --query \"[].{hint:hint, ends:endDateTime}\"",
            "az ad app credential reset --id <client id> --append",
        ],
    ),
    refusal(
        FailureCode::ApplicationNotFound,
        &["AAD_CLIENT_ID", "AAD_TENANT_ID"],
        &[
            "az ad app show --id <client id>",
            "az ad sp create --id <client id>",
        ],
    ),
    refusal(
        FailureCode::ApplicationDisabled,
        &["AAD_CLIENT_ID"],
        &[
            "az ad sp show --id <client id> --query accountEnabled",
            "az ad sp update --id <client id> --set accountEnabled=true",
        ],
    ),
    refusal(
        FailureCode::TenantNotFound,
        &["AAD_TENANT_ID", "AZURE_CLOUD"],
        &["az account show --query tenantId"],
    ),
    refusal(
        FailureCode::WrongCloud,
        &["AZURE_CLOUD", "AZURE_AUTHORITY_HOST"],
        &["az cloud show --query name"],
    ),
    refusal(
        FailureCode::CertificateRefused,
        &["AAD_CLIENT_CERTIFICATE_PATH", "AAD_CLIENT_ID"],
        &[
            "az ad app credential list --id <client id> --cert",
            "az ad app credential reset --id <client id> --append --cert @<certificate.pem>",
        ],
    ),
    refusal(
        FailureCode::FederatedCredentialNotFound,
        &["AAD_CLIENT_ID"],
        &[
            "az ad app federated-credential list --id <client id>",
            "az identity federated-credential list --identity-name <name> --resource-group <group>",
        ],
    ),
    refusal(
        FailureCode::AudienceNotFound,
        &["AUDIENCE"],
        &["az ad sp list --filter \"servicePrincipalNames/any(name:name eq '<audience>')\""],
    ),
    Refusal {
        code: FailureCode::IdentityNotFound,
        place: Some(Place::Imds),
        settings: &[
            "IDENTITY_TYPE",
            "AAD_CLIENT_ID",
            "AAD_OBJECT_ID",
            "AAD_RESOURCE_ID",
            "MANAGED_IDENTITY_CLIENT_ID",
        ],
        commands: &[
            "az vm identity show --resource-group <group> --name <machine>",
            "az aks show --resource-group <group> --name <cluster> --query identityProfile",
        ],
    },
    Refusal {
        code: FailureCode::IdentityNotFound,
        place: Some(Place::AppService),
        settings: &[
            "IDENTITY_TYPE",
            "AAD_CLIENT_ID",
            "AAD_OBJECT_ID",
            "AAD_RESOURCE_ID",
        ],
        commands: &[
            "az webapp identity show --resource-group <group> --name <app>",
            "az containerapp identity show --resource-group <group> --name <app>",
        ],
    },
];

/// Which settings say where a place is, or what it serves.
const SETTINGS: &[(Place, &[&str])] = &[
    (Place::Imds, &["AZURE_POD_IDENTITY_AUTHORITY_HOST"]),
    (Place::AppService, &["IDENTITY_ENDPOINT"]),
    (Place::Tsiam, &["TSIAM_ENDPOINT"]),
    (Place::Entra, &["AZURE_AUTHORITY_HOST", "AZURE_CLOUD"]),
    (Place::SecretFile, &["AAD_CLIENT_SECRET_FILE"]),
    (Place::TokenFile, &["AZURE_FEDERATED_TOKEN_FILE"]),
    (
        Place::Sidecar,
        &["TOKEN_SIDECAR_SOCKET", "AAD_CLIENT_CERTIFICATE_PATH"],
    ),
    (Place::IdentityHeader, &["IDENTITY_HEADER"]),
];

/// Which settings say by which way a place is reached through a forward proxy.
const WAY: &[&str] = &["HTTPS_PROXY", "NO_PROXY"];

/// What Envoy's reason for an answer of its own means.
struct Cause {
    /// Found in the reason.
    mark: &'static str,
    meaning: &'static str,
    /// Beside those of the place.
    settings: &'static [&'static str],
}

const CAUSES: &[Cause] = &[
    Cause {
        mark: "ssl.fail_verify",
        meaning: "its certificate is not one that is trusted here for that name",
        settings: &["SSL_CERT_FILE"],
    },
    Cause {
        mark: "TLS_error",
        meaning: "it does not speak TLS as is wanted here",
        settings: &[],
    },
    Cause {
        mark: "Connection_refused",
        meaning: "nothing listens there",
        settings: &[],
    },
    Cause {
        mark: "no_healthy_upstream",
        meaning: "DNS knows no address for its name",
        settings: &[],
    },
    Cause {
        mark: "response_timeout",
        meaning: "there is a connection, and no answer comes on it",
        settings: &[],
    },
];

/// The same behind a forward proxy, which refuses by ending the connection.
const TUNNEL: Cause = Cause {
    mark: "TLS_error",
    meaning: "the proxy refused or broke the tunnel; what it answered is the `failure` on standard error",
    settings: &[],
};

/// What to look at and what to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remedy {
    /// What Envoy's reason means; none where it gave none or is unknown.
    pub(super) cause: Option<&'static str>,
    /// Names of settings that the failure's own advice does not name.
    pub(super) settings: Vec<&'static str>,
    /// For a shell, with what is not known in angle brackets.
    pub(super) commands: &'static [&'static str],
}

/// What to do about a failure at a place.
pub(super) fn remedy(
    failure: &Failure,
    place: Place,
    reason: Option<&str>,
    by_proxy: bool,
) -> Remedy {
    let mut causes = by_proxy.then_some(&TUNNEL).into_iter().chain(CAUSES);
    let cause = reason.and_then(|reason| causes.find(|cause| reason.contains(cause.mark)));
    let code = failure.code;
    let (settings, commands): (Vec<&'static str>, &'static [&'static str]) =
        if Verdict::of(failure) == Verdict::Refused {
            let refusal = REFUSALS
                .iter()
                .find(|row| row.code == code && row.place.is_none_or(|its| its == place));
            refusal.map_or_else(Default::default, |row| {
                (row.settings.to_vec(), row.commands)
            })
        } else if is_busy(code) {
            Default::default()
        } else {
            let of_place = SETTINGS.iter().filter(|(its, _)| *its == place);
            let of_place = of_place.flat_map(|(_, settings)| settings.iter());
            let of_cause = cause.iter().flat_map(|cause| cause.settings);
            let of_way = by_proxy.then_some(WAY).into_iter().flatten();
            (
                of_cause.chain(of_place).chain(of_way).copied().collect(),
                &[],
            )
        };
    Remedy {
        cause: cause.map(|cause| cause.meaning),
        settings,
        commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::variables::SERVED;
    use entra_token_core::failure::Step;

    #[test]
    fn every_setting_that_is_named_is_one_of_the_launchers() {
        let of_refusals = REFUSALS.iter().flat_map(|row| row.settings);
        let of_places = SETTINGS.iter().flat_map(|(_, settings)| *settings);
        let of_causes = CAUSES.iter().flat_map(|cause| cause.settings);
        for setting in of_refusals.chain(of_places).chain(of_causes).chain(WAY) {
            assert!(
                SERVED.iter().any(|known| known.name == *setting),
                "{setting}"
            );
        }
    }

    fn failure(code: FailureCode) -> Failure {
        Failure {
            code,
            message: String::new(),
            step: Step::Token,
            by_proxy: false,
            permanent: true,
            retry_after: None,
            trace: Box::default(),
        }
    }

    #[test]
    fn a_connection_that_a_forward_proxy_ends_is_not_laid_at_the_endpoints_door() {
        let failure = failure(FailureCode::EndpointUnreachable);
        let reason = Some("upstream_reset…TLS_error:|…Connection_reset_by_peer");
        let direct = remedy(&failure, Place::Entra, reason, false);
        assert!(
            direct
                .cause
                .is_some_and(|cause| cause.contains("speak TLS"))
        );
        let proxied = remedy(&failure, Place::Entra, reason, true);
        assert!(proxied.cause.is_some_and(|cause| cause.contains("tunnel")));
        assert!(proxied.settings.contains(&"HTTPS_PROXY"));
    }
}
