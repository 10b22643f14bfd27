//! Bodies flow as they come, in both directions, however long they are and take.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use e2e::Recorder;
use e2e::raw::Connection;

use crate::setup::proxy_to;

#[test]
fn a_request_body_reaches_the_target_while_it_is_still_being_sent() {
    let (seen, chunks) = mpsc::channel();
    // Expect keeps the recorder from reading the body; it is read here, chunk by chunk.
    let target = Recorder::answering(move |_, connection| {
        loop {
            let chunk = connection.chunk()?;
            let last = chunk.is_empty();
            seen.send(chunk).map_err(std::io::Error::other)?;
            if last {
                return connection.send(Recorder::OK);
            }
        }
    });
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(
            b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
        )
        .expect("the proxy takes it");
    for part in ["first", "second", "third"] {
        client
            .send(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes())
            .expect("the proxy takes it");
        let seen = chunks
            .recv_timeout(Duration::from_secs(10))
            .expect("the part comes through");
        assert_eq!(seen, part.as_bytes());
    }
    client.send(b"0\r\n\r\n").expect("the proxy takes it");
    assert_eq!(client.answer_to("POST").expect("an answer").text(), "hello");
}

#[test]
fn a_response_body_reaches_the_client_while_it_is_still_being_sent() {
    let (go_on, permission) = mpsc::channel::<()>();
    let permission = std::sync::Mutex::new(permission);
    let target = Recorder::answering(move |_, connection| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.send(head)?;
        for part in ["first", "second", "third"] {
            write!(connection.stream(), "{:x}\r\n{part}\r\n", part.len())?;
            let permission = permission.lock().map_err(|_| std::io::ErrorKind::Other)?;
            permission.recv().map_err(std::io::Error::other)?;
        }
        connection.send(b"0\r\n\r\n")
    });
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the proxy takes it");
    assert_eq!(client.head().unwrap().status(), 200);
    for part in ["first", "second", "third"] {
        assert_eq!(client.chunk().unwrap(), part.as_bytes());
        go_on.send(()).unwrap();
    }
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    const SIZE: usize = 24 << 20;
    let target = Recorder::answering(|request, connection| {
        write!(
            connection.stream(),
            "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"
        )?;
        connection.send(&request.body)
    });
    let proxy = proxy_to(&target);
    let body: Vec<u8> = (0..SIZE).map(|index| ((index * 31) >> 3) as u8).collect();
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
        .expect("the proxy takes it");
    client.send(&body).expect("the proxy takes it");
    let response = client.answer_to("POST").expect("an answer");
    assert!(
        response.body == body,
        "the response is not the request's body"
    );
    assert!(
        target.only_request().body == body,
        "the request's body has changed"
    );
}

#[test]
fn trailers_pass_in_both_directions() {
    let target = Recorder::answering(|_, connection| {
        connection.send(
            b"HTTP/1.1 200 OK\r\nTrailer: x-b\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n0\r\nX-B: 2\r\n\r\n",
        )
    });
    let proxy = proxy_to(&target);
    let response = proxy.send(
        b"POST /a HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n",
    );
    assert_eq!(response.trailers, [("x-b".into(), "2".into())]);
    let received = target.only_request();
    assert_eq!(received.body, b"abc");
    assert_eq!(received.trailers, [("x-a".into(), "1".into())]);
}

#[test]
fn the_target_decides_whether_it_wants_the_body() {
    let target = Recorder::answering(|request, connection| {
        if request.start.contains("/large") {
            let refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
            return connection.send(refusal);
        }
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut request = request.clone();
        connection.body(&mut request)?;
        assert_eq!(request.body, b"abc");
        connection.send(Recorder::OK)
    });
    let proxy = proxy_to(&target);
    let ask = |path| {
        let mut client = Connection::open(proxy.port()).expect("a connection");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        );
        client.send(request.as_bytes()).expect("the proxy takes it");
        client
    };
    let mut client = ask("/small");
    assert_eq!(client.head().unwrap().start, "HTTP/1.1 100 Continue");
    client.send(b"abc").expect("the proxy takes it");
    assert_eq!(client.answer_to("POST").expect("an answer").text(), "hello");

    assert_eq!(
        ask("/large").answer_to("POST").expect("an answer").status(),
        413
    );
}

#[test]
fn a_response_may_take_its_time() {
    let target = Recorder::answering(|_, connection| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        for part in [&head[..], b"o", b"k"] {
            std::thread::sleep(Duration::from_millis(1500));
            connection.send(part)?;
        }
        Ok(())
    });
    let proxy = proxy_to(&target);
    let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
}
