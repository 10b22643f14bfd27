//! What the HTTP connection managers of both listeners have in common: a message passes as it
//! came. Envoy's defaults are those of an edge proxy, which normalises, adds and believes headers.

use serde_json::{Value, json};

use super::{typed, with};

/// HTTP/2 flow control windows, in bytes. They bound what a peer may send unread; Envoy's own are
/// many times as large. 256 KiB lets a stream have 64 MB/s at a round trip of 4 ms.
const STREAM_WINDOW: u32 = 256 << 10;
const STREAMS: u32 = 64;

/// HTTP/2 with clients and with the target. The window of a connection is twice those of all its
/// streams: else streams that nobody reads use it up, and the others get nothing. (Envoy tells the
/// peer of what was read only when that is half of the window.)
pub(super) fn http2() -> Value {
    json!({
        "max_header_field_size_kb": MAX_HEADERS_KIB,
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": 2 * STREAMS * STREAM_WINDOW,
        "max_concurrent_streams": STREAMS,
    })
}

/// Envoy waits this long for the headers of a request, so that half-open clients go away; nothing
/// bounds the time of a body or a response that moves.
const REQUEST_HEADERS_TIMEOUT: &str = "30s";

/// How many header lines a message may have, and how long they may be together, in KiB. (Envoy's own
/// bounds are 100 and 60.) A request with more gets 431, and in place of such an answer comes 503.
pub(super) const MAX_HEADERS: u32 = 1000;
pub(super) const MAX_HEADERS_KIB: u32 = 112;

/// HTTP/1.1 with clients: an offer to go on in another protocol is taken off and the request served,
/// as RFC 9110 §7.8 allows. (Java's HttpClient offers h2c, and Apache's TLS.) WebSocket is left there,
/// so that Envoy refuses it with 403: without the upgrade such a request makes no sense.
pub(super) fn http1() -> Value {
    json!({ "ignore_http_11_upgrade": [{ "safe_regex": { "regex": any_but("websocket") } }] })
}

/// A regular expression that matches every text but this word, in any case. RE2 has no negation, so
/// this lists what is not the word: each of its proper prefixes, alone or followed by another letter
/// than the word's next, and the word with more behind it.
fn any_but(word: &str) -> String {
    let prefixes = word.char_indices().map(|(end, next)| {
        let prefix = &word[..end];
        format!("{prefix}([^{next}].*)?")
    });
    let texts: Vec<String> = prefixes.chain([format!("{word}.+")]).collect();
    format!("(?i)({})", texts.join("|"))
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
        // Neither believes nor adds x-envoy-* headers.
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
        // The address of the connection is the client's; X-Forwarded-For is only passed on.
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
