//! The host calls that the plugin uses, each as a function that returns a `Result`.
//!
//! `proxy-wasm` 0.2.5 panics on any status that it does not expect, and a panic is a trap that
//! takes the VM and its requests with it. Statuses that are ordinary in production (a stream
//! that is gone, a lost compare-and-swap) are values here. Only the dispatch of HTTP calls goes
//! through the SDK, which must know the call to route its answer.
//!
//! Source of names and signatures: proxy-wasm ABI 0.2.1,
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>.

#![expect(unsafe_code, reason = "the ABI is made of raw pointers")]

use core::time::Duration;

use entra_token_core::lease::{Cas, SharedData};
use entra_token_core::{Mono, Now, Wall};
use proxy_wasm::types::{BufferType, MapType, MetricType, Status};

use crate::memory::Returned;

/// A host call's status other than Ok, as in the ABI's `proxy_status_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostError(u32);

pub(crate) type Result<T> = core::result::Result<T, HostError>;

fn check(status: u32) -> Result<()> {
    if status == Status::Ok as u32 {
        Ok(())
    } else {
        Err(HostError(status))
    }
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status_code: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// WASI's name for the clock that nobody can set.
const CLOCK_MONOTONIC: u32 = 1;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Both clocks. The monotonic one is Envoy's, the same for every VM of the process.
pub(crate) fn now() -> Now {
    let mut mono = 0;
    // SAFETY: the pointer is to a live u64.
    unsafe { clock_time_get(CLOCK_MONOTONIC, 1, &raw mut mono) };
    Now {
        mono: Mono(mono / NANOS_PER_MILLI),
        wall: wall(),
    }
}

/// The wall clock alone: the one look at the clock that a request pays for.
pub(crate) fn wall() -> Wall {
    let mut nanos = 0;
    // SAFETY: the pointer is to a live u64.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut nanos) };
    Wall(nanos / NANOS_PER_MILLI)
}

/// Sets how often the root context of the effective context ticks, to the millisecond.
pub(crate) fn set_tick_period(period: Duration) -> Result<()> {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1);
    // SAFETY: no pointers.
    check(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

/// Makes the calls that follow count for another context of this VM.
pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { proxy_set_effective_context(context) })
}

/// Runs a host call that returns bytes.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Returned> {
    let (status, bytes) = Returned::by(call);
    check(status).map(|()| bytes)
}

/// The whole of a buffer.
pub(crate) fn buffer(buffer: BufferType) -> Result<Vec<u8>> {
    // SAFETY: both out-pointers are live during the call.
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(buffer as u32, 0, usize::MAX, data, size) })
        .map(|bytes| bytes.to_vec())
}

