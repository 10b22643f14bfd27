//! The names of a slot's settings in messages: their places in the plugin configuration, or the names that
//! the program which wrote the configuration gives for them (the launcher's variables, for example).

use core::fmt;

use deserr::Deserr;
use serde::Serialize;

use super::settings::{Setting, to_look_at};
use super::text::SettingLabel;
use super::{Identity, IdentityType, Target};
use crate::failure::Failure;

/// What people call a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct SettingName {
    /// The setting.
    pub setting: Setting,
    /// Its name in messages, as `AAD_CLIENT_ID`.
    pub name: SettingLabel,
}

/// The kind of a slot's identity, and the names of the settings that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    kind: IdentityType,
    names: Vec<(Setting, String)>,
}

impl Terms {
    /// The terms of an identity and a target, which have these places in their lists.
    pub(super) fn of((n, identity): (usize, &Identity), (t, target): (usize, &Target)) -> Self {
        let names = match &identity.setting_names {
            Some(names) => {
                let names = names.iter().map(|it| (it.setting, it.name.to_string()));
                let audience = target.audience_name.as_ref();
                let audience = audience.map(|name| (Setting::Audience, name.to_string()));
                names.chain(audience).collect()
            }
            None => {
                let places = identity.authentication.places().into_iter();
                let places = places.map(|(it, place)| (it, format!("identities[{n}].{place}")));
                let audience = (Setting::Audience, format!("targets[{t}].audience"));
                places.chain([audience]).collect()
            }
        };
        Self {
            kind: identity.authentication.kind(),
            names,
        }
    }

    /// The type of the identity.
    #[must_use]
    pub fn kind(&self) -> IdentityType {
        self.kind
    }

    /// What people call this setting; `None` where the identity does not have it.
    #[must_use]
    pub fn name(&self, setting: Setting) -> Option<&str> {
        let mut names = self.names.iter();
        names
            .find(|(it, _)| *it == setting)
            .map(|(_, name)| name.as_str())
    }

    /// What people call the settings to look at after a failure, each once, the likeliest first.
    #[must_use]
    pub fn to_look_at(&self, failure: &Failure) -> Vec<&str> {
        let settings = to_look_at(failure, self.kind).iter();
        let mut names: Vec<&str> = Vec::new();
        for name in settings.filter_map(|setting| self.name(*setting)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A failure with what to do about it, as one line of a log.
    #[must_use]
    pub fn explain<'a>(&'a self, failure: &'a Failure) -> impl fmt::Display + 'a {
        Explained {
            failure,
            terms: self,
        }
    }
}

struct Explained<'a> {
    failure: &'a Failure,
    terms: &'a Terms,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = self.failure;
        write!(f, "{} ({})", failure.message, failure.code)?;
        let advice = failure.advice();
        if let Some(advice) = advice {
            write!(f, ". {advice}")?;
        }
        let settings = self.terms.to_look_at(failure).join(", ");
        if !settings.is_empty() {
            let end = if advice.is_none() { "." } else { "" };
            write!(f, "{end} Look at {settings}.")?;
        }
        if !failure.trace.is_empty() {
            write!(f, " [{}]", failure.trace)?;
        }
        Ok(())
    }
}
