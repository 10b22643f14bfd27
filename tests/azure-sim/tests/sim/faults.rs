//! Every fault does what it says, as often as it says, where it says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azure_sim::remote_write::{Sample, encode, v1};
use azure_sim::{AzureSim, Fault, FaultKind, RawContent, Service};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use crate::client::{
    Failure, TOKEN_TARGET, ask_imds, ask_target, call, call_tls, get, started, token, try_imds,
    until, without_body,
};

async fn with_fault(kind: FaultKind) -> AzureSim {
    let sim = started().await;
    sim.inject(Fault::new(Service::Imds, kind).times(1))
        .unwrap();
    sim
}

#[tokio::test]
async fn a_status_is_played_so_many_times_and_then_no_more() {
    let sim = started().await;
    let kind = FaultKind::status_with_retry_after(503, 7);
    let id = sim
        .inject(Fault::new(Service::Imds, kind).times(2))
        .unwrap();
    for _ in 0..2 {
        let reply = ask_imds(&sim).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers["retry-after"], "7");
        assert_eq!(reply.json()["error"], "service_unavailable");
    }
    assert_eq!(ask_imds(&sim).await.status, StatusCode::OK);
    let state = sim.state();
    assert_eq!((state.faults[0].played, state.faults[0].active), (2, false));
    assert_eq!((state.imds.accepted, state.imds.tokens_issued), (3, 1));
    assert_eq!(state.imds.answers, BTreeMap::from([(200, 1), (503, 2)]));
    assert!(!sim.end_fault(id));
}

