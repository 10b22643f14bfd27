//! The common configuration of clusters for remote endpoints: addresses, and TLS with verification of
//! the name.

use std::time::Duration;

use entra_auth_settings_input::{Endpoint, Host, Scheme};
use serde_json::{Value, json};

use super::{internal, listener, numbered, telemetry, tunnel, typed, with};
use crate::settings::Settings;
use crate::settings::trust_store::TrustStore;

/// The idle timeout of a connection, below the four minutes after which load balancers in front of Azure services silently drop idle
/// connections.
pub(super) const IDLE_TIMEOUT: &str = "180s";

/// Envoy's defaults (`X25519MLKEM768:X25519:P-256`), and curves for servers that support no other: many
/// that follow CNSA 1.0 support P-384 only. In TLS 1.2 the curve of a certificate's key must be in this
/// list, too (RFC 8422 §5.3).
const CURVES: [&str; 5] = ["X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"];

/// BoringSSL's defaults, and the algorithm for keys on P-521.
const SIGNATURES: [&str; 10] = [
    "ecdsa_secp256r1_sha256",
    "rsa_pss_rsae_sha256",
    "rsa_pkcs1_sha256",
    "ecdsa_secp384r1_sha384",
    "rsa_pss_rsae_sha384",
    "rsa_pkcs1_sha384",
    "ecdsa_secp521r1_sha512",
    "rsa_pss_rsae_sha512",
    "rsa_pkcs1_sha512",
    "rsa_pkcs1_sha1",
];

/// How a cluster connects to a remote endpoint: through the forward proxy if the settings say so, else
/// directly. TLS is the same in both cases.
pub(super) fn connections(cluster: &str, endpoint: &Endpoint, settings: &Settings) -> Value {
    let tcp_options = tcp_options(listener::DEAD_AFTER);
    let connections = connections_without_tls(cluster, endpoint, tcp_options, settings);
    with(connections, tls(endpoint, settings))
}

/// The same without TLS, and with these TCP options for direct connections.
pub(super) fn connections_without_tls(
    cluster: &str,
    endpoint: &Endpoint,
    tcp_options: Value,
    settings: &Settings,
) -> Value {
    match settings.proxy_to(endpoint) {
        Some(_) => internal::endpoints(cluster, &tunnel::listener_name(cluster)),
        None => with(endpoints(cluster, endpoint, settings), tcp_options),
    }
}

/// TCP options that detect a dead peer. They do not apply to internal connections.
pub(super) fn tcp_options(dead_after: Duration) -> Value {
    json!({
        "upstream_connection_options": { "tcp_keepalive": listener::tcp_keepalive() },
        "upstream_bind_config": { "socket_options": listener::socket_options(dead_after) },
    })
}

/// The addresses of an endpoint: a static one, or those that DNS or /etc/hosts returns.
///
/// If the kernel has no IPv6, no AAAA records may be queried: Envoy 1.40 aborts at the first one with
/// `IPv6 addresses are not supported on this machine`.
pub(super) fn endpoints(cluster: &str, endpoint: &Endpoint, settings: &Settings) -> Value {
    let load_assignment = json!({
        "cluster_name": cluster,
        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": { "socket_address": {
            "address": endpoint.host.to_string(),
            "port_value": endpoint.port,
        } } } }] }],
    });
    match endpoint.host {
        Host::Ip(_) => json!({ "type": "STATIC", "load_assignment": load_assignment }),
        Host::Name(_) => {
            let dns = typed(
                "envoy.clusters.dns",
                "envoy.extensions.clusters.dns.v3.DnsCluster",
                json!({
                    // New connections use the current addresses, and existing ones are kept. All
                    // addresses, IPv6 and IPv4, are tried (RFC 8305).
                    "all_addresses_in_single_endpoint": true,
                    "dns_lookup_family": if settings.ipv6 { "ALL" } else { "V4_ONLY" },
                    "respect_dns_ttl": true,
                    "dns_refresh_rate": "30s",
                    "dns_failure_refresh_rate": { "base_interval": "1s", "max_interval": "10s" },
                }),
            );
            json!({ "cluster_type": dns, "load_assignment": load_assignment })
        }
    }
}

/// The transport socket of a cluster for this endpoint; empty if the endpoint does not use TLS.
pub(super) fn tls(endpoint: &Endpoint, settings: &Settings) -> Value {
    tls_trusting(settings.trust_store.as_ref(), endpoint, settings)
}

/// The same with a trust store of its own.
pub(super) fn tls_trusting(
    trust_store: Option<&TrustStore>,
    endpoint: &Endpoint,
    settings: &Settings,
) -> Value {
    match (trust_store, endpoint.scheme) {
        (Some(trust_store), Scheme::Https) => {
            let socket = tls_socket(&endpoint.host, trust_store, settings);
            json!({ "transport_socket": socket })
        }
        _ => json!({}),
    }
}

/// The CA certificates that Envoy cannot read from their files as these are, each trust store once, with
/// the name of its resource.
fn mended(settings: &Settings) -> Vec<(String, &str)> {
    let stores = [settings.trust_store.as_ref()].into_iter();
    let mut all: Vec<&str> = Vec::new();
    for store in stores.chain(telemetry::trust_stores(settings)).flatten() {
        if let TrustStore::Mended(pem) = store
            && !all.contains(&pem.as_str())
        {
            all.push(pem);
        }
    }
    let named = all.into_iter().enumerate();
    named
        .map(|(before, pem)| (numbered("authorities", before), pem))
        .collect()
}

/// These CA certificates as resources of the bootstrap, which the clusters share. (They are not secret,
/// although Envoy's field is named so.)
pub(super) fn authorities(settings: &Settings) -> Value {
    let secrets: Vec<Value> = mended(settings)
        .into_iter()
        .map(|(name, pem)| {
            json!({
                "name": name,
                "validation_context": { "trusted_ca": { "inline_string": pem } },
            })
        })
        .collect();
    if secrets.is_empty() {
        json!({})
    } else {
        json!({ "secrets": secrets })
    }
}

/// TLS with verification of the host in the certificate. An IP address is not sent as server name
/// (RFC 6066 §3).
fn tls_socket(host: &Host, trust_store: &TrustStore, settings: &Settings) -> Value {
    let (san_type, sni) = match host {
        Host::Name(name) => ("DNS", json!({ "sni": name })),
        Host::Ip(_) => ("IP_ADDRESS", json!({})),
    };
    let names = json!({ "match_typed_subject_alt_names": [{
        "san_type": san_type,
        "matcher": { "exact": host.to_string() },
    }] });
    let validation = match trust_store {
        TrustStore::File(path) => json!({
            "validation_context": with(names, json!({ "trusted_ca": { "filename": path.to_string_lossy() } })),
        }),
        TrustStore::Mended(own) => {
            let mut all = mended(settings).into_iter();
            let name = all.find(|(_, pem)| pem == own).map(|(name, _)| name);
            json!({ "combined_validation_context": {
                "default_validation_context": names,
                "validation_context_sds_secret_config": { "name": name },
            } })
        }
    };
    let params = json!({ "tls_params": {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
        "ecdh_curves": CURVES,
        "signature_algorithms": SIGNATURES,
    } });
    let context = json!({ "common_tls_context": with(params, validation) });
    typed(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        with(context, sni),
    )
}
