//! Applications registered in the tenant, and the ways in which they may prove who they are.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::Digest;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::directory::METRICS_PUBLISHER;
use crate::options::AZURE_MONITOR;

/// An application with its service principal in the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The application (client) id.
    pub client_id: String,
    /// The object id of its service principal: what roles are given to.
    pub object_id: String,
    /// Its display name.
    pub name: String,
    /// Its client secrets.
    #[serde(default)]
    pub secrets: Vec<ClientSecret>,
    /// The certificates that its assertions may be signed with.
    #[serde(default)]
    pub certificates: Vec<RegisteredCertificate>,
    /// The certificates that need not be registered, for their subject and their issuer.
    #[serde(default)]
    pub trusted_subjects: Vec<TrustedSubject>,
    /// The tokens of others that it may use as assertions.
    #[serde(default)]
    pub federated_credentials: Vec<FederatedCredential>,
    /// The application roles granted to it: its tokens carry them as `roles`. What the target
    /// asks for is not among them but a role assignment, as in Azure.
    #[serde(default)]
    pub app_roles: Vec<String>,
    /// Role assignments given to it when it is registered, as (audience, role).
    #[serde(default)]
    pub roles: Vec<(String, String)>,
    /// Whether an administrator has switched it off.
    #[serde(default)]
    pub disabled: bool,
}

impl Application {
    /// An application with new ids, no credential and the role to write metrics.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            client_id: Uuid::new_v4().to_string(),
            object_id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            trusted_subjects: Vec::new(),
            federated_credentials: Vec::new(),
            app_roles: Vec::new(),
            roles: vec![(AZURE_MONITOR.to_owned(), METRICS_PUBLISHER.to_owned())],
            disabled: false,
        }
    }

    /// The same with a client secret that never expires.
    #[must_use]
    pub fn with_secret(mut self, value: &str) -> Self {
        self.secrets.push(ClientSecret {
            value: value.to_owned(),
            expires_at: None,
        });
        self
    }

    /// The same with a certificate.
    #[must_use]
    pub fn with_certificate(mut self, certificate: RegisteredCertificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// The same with trust by subject name and issuer.
    #[must_use]
    pub fn with_trusted_subject(mut self, trusted: TrustedSubject) -> Self {
        self.trusted_subjects.push(trusted);
        self
    }

    /// The same with a federated credential.
    #[must_use]
    pub fn with_federated_credential(mut self, credential: FederatedCredential) -> Self {
        self.federated_credentials.push(credential);
        self
    }
}

/// A client secret. Its `Debug` hides the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecret {
    /// The value.
    pub value: String,
    /// When it expires, in seconds since 1970 of Azure's clock; never when absent.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Trust by subject name and issuer (SN+I): a certificate of this subject that leads to this
/// authority is taken whichever its hash, so that it can be renewed without a word to Entra. Graph
/// calls it `trustedCertificateSubject`. The assertion must bring the chain (`x5c`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedSubject {
    /// The subject, as in `CN=proxy.example`.
    pub subject: String,
    /// The authority's certificate.
    pub authority: AuthorityCertificate,
}

/// An authority's certificate; in JSON its DER in standard base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuthorityCertificate(Vec<u8>);

impl AuthorityCertificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is no X.509 certificate of an authority, in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| InvalidCertificate(error.to_string()))?;
        if parsed.is_ca() {
            Ok(Self(der.to_vec()))
        } else {
            Err(InvalidCertificate("it is no authority's".to_owned()))
        }
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for AuthorityCertificate {
    type Error = InvalidCertificate;

    fn try_from(text: String) -> Result<Self, InvalidCertificate> {
        let der = STANDARD
            .decode(text)
            .map_err(|error| InvalidCertificate(error.to_string()))?;
        Self::from_der(&der)
    }
}

impl From<AuthorityCertificate> for String {
    fn from(certificate: AuthorityCertificate) -> Self {
        STANDARD.encode(&certificate.0)
    }
}

