//! What the sources of managed identities' tokens share: queries, and the reply.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::Service;
use crate::cloud::Cloud;
use crate::directory::Identity;
use crate::expiry;
use crate::settings::ExpiresInForm;
use crate::source::Traffic;

/// What a request that breaks no rule asks for.
pub(crate) struct Asked {
    pub(crate) resource: String,
    pub(crate) identity: Identity,
}

/// The parameters of a query, or `None` when one comes twice.
pub(crate) fn parameters(query: Option<&str>) -> Option<HashMap<String, String>> {
    let mut parameters = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let name = name.to_ascii_lowercase();
        if parameters.insert(name, value.into_owned()).is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// The reply with a token: every value is a string, unless a setting says otherwise.
pub(crate) fn reply(
    cloud: &Cloud,
    service: Service,
    traffic: &Traffic,
    asked: &Asked,
    expires_in: ExpiresInForm,
) -> jsonwebtoken::errors::Result<Map<String, Value>> {
    let settings = cloud.settings().clone();
    let now = cloud.now();
    let (token, is_new) = cloud.identity_token(service, &asked.identity, &asked.resource, now)?;
    traffic.count_token(is_new);
    let remaining = token.expires_at.saturating_sub(now);
    let mut reply = Map::new();
    let mut put = |name: &str, value: Value| drop(reply.insert(name.to_owned(), value));
    put("access_token", Value::from(token.jwt));
    put("client_id", Value::from(asked.identity.client_id.clone()));
    if let Some(value) = expiry::expires_in(expires_in, remaining) {
        put("ext_expires_in", value.clone());
        put("expires_in", value);
    }
    if let Some(value) = expiry::expires_on(settings.expires_on, token.expires_at) {
        put("expires_on", value);
    }
    if let Some(after) = settings.refresh_in_seconds {
        let left = token
            .issued_at
            .saturating_add(after)
            .saturating_sub(now)
            .max(0);
        put("refresh_in", Value::from(left.to_string()));
    }
    put("not_before", Value::from(token.not_before.to_string()));
    put("resource", Value::from(asked.resource.clone()));
    put("token_type", Value::from("Bearer"));
    Ok(reply)
}
