//! Settings as the file that says the same. No secret is in it: the value of a header is referred
//! to by a variable of the environment, and the key of App Service stays there.

use std::collections::BTreeMap;

use entra_token_core::config::{AuthErrorsRetryable, Hold};

use super::model::{
    Certificate, File, HeaderValue, Identity, IdentityType, Listener, RequestHeaders, Target,
    Variable,
};
use super::values::{
    Address, Algorithm, AnyFile, CloudName, EntraUrl, ImdsUrl, Name, Port, SecretFile, Socket,
    TargetUrl, TokenFile, TsiamUrl,
};
use crate::settings::identity::{
    self as settings, Application, MetadataService, Proof, Selector, Sidecar,
};
use crate::settings::target::{self, NamedIdentity, Routing};
use crate::settings::{ListeningAddress, Settings, choices, headers};

/// The file's text.
pub fn yaml(settings: &Settings) -> String {
    let text = serde_saphyr::to_string(&file(settings));
    text.unwrap_or_else(|error| unreachable!("strings, numbers and lists are YAML: {error}"))
}

fn file(settings: &Settings) -> File {
    let name = |index: &usize| settings.targets.get(*index).map(|it| Name(it.name.clone()));
    File {
        identities: settings.identities.iter().map(identity).collect(),
        targets: settings
            .targets
            .iter()
            .map(|it| target(it, settings))
            .collect(),
        listeners: settings
            .listeners
            .iter()
            .map(|listener| Listener {
                port: Port(listener.port),
                address: (listener.address != ListeningAddress::All)
                    .then_some(Address(listener.address)),
                target: match &listener.routing {
                    Routing::Always(index) => name(index),
                    Routing::ByHost(_) => None,
                },
                targets: match &listener.routing {
                    Routing::Always(_) => None,
                    Routing::ByHost(many) => Some(many.iter().filter_map(name).collect()),
                },
            })
            .collect(),
        hold: None,
        auth_errors_retryable: None,
        refresh_before_expiry_percent: settings.refresh_before_expiry,
    }
}

fn target(target: &target::Target, settings: &Settings) -> Target {
    let value = |name: &http::HeaderName| {
        let mut variables = headers::variables_of(target, settings);
        let (from_environment, _) = variables.find(|(_, header)| header.name == *name)?;
        Some((
            name.to_string(),
            HeaderValue::From(Variable { from_environment }),
        ))
    };
    let headers: BTreeMap<String, HeaderValue> = target
        .override_headers
        .iter()
        .filter_map(|header| value(&header.name))
        .collect();
    let hold = Some(target.hold.clone());
    let auth_errors_retryable = Some(target.auth_errors_retryable);
    Target {
        name: Name(target.name.clone()),
        url: TargetUrl(target.endpoint.clone()),
        identity: target.identity.clone(),
        audience: Some(target.audience.clone()),
        required: target.required,
        hold: hold.filter(|hold| *hold != Hold::default()),
        auth_errors_retryable: auth_errors_retryable
            .filter(|setting| *setting != AuthErrorsRetryable::default()),
        request_headers: (!headers.is_empty()).then_some(RequestHeaders(headers)),
    }
}

fn identity(named: &NamedIdentity) -> Identity {
    let bare = |kind| Identity {
        name: named.name.clone(),
        kind,
        tenant_id: None,
        client_id: None,
        object_id: None,
        resource_id: None,
        imds: None,
        managed_identity: None,
        secret_file: None,
        certificate: None,
        token_sidecar_socket: None,
        token_file: None,
        tsiam: None,
        cloud: None,
        authority: None,
    };
    match &named.identity {
        settings::Identity::Tsiam(tsiam) => Identity {
            tsiam: Some(TsiamUrl(tsiam.clone())),
            ..bare(IdentityType::Tsiam)
        },
        settings::Identity::Managed(managed) => {
            let kind = match managed.selector {
                None => IdentityType::SystemAssigned,
                Some(_) => IdentityType::UserAssigned,
            };
            let (client_id, object_id, resource_id) = match managed.selector.clone() {
                None => (None, None, None),
                Some(Selector::ClientId(id)) => (Some(id), None, None),
                Some(Selector::ObjectId(id)) => (None, Some(id), None),
                Some(Selector::ResourceId(id)) => (None, None, Some(id)),
            };
            Identity {
                client_id,
                object_id,
                resource_id,
                imds: match &managed.service {
                    MetadataService::Imds(imds) => Some(ImdsUrl(imds.clone())),
                    // The platform says it in the environment, with a key.
                    MetadataService::AppService { .. } => None,
                },
                ..bare(kind)
            }
        }
        settings::Identity::Application(application) => of_application(application, &bare),
    }
}

fn of_application(application: &Application, bare: &dyn Fn(IdentityType) -> Identity) -> Identity {
    let base = |kind| {
        let own_host = format!("https://{}", application.cloud.authority());
        let authority = EntraUrl(application.entra.clone());
        Identity {
            tenant_id: Some(application.tenant.clone()),
            client_id: Some(application.client_id.clone()),
            cloud: Some(CloudName(application.cloud)),
            authority: Some(authority).filter(|it| it.to_string() != own_host),
            ..bare(kind)
        }
    };
    match &application.proof {
        Proof::Secret(file) => Identity {
            secret_file: Some(SecretFile(file.clone())),
            ..base(IdentityType::ClientSecret)
        },
        Proof::Certificate(Sidecar::Own(own)) => Identity {
            certificate: Some(certificate(own)),
            ..base(IdentityType::ClientCertificate)
        },
        Proof::Certificate(Sidecar::OfOthers(socket)) => Identity {
            token_sidecar_socket: Some(Socket(socket.clone())),
            ..base(IdentityType::ClientCertificate)
        },
        Proof::WorkloadIdentity(file) => Identity {
            token_file: Some(TokenFile(file.clone())),
            ..base(IdentityType::WorkloadIdentity)
        },
        Proof::ServiceAccountToken(file) => Identity {
            token_file: Some(TokenFile(file.clone())),
            ..base(IdentityType::ServiceAccountToken)
        },
        Proof::ManagedIdentity { imds, selector } => Identity {
            imds: Some(ImdsUrl(imds.clone())),
            managed_identity: selector.clone(),
            ..base(IdentityType::ManagedIdentityFederated)
        },
        Proof::Tsiam(tsiam) => Identity {
            tsiam: Some(TsiamUrl(tsiam.clone())),
            ..base(IdentityType::TsiamFederated)
        },
    }
}

fn certificate(own: &settings::Certificate) -> Certificate {
    let file = |path: &Option<std::path::PathBuf>| path.clone().map(AnyFile);
    Certificate {
        path: AnyFile(own.path.clone()),
        key_path: file(&own.key),
        password_file: file(&own.password),
        send_chain: (!own.send_chain).then_some(false),
        algorithm: (own.algorithm != choices::PS256).then_some(Algorithm(own.algorithm)),
    }
}
