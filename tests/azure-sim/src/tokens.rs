//! The tenant's signing key: access tokens are signed and checked here.
//!
//! A check knows the reason of every refusal, because a test asserts on it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::applications::Application;
use crate::directory::{Identity, without_slash};
use crate::issuers::SigningKey;
use crate::options::AzureCloud;
use crate::refusals::TokenRefusal;
use crate::settings::AccessTokenVersion;

/// Entra dates tokens back by five minutes, so that a client's clock may be behind.
const BACKDATED_SECONDS: i64 = 300;

/// How the audiences for the exchange of federated tokens begin, in every cloud.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// The claims that the target looks at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) iss: String,
    pub(crate) exp: i64,
    pub(crate) nbf: i64,
    pub(crate) oid: String,
    /// The client id: `appid` in version 1.0, `azp` in version 2.0.
    #[serde(alias = "azp")]
    pub(crate) appid: String,
    /// Names the token: each has its own.
    pub(crate) uti: String,
}

/// The part of a JWT header that a check needs. `jsonwebtoken` would refuse `none` as
/// unreadable; here it is to be told from a damaged header.
#[derive(Deserialize)]
pub(crate) struct JwtHeader {
    pub(crate) alg: String,
    #[serde(default)]
    pub(crate) kid: String,
    /// SHA-1 and SHA-256 of the certificate (RFC 7515 §4.1.7, §4.1.8).
    pub(crate) x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    pub(crate) x5t_s256: Option<String>,
    /// The certificate and its chain (RFC 7515 §4.1.6).
    pub(crate) x5c: Option<Vec<String>>,
}

/// Whose access token it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) object_id: String,
    client_id: String,
    /// How the client proved who it is: `1` with a secret, `2` with a certificate or without
    /// anything to keep.
    proof: &'static str,
    /// Claims that only this kind of holder has.
    more: Map<String, Value>,
}

impl Holder {
    pub(crate) fn identity(identity: &Identity) -> Self {
        let mut more = Map::new();
        more.insert("xms_mirid".to_owned(), identity.resource_id.clone().into());
        more.insert("xms_az_rid".to_owned(), identity.resource_id.clone().into());
        Self {
            object_id: identity.object_id.clone(),
            client_id: identity.client_id.clone(),
            proof: "2",
            more,
        }
    }

    /// An application that proved itself with a secret or in another way, and asked for further
    /// client capabilities (`xms_cc`) or not.
    pub(crate) fn application(
        application: &Application,
        by_secret: bool,
        capabilities: Option<Value>,
    ) -> Self {
        let mut more = Map::new();
        if !application.app_roles.is_empty() {
            more.insert("roles".to_owned(), application.app_roles.clone().into());
        }
        if let Some(capabilities) = capabilities {
            more.insert("xms_cc".to_owned(), capabilities);
        }
        Self {
            object_id: application.object_id.clone(),
            client_id: application.client_id.clone(),
            proof: if by_secret { "1" } else { "2" },
            more,
        }
    }
}

/// A freshly signed token. It has no `Debug`, so that it cannot be printed by accident.
pub(crate) struct SignedToken {
    pub(crate) jwt: String,
    pub(crate) uti: String,
    pub(crate) not_before: i64,
    pub(crate) expires_at: i64,
}

/// A tenant with its issuer names and its signing key.
pub(crate) struct Tenant {
    pub(crate) id: String,
    issuer_v1: String,
    issuer_v2: String,
    key: SigningKey,
    checking: DecodingKey,
    jwks: JwkSet,
}

