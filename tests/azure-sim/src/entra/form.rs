//! The form of a token request: how strictly it is read, and how much of it may be shown.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use super::refusal::{EntraRefusal, Refused, refuse};
use crate::secrets::{SecretKind, Secrets};

/// The parameters whose values are no secrets.
const SHOWN: [&str; 6] = [
    "grant_type",
    "client_id",
    "scope",
    "resource",
    "client_assertion_type",
    "claims",
];

/// The parameters in the order of arrival. It has no `Debug`: it holds secrets.
#[derive(Default)]
pub(crate) struct Form {
    parameters: Vec<(String, String)>,
    is_form: bool,
}

impl Form {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        if !content_type
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Self::default();
        }
        Self {
            parameters: form_urlencoded::parse(body).into_owned().collect(),
            is_form: true,
        }
    }

    /// The value of a parameter; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refused> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => refuse(EntraRefusal::MissingParameter, missing(name)),
        }
    }

    /// Checks what is wrong with a form whatever it asks for.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        if !self.is_form {
            return refuse(EntraRefusal::NotAForm, missing("grant_type"));
        }
        for (index, (name, _)) in self.parameters.iter().enumerate() {
            if self.parameters[..index]
                .iter()
                .any(|(other, _)| other == name)
            {
                return refuse(
                    EntraRefusal::DuplicateParameter,
                    format!(
                        "The request is not properly formatted. The parameter '{name}' is \
                         duplicated."
                    ),
                );
            }
        }
        Ok(())
    }

    /// Makes its secrets known.
    pub(crate) fn note_secrets(&self, secrets: &mut Secrets) {
        for (name, value) in &self.parameters {
            match name.as_str() {
                "client_secret" => secrets.add(SecretKind::ClientSecret, value, "sent to Entra"),
                "client_assertion" => {
                    secrets.add_jwt(SecretKind::ClientAssertion, value, "sent to Entra");
                }
                _ => {}
            }
        }
    }

    /// The parameters with `found` in the place of each credential.
    pub(crate) fn shown(&self, found: &str) -> Vec<(String, String)> {
        let show = |(name, value): &(String, String)| {
            let value = match name.as_str() {
                known if SHOWN.contains(&known) => value.clone(),
                "client_secret" | "client_assertion" => found.to_owned(),
                _ => "<not shown>".to_owned(),
            };
            (name.clone(), value)
        };
        self.parameters.iter().map(show).collect()
    }
}

fn missing(name: &str) -> String {
    format!("The request body must contain the following parameter: '{name}'.")
}
