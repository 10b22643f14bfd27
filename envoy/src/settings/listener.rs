//! The ports of the proxy, and which target a request to one is for. One type holds what the environment or
//! the configuration file says, and is what `render --config` writes.

use deserr::{IntoValue, ValuePointerRef};
use entra_auth_settings_input::Place;
use entra_token_core::config::{ConfigError, ConfigErrors, Fields};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::ListeningAddress;
use super::target::TargetName;
use super::values::{Address, Port};

/// A port of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// The port.
    #[cfg_attr(test, schemars(with = "Port"))]
    pub port: u16,
    /// The address on which it is open, as `127.0.0.1` or `::1`; all of the machine's by default.
    /// Whoever reaches the port sends with the identities of its targets.
    #[serde(serialize_with = "address", skip_serializing_if = "is_all")]
    #[cfg_attr(test, schemars(with = "Option<Address>"))]
    pub address: ListeningAddress,
    /// What says the port.
    #[serde(skip)]
    pub place: Place,
    /// What says the address.
    #[serde(skip)]
    pub address_place: Place,
    /// Which target a request is for.
    #[serde(flatten)]
    pub routing: Routing,
}

/// Which target a request is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Routing {
    /// Name of the target that every request of this port is for.
    #[serde(rename = "target")]
    Always(TargetRef),
    /// In place of `target`: names of those of which a request is for the one whose host its `Host`
    /// names. A request with another `Host` is answered 421.
    #[serde(rename = "targets")]
    ByHost(Vec<TargetRef>),
}

/// A target, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(into = "TargetName")]
#[cfg_attr(test, schemars(with = "TargetName", inline))]
pub struct TargetRef {
    /// Its name.
    pub name: TargetName,
    /// Its index in the settings' targets.
    pub index: usize,
}

impl From<TargetRef> for TargetName {
    fn from(target: TargetRef) -> Self {
        target.name
    }
}

fn address<S: Serializer>(address: &ListeningAddress, serializer: S) -> Result<S::Ok, S::Error> {
    Address(*address).serialize(serializer)
}

fn is_all(address: &ListeningAddress) -> bool {
    *address == ListeningAddress::All
}

/// The targets that a listener names, as its field has them.
enum Named {
    One(TargetName),
    Many(Vec<TargetName>),
}

impl Listener {
    /// Reads the `index`th listener of the file; `targets` are the names of the file's targets.
    ///
    /// # Errors
    /// All mistakes.
    pub(super) fn read(
        value: Value,
        index: usize,
        targets: &[Option<String>],
    ) -> Result<Self, ConfigErrors> {
        let list = ValuePointerRef::Origin;
        let list = list.push_key("listeners");
        let mut fields = Fields::of(value.into_value(), list.push_index(index))?;
        let port: Option<Port> = fields.needed("port");
        let address: Option<Address> = fields.optional("address");
        fields.are_of("a listener".to_owned());
        let group = ["target", "targets"];
        let named = fields.one_of(&group, |fields, name, value| match name {
            "target" => fields.read(name, value).map(Named::One),
            _ => fields.read(name, value).map(Named::Many),
        });
        let mut find = |name: TargetName, field: String| {
            let is_it = |other: &Option<String>| other.as_deref() == Some(name.0.as_str());
            match targets.iter().position(is_it) {
                Some(index) => Some(TargetRef { name, index }),
                None => {
                    fields.note(ConfigErrors(vec![ConfigError {
                        path: format!("listeners[{index}].{field}"),
                        message: format!("there is no target `{name}`; define it under `targets`"),
                    }]));
                    None
                }
            }
        };
        let routing = match named {
            Some(Named::One(name)) => find(name, "target".to_owned()).map(Routing::Always),
            Some(Named::Many(names)) => {
                let found = names.into_iter().enumerate();
                // All are looked for, so that all mistakes are noted.
                let found: Vec<_> = found
                    .map(|(n, name)| find(name, format!("targets[{n}]")))
                    .collect();
                found
                    .into_iter()
                    .collect::<Option<_>>()
                    .map(Routing::ByHost)
            }
            None => None,
        };
        let listener = port.zip(routing).map(|(port, routing)| Self {
            port: port.0,
            address: address.map(|it| it.0).unwrap_or_default(),
            place: place(index, "port"),
            address_place: place(index, "address"),
            routing,
        });
        fields.finish(listener, None, &[])
    }
}

/// A field of the `n`th listener of the file.
pub(super) fn place(n: usize, field: &str) -> Place {
    Place::File(format!("listeners[{n}].{field}"))
}

impl Routing {
    /// The targets that are reached.
    #[must_use]
    pub fn targets(&self) -> &[TargetRef] {
        match self {
            Self::Always(target) => std::slice::from_ref(target),
            Self::ByHost(targets) => targets,
        }
    }
}
