//! The common configuration of all HTTP connection managers. Messages pass unmodified, unlike with
//! Envoy's defaults, which normalize paths and add and trust headers.

use serde_json::{Value, json};

use super::{typed, with};

/// The HTTP/2 flow-control window of a stream, in bytes. It limits the data that a peer may send before
/// it is read; Envoy's default is many times as large. 256 KiB allows 64 MB/s at a round-trip time of
/// 4 ms.
const STREAM_WINDOW: u32 = 256 << 10;
const STREAMS: u32 = 64;

/// The HTTP/2 options for clients and for the target. The window of a connection is twice the windows of
/// all its streams. Otherwise streams that are not read could use it up and block the others. (Envoy
/// sends a window update only when half of the window was read.)
pub(super) fn http2() -> Value {
    json!({
        "max_header_field_size_kb": MAX_HEADERS_KIB,
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": 2 * STREAMS * STREAM_WINDOW,
        "max_concurrent_streams": STREAMS,
    })
}

/// How long a client may take to send the headers of a request. The time of a body or a response is not
/// limited as long as data flows.
const REQUEST_HEADERS_TIMEOUT: &str = "30s";

/// The largest number of header lines of a message, and their largest total size in KiB. (Envoy's
/// defaults are 100 and 60.) A request above these limits gets 431; a response above them becomes 503.
pub(super) const MAX_HEADERS: u32 = 1000;
pub(super) const MAX_HEADERS_KIB: u32 = 112;

/// The HTTP/1.1 options for clients. An `Upgrade` is ignored, as RFC 9110 §7.8 allows. (Java's HttpClient
/// offers h2c, and Apache's offers TLS.) The exception is WebSocket, which Envoy refuses with 403: without
/// the upgrade such a request is useless.
pub(super) fn http1() -> Value {
    json!({ "ignore_http_11_upgrade": [{ "safe_regex": { "regex": any_but("websocket") } }] })
}

/// A regular expression that matches every text except this word, ignoring case. RE2 has no negation, so
/// the expression lists all other texts: each proper prefix of the word, alone or followed by a different
/// letter than in the word, and the word followed by anything.
fn any_but(word: &str) -> String {
    let prefixes = word.char_indices().map(|(end, next)| {
        let prefix = &word[..end];
        format!("{prefix}([^{next}].*)?")
    });
    let texts: Vec<String> = prefixes.chain([format!("{word}.+")]).collect();
    format!("(?i)({})", texts.join("|"))
}

/// The HTTP options of a cluster with these upstream filters, before the codec that must come last.
pub(super) fn cluster_options(filters: Vec<Value>, version: Value, common: &Value) -> Value {
    let mut filters = filters;
    filters.push(typed(
        "envoy.filters.http.upstream_codec",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        json!({}),
    ));
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": common,
        "http_filters": filters,
    });
    with(options, version)
}

/// A connection manager filter with this route table and these HTTP filters before the router.
pub(super) fn connection_manager(
    stat_prefix: &str,
    virtual_hosts: &[Value],
    filters: Vec<Value>,
    more: Value,
) -> Value {
    let mut http_filters = filters;
    http_filters.push(typed(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        // Neither trusts nor adds x-envoy-* headers.
        json!({ "suppress_envoy_headers": true }),
    ));
    let config = json!({
        "stat_prefix": stat_prefix,
        "route_config": { "name": stat_prefix, "virtual_hosts": virtual_hosts },
        "http_filters": http_filters,

        "normalize_path": false,
        "merge_slashes": false,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",

        "generate_request_id": false,
        "preserve_external_request_id": true,
        "server_header_transformation": "PASS_THROUGH",
        "forward_client_cert_details": "ALWAYS_FORWARD_ONLY",
        // The client's address is that of the connection; X-Forwarded-For is passed on unmodified.
        "use_remote_address": true,
        "skip_xff_append": true,
        "internal_address_config": {},

        "request_headers_timeout": REQUEST_HEADERS_TIMEOUT,
        "request_timeout": "0s",
        "stream_idle_timeout": "0s",

        "max_request_headers_kb": MAX_HEADERS_KIB,
        "common_http_protocol_options": { "max_headers_count": MAX_HEADERS },
        "http_protocol_options": http1(),
        "http2_protocol_options": http2(),
    });
    typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        with(config, more),
    )
}
