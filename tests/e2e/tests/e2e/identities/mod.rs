//! Every identity from the launcher's environment to a request that the target verifies.

mod kinds;
mod secrets;

use std::fs;
use std::path::Path;

use azure_sim::{FederatedClaims, FederatedCredential, TokenSummary};
use e2e::azure::{Azure, ECHO};
use e2e::{Proxy, http};

const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";
const EXCHANGE: &str = "api://AzureADTokenExchange";
const CLUSTER: &str = "https://oidc.cluster.example/";

/// The token that a request arrived with at the target.
pub(crate) fn token(proxy: &Proxy) -> TokenSummary {
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .json::<azure_sim::EchoReport>()
        .expect("an echo")
        .token
}

/// Writes a file of this test.
pub(crate) fn file(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("a file");
    path
}

/// A token as Kubernetes projects it into a pod of this cluster, and the trust in it.
pub(crate) fn kubernetes(azure: &Azure, cluster: &str) -> (String, FederatedCredential) {
    azure.add_issuer(cluster).expect("an issuer");
    let claims = FederatedClaims::kubernetes(cluster, "monitoring", "prometheus");
    let trust = FederatedCredential {
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
    };
    let token = azure.federated_token(&claims).expect("a token");
    (token, trust)
}

pub(crate) fn trust_in(issuer: &str, subject: &str) -> FederatedCredential {
    FederatedCredential {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: EXCHANGE.to_owned(),
    }
}

/// Everything that a proxy which runs shows was there to be searched.
pub(crate) fn shows_no_secret(proxy: &Proxy) {
    let shown = proxy.shows_no_secret();
    let places: Vec<_> = shown.places().collect();
    for place in [
        "/metrics",
        "/status",
        "/ready",
        "/config_dump",
        "the log",
        "the arguments of the launcher",
        "cmdline of envoy",
        "environ of envoy",
    ] {
        assert!(places.contains(&place), "{place} is not in {places:?}");
    }
}
