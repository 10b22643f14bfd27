//! The filter instance that answers `/ready` and `/status`.

use entra_token_core::page;
use entra_token_core::status::{READY_WITHOUT_DETAILS, Status, json};
use proxy_wasm::types::{Action, MapType};

use crate::active::Active;
use crate::exports;
use crate::host;
use crate::process;
use crate::thread;

const JSON: &str = "application/json";

/// One request to the status listener.
pub(crate) fn answer_for_proxy(active: &Active) -> Action {
    let header = |name| host::header(MapType::HttpRequestHeaders, name);
    let (Some(method), Some(path)) = (header(":method"), header(":path")) else {
        return Action::Continue;
    };
    if !matches!(method.as_str(), "GET" | "HEAD") {
        return Action::Continue;
    }
    thread::serves_requests();
    let status = status(active);
    let code = if status.ready { 200 } else { 503 };
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    match path {
        "/ready" => answer(code, JSON, &json(&status)),
        READY_WITHOUT_DETAILS => answer(code, JSON, &json(&status.without_details())),
        "/status" => page_or_json(&status, query),
        _ => Action::Continue,
    }
}

fn status(active: &Active) -> Status {
    let now = host::now();
    for slot in &active.slots {
        slot.refresh(now);
    }
    let (responses, process) = (active.responses(), process::known());
    active
        .with_slots(|slots| Status::of(slots, &responses, &process, now))
        .with_exports(&exports::of_all_vms(&active.plugin))
}

/// `/status` is a page for whoever asks for one, and JSON for programs.
fn page_or_json(status: &Status, query: &str) -> Action {
    let wants_json = query.split('&').any(|it| it == "format=json");
    let accepts = || host::header(MapType::HttpRequestHeaders, "accept").unwrap_or_default();
    if !wants_json && accepts().contains("text/html") {
        answer(
            200,
            "text/html; charset=utf-8",
            page::render(status).as_bytes(),
        )
    } else {
        answer(200, JSON, &json(status))
    }
}

fn answer(code: u32, content_type: &str, body: &[u8]) -> Action {
    let headers = [
        ("content-type", content_type),
        ("cache-control", "no-store"),
    ];
    match host::respond(code, "entra_auth_status", &headers, body) {
        Ok(()) => Action::Pause,
        Err(_) => Action::Continue,
    }
}
