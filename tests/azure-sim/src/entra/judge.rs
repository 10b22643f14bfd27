//! The judgement of a token request: which tenant, what for, by whom, and with what proof.

use serde_json::Value;
use uuid::Uuid;

use super::assertion::{self, Proof};
use super::form::Form;
use super::refusal::{EntraRefusal, Refused, refuse};
use super::{DOMAIN, Version};
use crate::applications::Application;
use crate::cloud::{Cloud, lock};
use crate::options::AzureCloud;
use crate::tokens::Holder;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token request before it is judged.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) version: Version,
    /// Scheme and authority that the client used.
    pub(crate) origin: &'a str,
    pub(crate) form: &'a Form,
}

impl Asked<'_> {
    /// Whether an audience is this tenant's token endpoint, of either version, or its issuer.
    pub(crate) fn is_token_endpoint(&self, audience: &str) -> bool {
        let base = format!("{}/{}", self.origin, self.tenant);
        ["/oauth2/v2.0/token", "/oauth2/token", "/v2.0"]
            .iter()
            .any(|rest| audience.strip_prefix(&base) == Some(rest))
    }

    /// What names the token asked for.
    pub(crate) fn token_name(&self) -> String {
        let form = |name| self.form.get(name).unwrap_or_default();
        let resource = form("scope").trim_end_matches("/.default");
        let resource = self.form.get("resource").unwrap_or(resource);
        format!("{} {} {resource}", self.tenant, form("client_id")).to_ascii_lowercase()
    }
}

/// A token to be issued.
pub(crate) struct Grant {
    pub(crate) holder: Holder,
    pub(crate) resource: String,
    pub(crate) version: Version,
    pub(crate) proof: Proof,
}

/// Judges a token request: tenant, form, application, credential, resource.
pub(crate) fn judge(cloud: &Cloud, asked: &Asked<'_>) -> Result<Grant, Refused> {
    let form = asked.form;
    let is_home = check_tenant(cloud, asked)?;
    form.check()?;
    let grant_type = form.required("grant_type")?;
    if grant_type != "client_credentials" {
        return refuse(
            EntraRefusal::UnsupportedGrant,
            format!("The app requested an unsupported grant type '{grant_type}'."),
        );
    }
    let client_id = form.required("client_id")?;
    let resource = resource(asked)?;
    let capabilities = capabilities(form)?;
    let application = match lock(&cloud.entra.applications).find(client_id) {
        Some(application) if is_home => application.clone(),
        _ => {
            return refuse(
                EntraRefusal::UnknownApplication,
                format!(
                    "Application with identifier '{client_id}' was not found in the directory \
                     '{}'. This can happen if the application has not been installed by the \
                     administrator of the tenant or consented to by any user in the tenant. You \
                     may have sent your authentication request to the wrong tenant.",
                    asked.tenant
                ),
            );
        }
    };
    if application.disabled {
        let (id, name) = (&application.client_id, &application.name);
        return refuse(
            EntraRefusal::DisabledApplication,
            format!("Application '{id}'({name}) is disabled."),
        );
    }
    let proof = check_credential(cloud, asked, &application)?;
    if !cloud.directory().knows_resource(&resource) {
        return refuse(
            EntraRefusal::UnknownResource,
            format!(
                "The resource principal named {resource} was not found in the tenant named {}. \
                 This can happen if the application has not been installed by the administrator \
                 of the tenant or consented to by any user in the tenant. You might have sent \
                 your authentication request to the wrong tenant.",
                cloud.tenant.id
            ),
        );
    }
    let by_secret = matches!(proof, Proof::Secret);
    Ok(Grant {
        holder: Holder::application(&application, by_secret, capabilities),
        resource,
        version: asked.version,
        proof,
    })
}

