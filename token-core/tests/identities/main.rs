//! What is asked for a token for each kind of identity, the call that brings a credential first,
//! and what no credential may be.

mod certificate;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod credentials;
mod messages;
mod requests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{START, outputs};
use entra_token_core::config::{self, SlotSpec};
use entra_token_core::identity::Plan;
use entra_token_core::slot::{CallId, Output, Slot};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

/// The fields that every application has.
fn application(kind: &str, more: &str) -> String {
    format!(
        r#""type":"{kind}","tenantId":"{TENANT}","clientId":"{APPLICATION}","entra":{{"cluster":"entra"}},{more}"#
    )
}

const FILE: &str = r#""credential":{"cluster":"files","path":"/secret"}"#;

fn spec_for(fields: &str, audience: &str) -> SlotSpec {
    let json = format!(
        r#"{{"identities":[{{"name":"i",{fields}}}],
            "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"{audience}"}}]}}"#
    );
    let config = config::read(json.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    config::compile(&config).expect("a configuration").slots[0].clone()
}

fn plan_for(fields: &str, audience: &str) -> Plan {
    spec_for(fields, audience).plan
}

fn plan(fields: &str) -> Plan {
    plan_for(fields, "https://monitor.azure.com")
}

/// A call as `cluster METHOD authority path`, its headers, and its body.
type Asked = (String, Vec<(&'static str, String)>, String);

/// Takes the call that the machine wants.
fn asked(slot: &mut Slot) -> (CallId, Asked) {
    match outputs(slot).as_slice() {
        [
            Output::Call {
                id,
                endpoint,
                request,
                ..
            },
        ] => {
            let line = format!(
                "{} {} {} {}",
                endpoint.cluster, request.method, endpoint.authority, request.path
            );
            let body = String::from_utf8(request.body.0.clone()).expect("a form");
            (*id, (line, request.headers.clone(), body))
        }
        other => panic!("expected one call, got {other:?}"),
    }
}

/// An assertion that ends so many seconds after `START`.
fn assertion(seconds: i64) -> String {
    let exp = i64::try_from(START.wall.0 / 1000).expect("a moment") + seconds;
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"s","exp":{exp}}}"#));
    format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln")
}