/// The value of a header as it is; `None` when it is absent.
pub(crate) fn header_bytes(map: MapType, name: &str) -> Option<Returned> {
    // SAFETY: `name` outlives the call; both out-pointers are live during it.
    bytes(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
    .ok()
}

/// Hands the value of a header to `read`; `None` when it is absent or not text.
pub(crate) fn read_header<T>(map: MapType, name: &str, read: impl FnOnce(&str) -> T) -> Option<T> {
    str::from_utf8(&header_bytes(map, name)?).ok().map(read)
}

/// The value of a header; `None` when it is absent or not text.
pub(crate) fn header(map: MapType, name: &str) -> Option<String> {
    read_header(map, name, str::to_owned)
}

/// Sets a header of the request, in place of all that have its name.
pub(crate) fn replace_request_header(name: &str, value: &str) -> Result<()> {
    replace_header(MapType::HttpRequestHeaders, name, value)
}

/// Sets a header of the response, in place of all that have its name.
pub(crate) fn replace_response_header(name: &str, value: &str) -> Result<()> {
    replace_header(MapType::HttpResponseHeaders, name, value)
}

fn replace_header(map: MapType, name: &str, value: &str) -> Result<()> {
    // SAFETY: both slices outlive the call.
    check(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// A property of the effective context that is a number.
pub(crate) fn number_property(path: &str) -> Option<u64> {
    let bytes = property(path)?;
    Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
}

/// A property of the effective context as it is. The segments of its path are separated by zero
/// bytes.
pub(crate) fn property(path: &str) -> Option<Returned> {
    // SAFETY: `path` outlives the call; both out-pointers are live during it.
    bytes(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }).ok()
}

/// The name of the cluster that Envoy sends the request to. The property `cluster_name` has none in a
/// listener's filter.
pub(crate) fn cluster_name() -> Option<Returned> {
    property("xds\0cluster_name")
}

/// Lets a parked request of the effective context go on.
pub(crate) fn resume_request() -> Result<()> {
    /// `proxy_stream_type_t`: HTTP request.
    const HTTP_REQUEST: u32 = 0;
    // SAFETY: no pointers.
    check(unsafe { proxy_continue_stream(HTTP_REQUEST) })
}

/// The `details` of an answer to a request without a token.
pub(crate) const NO_TOKEN: &str = "entra_auth_no_token";

/// The `details` of the answer to a request whose token the target refuses.
pub(crate) const REFUSED_TOKEN: &str = "entra_auth_refused_token";

/// Answers the request of the effective context. `details` show up in Envoy's access log.
pub(crate) fn respond(
    status: u32,
    details: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<()> {
    let headers = serialize_map(headers);
    // SAFETY: all slices outlive the call.
    check(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}

/// The ABI's form of a header map: the number of pairs, the sizes of each, then the texts, each
/// with a zero byte behind it.
fn serialize_map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, n: usize| {
        bytes.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    };
    number(&mut bytes, pairs.len());
    for (name, value) in pairs {
        number(&mut bytes, name.len());
        number(&mut bytes, value.len());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.bytes());
        bytes.push(0);
    }
    bytes
}

/// Sends a request to a cluster; the answer comes to the effective root context under the id
/// that is returned.
pub(crate) fn dispatch(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: &[u8],
    timeout: Duration,
) -> Result<u32> {
    let body = (!body.is_empty()).then_some(body);
    proxy_wasm::hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout)
        .map_err(|status| HostError(status as u32))
}

impl HostError {
    /// Whether a dispatch failed because Envoy has no cluster of that name.
    pub(crate) fn is_bad_argument(self) -> bool {
        self.0 == Status::BadArgument as u32
    }
}

/// Envoy's shared data.
pub(crate) struct Shared;

impl SharedData for Shared {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let mut cas = 0;
        // SAFETY: `key` outlives the call; all out-pointers are live during it.
        let value = bytes(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
        });
        Some((value.ok()?.to_vec(), Cas(cas)))
    }

    fn write(&self, key: &str, value: &[u8], expected: Option<Cas>) -> bool {
        // 0 would overwrite whatever is there. A version that cannot exist makes Envoy create
        // the key for exactly one of several racing writers.
        let cas = expected.map_or(u32::MAX, |Cas(cas)| cas);
        // SAFETY: both slices outlive the call.
        let status = unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
        };
        check(status).is_ok()
    }
}

/// A metric of Envoy, or nothing when it could not be defined: a missing number must not cost
/// a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric(Option<u32>);

impl Metric {
    pub(crate) fn define(kind: MetricType, name: &str) -> Self {
        let mut id = 0;
        // SAFETY: `name` outlives the call and the pointer is to a live u32.
        let status =
            unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
        Self(check(status).ok().map(|()| id))
    }

    pub(crate) fn add(self, count: i64) {
        if let Self(Some(id)) = self {
            // SAFETY: no pointers. An error means that the metric is gone.
            unsafe { proxy_increment_metric(id, count) };
        }
    }

    pub(crate) fn set(self, value: u64) {
        if let Self(Some(id)) = self {
            // SAFETY: no pointers. An error means that the metric is gone.
            unsafe { proxy_record_metric(id, value) };
        }
    }
}

struct EnvoyLog;

impl log::Log for EnvoyLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // `proxy_log_level_t` counts from trace = 0 up.
        let level = match record.level() {
            log::Level::Trace => 0,
            log::Level::Debug => 1,
            log::Level::Info => 2,
            log::Level::Warn => 3,
            log::Level::Error => 4,
        };
        let message = record.args().to_string();
        // SAFETY: `message` outlives the call.
        unsafe { proxy_log(level, message.as_ptr(), message.len()) };
    }

    fn flush(&self) {}
}

/// Sends the `log` crate's records to Envoy's log, which filters by its own level.
pub(crate) fn log_through_envoy() {
    // Fails only if there is a logger already, which is then this one.
    let _ = log::set_logger(&EnvoyLog);
    log::set_max_level(log::LevelFilter::Info);
}
