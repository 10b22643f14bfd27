//! The tenant's signing key: access tokens are signed and checked here.
//!
//! A check knows the reason of every refusal, because a test asserts on it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::directory::{Identity, without_slash};
use crate::report::TokenRefusal;

/// Entra dates tokens back by five minutes, so that a client's clock may be behind.
const BACKDATED_SECONDS: i64 = 300;

/// The claims that the target looks at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) iss: String,
    pub(crate) exp: i64,
    pub(crate) nbf: i64,
    pub(crate) oid: String,
    pub(crate) appid: String,
    /// Names the token: each has its own.
    pub(crate) uti: String,
}

/// The part of a JWT header that a check needs. `jsonwebtoken` would refuse `none` as
/// unreadable; here it is to be told from a damaged header.
#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    #[serde(default)]
    kid: String,
}

/// A freshly signed token. It has no `Debug`, so that it cannot be printed by accident.
pub(crate) struct SignedToken {
    pub(crate) jwt: String,
    pub(crate) uti: String,
    pub(crate) not_before: i64,
    pub(crate) expires_at: i64,
}

/// A tenant with its issuer name and its RSA key, which lives as long as the process.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) issuer: String,
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
    jwks: JwkSet,
}

impl Tenant {
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pair =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let signing = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::RS256)?;
        let key_id = Uuid::new_v4().simple().to_string();
        jwk.common.key_id = Some(key_id.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        let checking = DecodingKey::from_jwk(&jwk)?;
        let id = Uuid::new_v4().to_string();
        Ok(Self {
            issuer: format!("https://sts.windows.net/{id}/"),
            id,
            key_id,
            signing,
            checking,
            jwks: JwkSet { keys: vec![jwk] },
        })
    }

    /// The public keys, as Entra publishes them.
    pub(crate) fn jwks(&self) -> &JwkSet {
        &self.jwks
    }

    /// Signs any claims with the tenant's key.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> jsonwebtoken::errors::Result<String> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.signing)
    }

    /// Signs an access token (version 1.0) for a managed identity.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        resource: &str,
        now: i64,
        lifetime: i64,
    ) -> jsonwebtoken::errors::Result<SignedToken> {
        let uti = URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
        let not_before = now - BACKDATED_SECONDS;
        let expires_at = now.saturating_add(lifetime);
        let opaque = || URL_SAFE_NO_PAD.encode([Uuid::new_v4().into_bytes(); 3].concat());
        let jwt = self.sign(&json!({
            "aud": resource,
            "iss": self.issuer,
            "iat": not_before,
            "nbf": not_before,
            "exp": expires_at,
            "aio": opaque(),
            "appid": identity.client_id,
            "appidacr": "2",
            "idp": self.issuer,
            "idtyp": "app",
            "oid": identity.object_id,
            "rh": format!("1.{}.", opaque()),
            "sub": identity.object_id,
            "tid": self.id,
            "uti": uti,
            "ver": "1.0",
            "xms_az_rid": identity.resource_id,
            "xms_ftd": opaque(),
            "xms_idrel": "7 32",
            "xms_mirid": identity.resource_id,
            "xms_rd": opaque(),
            "xms_tcdt": "1700000000",
        }))?;
        Ok(SignedToken {
            jwt,
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
        if header.kid != self.key_id {
            return Err(TokenRefusal::UnknownKey);
        }
        let claims = self.verified_claims(jwt)?;
        if claims.iss != self.issuer {
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

fn read_header(jwt: &str) -> Option<JwtHeader> {
    let (header, rest) = jwt.split_once('.')?;
    let (_claims, _signature) = rest.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: Value = serde_json::from_slice(&bytes).ok()?;
    serde_json::from_value(header).ok()
}