#[tokio::test]
async fn a_fault_without_a_count_lasts_until_it_is_ended() {
    let sim = started().await;
    let id = sim
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .unwrap();
    assert_eq!(ask_imds(&sim).await.status.as_u16(), 500);
    assert_eq!(ask_imds(&sim).await.status.as_u16(), 500);
    assert!(sim.end_fault(id));
    assert_eq!(ask_imds(&sim).await.status, StatusCode::OK);
    sim.inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .unwrap();
    sim.end_all_faults();
    assert_eq!(ask_imds(&sim).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_fault_stays_on_its_service_and_path() {
    let sim = started().await;
    let fault = Fault::new(Service::Target, FaultKind::status(500)).on_path("/bad");
    sim.inject(fault).unwrap();
    let token = token(&sim).await;
    assert_eq!(
        ask_target(&sim, "/good", &token).await.status,
        StatusCode::OK
    );
    assert_eq!(
        ask_target(&sim, "/bad/x", &token).await.status.as_u16(),
        500
    );
}

#[tokio::test]
async fn imds_stays_strict_under_a_fault() {
    let sim = with_fault(FaultKind::status(503)).await;
    let reply = call(sim.addresses().imds, without_body(get(TOKEN_TARGET)))
        .await
        .unwrap();
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(sim.state().faults[0].played, 0);
}

#[tokio::test]
async fn a_target_under_a_fault_still_judges_the_token() {
    let sim = started().await;
    sim.inject(Fault::new(Service::Target, FaultKind::status(503)))
        .unwrap();
    assert_eq!(ask_target(&sim, "/x", "rubbish").await.status.as_u16(), 503);
    assert_eq!(
        ask_target(&sim, "/x", &token(&sim).await)
            .await
            .status
            .as_u16(),
        503
    );
    let state = sim.state().target;
    assert_eq!(
        (state.authorized, state.refused.values().sum::<u64>()),
        (1, 1)
    );
}

#[tokio::test]
async fn what_is_to_differ_in_every_answer_does() {
    let sim = started().await;
    let kind = FaultKind::Status {
        code: 429,
        headers: BTreeMap::from([("retry-after".to_owned(), "@date+60@".to_owned())]),
        body: Some("Trace ID: @uuid@".to_owned()),
    };
    sim.inject(Fault::new(Service::Imds, kind)).unwrap();
    let (one, two) = (ask_imds(&sim).await, ask_imds(&sim).await);
    assert!(one.body.starts_with(b"Trace ID: ") && one.body != two.body);
    let date = one.headers["retry-after"].to_str().unwrap();
    assert!(date.ends_with(" GMT"), "{date}");
}

#[tokio::test]
async fn a_delay_comes_before_the_right_answer() {
    let sim = with_fault(FaultKind::DelayMs(300)).await;
    let begun = Instant::now();
    assert_eq!(ask_imds(&sim).await.status, StatusCode::OK);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_delay_after_handling_holds_back_an_answer_whose_work_is_done() {
    let sim = started().await;
    let late = Fault::new(Service::Imds, FaultKind::DelayMs(300)).after_handling();
    sim.inject(late).unwrap();
    let begun = Instant::now();
    let request = without_body(get(TOKEN_TARGET).header("metadata", "true"));
    let mut answer = Box::pin(call(sim.addresses().imds, request));
    let issued = async {
        while sim.state().imds.tokens_issued == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // However late this test looks: the work first.
    tokio::select! {
        biased;
        () = issued => {}
        _ = &mut answer => panic!("the answer came before the work was done"),
    }
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_hanging_request_ends_with_its_client() {
    let sim = with_fault(FaultKind::Hang).await;
    let request = without_body(get(TOKEN_TARGET).header("metadata", "true"));
    let mut hanging = Box::pin(call(sim.addresses().imds, request));
    assert!(
        timeout(Duration::from_millis(500), &mut hanging)
            .await
            .is_err()
    );
    assert_eq!(sim.state().imds.in_flight, 1);
    drop(hanging);
    until(|| sim.state().imds.in_flight == 0).await;
}

/// Whether an error was a TCP reset, not an end in peace.
fn is_reset(error: &Failure) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() == std::io::ErrorKind::ConnectionReset;
        }
        source = error.source();
    }
    false
}

#[tokio::test]
async fn a_reset_comes_instead_of_an_answer() {
    let sim = with_fault(FaultKind::ResetBefore).await;
    let error = try_imds(&sim).await.err().unwrap();
    assert!(is_reset(&error), "{error:?}");
    let state = sim.state().imds;
    assert_eq!((state.aborted, state.answers.len()), (1, 0));
}

#[tokio::test]
async fn a_reset_in_mid_body_cuts_the_right_answer() {
    let sim = with_fault(FaultKind::ResetMidBody).await;
    let error = try_imds(&sim).await.err().unwrap();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(sim.state().imds.answers, BTreeMap::from([(200, 1)]));
}

#[tokio::test]
async fn over_http2_a_reset_ends_the_stream_only() {
    let sim = started().await;
    sim.inject(Fault::new(Service::Target, FaultKind::ResetBefore))
        .unwrap();
    let request = without_body(Request::get("https://localhost/x"));
    let address = sim.addresses().target_tls;
    let error = call_tls(address, sim.ca_pem(), &["h2"], request)
        .await
        .err()
        .unwrap();
    assert!(!is_reset(&error), "{error:?}");
    assert_eq!(sim.state().target.aborted, 1);
}

#[tokio::test]
async fn a_trickle_is_the_right_answer_in_pieces() {
    let sim = with_fault(FaultKind::Trickle {
        bytes: 500,
        interval_ms: 60,
    })
    .await;
    let begun = Instant::now();
    let reply = ask_imds(&sim).await;
    assert_eq!(reply.json()["token_type"], "Bearer");
    assert!(begun.elapsed() >= Duration::from_millis(180));
}

#[tokio::test]
async fn a_body_can_be_replaced_by_text_or_bytes() {
    let content_type = "application/json".to_owned();
    let text = RawContent::Text("{\"access_token\":".to_owned());
    let body = FaultKind::RawBody {
        content_type: content_type.clone(),
        body: text,
    };
    let reply = ask_imds(&with_fault(body).await).await;
    assert_eq!(
        (reply.status, reply.body.as_ref()),
        (StatusCode::OK, &b"{\"access_token\":"[..])
    );
    assert_eq!(reply.headers["content-type"], "application/json");

    let body = FaultKind::RawBody {
        content_type,
        body: RawContent::Base64("/wAK".to_owned()),
    };
    assert_eq!(
        ask_imds(&with_fault(body).await).await.body.as_ref(),
        [0xff, 0x00, 0x0a]
    );
}

#[tokio::test]
async fn an_oversized_body_has_the_length_asked_for() {
    for bytes in [3, 5_000_000] {
        let reply = ask_imds(&with_fault(FaultKind::Oversized { bytes }).await).await;
        assert_eq!(reply.body.len() as u64, bytes);
    }
}

#[tokio::test]
async fn a_redirect_points_where_it_was_told_to() {
    let location = "http://127.0.0.1:1/elsewhere".to_owned();
    let kind = FaultKind::Redirect {
        code: 307,
        location: location.clone(),
    };
    let reply = ask_imds(&with_fault(kind).await).await;
    assert_eq!(reply.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(reply.headers["location"], location);
}

fn one_sample() -> Vec<u8> {
    let label = v1::Label {
        name: "__name__".to_owned(),
        value: "up".to_owned(),
    };
    let series = v1::TimeSeries {
        labels: vec![label],
        samples: vec![Sample {
            value: 1.0,
            timestamp: 1000,
        }],
        histograms: Vec::new(),
    };
    encode(&v1::WriteRequest {
        timeseries: vec![series],
        metadata: Vec::new(),
    })
}

#[tokio::test]
async fn a_fault_after_handling_loses_the_answer_and_not_the_samples() {
    let sim = started().await;
    let fault = Fault::new(Service::Target, FaultKind::status(503))
        .times(1)
        .after_handling();
    sim.inject(fault).unwrap();
    let bearer = format!("Bearer {}", token(&sim).await);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = Request::post(
            "/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write\
             ?api-version=2023-04-24",
        )
        .header("host", "test")
        .header("authorization", bearer.as_str())
        .header("content-encoding", "snappy")
        .header("content-type", "application/x-protobuf")
        .body(Full::new(Bytes::from(one_sample())))
        .unwrap();
        let reply = call(sim.addresses().target_plain, request).await.unwrap();
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [503, 200]);
    let samples = sim.state().target.samples;
    assert_eq!((samples.distinct, samples.duplicate), (1, 1));
}

#[tokio::test]
async fn an_answer_can_come_before_the_body_was_read() {
    let sim = started().await;
    let fault = Fault::new(Service::Target, FaultKind::status(401)).without_reading();
    sim.inject(fault).unwrap();
    // Announces a body that never comes.
    let request = "POST /x HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(sim.addresses().target_plain)
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    let mut begin = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut begin)
        .await
        .unwrap();
    assert_eq!(&begin, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_fault_that_http_cannot_carry_is_refused() {
    let sim = started().await;
    let text = || "a\r\nb".to_owned();
    let headers = BTreeMap::from([("x".to_owned(), text())]);
    for kind in [
        FaultKind::status(99),
        FaultKind::status(100),
        FaultKind::Status {
            code: 200,
            headers,
            body: None,
        },
        FaultKind::Redirect {
            code: 200,
            location: "/".to_owned(),
        },
        FaultKind::Redirect {
            code: 302,
            location: text(),
        },
        FaultKind::RawBody {
            content_type: text(),
            body: RawContent::Text(text()),
        },
        FaultKind::RawBody {
            content_type: "a/b".to_owned(),
            body: RawContent::Base64(text()),
        },
        FaultKind::Trickle {
            bytes: 0,
            interval_ms: 1,
        },
    ] {
        assert!(
            sim.inject(Fault::new(Service::Imds, kind.clone())).is_err(),
            "{kind:?}"
        );
    }
    assert!(sim.state().faults.is_empty());
}
