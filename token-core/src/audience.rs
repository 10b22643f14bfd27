//! The audience of a token.

use core::fmt;
use core::str::FromStr;

/// Suffix that turns a resource into a v2 scope.
const DEFAULT_SCOPE: &str = "/.default";

/// The resource that a token is for, without `/.default`.
///
/// `https://monitor.azure.com` and `https://monitor.azure.com/.default` are the same audience. A
/// trailing slash is kept: `https://x//.default` is the scope of `https://x/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(String);

impl Audience {
    /// The resource, as in a request to IMDS.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0
    }

    /// An audience that is known at compile time.
    pub(crate) fn constant(resource: &'static str) -> Self {
        Self(resource.into())
    }

    /// The scope, as in a request to Entra's v2 endpoint: the resource followed by `/.default`. For a
    /// resource that ends in a slash the scope has two slashes, of which the token's audience keeps one.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}{DEFAULT_SCOPE}", self.0)
    }
}

/// An Azure role that a target requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The role's name in Azure.
    pub name: &'static str,
    /// The kind of resource on which the role must be granted.
    pub scope: &'static str,
}

impl Role {
    /// The command of the Azure CLI that grants the role, with what is not known in angle brackets.
    #[must_use]
    pub fn grant(&self, object_id: Option<&str>) -> String {
        format!(
            "az role assignment create --role \"{}\" --assignee-object-id {} \
             --assignee-principal-type ServicePrincipal --scope <id of the {}>",
            self.name,
            object_id.unwrap_or("<object id>"),
            self.scope
        )
    }
}

impl Audience {
    /// The role that the target requires; `None` if unknown.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let host = self.0.trim_end_matches('/').strip_prefix("https://")?;
        match host.strip_prefix("prometheus.").unwrap_or(host) {
            "monitor.azure.com" | "monitor.azure.us" | "monitor.azure.cn" => {
                Some(if host.starts_with("prometheus.") {
                    READER
                } else {
                    PUBLISHER
                })
            }
            _ => None,
        }
    }

    /// Advice for a target that refuses an identity for lack of a role.
    #[must_use]
    pub fn role_advice(&self) -> &'static str {
        match self.role() {
            Some(READER) => {
                "Grant it the role `Monitoring Data Reader` on the Azure Monitor workspace."
            }
            Some(_) => {
                "Grant it the role `Monitoring Metrics Publisher` on the data collection rule \
                 (or on the Application Insights resource); this takes up to half an hour to \
                 have effect."
            }
            None => "Grant it the role that the target wants for this request.",
        }
    }
}

/// The role to query an Azure Monitor workspace.
const READER: Role = Role {
    name: "Monitoring Data Reader",
    scope: "Azure Monitor workspace",
};
/// The role to send data to Azure Monitor.
const PUBLISHER: Role = Role {
    name: "Monitoring Metrics Publisher",
    scope: "data collection rule",
};

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Audience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let resource = text.strip_suffix(DEFAULT_SCOPE).unwrap_or(text);
        if resource.is_empty() {
            return Err("is empty; give the resource, as in `https://monitor.azure.com`".into());
        }
        if let Some(bad) = resource
            .chars()
            .find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}?#".contains(*c))
        {
            return Err(format!(
                "holds the character {bad:?}, which no resource has; give one resource, as in `https://monitor.azure.com`"
            ));
        }
        Ok(Self(resource.into()))
    }
}
