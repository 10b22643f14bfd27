//! The host calls that the stand-in answers. Every other one ends the run with its name: where
//! the module starts to use it, this file must say what Envoy would do.
//!
//! Source of names, arguments and numbers: proxy-wasm ABI 0.2.1,
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>, and WASI preview 1,
//! <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md>.

use wasmi::{Caller, Error, Val};

use crate::envoy::{Envoy, Headers};
use crate::guest::Guest;

/// `proxy_status_t`, and WASI's `errno` where it is `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Ok = 0,
    NotFound = 1,
    CasMismatch = 8,
}

/// `proxy_log_level_t`: error.
const LOG_ERROR: u32 = 4;

/// `proxy_buffer_type_t`.
const CALL_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;

/// `proxy_map_type_t`.
const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const CALL_HEADERS: u32 = 6;

/// WASI's `clockid`.
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

/// Answers a call of the module, and counts it.
pub(crate) fn answer(
    name: &str,
    caller: &mut Caller<'_, Envoy>,
    arguments: &[Val],
) -> Result<Status, Error> {
    *caller.data_mut().calls.entry(name.to_owned()).or_default() += 1;
    let mut guest = Guest { caller, arguments };
    match name {
        "proxy_log" => log(&mut guest),
        "proxy_get_current_time_nanoseconds" => {
            let now = guest.envoy().wall;
            guest.store(0, &now.to_le_bytes())?;
            Ok(Status::Ok)
        }
        "proxy_set_tick_period_milliseconds"
        | "proxy_set_effective_context"
        | "proxy_increment_metric"
        | "proxy_record_metric"
        // What there is of the environment, which is nothing.
        | "environ_get" => Ok(Status::Ok),
        "proxy_define_metric" => {
            guest.envoy().metrics += 1;
            let metric = guest.envoy().metrics;
            guest.store(3, &metric.to_le_bytes())?;
            Ok(Status::Ok)
        }
        "proxy_get_buffer_bytes" => {
            let buffer = match guest.word(0)? {
                CALL_BODY => guest.envoy().call_body.clone(),
                PLUGIN_CONFIGURATION => guest.envoy().configuration.clone().into_bytes(),
                buffer => return Err(Error::new(format!("the buffer {buffer} is not provided"))),
            };
            guest.give(3, &buffer)?;
            Ok(Status::Ok)
        }
        "proxy_get_header_map_value" => {
            let header = guest.text(1)?;
            let value = map(&mut guest)?.get(&header).cloned();
            give(&mut guest, 3, value.map(String::into_bytes))
        }
        "proxy_replace_header_map_value" => {
            let (header, value) = (guest.text(1)?, guest.text(3)?);
            map(&mut guest)?.insert(header, value);
            Ok(Status::Ok)
        }
        "proxy_get_property" => {
            let path = guest.text(0)?;
            let value = guest.envoy().properties.get(&path).cloned();
            give(&mut guest, 2, value)
        }
        "proxy_get_shared_data" => {
            let key = guest.bytes(0)?;
            let found = guest.envoy().shared(&key).cloned();
            if let Some((_, version)) = &found {
                guest.store(4, &version.to_le_bytes())?;
            }
            give(&mut guest, 2, found.map(|(value, _)| value))
        }
        "proxy_set_shared_data" => {
            let (key, value, expected) = (guest.bytes(0)?, guest.bytes(2)?, guest.word(4)?);
            Ok(match guest.envoy().share(key, value, expected) {
                true => Status::Ok,
                false => Status::CasMismatch,
            })
        }
        "proxy_http_call" => {
            guest.envoy().dispatched += 1;
            let id = guest.envoy().dispatched;
            guest.store(9, &id.to_le_bytes())?;
            Ok(Status::Ok)
        }
        "clock_time_get" => {
            let now = match guest.word(0)? {
                CLOCK_REALTIME => guest.envoy().wall,
                CLOCK_MONOTONIC => guest.envoy().mono,
                clock => return Err(Error::new(format!("WASI's clock {clock} is not provided"))),
            };
            guest.store(2, &now.to_le_bytes())?;
            Ok(Status::Ok)
        }
        "random_get" => random(&mut guest),
        // No environment variables, in no bytes.
        "environ_sizes_get" => {
            guest.store(0, &[0; 4])?;
            guest.store(1, &[0; 4])?;
            Ok(Status::Ok)
        }
        _ => Err(Error::new(format!(
            "the module calls {name}, which the stand-in for Envoy does not provide; say in tests/cost/src/calls.rs what Envoy would do"
        ))),
    }
}

fn log(guest: &mut Guest<'_, '_>) -> Result<Status, Error> {
    let (level, message) = (guest.word(0)?, guest.text(1)?);
    if level >= LOG_ERROR && !guest.envoy().may_log_errors {
        return Err(Error::new(format!("the module logs an error: {message}")));
    }
    guest.envoy().log.push(message);
    Ok(Status::Ok)
}

/// The same bytes in each run: hash tables must not differ from one to the next.
fn random(guest: &mut Guest<'_, '_>) -> Result<Status, Error> {
    let mut bytes = vec![0; guest.word(1)? as usize];
    for byte in &mut bytes {
        let random = &mut guest.envoy().random;
        *random = random.wrapping_mul(5).wrapping_add(3);
        *byte = *random;
    }
    guest.store(0, &bytes)?;
    Ok(Status::Ok)
}

/// The header map that the first argument names.
fn map<'a>(guest: &'a mut Guest<'_, '_>) -> Result<&'a mut Headers, Error> {
    let map = guest.word(0)?;
    let envoy = guest.envoy();
    match map {
        REQUEST_HEADERS => Ok(&mut envoy.request_headers),
        RESPONSE_HEADERS => Ok(&mut envoy.response_headers),
        CALL_HEADERS => Ok(&mut envoy.call_headers),
        _ => Err(Error::new(format!("the header map {map} is not provided"))),
    }
}

fn give(
    guest: &mut Guest<'_, '_>,
    argument: usize,
    value: Option<Vec<u8>>,
) -> Result<Status, Error> {
    let Some(value) = value else {
        return Ok(Status::NotFound);
    };
    guest.give(argument, &value)?;
    Ok(Status::Ok)
}
