//! The configuration file, as types. The JSON Schema under `docs/` is generated from them.

use deserr::{IntoValue, ValuePointerRef};
use entra_token_core::config::raw::text;
use entra_token_core::config::{AuthErrorsRetryable, ConfigErrors, Fields, Hold, Percent};
use serde::Serialize;
use serde_json::Value;

use crate::settings::Reader;
use crate::settings::clouds::CloudHint;
use crate::settings::identity::{self, NamedIdentity};
use crate::settings::listener::Listener;
use crate::settings::target::{self, Target};

/// Configuration file of entra-auth-envoy, which ENTRA_AUTH_CONFIG names: who asks for tokens,
/// which target gets which, and which port leads to which target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Who asks for tokens.
    pub identities: Vec<NamedIdentity>,
    /// Where requests go, and with whose token.
    pub targets: Vec<Target>,
    /// The ports of the proxy.
    pub listeners: Vec<Listener>,
    /// What happens to requests while there is no token; a target may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Which answers 401 and 403 that no fresh token heals become 503 with `Retry-After`; a target
    /// may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_errors_retryable: Option<AuthErrorsRetryable>,
    /// The share of a token's life before its end at which the next one is asked for.
    #[serde(default)]
    pub refresh_before_expiry_percent: Percent,
}

impl File {
    /// Reads the file; `clouds` are those of its identities.
    ///
    /// # Errors
    /// All mistakes of fields. Those of the environment are noted by the reader.
    pub(super) fn read(
        file: Value,
        clouds: &[Option<CloudHint>],
        reader: &mut Reader<'_>,
    ) -> Result<Self, ConfigErrors> {
        let mut fields = Fields::of(file.into_value(), ValuePointerRef::Origin)?;
        let identities: Option<Vec<Value>> = fields.needed("identities");
        let targets: Option<Vec<Value>> = fields.needed("targets");
        let listeners: Option<Vec<Value>> = fields.needed("listeners");
        let hold = fields.optional("hold");
        let auth_errors_retryable = fields.optional("authErrorsRetryable");
        let refresh_before_expiry_percent = fields.optional("refreshBeforeExpiryPercent");
        let names: Vec<_> = targets
            .iter()
            .flatten()
            .map(|target| text(target, "name").map(str::to_owned))
            .collect();
        let identities = identities.and_then(|list| {
            each(list, &mut fields, |index, identity| {
                let mut context = identity::Context {
                    reader: &mut *reader,
                    index,
                    cloud: clouds.get(index).and_then(Option::as_ref),
                };
                NamedIdentity::read(identity, &mut context)
            })
        });
        let hold_of_all = hold.clone().unwrap_or_default();
        let mut headers_before = 0;
        let targets = targets.and_then(|list| {
            each(list, &mut fields, |index, target| {
                let mut context = target::Context {
                    reader: &mut *reader,
                    index,
                    hold: &hold_of_all,
                    auth_errors_retryable: auth_errors_retryable.unwrap_or_default(),
                    headers_before,
                };
                let target = Target::read(target, &mut context)?;
                headers_before += target.override_headers.len();
                Ok(target)
            })
        });
        let listeners = listeners.and_then(|list| {
            each(list, &mut fields, |index, listener| {
                Listener::read(listener, index, &names)
            })
        });
        let file =
            (identities.zip(targets).zip(listeners)).map(|((identities, targets), listeners)| {
                Self {
                    identities,
                    targets,
                    listeners,
                    hold,
                    auth_errors_retryable,
                    refresh_before_expiry_percent: refresh_before_expiry_percent
                        .unwrap_or_default(),
                }
            });
        fields.finish(file, None, &[])
    }
}

/// Reads every element of a list, so that all mistakes are noted; none where one has a mistake.
fn each<T, V: IntoValue>(
    list: Vec<Value>,
    fields: &mut Fields<'_, V>,
    mut read: impl FnMut(usize, Value) -> Result<T, ConfigErrors>,
) -> Option<Vec<T>> {
    let elements = list.into_iter().enumerate();
    let read = elements.map(|(index, element)| {
        let read = read(index, element);
        read.map_err(|mistakes| fields.note(mistakes)).ok()
    });
    read.collect::<Vec<_>>().into_iter().collect()
}
