//! Which of the machine's managed identities the environment variables select.

use entra_auth_settings_input::Problem;
use entra_token_core::config::{Selector, Uuid};

use super::from_environment::{
    CLIENT_ID, MANAGED_CLIENT_ID, OBJECT_ID, RESOURCE_ID, SDK_CLIENT_ID,
};
use crate::settings::Reader;

/// Reads a client or object id.
pub(super) fn uuid(value: &str) -> Result<Uuid, Problem> {
    if value.starts_with("/subscriptions/") {
        return Err(Problem::new(
            "is a resource id",
            "Put it into AAD_RESOURCE_ID instead.",
        ));
    }
    value
        .parse()
        .map_err(|why: String| Problem::of_value(value, &why))
}

impl Reader<'_> {
    pub(super) fn selector(&mut self) -> Option<Selector> {
        let given: Vec<(&'static str, &str)> = [CLIENT_ID, OBJECT_ID, RESOURCE_ID]
            .into_iter()
            .filter_map(|name| Some((name, self.variables.value(name)?)))
            .collect();
        match given.as_slice() {
            [] if self.variables.value(SDK_CLIENT_ID).is_none() => {
                let problem = Problem::new(
                    "is not set, but IDENTITY_TYPE is userAssigned",
                    "Set it to the identity's client id, or set AAD_OBJECT_ID or AAD_RESOURCE_ID.",
                );
                self.note(CLIENT_ID, Err(problem))
            }
            [] | [(CLIENT_ID, _)] => {
                let id = self.ours_or_the_sdks([CLIENT_ID, SDK_CLIENT_ID], uuid)?;
                id.map(Selector::ClientId)
            }
            [(OBJECT_ID, id)] => self.note(OBJECT_ID, uuid(id).map(Selector::ObjectId)),
            [(_, id)] => {
                let id = id
                    .parse()
                    .map_err(|why: String| Problem::of_value(id, &why));
                self.note(RESOURCE_ID, id.map(Selector::ResourceId))
            }
            [(first, _), (second, _), ..] => {
                let problem = Problem::new(
                    format!("is set beside {first}, but one identity is asked for"),
                    format!("Keep one of {CLIENT_ID}, {OBJECT_ID} and {RESOURCE_ID}."),
                );
                self.note(*second, Err(problem))
            }
        }
    }

    /// The managed identity whose token is an application's assertion; `Some(None)` for the
    /// machine's own.
    pub(super) fn federated_managed_identity(&mut self) -> Option<Option<Selector>> {
        let Some(value) = self.variables.value(MANAGED_CLIENT_ID) else {
            return Some(None);
        };
        let selector = uuid(value).map(Selector::ClientId);
        self.note(MANAGED_CLIENT_ID, selector).map(Some)
    }

    /// The first of two names wins, and a difference is worth a warning. `Some(None)` where
    /// neither is set; `None` after a mistake.
    pub(super) fn ours_or_the_sdks<T>(
        &mut self,
        [ours, sdks]: [&'static str; 2],
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        let (name, value) = match (self.variables.value(ours), self.variables.value(sdks)) {
            (None, None) => return Some(None),
            (None, Some(value)) => (sdks, value),
            (Some(value), other) => {
                if other.is_some_and(|other| !other.eq_ignore_ascii_case(value)) {
                    self.warnings
                        .push(format!("{ours} and {sdks} differ; {ours} is used"));
                }
                (ours, value)
            }
        };
        self.note(name, parse(value)).map(Some)
    }
}
