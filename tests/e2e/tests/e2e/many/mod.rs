//! Many identities and targets in one proxy, by a configuration file: whose token each request
//! arrives with, what they share, and that one that is broken takes no other down.

mod broken;
mod tokens;

use std::fs;
use std::time::Duration;

use azure_sim::TokenSummary;
use e2e::azure::{Azure, ECHO};
use e2e::{Proxy, ProxyBuilder, eventually, http};
use serde_json::Value;
use tempfile::TempDir;

const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";
const CLUSTER: &str = "https://oidc.cluster.example/";

/// The files of a proxy.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Writes one, and gives its path.
    fn add(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// A proxy with this configuration file.
    fn proxy(&self, azure: &Azure, file: &str, port: u16) -> ProxyBuilder {
        self.add("config.yaml", file);
        Proxy::of_file(&self.0.path().join("config.yaml"), port)
            .set(
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                format!("http://{}", azure.addresses().imds),
            )
            .set("SSL_CERT_FILE", azure.authority())
    }
}

/// What a request to this port, for this host, gets.
fn answer(port: u16, host: &str) -> http::Response {
    let request = http::Request::get(format!("http://127.0.0.1:{port}{ECHO}"))
        .header("Host", host)
        .body(Vec::new())
        .expect("a request");
    http::send(request).expect("an answer")
}

/// The token that such a request arrived with.
fn token_for(port: u16, host: &str) -> TokenSummary {
    let answer = answer(port, host);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echo = answer.json::<azure_sim::EchoReport>().expect("an echo");
    echo.token
}

fn target(azure: &Azure) -> String {
    format!("https://localhost:{}", azure.addresses().target_tls.port())
}

fn entra(azure: &Azure) -> String {
    format!("https://localhost:{}", azure.addresses().entra_tls.port())
}

fn slots(proxy: &Proxy) -> Vec<Value> {
    let status = http::get(&proxy.status_url("/status")).expect("an answer");
    let status: Value = status.json().expect("JSON");
    status["slots"].as_array().expect("slots").clone()
}

/// Waits until every slot has a token.
fn wait_for_all(proxy: &Proxy) {
    eventually(Duration::from_secs(60), "every slot has a token", || {
        let slots = slots(proxy);
        match slots.iter().all(|slot| slot["state"] == "valid") {
            true => Ok(()),
            false => Err(format!("{slots:#?}")),
        }
    });
}
