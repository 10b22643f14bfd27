//! Who exists in the tenant and what they may do: identities, their roles, known resources.
//!
//! A role is an assignment kept here and looked up by object id, not a claim in the token:
//! so is it in Azure, where granting a role takes effect without a new token.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::options::AZURE_MONITOR;

/// The role that Azure Monitor ingestion asks for.
pub const METRICS_PUBLISHER: &str = "Monitoring Metrics Publisher";

/// The resources that tokens are issued for: the audiences of the three clouds that matter
/// here, and a few neighbours so that a wrong but existing audience can be asked for.
const KNOWN_RESOURCES: [&str; 13] = [
    AZURE_MONITOR,
    "https://monitor.azure.us",
    "https://monitor.azure.cn",
    "https://prometheus.monitor.azure.com",
    "https://prometheus.monitor.azure.us",
    "https://prometheus.monitor.azure.cn",
    "https://api.applicationinsights.io",
    "https://management.azure.com",
    "https://vault.azure.net",
    "https://storage.azure.com",
    "api://AzureADTokenExchange",
    "api://AzureADTokenExchangeUSGov",
    "api://AzureADTokenExchangeChina",
];

/// A role given to an identity for one audience.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAssignment {
    /// The identity's object id.
    pub object_id: String,
    /// The audience that the role is for, e.g. [`AZURE_MONITOR`].
    pub audience: String,
    /// The role's name, e.g. [`METRICS_PUBLISHER`].
    pub role: String,
}

/// A managed identity of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The application (client) id: what `client_id` selects.
    pub client_id: String,
    /// The object (principal) id: what `object_id` selects and what roles are given to.
    pub object_id: String,
    /// The Azure resource id: what `msi_res_id` selects.
    pub resource_id: String,
    /// The roles it has at start, as (audience, role).
    pub roles: Vec<(String, String)>,
}

impl Identity {
    /// The machine's own identity, with ids that never change and the role to write metrics.
    #[must_use]
    pub fn system_assigned() -> Self {
        Self {
            client_id: "5e1f0000-0000-4000-8000-00000000c11d".to_owned(),
            object_id: "5e1f0000-0000-4000-8000-00000000001d".to_owned(),
            resource_id: "/subscriptions/50b00000-0000-4000-8000-000000000000/resourceGroups/sim\
                          /providers/Microsoft.Compute/virtualMachines/sim"
                .to_owned(),
            roles: vec![(AZURE_MONITOR.to_owned(), METRICS_PUBLISHER.to_owned())],
        }
    }

    /// A user-assigned identity with new ids and the role to write metrics.
    #[must_use]
    pub fn user_assigned(name: &str) -> Self {
        Self {
            client_id: Uuid::new_v4().to_string(),
            object_id: Uuid::new_v4().to_string(),
            resource_id: format!(
                "/subscriptions/50b00000-0000-4000-8000-000000000000/resourceGroups/sim\
                 /providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
            ),
            roles: vec![(AZURE_MONITOR.to_owned(), METRICS_PUBLISHER.to_owned())],
        }
    }

    /// The same identity without any role.
    #[must_use]
    pub fn without_roles(mut self) -> Self {
        self.roles.clear();
        self
    }
}

/// How a caller of IMDS names the identity it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    Default,
    ClientId(String),
    ObjectId(String),
    ResourceId(String),
}

/// Why no identity answers to a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoIdentity {
    NotFound,
    /// No system-assigned identity and more than one user-assigned: IMDS wants a selector.
    Several,
}

/// The identities and their role assignments.
#[derive(Debug)]
pub(crate) struct Directory {
    system_assigned: Option<Identity>,
    user_assigned: Vec<Identity>,
    extra_resources: Vec<String>,
    roles: HashSet<RoleAssignment>,
}

impl Directory {
    pub(crate) fn new(
        system_assigned: Option<Identity>,
        user_assigned: Vec<Identity>,
        extra_resources: Vec<String>,
    ) -> Self {
        let roles = system_assigned
            .iter()
            .chain(&user_assigned)
            .flat_map(|identity| {
                identity
                    .roles
                    .iter()
                    .map(|(audience, role)| RoleAssignment {
                        object_id: identity.object_id.clone(),
                        audience: without_slash(audience).to_owned(),
                        role: role.clone(),
                    })
            })
            .collect();
        Self {
            system_assigned,
            user_assigned,
            extra_resources,
            roles,
        }
    }

    pub(crate) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.system_assigned.iter().chain(&self.user_assigned)
    }

    pub(crate) fn system_assigned(&self) -> Option<&Identity> {
        self.system_assigned.as_ref()
    }

    /// The identity that IMDS serves for a selector. Without one it is the system-assigned
    /// identity, else the only user-assigned one (Microsoft's description of the parameters).
    pub(crate) fn select(&self, selector: &Selector) -> Result<&Identity, NoIdentity> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let found = match selector {
            Selector::Default => match (&self.system_assigned, self.user_assigned.as_slice()) {
                (Some(identity), _) => Some(identity),
                (None, [only]) => Some(only),
                (None, []) => None,
                (None, _) => return Err(NoIdentity::Several),
            },
            Selector::ClientId(id) => self.identities().find(|i| same(&i.client_id, id)),
            Selector::ObjectId(id) => self.identities().find(|i| same(&i.object_id, id)),
            Selector::ResourceId(id) => self.identities().find(|i| same(&i.resource_id, id)),
        };
        found.ok_or(NoIdentity::NotFound)
    }

    pub(crate) fn knows_resource(&self, resource: &str) -> bool {
        let wanted = without_slash(resource);
        KNOWN_RESOURCES.contains(&wanted)
            || self
                .extra_resources
                .iter()
                .any(|known| without_slash(known) == wanted)
    }

    pub(crate) fn has_role(&self, object_id: &str, audience: &str, role: &str) -> bool {
        self.roles.contains(&RoleAssignment {
            object_id: object_id.to_owned(),
            audience: without_slash(audience).to_owned(),
            role: role.to_owned(),
        })
    }

    pub(crate) fn grant(&mut self, mut assignment: RoleAssignment) {
        assignment.audience = without_slash(&assignment.audience).to_owned();
        self.roles.insert(assignment);
    }

    pub(crate) fn remove(&mut self, mut assignment: RoleAssignment) {
        assignment.audience = without_slash(&assignment.audience).to_owned();
        self.roles.remove(&assignment);
    }
}

/// An audience without its one trailing slash: Entra and the services treat both as the same.
pub(crate) fn without_slash(audience: &str) -> &str {
    audience.strip_suffix('/').unwrap_or(audience)
}
