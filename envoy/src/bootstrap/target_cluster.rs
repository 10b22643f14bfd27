//! The cluster of the target: found by DNS or by its address, spoken to by TLS with its name
//! checked, HTTP/2 where it offers it, and the filter that authorizes each request on its way out.

use serde_json::{Value, json};

use super::{header_overrides, http, listener, plugin, typed, with};
use crate::settings::Settings;
use crate::settings::authority::{Endpoint, Host, Scheme};

/// The cluster's name, in routes and metrics.
pub(super) const CLUSTER: &str = "target";

/// For TCP and TLS together, two lost packets included. With the route's two retries a client has
/// its answer after 15 s, before Prometheus gives up (30 s).
const CONNECT_TIMEOUT: &str = "5s";

/// Load balancers in front of Azure services drop idle connections after four minutes, silently.
const IDLE_TIMEOUT: &str = "180s";

/// No bound: what may wait is bounded by the filter's hold limits and the overload manager. A
/// breaker below those would answer for them, without a reason.
const UNBOUNDED: u32 = u32::MAX;

pub(super) fn cluster(settings: &Settings) -> Value {
    let target = &settings.target;
    let cluster = json!({
        "name": CLUSTER,
        "connect_timeout": CONNECT_TIMEOUT,
        // Envoy opens the listeners without an answer from DNS: probes and metrics must not wait.
        "wait_for_warm_on_init": false,
        "circuit_breakers": { "thresholds": [{
            "max_connections": UNBOUNDED,
            "max_pending_requests": UNBOUNDED,
            "max_requests": UNBOUNDED,
            "max_retries": UNBOUNDED,
        }] },
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        "upstream_connection_options": { "tcp_keepalive": listener::tcp_keepalive() },
        "upstream_bind_config": { "socket_options": listener::socket_options() },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols(settings),
        },
    });
    let cluster = with(cluster, endpoints(CLUSTER, target));
    match &settings.trust_store {
        Some(trust_store) => {
            let tls = tls(&target.host, &trust_store.to_string_lossy());
            with(cluster, json!({ "transport_socket": tls }))
        }
        None => cluster,
    }
}

/// How to find an endpoint: as it is, or by DNS (which reads /etc/hosts, too).
pub(super) fn endpoints(cluster: &str, endpoint: &Endpoint) -> Value {
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
                    // New connections go to the current addresses, old ones are left in peace;
                    // all addresses, IPv6 and IPv4, are tried (RFC 8305).
                    "all_addresses_in_single_endpoint": true,
                    "dns_lookup_family": "ALL",
                    "respect_dns_ttl": true,
                    "dns_refresh_rate": "30s",
                    "dns_failure_refresh_rate": { "base_interval": "1s", "max_interval": "10s" },
                }),
            );
            json!({ "cluster_type": dns, "load_assignment": load_assignment })
        }
    }
}

/// TLS with the host's name checked in the certificate. An address is no server name
/// (RFC 6066 §3), so it is only checked.
fn tls(host: &Host, trust_store: &str) -> Value {
    let (san_type, sni) = match host {
        Host::Name(name) => ("DNS", json!({ "sni": name })),
        Host::Ip(_) => ("IP_ADDRESS", json!({})),
    };
    let context = json!({
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "validation_context": {
                "trusted_ca": { "filename": trust_store },
                "match_typed_subject_alt_names": [{
                    "san_type": san_type,
                    "matcher": { "exact": host.to_string() },
                }],
            },
        },
    });
    typed(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        with(context, sni),
    )
}

/// By TLS what the target chooses, in clear HTTP/1.1; and the filters of the way out.
fn protocols(settings: &Settings) -> Value {
    let http1 = json!({ "enable_trailers": true });
    let version = match settings.target.scheme {
        Scheme::Https => json!({ "auto_config": {
            "http_protocol_options": http1,
            "http2_protocol_options": http::http2(),
        } }),
        Scheme::Http => json!({ "explicit_http_config": { "http_protocol_options": http1 } }),
    };
    let mut filters = vec![plugin::authorize(settings)];
    filters.extend(header_overrides::filter(&settings.override_headers));
    filters.push(typed(
        "envoy.filters.http.upstream_codec",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        json!({}),
    ));
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": { "idle_timeout": IDLE_TIMEOUT },
        "http_filters": filters,
    });
    with(options, version)
}