/// Checks that a tenant exists in this cloud; whether it is the one with the applications.
pub(crate) fn check_tenant(cloud: &Cloud, asked: &Asked<'_>) -> Result<bool, Refused> {
    let name = asked.tenant;
    let same = |id: &str| id.eq_ignore_ascii_case(name);
    let is_home = same(&cloud.tenant.id) || same(DOMAIN);
    let state = &cloud.entra;
    let other = state.other_tenants.iter().find(|other| same(&other.id));
    let lives_in = match other {
        Some(other) => other.cloud,
        None if is_home => state.cloud,
        None if name.parse::<Uuid>().is_err() && !is_domain(name) => {
            return refuse(
                EntraRefusal::MalformedTenant,
                format!(
                    "Specified tenant identifier '{name}' is neither a valid DNS name, nor a \
                     valid external domain."
                ),
            );
        }
        None => {
            return refuse(
                EntraRefusal::UnknownTenant,
                format!(
                    "Tenant '{name}' not found. Check to make sure you have the correct tenant \
                     ID and are signing into the correct cloud. Check with your subscription \
                     administrator, this may happen if there are no active subscriptions for the \
                     tenant."
                ),
            );
        }
    };
    if lives_in != AzureCloud::of_origin(asked.origin).unwrap_or(state.cloud) {
        return refuse(
            EntraRefusal::OtherCloud,
            format!(
                "Tenant '{name}' request is being redirected to the National Cloud '{}'.",
                lives_in.name()
            ),
        );
    }
    Ok(is_home)
}

fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.contains('.') && name.split('.').all(is_label)
}

/// The resource that a token is asked for: `resource` at v1, a scope at v2.
fn resource(asked: &Asked<'_>) -> Result<String, Refused> {
    let form = asked.form;
    if asked.version == Version::V1 {
        return Ok(form.required("resource")?.to_owned());
    }
    if form.get("resource").is_some() {
        return refuse(
            EntraRefusal::ResourceAtV2,
            "The 'resource' request parameter is not supported.",
        );
    }
    let scope = form.required("scope")?;
    let invalid = || {
        refuse(
            EntraRefusal::InvalidScope,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value \
                 for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        )
    };
    if scope.contains(char::is_whitespace) {
        return invalid();
    }
    match scope.strip_suffix("/.default") {
        Some("") => invalid(),
        Some(resource) => Ok(resource.to_owned()),
        None => refuse(
            EntraRefusal::ScopeWithoutDefault,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must \
                 have a scope value with /.default suffixed to the resource identifier \
                 (application ID URI)."
            ),
        ),
    }
}

/// The client capabilities (`xms_cc`) that a `claims` parameter asks for; its other demands, a
/// challenge's `nbf` above all, a new token meets anyway.
fn capabilities(form: &Form) -> Result<Option<Value>, Refused> {
    let Some(text) = form.get("claims") else {
        return Ok(None);
    };
    match serde_json::from_str::<Value>(text) {
        Ok(claims) if claims.is_object() => {
            Ok(claims.pointer("/access_token/xms_cc/values").cloned())
        }
        _ => refuse(
            EntraRefusal::InvalidClaims,
            "The 'claims' request parameter is not a valid JSON object.",
        ),
    }
}

fn check_credential(
    cloud: &Cloud,
    asked: &Asked<'_>,
    application: &Application,
) -> Result<Proof, Refused> {
    let form = asked.form;
    match (form.get("client_secret"), form.get("client_assertion")) {
        (None, None) => refuse(
            EntraRefusal::NoCredential,
            "The request body must contain the following parameter: 'client_assertion' or \
             'client_secret'.",
        ),
        (Some(_), Some(_)) => refuse(
            EntraRefusal::SeveralCredentials,
            "Invalid request. Request is malformed or invalid.",
        ),
        (Some(secret), None) => check_secret(cloud, application, secret),
        (None, Some(assertion)) => {
            if form.required("client_assertion_type")? != ASSERTION_TYPE {
                return refuse(
                    EntraRefusal::InvalidAssertionType,
                    "The 'client_assertion_type' request parameter is not valid.",
                );
            }
            assertion::check(cloud, asked, application, assertion)
        }
    }
}

fn check_secret(cloud: &Cloud, application: &Application, sent: &str) -> Result<Proof, Refused> {
    let now = cloud.now();
    let (id, name) = (&application.client_id, &application.name);
    let mut same = application
        .secrets
        .iter()
        .filter(|secret| secret.value == sent)
        .peekable();
    if same.peek().is_none() {
        return refuse(
            EntraRefusal::WrongSecret,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{id}'."
            ),
        );
    }
    if same.any(|secret| secret.expires_at.is_none_or(|expiry| expiry > now)) {
        return Ok(Proof::Secret);
    }
    refuse(
        EntraRefusal::ExpiredSecret,
        format!(
            "The provided client secret keys for app '{id}'({name}) are expired. Visit the Azure \
             portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider \
             using certificate credentials for added security: https://aka.ms/certCreds."
        ),
    )
}
