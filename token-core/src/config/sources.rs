//! Where an identity's tokens come from: its fields as the core's own types.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Authority, ClusterName, Credential, Identity, IdentityType, ResourceId, UrlPath, Uuid,
};
use crate::Audience;
use crate::cloud::{self, Cloud};
use crate::http::Endpoint;
use crate::identity::{Exchange, LocalResource, ManagedIdentity, MetadataService, Proof, Source};

/// The source of an identity; `None` where a field is missing, which [`super::read`] refuses.
pub(super) fn of(identity: &Identity) -> Option<Source> {
    Some(match identity.kind {
        IdentityType::SystemAssigned | IdentityType::UserAssigned => {
            Source::Managed(platform(identity)?)
        }
        IdentityType::Tsiam => Source::Managed(tsiam(identity)?),
        _ => Source::Entra(exchange(identity)?),
    })
}

fn platform(identity: &Identity) -> Option<MetadataService> {
    let who = selected(
        identity.client_id.as_ref(),
        identity.object_id.as_ref(),
        identity.resource_id.as_ref(),
    );
    match &identity.app_service {
        Some(service) => Some(MetadataService::AppService {
            endpoint: endpoint(&service.cluster, &service.authority),
            path: service.path.to_string(),
            key: local(&service.header, "/"),
            identity: who,
        }),
        None => imds(identity, who),
    }
}

fn imds(identity: &Identity, who: ManagedIdentity) -> Option<MetadataService> {
    let imds = identity.imds.as_ref()?;
    Some(MetadataService::Imds {
        endpoint: endpoint(&imds.cluster, &imds.authority),
        identity: who,
    })
}

fn tsiam(identity: &Identity) -> Option<MetadataService> {
    let tsiam = identity.tsiam.as_ref()?;
    Some(MetadataService::Tsiam {
        endpoint: Endpoint {
            forward_proxy: tsiam.forward_proxy.as_ref().map(ToString::to_string),
            ..endpoint(&tsiam.cluster, &tsiam.authority)
        },
        path: tsiam.path.to_string(),
    })
}

fn selected(
    client: Option<&Uuid>,
    object: Option<&Uuid>,
    resource: Option<&ResourceId>,
) -> ManagedIdentity {
    match (client, object, resource) {
        (Some(id), _, _) => ManagedIdentity::ClientId(id.to_string()),
        (_, Some(id), _) => ManagedIdentity::ObjectId(id.to_string()),
        (_, _, Some(id)) => ManagedIdentity::ResourceId(id.to_string()),
        _ => ManagedIdentity::SystemAssigned,
    }
}

fn exchange(identity: &Identity) -> Option<Exchange> {
    let entra = identity.entra.as_ref()?;
    let authority = cloud::canonical_authority(entra.authority.as_str());
    let tenant = identity.tenant_id.as_ref()?.to_string();
    Some(Exchange {
        proof: proof(identity, &authority, &tenant)?,
        endpoint: Endpoint {
            cluster: entra.cluster.to_string(),
            authority,
            forward_proxy: entra.forward_proxy.as_ref().map(ToString::to_string),
        },
        client_id: identity.client_id.as_ref()?.to_string(),
        tenant,
    })
}

fn proof(identity: &Identity, entra: &str, tenant: &str) -> Option<Proof> {
    let served = |path: &str| Some(local(identity.credential.as_ref()?, path));
    match identity.kind {
        IdentityType::ClientSecret => served("/").map(Proof::Secret),
        IdentityType::ClientCertificate => {
            let url = format!("https://{entra}{}", Exchange::path(tenant));
            let audience = utf8_percent_encode(&url, NON_ALPHANUMERIC);
            served(&format!("/assertion?audience={audience}")).map(Proof::Assertion)
        }
        IdentityType::WorkloadIdentity | IdentityType::ServiceAccountToken => {
            served("/").map(Proof::Assertion)
        }
        IdentityType::ManagedIdentityFederated => {
            let who = identity.managed_identity.as_ref();
            let who = who.map_or(ManagedIdentity::SystemAssigned, |who| {
                selected(
                    who.client_id.as_ref(),
                    who.object_id.as_ref(),
                    who.resource_id.as_ref(),
                )
            });
            let service = imds(identity, who)?;
            Some(Proof::ManagedIdentity(
                service,
                exchange_audience(identity, entra),
            ))
        }
        IdentityType::TsiamFederated => Some(Proof::ManagedIdentity(
            tsiam(identity)?,
            exchange_audience(identity, entra),
        )),
        IdentityType::SystemAssigned | IdentityType::UserAssigned | IdentityType::Tsiam => None,
    }
}

fn exchange_audience(identity: &Identity, entra: &str) -> Audience {
    identity.exchange_audience.clone().unwrap_or_else(|| {
        let cloud = Cloud::of_authority(entra).unwrap_or(Cloud::Public);
        Audience::constant(cloud.exchange_audience())
    })
}

fn local(credential: &Credential, path: &str) -> LocalResource {
    let path = credential.path.as_ref().map_or(path, UrlPath::as_str);
    LocalResource {
        endpoint: endpoint(&credential.cluster, &credential.authority),
        path: path.into(),
    }
}

fn endpoint(cluster: &ClusterName, authority: &Authority) -> Endpoint {
    Endpoint {
        cluster: cluster.to_string(),
        authority: authority.to_string(),
        forward_proxy: None,
    }
}
