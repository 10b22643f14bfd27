//! A service that is closed and opened again.

use std::io::ErrorKind;
use std::time::Duration;

use azure_sim::{AzureSim, Fault, FaultKind, Service};
use hyper::StatusCode;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::{ask_target, started, try_imds, until};

#[tokio::test]
async fn a_closed_service_refuses_connections_and_ends_those_that_are_open() {
    let sim = started().await;
    let hang = Fault::new(Service::Imds, FaultKind::Hang).times(1);
    sim.inject(hang).unwrap();
    let close = async {
        until(|| sim.state().imds.in_flight == 1).await;
        sim.set_open(Service::Imds, false);
    };
    let (cut, ()) = tokio::join!(timeout(Duration::from_secs(10), try_imds(&sim)), close);
    assert!(cut.expect("the connection ends").is_err());
    until(|| sim.state().imds.connections.open == 0).await;
    is_refused(&sim).await;
    let other = ask_target(&sim, "/echo", "no token").await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED);

    sim.set_open(Service::Imds, true);
    assert!(try_imds(&sim).await.is_ok());
}

/// Nothing listens where IMDS is.
async fn is_refused(sim: &AzureSim) {
    let refused = TcpStream::connect(sim.addresses().imds).await;
    let reason = refused.expect_err("nothing listens").kind();
    assert_eq!(reason, ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn closing_and_opening_take_effect_at_once() {
    let sim = started().await;
    for _ in 0..50 {
        sim.set_open(Service::Imds, false);
        is_refused(&sim).await;
        sim.set_open(Service::Imds, true);
        let stream = TcpStream::connect(sim.addresses().imds).await;
        drop(stream.expect("somebody listens"));
    }
}

#[tokio::test]
async fn nobody_gets_the_port_of_a_closed_service() {
    let sim = started().await;
    sim.set_open(Service::Imds, false);
    // As the system judges whether it may give a port to somebody who asks for any.
    let other = TcpSocket::new_v4().unwrap();
    let taken = other.bind(sim.addresses().imds).unwrap_err().kind();
    assert_eq!(taken, ErrorKind::AddrInUse);
    is_refused(&sim).await;
}