impl Tenant {
    pub(crate) fn new(cloud: AzureCloud) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = SigningKey::new()?;
        let checking = DecodingKey::from_jwk(&key.jwk)?;
        let id = Uuid::new_v4().to_string();
        Ok(Self {
            issuer_v1: format!("https://{}/{id}/", cloud.token_service()),
            issuer_v2: format!("https://{}/{id}/v2.0", cloud.authority()),
            id,
            jwks: JwkSet {
                keys: vec![key.jwk.clone()],
            },
            key,
            checking,
        })
    }

    /// The public keys, as Entra publishes them.
    pub(crate) fn jwks(&self) -> &JwkSet {
        &self.jwks
    }

    /// The issuer of tokens of version 1.0.
    pub(crate) fn issuer_v1(&self) -> &str {
        &self.issuer_v1
    }

    /// The issuer of tokens of version 2.0, which a federated credential for a managed identity
    /// names.
    pub(crate) fn issuer_v2(&self) -> &str {
        &self.issuer_v2
    }

    /// Signs any claims with the tenant's key.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> jsonwebtoken::errors::Result<String> {
        self.key.sign(claims)
    }

    /// Signs an access token. A resource chooses the version of its tokens; those for the
    /// exchange of federated tokens have version 2.0.
    pub(crate) fn issue(
        &self,
        holder: &Holder,
        resource: &str,
        now: i64,
        lifetime: i64,
        version: AccessTokenVersion,
    ) -> jsonwebtoken::errors::Result<SignedToken> {
        let uti = URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
        let not_before = now - BACKDATED_SECONDS;
        let expires_at = now.saturating_add(lifetime);
        let opaque = || URL_SAFE_NO_PAD.encode([Uuid::new_v4().into_bytes(); 3].concat());
        let for_exchange = resource.starts_with(EXCHANGE);
        let of_version = match version {
            AccessTokenVersion::V1 if !for_exchange => json!({
                "iss": self.issuer_v1,
                "idp": self.issuer_v1,
                "appid": holder.client_id,
                "appidacr": holder.proof,
                "ver": "1.0",
            }),
            AccessTokenVersion::V1 | AccessTokenVersion::V2 => json!({
                "iss": self.issuer_v2,
                "azp": holder.client_id,
                "azpacr": holder.proof,
                "ver": "2.0",
            }),
        };
        let common = json!({
            "aud": resource,
            "iat": not_before,
            "nbf": not_before,
            "exp": expires_at,
            "aio": opaque(),
            "idtyp": "app",
            "oid": holder.object_id,
            "rh": format!("1.{}.", opaque()),
            "sub": holder.object_id,
            "tid": self.id,
            "uti": uti,
            "xms_ftd": opaque(),
            "xms_idrel": "7 32",
            "xms_rd": opaque(),
            "xms_tcdt": "1700000000",
        });
        let mut claims = holder.more.clone();
        for part in [common, of_version] {
            if let Value::Object(part) = part {
                claims.extend(part);
            }
        }
        Ok(SignedToken {
            jwt: self.sign(&claims)?,
            uti,
            not_before,
            expires_at,
        })
    }

    /// Checks a bearer token: algorithm, key, signature, issuer, audience, validity. There is
    /// no leeway: a token at its expiry is over.
    pub(crate) fn check(
        &self,
        jwt: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Claims, TokenRefusal> {
        let header = read_header(jwt).ok_or(TokenRefusal::Malformed)?;
        if header.alg != "RS256" {
            return Err(TokenRefusal::BadAlgorithm);
        }
        if header.kid != self.key.id {
            return Err(TokenRefusal::UnknownKey);
        }
        let claims = self.verified_claims(jwt)?;
        if claims.iss != self.issuer_v1 && claims.iss != self.issuer_v2 {
            return Err(TokenRefusal::WrongIssuer);
        }
        let audience = without_slash(&claims.aud);
        if !audiences
            .iter()
            .any(|accepted| without_slash(accepted) == audience)
        {
            return Err(TokenRefusal::WrongAudience);
        }
        if claims.exp <= now {
            return Err(TokenRefusal::Expired);
        }
        if claims.nbf > now {
            return Err(TokenRefusal::NotYetValid);
        }
        Ok(claims)
    }

    /// Checks the signature only; the claims are judged by [`Tenant::check`], against Azure's
    /// clock instead of this machine's.
    pub(crate) fn verified_claims(&self, jwt: &str) -> Result<Claims, TokenRefusal> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Claims>(jwt, &self.checking, &validation)
            .map(|data| data.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenRefusal::BadSignature,
                _ => TokenRefusal::Malformed,
            })
    }
}

/// The header of what has the three parts of a JWT.
pub(crate) fn read_header(jwt: &str) -> Option<JwtHeader> {
    let (header, rest) = jwt.split_once('.')?;
    let (_claims, _signature) = rest.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: Value = serde_json::from_slice(&bytes).ok()?;
    serde_json::from_value(header).ok()
}