/// Whose tokens an application may use as assertions. Compared to the letter, trailing slashes
/// and upper case included, as Entra does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredential {
    /// The token's `iss`.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
    /// The token's `aud`.
    pub audience: String,
}

/// A certificate registered for an application; in JSON its DER in standard base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegisteredCertificate {
    der: Vec<u8>,
    /// `RSAPublicKey` (RFC 8017 §A.1.1), DER.
    rsa_key: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl RegisteredCertificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is no X.509 certificate in DER with an RSA key: Entra takes no other for
    /// assertions.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| InvalidCertificate(error.to_string()))?;
        let key = parsed.public_key();
        if !matches!(key.parsed(), Ok(PublicKey::RSA(_))) {
            return Err(InvalidCertificate("its key is not an RSA key".to_owned()));
        }
        Ok(Self {
            der: der.to_vec(),
            rsa_key: key.subject_public_key.data.to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    pub(crate) fn rsa_key(&self) -> &[u8] {
        &self.rsa_key
    }

    pub(crate) fn is_der(&self, der: &[u8]) -> bool {
        self.der == der
    }

    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// `x5t#S256` (RFC 7515 §4.1.8).
    #[must_use]
    pub fn sha256_thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&self.der))
    }

    /// `x5t` (RFC 7515 §4.1.7).
    #[must_use]
    pub fn sha1_thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&self.der))
    }
}

impl fmt::Debug for RegisteredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegisteredCertificate")
            .field(&self.sha256_thumbprint())
            .finish()
    }
}

impl TryFrom<String> for RegisteredCertificate {
    type Error = InvalidCertificate;

    fn try_from(text: String) -> Result<Self, InvalidCertificate> {
        let der = STANDARD
            .decode(text)
            .map_err(|error| InvalidCertificate(error.to_string()))?;
        Self::from_der(&der)
    }
}

impl From<RegisteredCertificate> for String {
    fn from(certificate: RegisteredCertificate) -> Self {
        STANDARD.encode(&certificate.der)
    }
}

/// Why a certificate cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCertificate(String);

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid certificate: {}", self.0)
    }
}

impl std::error::Error for InvalidCertificate {}

/// An application as it may be shown: everything but its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationReport {
    /// The application (client) id.
    pub client_id: String,
    /// The object id of its service principal.
    pub object_id: String,
    /// Its display name.
    pub name: String,
    /// When each of its client secrets expires.
    pub secrets_expire_at: Vec<Option<i64>>,
    /// `x5t#S256` of its certificates.
    pub certificates: Vec<String>,
    /// Its federated credentials.
    pub federated_credentials: Vec<FederatedCredential>,
    /// Whether it is switched off.
    pub disabled: bool,
}

/// The applications of the tenant.
#[derive(Debug, Default)]
pub(crate) struct Applications {
    /// By client id in lower case.
    by_client_id: BTreeMap<String, Application>,
}

impl Applications {
    /// Registers an application, in the place of the one with the same client id.
    pub(crate) fn register(&mut self, application: Application) {
        let id = application.client_id.to_ascii_lowercase();
        self.by_client_id.insert(id, application);
    }

    pub(crate) fn remove(&mut self, client_id: &str) -> bool {
        let id = client_id.to_ascii_lowercase();
        self.by_client_id.remove(&id).is_some()
    }

    pub(crate) fn find(&self, client_id: &str) -> Option<&Application> {
        self.by_client_id.get(&client_id.to_ascii_lowercase())
    }

    pub(crate) fn report(&self) -> Vec<ApplicationReport> {
        self.by_client_id
            .values()
            .map(|application| ApplicationReport {
                client_id: application.client_id.clone(),
                object_id: application.object_id.clone(),
                name: application.name.clone(),
                secrets_expire_at: application.secrets.iter().map(|s| s.expires_at).collect(),
                certificates: application
                    .certificates
                    .iter()
                    .map(RegisteredCertificate::sha256_thumbprint)
                    .collect(),
                federated_credentials: application.federated_credentials.clone(),
                disabled: application.disabled,
            })
            .collect()
    }
}
