//! The load: some connections, each with one request after another, for some time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// On the command line and in results.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) connections: usize,
    /// Bytes of the body; a GET where there is none.
    pub(crate) body: usize,
}

pub(crate) const GET_16: Load = Load {
    name: "get-16",
    title: "small GET, 16 connections",
    connections: 16,
    body: 0,
};
pub(crate) const POST_20K: Load = Load {
    name: "post-20k",
    title: "POST of 20 kB, 16 connections",
    connections: 16,
    body: 20_000,
};
pub(crate) const LOADS: [Load; 4] = [
    GET_16,
    Load {
        name: "get-2",
        title: "small GET, 2 connections",
        connections: 2,
        body: 0,
    },
    POST_20K,
    Load {
        name: "post-500k",
        title: "POST of 500 kB, 16 connections",
        connections: 16,
        body: 500_000,
    },
];

/// A request that can be sent again and again.
pub(crate) type Sent = Request<Full<Bytes>>;

impl Load {
    /// Its request, for this host.
    pub(crate) fn request(&self, host: &str) -> Result<Sent, String> {
        let body = Full::new(Bytes::from(vec![b'x'; self.body]));
        let request = Request::builder()
            .uri("/api/v1/query?query=up")
            .header(HOST, host)
            .header(USER_AGENT, "bench/1")
            .header(ACCEPT, "*/*")
            // The launcher's listener passes on what the client says. Without any, Envoy finds no
            // route again after a downstream Wasm filter has changed a header.
            .header("x-forwarded-proto", "http");
        let request = match self.body {
            0 => request.method(Method::GET),
            _ => request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-protobuf"),
        };
        request.body(body).map_err(|error| error.to_string())
    }
}

/// A connection to a proxy on this machine.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn open(port: u16) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let open = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream))
                .await
                .map_err(std::io::Error::other)?;
            // What ends it is told to whoever sends next.
            spawn_local(async move { drop(connection.await) });
            Ok::<_, std::io::Error>(Self(sender))
        };
        open.await
            .map_err(|error| format!("no connection to {address}: {error}"))
    }

    /// Sends a request and reads the answer, which must be a 2xx.
    pub(crate) async fn exchange(&mut self, request: Sent) -> Result<(), String> {
        let exchange = async {
            self.0.ready().await?;
            let mut answer = self.0.send_request(request).await?;
            while let Some(frame) = answer.frame().await {
                frame?;
            }
            Ok::<_, hyper::Error>(answer.status())
        };
        match exchange.await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("a request was answered {status}")),
            Err(error) => Err(format!("a request got no answer: {error}")),
        }
    }

    /// Sends it again and again until the time is over.
    async fn repeat(mut self, request: Sent, until: Instant) -> Result<(Self, Vec<u32>), String> {
        let mut latencies = Vec::new();
        let mut sent = Instant::now();
        while sent < until {
            self.exchange(request.clone()).await?;
            let answered = Instant::now();
            let micros = answered.duration_since(sent).as_micros();
            latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
            sent = answered;
        }
        Ok((self, latencies))
    }
}

/// Opens as many connections as the load has.
pub(crate) async fn clients(load: &Load, port: u16) -> Result<Vec<Client>, String> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        clients.push(Client::open(port).await?);
    }
    Ok(clients)
}

/// All clients for some time: gives them back with every latency in microseconds. Afterwards nothing
/// is under way.
pub(crate) async fn run(
    clients: Vec<Client>,
    request: &Sent,
    time: Duration,
) -> Result<(Vec<Client>, Vec<u32>), String> {
    let until = Instant::now() + time;
    let start = |client: Client| spawn_local(client.repeat(request.clone(), until));
    let started: Vec<_> = clients.into_iter().map(start).collect();
    let mut clients = Vec::new();
    let mut latencies = Vec::new();
    for task in started {
        let (client, its) = task.await.map_err(|error| error.to_string())??;
        clients.push(client);
        latencies.extend(its);
    }
    Ok((clients, latencies))
}
