//! A client of Entra for the tests. It makes JWTs by hand and signs them with rustls, so that
//! nothing of what the stand-in checks them with is used to make them.

use std::sync::{Arc, OnceLock};

use azure_sim::{Application, AzureSim, EntraRefusal, Options, RegisteredCertificate};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use sha2::Digest;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::SigningKey;
use uuid::Uuid;

use crate::client::{Reply, call};

pub(crate) const SCOPE: &str = "https://monitor.azure.com/.default";
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(crate) const SECRET: &str = "S3cr~t.of-the_app";

/// A key with a certificate.
pub(crate) struct Signer {
    key: Arc<dyn SigningKey>,
    pub(crate) der: Vec<u8>,
}

impl Signer {
    /// A certificate that is valid in the years from `first` until the beginning of `last`.
    pub(crate) fn new(first: i32, last: i32) -> Self {
        let size = rcgen::RsaKeySize::_2048;
        let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
        let mut certificate = rcgen::CertificateParams::new(Vec::new()).unwrap();
        certificate.not_before = rcgen::date_time_ymd(first, 1, 1);
        certificate.not_after = rcgen::date_time_ymd(last, 1, 1);
        let der = certificate.self_signed(&pair).unwrap().der().to_vec();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        Self {
            key: any_supported_type(&private).unwrap(),
            der,
        }
    }

    /// The one that most tests use.
    pub(crate) fn usual() -> &'static Self {
        static USUAL: OnceLock<Signer> = OnceLock::new();
        USUAL.get_or_init(|| Self::new(2020, 2200))
    }

    /// Another one.
    pub(crate) fn other() -> &'static Self {
        static OTHER: OnceLock<Signer> = OnceLock::new();
        OTHER.get_or_init(|| Self::new(2020, 2200))
    }

    pub(crate) fn certificate(&self) -> RegisteredCertificate {
        RegisteredCertificate::from_der(&self.der).unwrap()
    }

    /// `x5t#S256` of its certificate.
    pub(crate) fn sha256(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&self.der))
    }

    /// `x5t` of its certificate.
    pub(crate) fn sha1(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&self.der))
    }

    /// An element of `x5c`.
    pub(crate) fn x5c(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// A JWT of this header and these claims, by the algorithm that the header names if that is
    /// RS256, else by PS256.
    pub(crate) fn jwt(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let scheme = match header["alg"].as_str() {
            Some("RS256") => SignatureScheme::RSA_PKCS1_SHA256,
            _ => SignatureScheme::RSA_PSS_SHA256,
        };
        let signer = self.key.choose_scheme(&[scheme]).unwrap();
        let signature = signer.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The header of a good assertion.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.sha256() })
    }
}

/// The claims of a good assertion.
pub(crate) fn claims(sim: &AzureSim, client_id: &str) -> Value {
    let now = sim.state().now;
    json!({
        "aud": token_endpoint(sim),
        "iss": client_id,
        "sub": client_id,
        "jti": Uuid::new_v4().to_string(),
        "nbf": now,
        "iat": now,
        "exp": now + 600,
    })
}

/// The URL of the token endpoint without TLS.
pub(crate) fn token_endpoint(sim: &AzureSim) -> String {
    format!("http://{}{}", sim.addresses().entra_plain, v2(sim))
}

pub(crate) fn v2(sim: &AzureSim) -> String {
    format!("/{}/oauth2/v2.0/token", sim.state().tenant_id)
}

pub(crate) fn v1(sim: &AzureSim) -> String {
    format!("/{}/oauth2/token", sim.state().tenant_id)
}

/// A stand-in with an application that has [`SECRET`].
pub(crate) async fn started_with_secret() -> (AzureSim, Application) {
    started_with(Application::new("app").with_secret(SECRET)).await
}

pub(crate) async fn started_with(application: Application) -> (AzureSim, Application) {
    let options = Options {
        applications: vec![application.clone()],
        ..Options::default()
    };
    (AzureSim::start(options).await.unwrap(), application)
}

/// A `POST` of a form, as an HTTP/1.1 client sends it.
pub(crate) fn post(
    sim: &AzureSim,
    target: &str,
    form: &[(&str, &str)],
) -> hyper::http::request::Builder {
    Request::post(target)
        .header("host", sim.addresses().entra_plain.to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(encoded(form))
}

/// Gives a builder of [`post`] its body.
pub(crate) fn with_form(mut builder: hyper::http::request::Builder) -> Request<Full<Bytes>> {
    let body = builder
        .extensions_mut()
        .and_then(hyper::http::Extensions::remove::<String>)
        .unwrap();
    builder.body(Full::from(body)).unwrap()
}

pub(crate) fn encoded(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

pub(crate) async fn send(sim: &AzureSim, target: &str, form: &[(&str, &str)]) -> Reply {
    let request = with_form(post(sim, target, form));
    call(sim.addresses().entra_plain, request).await.unwrap()
}

/// Asks the v2 endpoint with a secret.
pub(crate) async fn ask(sim: &AzureSim, client_id: &str, secret: &str) -> Reply {
    send(sim, &v2(sim), &secret_form(client_id, secret)).await
}

pub(crate) fn secret_form<'a>(client_id: &'a str, secret: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("scope", SCOPE),
        ("client_secret", secret),
    ]
}

/// Asks the v2 endpoint with an assertion.
pub(crate) async fn ask_by_assertion(sim: &AzureSim, client_id: &str, assertion: &str) -> Reply {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("scope", SCOPE),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    send(sim, &v2(sim), &form).await
}

/// Checks that a reply is Entra's refusal for this rule, code and error, and that it was counted
/// so once more than `before`.
pub(crate) fn expect_refusal(
    sim: &AzureSim,
    reply: &Reply,
    rule: EntraRefusal,
    code: u64,
    error: &str,
) {
    let status = match error {
        "invalid_client" => 401,
        _ => 400,
    };
    let body = reply.json();
    assert_eq!(body["error_codes"], json!([code]), "{rule:?}: {body}");
    assert_eq!(body["error"], error, "{rule:?}");
    assert_eq!(reply.status.as_u16(), status, "{rule:?}");
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let (first, ids) = text("error_description")
        .split_once("\r\n")
        .map(|(first, rest)| (first.to_owned(), rest.to_owned()))
        .unwrap();
    assert!(first.starts_with(&format!("AADSTS{code}: ")), "{first}");
    assert_eq!(
        ids,
        format!(
            "Trace ID: {}\r\nCorrelation ID: {}\r\nTimestamp: {}",
            text("trace_id"),
            text("correlation_id"),
            text("timestamp")
        )
    );
    assert!(text("timestamp").ends_with('Z'));
    assert!(text("error_uri").ends_with(&format!("/error?code={code}")));
    assert_eq!(reply.headers["x-ms-request-id"], text("trace_id"));
    let report = sim.state().entra.token_endpoint;
    assert!(report.refused.contains_key(&rule), "{:?}", report.refused);
}
