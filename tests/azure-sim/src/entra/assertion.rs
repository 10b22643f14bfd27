//! The check of a `client_assertion`: signed by the application with a registered certificate,
//! or a token of an issuer that the application trusts.
//!
//! Sources: "Microsoft identity platform application authentication certificate credentials"
//! and "Workload identity federation".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::judge::Asked;
use super::refusal::{EntraRefusal, Refused, refuse, utc};
use super::trusted_subject;
use crate::applications::{Application, FederatedCredential, RegisteredCertificate};
use crate::cloud::{Cloud, lock};
use crate::tokens::{JwtHeader, read_header};

/// How long an application's own assertion may be valid.
const LONGEST_VALIDITY: i64 = 600;
/// How far ahead a client's clock may be.
const CLOCK_SKEW: i64 = 300;

/// What proved who the client is.
#[derive(Debug)]
pub(crate) enum Proof {
    Secret,
    Certificate { thumbprint: String },
    Federated { issuer: String, subject: String },
}

impl Proof {
    /// What stands for it in the log.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Secret => "<verified: client secret>".to_owned(),
            Self::Certificate { thumbprint } => format!("<verified: certificate {thumbprint}>"),
            Self::Federated { issuer, subject } => {
                format!("<verified: federated token of {issuer} for {subject}>")
            }
        }
    }
}

/// The claims that are looked at, of either kind of assertion.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        };
        all.iter().map(String::as_str)
    }
}

pub(crate) fn check(
    cloud: &Cloud,
    asked: &Asked<'_>,
    application: &Application,
    jwt: &str,
) -> Result<Proof, Refused> {
    let malformed = |what: &str| {
        let message = format!("Invalid JWT token. {what}");
        refuse(EntraRefusal::MalformedAssertion, message)
    };
    let Some(header) = read_header(jwt) else {
        return malformed("It is not a JSON Web Token.");
    };
    // What is believed of them is checked below, against a key that they name.
    let Ok(claims) = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(jwt) else {
        return malformed("A claim is missing or of a wrong type.");
    };
    let is_own = claims.iss.eq_ignore_ascii_case(&application.client_id);
    // An application's own assertion names it; the issuer of any other has a URL.
    if !is_own && claims.iss.starts_with("https://") {
        return check_federated(cloud, application, jwt, &header, claims);
    }
    if !is_own || !claims.sub.eq_ignore_ascii_case(&application.client_id) {
        return refuse(
            EntraRefusal::AssertionOfAnother,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        );
    }
    check_own(cloud, asked, application, jwt, &header, &claims)
}

fn check_own(
    cloud: &Cloud,
    asked: &Asked<'_>,
    application: &Application,
    jwt: &str,
    header: &JwtHeader,
    claims: &Claims,
) -> Result<Proof, Refused> {
    let algorithm = match header.alg.as_str() {
        "PS256" => Algorithm::PS256,
        "RS256" => Algorithm::RS256,
        other => return unsupported(other, "'PS256, RS256'"),
    };
    if application.certificates.is_empty() && application.trusted_subjects.is_empty() {
        return refuse(
            EntraRefusal::NoCertificates,
            format!(
                "Client application '{}' has no configured keys.",
                application.client_id
            ),
        );
    }
    let certificate = match trusted_subject::leaf(application, header) {
        Some(leaf) => leaf,
        None => named(application, header)?.clone(),
    };
    let thumbprint = certificate.sha256_thumbprint();
    if !certificate.is_valid_at(cloud.now()) {
        return not_by_certificate(
            EntraRefusal::CertificateExpired,
            application,
            &format!("The key used is expired., Thumbprint of key used by client: '{thumbprint}'"),
        );
    }
    let key = DecodingKey::from_rsa_der(certificate.rsa_key());
    if !is_signed(jwt, &key, algorithm) {
        return not_by_certificate(
            EntraRefusal::InvalidSignature,
            application,
            &format!(
                "The provided signature value did not match the expected signature value., \
                 Thumbprint of key used by client: '{thumbprint}'"
            ),
        );
    }
    if !claims
        .aud
        .iter()
        .any(|audience| asked.is_token_endpoint(audience))
    {
        return refuse(
            EntraRefusal::WrongAudience,
            "Client assertion audience claim does not match Realm issuer. Review the \
             documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        );
    }
    check_time(cloud, claims)?;
    let begin = claims.nbf.unwrap_or_else(|| cloud.now());
    if claims.exp.saturating_sub(begin) > LONGEST_VALIDITY {
        return outside(cloud, claims, EntraRefusal::TooLongValid);
    }
    let Some(jti) = &claims.jti else {
        let message = "Invalid JWT token. The claim 'jti' is missing.";
        return refuse(EntraRefusal::MalformedAssertion, message);
    };
    let use_of = (application.client_id.clone(), jti.clone());
    if !lock(&cloud.entra.used_assertions).insert(use_of) {
        let message = "Invalid JWT token. The assertion was used before.";
        return refuse(EntraRefusal::Replayed, message);
    }
    Ok(Proof::Certificate { thumbprint })
}

/// The certificate of the application that a header names, by one hash or by both, and by the
/// certificate itself if that is there.
fn named<'a>(
    application: &'a Application,
    header: &JwtHeader,
) -> Result<&'a RegisteredCertificate, Refused> {
    let named = header.x5t.is_some() || header.x5t_s256.is_some();
    let leaf = header.x5c.as_ref().map(|chain| chain.first());
    let is_it = |certificate: &&RegisteredCertificate| {
        let by_sha1 = header.x5t.as_ref();
        let by_sha256 = header.x5t_s256.as_ref();
        named
            && by_sha1.is_none_or(|x5t| *x5t == certificate.sha1_thumbprint())
            && by_sha256.is_none_or(|x5t| *x5t == certificate.sha256_thumbprint())
            && leaf.is_none_or(|leaf| {
                leaf.and_then(|leaf| STANDARD.decode(leaf).ok())
                    .is_some_and(|der| certificate.is_der(&der))
            })
    };
    match application.certificates.iter().find(is_it) {
        Some(certificate) => Ok(certificate),
        None => not_by_certificate(
            EntraRefusal::CertificateNotRegistered,
            application,
            "The key was not found.",
        ),
    }
}

