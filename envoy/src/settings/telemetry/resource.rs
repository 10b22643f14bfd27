//! The resource that telemetry is about: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
//! (<https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>).

use entra_auth_settings_input::Problem;

use super::list::{self, Entry};
use crate::settings::Reader;

const SERVICE_NAME: &str = "service.name";
const INSTANCE: &str = "service.instance.id";
const NAME: &str = "OTEL_SERVICE_NAME";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The name if none is set.
const DEFAULT_NAME: &str = "entra-auth-envoy";

/// The name if none is set and only aad-auth-proxy's variable names a collector: its own default, which
/// its dashboards select by.
const NAME_OF_AAD_AUTH_PROXY: &str = "aad_auth_proxy";

impl Reader<'_> {
    /// The attributes, `service.name` first. `OTEL_SERVICE_NAME` wins over a name among the others.
    ///
    /// `instance` is the `service.instance.id` if none is set. Without one the metrics of all replicas
    /// would be the same series, each with values of its own
    /// (<https://opentelemetry.io/docs/specs/semconv/resource/service/>).
    pub(super) fn resource(&mut self, instance: Option<String>) -> Vec<(String, String)> {
        let mut attributes: Vec<(String, String)> = Vec::new();
        for (key, value) in self.attributes() {
            let same = attributes.iter_mut().find(|(other, _)| *other == key);
            match same {
                Some((_, earlier)) => {
                    self.warnings.push(format!(
                        "{ATTRIBUTES} names {key} twice: the last value counts"
                    ));
                    *earlier = value;
                }
                None => attributes.push((key, value)),
            }
        }
        let position = attributes.iter().position(|(key, _)| key == SERVICE_NAME);
        let among_them = position.map(|position| attributes.remove(position).1);
        let default = match self.has_standard_endpoint() {
            true => DEFAULT_NAME,
            false => NAME_OF_AAD_AUTH_PROXY,
        };
        let name = self.variables.value(NAME).map(str::to_owned);
        let name = name
            .or(among_them.filter(|name| !name.is_empty()))
            .unwrap_or_else(|| default.to_owned());
        attributes.insert(0, (SERVICE_NAME.to_owned(), name));
        let has_instance = attributes.iter().any(|(key, _)| key == INSTANCE);
        let instance = instance.filter(|_| !has_instance);
        attributes.extend(instance.map(|instance| (INSTANCE.to_owned(), instance)));
        attributes
    }

    fn attributes(&mut self) -> Vec<(String, String)> {
        let list = self.variables.value(ATTRIBUTES).unwrap_or_default();
        let attributes = list::entries(list).map(|entry| entry.and_then(attribute));
        attributes
            .filter_map(|attribute| self.note(ATTRIBUTES, attribute))
            .collect()
    }
}

/// Keys are percent-encoded, too: both may hold `,` and `=` only so.
fn attribute(entry: Entry<'_>) -> Result<(String, String), Problem> {
    let Entry { number, key, value } = entry;
    Ok((list::decoded(key, number)?, list::decoded(value, number)?))
}
