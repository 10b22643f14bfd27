//! Issuers of federated tokens: a Kubernetes cluster, tsiam, anyone whose tokens an application
//! may use as assertions. Each has an RSA key, publishes it, and can change it.
//!
//! Entra fetches an issuer's keys by HTTPS from its URL; here it looks them up by that URL. An
//! issuer that is not known here is one that Entra cannot reach.

use std::collections::HashMap;
use std::error::Error;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;

/// An RSA key for RS256 with a name, which lives as long as the process.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    key: EncodingKey,
    /// The public part, as issuers publish it.
    pub(crate) jwk: Jwk,
}

impl SigningKey {
    pub(crate) fn new() -> Result<Self, Failure> {
        let pair =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
        let id = Uuid::new_v4().simple().to_string();
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        Ok(Self { id, key, jwk })
    }

    pub(crate) fn sign(
        &self,
        claims: &impl serde::Serialize,
    ) -> jsonwebtoken::errors::Result<String> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
    }
}

/// What a federated token is to say.
#[derive(Debug, Clone, PartialEq)]
pub struct FederatedClaims {
    /// `iss`: an issuer's URL.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, as an array of one.
    pub audience: String,
    /// Seconds from now to `exp`; negative for a token that is over.
    pub lifetime_seconds: i64,
    /// Further claims; they win over the ones above.
    pub more: Map<String, Value>,
}

impl FederatedClaims {
    /// The claims of a Kubernetes service account's projected token for Entra, valid for an
    /// hour.
    #[must_use]
    pub fn kubernetes(issuer: &str, namespace: &str, service_account: &str) -> Self {
        let more = json!({
            "kubernetes.io": {
                "namespace": namespace,
                "pod": { "name": format!("{service_account}-0"), "uid": Uuid::new_v4().to_string() },
                "serviceaccount": { "name": service_account, "uid": Uuid::new_v4().to_string() },
            },
        });
        Self {
            issuer: issuer.to_owned(),
            subject: format!("system:serviceaccount:{namespace}:{service_account}"),
            audience: "api://AzureADTokenExchange".to_owned(),
            lifetime_seconds: 3600,
            more: match more {
                Value::Object(more) => more,
                _ => Map::new(),
            },
        }
    }

    fn at(&self, now: i64) -> Map<String, Value> {
        let claims = json!({
            "iss": self.issuer,
            "sub": self.subject,
            "aud": [self.audience],
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(self.lifetime_seconds),
            "jti": Uuid::new_v4().to_string(),
        });
        let mut claims = match claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        claims.extend(self.more.clone());
        claims
    }
}

/// An issuer: the key that it signs with and the keys that it publishes.
struct Issuer {
    signing: SigningKey,
    published: Vec<Jwk>,
}

/// The issuers that Entra can reach, by URL.
#[derive(Default)]
pub(crate) struct Issuers {
    by_url: HashMap<String, Issuer>,
}

impl Issuers {
    /// Makes an issuer known, if it is not.
    pub(crate) fn add(&mut self, url: &str) -> Result<(), Failure> {
        if !self.by_url.contains_key(url) {
            let signing = SigningKey::new()?;
            let published = vec![signing.jwk.clone()];
            let issuer = Issuer { signing, published };
            self.by_url.insert(url.to_owned(), issuer);
        }
        Ok(())
    }

    /// Makes an issuer sign with a new key. The old one stays published or not.
    pub(crate) fn rotate(&mut self, url: &str, keep_old: bool) -> Result<(), Failure> {
        let issuer = self.by_url.get_mut(url).ok_or_else(|| unknown(url))?;
        issuer.signing = SigningKey::new()?;
        if !keep_old {
            issuer.published.clear();
        }
        issuer.published.push(issuer.signing.jwk.clone());
        Ok(())
    }

    /// Makes an issuer unknown again; false when it was not known.
    pub(crate) fn remove(&mut self, url: &str) -> bool {
        self.by_url.remove(url).is_some()
    }

    pub(crate) fn sign(&self, claims: &FederatedClaims, now: i64) -> Result<String, Failure> {
        let url = &claims.issuer;
        let issuer = self.by_url.get(url).ok_or_else(|| unknown(url))?;
        Ok(issuer.signing.sign(&claims.at(now))?)
    }

    /// The keys that an issuer publishes.
    pub(crate) fn jwks(&self, url: &str) -> Option<JwkSet> {
        let keys = self.by_url.get(url)?.published.clone();
        Some(JwkSet { keys })
    }
}

fn unknown(url: &str) -> Failure {
    format!("no issuer '{url}': add it first").into()
}
