//! What goes through the same proxy: clusters as istiod names them, and addresses of the client's
//! own choice.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use azure_sim::Options;
use e2e::azure::Azure;
use e2e::http;
use serde_json::{Value, json};

use super::{Istio, PATIENCE, Setup};
use crate::downstream::{self, TARGET};

/// With a DestinationRule that has subsets, their names are part of the cluster's.
#[test]
fn the_cluster_of_a_subset_of_the_target_may_carry_the_token() {
    let azure = Azure::start(Options::default());
    let setup = Setup {
        change: &|bootstrap| {
            let cluster = format!("outbound|443||{TARGET}");
            let subset = format!("outbound|443|by-plain-http|{TARGET}");
            let changed = bootstrap.to_string().replace(&cluster, &subset);
            assert_ne!(changed, bootstrap.to_string());
            *bootstrap = serde_json::from_str(&changed).expect("JSON");
        },
        ..Setup::default()
    };
    Istio::set_up(&azure, &downstream::plugin(&azure), &setup).echo();
}

/// Makes the second listener that of a port at which no service is known: every host goes where the
/// client wants it to. In a pod the kernel knows where that is; here a header says it.
fn with_pass_through(bootstrap: &mut Value) {
    let resources = &mut bootstrap["static_resources"];
    let clusters = resources["clusters"].as_array_mut().expect("clusters");
    clusters.retain(|cluster| cluster["name"] != "PassthroughCluster");
    clusters.push(json!({
        "name": "PassthroughCluster",
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "5s",
        "original_dst_lb_config": {"use_http_header": true},
    }));
    let routes = "/listeners/1/filter_chains/0/filters/0/typed_config/route_config";
    *resources.pointer_mut(routes).expect("routes") = json!({"virtual_hosts": [{
        "name": "allow_any",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}],
    }]});
}

/// A server of somebody else's: gives what it reads of each request.
fn eavesdropper() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, heard) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
            let head: Vec<_> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if sender.send(head.join("\n")).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

#[test]
fn a_forged_host_carries_no_token_to_an_address_of_the_clients_choice() {
    let azure = Azure::start(Options::default());
    let setup = Setup {
        listeners: 2,
        change: &with_pass_through,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    // There is a token to steal.
    istio.echo();
    let (address, heard) = eavesdropper();
    let hosts = [
        TARGET.to_owned(),
        format!("{TARGET}:443"),
        TARGET.to_uppercase(),
        "x.metrics.ingest.monitor.azure.com".to_owned(),
    ];
    for host in &hosts {
        let request = http::Request::get(format!("http://127.0.0.1:{}/", istio.ports[1]))
            .header("Host", host)
            .header("Authorization", "Bearer the-clients-own")
            .header("X-Envoy-Original-Dst-Host", address.to_string())
            .body(Vec::new())
            .expect("a request");
        assert_eq!(http::send(request).expect("an answer").status, 200);
        let heard = heard.recv_timeout(PATIENCE).expect("a request");
        assert!(
            heard
                .to_lowercase()
                .contains(&format!("host: {host}").to_lowercase())
        );
        assert!(
            heard.contains("authorization: Bearer the-clients-own"),
            "{heard}"
        );
        assert_eq!(heard.matches("Bearer").count(), 1, "{heard}");
    }
    let passed = u64::try_from(hosts.len()).expect("a number");
    istio.wait_for_stat("outcome=.=passed;.;entra_auth_requests_total", passed);
}
