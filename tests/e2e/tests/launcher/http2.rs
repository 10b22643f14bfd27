//! Clients that speak HTTP/2 in clear, as OTLP exporters by gRPC do.

use e2e::Recorder;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::setup::proxy_to;

#[test]
fn a_client_that_speaks_http_2_in_clear_is_served() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let request = Request::post(format!("http://elsewhere.example:{}/a//b?c", proxy.port()))
        .header("authorization", "Basic Y2xpZW50")
        .header("x-envoy-retry-on", "5xx")
        .body(Full::new(Bytes::from("abc")))
        .unwrap();
    let response = Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    });
    assert_eq!(
        (response.0.version, response.0.status),
        (Version::HTTP_2, StatusCode::OK)
    );
    assert_eq!(response.1, "hello");

    let received = target.only_request();
    assert_eq!(received.start, "POST /a//b?c HTTP/1.1");
    assert_eq!(received.body, b"abc");
    assert_eq!(received.header_names(), ["content-length", "host"]);
    let host = format!("127.0.0.1:{}", target.port());
    assert_eq!(received.header("host"), Some(host.as_str()));
}
