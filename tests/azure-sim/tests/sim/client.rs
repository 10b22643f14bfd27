//! A client for the tests: one request on a connection of its own, by HTTP/1.1 or HTTP/2.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_sim::{AzureSim, Options};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.body));
        })
    }
}

pub(crate) fn get(target: &str) -> hyper::http::request::Builder {
    Request::get(target).header("host", "test")
}

pub(crate) fn without_body(builder: hyper::http::request::Builder) -> Request<Full<Bytes>> {
    builder.body(Full::default()).unwrap()
}

/// Sends a request in clear by HTTP/1.1 and gives the answer before its body.
pub(crate) async fn open(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Sends a request in clear by HTTP/1.1.
pub(crate) async fn call(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Reply, Failure> {
    whole(open(address, request).await?).await
}

/// Sends a request by TLS, trusting `ca_pem`, with the ALPN protocol that the server chooses
/// of `offered`.
pub(crate) async fn call_tls(
    address: SocketAddr,
    ca_pem: &str,
    offered: &[&str],
    request: Request<Full<Bytes>>,
) -> Result<Reply, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let response = if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    whole(response).await
}

async fn whole(response: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = response.into_parts();
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

pub(crate) async fn started() -> AzureSim {
    AzureSim::start(Options::default()).await.unwrap()
}

pub(crate) const TOKEN_TARGET: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01\
                                &resource=https%3A%2F%2Fmonitor.azure.com";

/// Asks IMDS for the system-assigned identity's token for Azure Monitor.
pub(crate) async fn ask_imds(sim: &AzureSim) -> Reply {
    ask_imds_more(sim, "").await
}

/// What comes of a request to IMDS, which may fail.
pub(crate) async fn try_imds(sim: &AzureSim) -> Result<Reply, Failure> {
    let request = without_body(get(TOKEN_TARGET).header("metadata", "true"));
    call(sim.addresses().imds, request).await
}

/// The same as [`ask_imds`], with more of a query.
pub(crate) async fn ask_imds_more(sim: &AzureSim, more: &str) -> Reply {
    let target = format!("{TOKEN_TARGET}{more}");
    let request = without_body(get(&target).header("metadata", "true"));
    call(sim.addresses().imds, request).await.unwrap()
}

/// A good token for Azure Monitor.
pub(crate) async fn token(sim: &AzureSim) -> String {
    ask_imds(sim).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Sends a request without a body and with a bearer token to the target in clear.
pub(crate) async fn ask_target(sim: &AzureSim, target: &str, token: &str) -> Reply {
    let request = get(target).header("authorization", format!("Bearer {token}"));
    call(sim.addresses().target_plain, without_body(request))
        .await
        .unwrap()
}

/// Waits until something is so, and fails when it is not so after ten seconds.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not become so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