fn check_federated(
    cloud: &Cloud,
    application: &Application,
    jwt: &str,
    header: &JwtHeader,
    claims: Claims,
) -> Result<Proof, Refused> {
    match_credential(application, &claims)?;
    if header.alg != "RS256" {
        return unsupported(&header.alg, "'RS256'");
    }
    let keys = if claims.iss == cloud.tenant.issuer_v2() {
        Some(cloud.tenant.jwks().clone())
    } else {
        cloud.issuers().jwks(&claims.iss)
    };
    let Some(keys) = keys else {
        return refuse(
            EntraRefusal::IssuerUnreachable,
            "Request to External OIDC endpoint failed.",
        );
    };
    let key = keys
        .find(&header.kid)
        .and_then(|jwk| DecodingKey::from_jwk(jwk).ok());
    if !key.is_some_and(|key| is_signed(jwt, &key, Algorithm::RS256)) {
        return refuse(
            EntraRefusal::InvalidSignature,
            "Client assertion failed signature validation.",
        );
    }
    check_time(cloud, &claims)?;
    Ok(Proof::Federated {
        issuer: claims.iss,
        subject: claims.sub,
    })
}

/// Looks for a credential that a token matches; what does not match is named in the order in
/// which Entra names it.
fn match_credential(application: &Application, claims: &Claims) -> Result<(), Refused> {
    let all = &application.federated_credentials;
    if all.is_empty() {
        return refuse(
            EntraRefusal::NoFederatedCredentials,
            format!(
                "The client '{}'({}) has no configured federated identity credentials.",
                application.client_id, application.name
            ),
        );
    }
    let mismatch = |rule, what: &str, value: &str| {
        refuse(
            rule,
            format!(
                "No matching federated identity record found for presented assertion {what} \
                 '{value}'. Check your federated identity credential Subject, Audience and \
                 Issuer against the presented assertion. \
                 https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
            ),
        )
    };
    let by_issuer: Vec<&FederatedCredential> =
        all.iter().filter(|c| c.issuer == claims.iss).collect();
    if by_issuer.is_empty() {
        return mismatch(EntraRefusal::IssuerMismatch, "issuer", &claims.iss);
    }
    let mut by_subject = by_issuer
        .iter()
        .filter(|c| c.subject == claims.sub)
        .peekable();
    if by_subject.peek().is_none() {
        let other_case = |c: &&FederatedCredential| c.subject.eq_ignore_ascii_case(&claims.sub);
        let rule = if by_issuer.iter().any(other_case) {
            EntraRefusal::SubjectCaseMismatch
        } else {
            EntraRefusal::SubjectMismatch
        };
        return mismatch(rule, "subject", &claims.sub);
    }
    if !by_subject.any(|c| claims.aud.iter().any(|audience| audience == c.audience)) {
        let audiences: Vec<_> = claims.aud.iter().collect();
        return mismatch(
            EntraRefusal::AudienceMismatch,
            "audience",
            &audiences.join(", "),
        );
    }
    Ok(())
}

/// Whether this key signed it; what it says is not judged.
pub(crate) fn is_signed(jwt: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<serde_json::Value>(jwt, key, &validation).is_ok()
}

/// An assertion at its `exp` is over; one from a clock that is a little ahead is valid.
fn check_time(cloud: &Cloud, claims: &Claims) -> Result<(), Refused> {
    let now = cloud.now();
    let is_early = claims.nbf.is_some_and(|nbf| nbf > now + CLOCK_SKEW);
    if claims.exp <= now || is_early {
        return outside(cloud, claims, EntraRefusal::OutsideValidity);
    }
    Ok(())
}

fn outside<T>(cloud: &Cloud, claims: &Claims, rule: EntraRefusal) -> Result<T, Refused> {
    let moment = |seconds| utc(seconds, "%Y-%m-%dT%H:%M:%S.0000000Z");
    refuse(
        rule,
        format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion \
             valid from {}, expiry time of assertion {}. Review the documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
            moment(cloud.now()),
            moment(claims.nbf.unwrap_or_default()),
            moment(claims.exp)
        ),
    )
}

fn unsupported<T>(algorithm: &str, supported: &str) -> Result<T, Refused> {
    refuse(
        EntraRefusal::UnsupportedAlgorithm,
        format!(
            "Invalid JWT token. '{algorithm}' is not a supported signature algorithm. Supported \
             signing algorithms are: {supported}"
        ),
    )
}

fn not_by_certificate<T>(
    rule: EntraRefusal,
    application: &Application,
    reason: &str,
) -> Result<T, Refused> {
    refuse(
        rule,
        format!(
            "The certificate with identifier used to sign the client assertion is not registered \
             on application. [Reason - {reason}, Please visit the Azure Portal, Graph Explorer or \
             directly use MS Graph to see configured keys for app Id '{}'.]",
            application.client_id
        ),
    )
}
