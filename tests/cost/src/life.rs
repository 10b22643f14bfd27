//! A module's life: it is configured, gets its token, and then sees requests of one kind.

use std::collections::BTreeMap;

use entra_token_core::config::Placement;
use serde_json::json;

use crate::Result;
use crate::envoy::{Envoy, Headers};
use crate::figures::{Allocations, Cost};
use crate::kinds::Kind;
use crate::vm::{Callback, Program, Vm};

/// The root context's id.
const ROOT: u32 = 1;

/// Requests before any is counted: the target accepts the token, and tables have grown.
const WARM_UP: u32 = 8;

/// Requests that are counted. Instructions are their mean: how long a hash table searches depends
/// on the context's id.
const REQUESTS: u32 = 32;

/// As long as a managed identity's token is.
const TOKEN_BYTES: usize = 1600;

/// `proxy_action_t`: continue.
const CONTINUE: u32 = 0;

/// Bytes in one piece of a body.
const CHUNK: u32 = 16 * 1024;

/// What a request of this kind costs.
///
/// # Errors
/// When the module fails, when a request does not get what it should get, and when two requests
/// differ in their host calls or allocations.
pub fn measure(program: &Program, kind: &Kind) -> Result<Cost> {
    let in_kind = |error| format!("{}: {error}", kind.name);
    run(program, kind).map_err(in_kind)
}

fn run(program: &Program, kind: &Kind) -> Result<Cost> {
    let mut life = Life::start(program, *kind)?;
    for _ in 0..WARM_UP {
        life.request()?;
    }
    // The next request's answer is looked at, and then none till the next tick.
    life.tick()?;
    life.request()?;
    let costs: Result<Vec<_>> = (0..REQUESTS).map(|_| life.request()).collect();
    mean(&costs?)
}

/// Instructions on average, and what must be the same for all.
fn mean(costs: &[Cost]) -> Result<Cost> {
    let [first, others @ ..] = costs else {
        return Err("no request was made".into());
    };
    let mut instructions = first.instructions.clone();
    for other in others {
        if (&other.host_calls, other.allocations) != (&first.host_calls, first.allocations) {
            return Err(format!("two requests differ: {first:?} and {other:?}"));
        }
        for (callback, made) in &other.instructions {
            *instructions.entry(callback.clone()).or_default() += made;
        }
    }
    let count = u64::try_from(costs.len()).unwrap_or(u64::MAX);
    for sum in instructions.values_mut() {
        *sum = (*sum + count / 2) / count;
    }
    Ok(Cost {
        instructions,
        ..first.clone()
    })
}

struct Life {
    vm: Vm,
    kind: Kind,
    token: String,
    contexts: u32,
}

impl Life {
    /// As Envoy starts a VM, until the module has its token.
    fn start(program: &Program, kind: Kind) -> Result<Self> {
        let mut envoy = Envoy::new(kind.configuration()?);
        envoy
            .properties
            .insert("xds\0cluster_name".into(), kind.cluster().into());
        let size = size(envoy.configuration.len());
        let mut life = Self {
            vm: Vm::new(program, envoy)?,
            kind,
            token: "t".repeat(TOKEN_BYTES),
            contexts: ROOT,
        };
        life.vm.callback("_initialize", &[])?;
        life.must("proxy_on_context_create", &[ROOT, 0])?;
        life.vm.callback("proxy_on_vm_start", &[ROOT, 0])?;
        if life.must("proxy_on_configure", &[ROOT, size])?.value != 1 {
            return Err("proxy_on_configure did not return true".into());
        }
        life.tick()?;
        life.answer_the_call()?;
        Ok(life)
    }

    fn must(&mut self, callback: &str, arguments: &[u32]) -> Result<Callback> {
        self.vm
            .callback(callback, arguments)?
            .ok_or_else(|| format!("the module does not export {callback}"))
    }

    fn tick(&mut self) -> Result<()> {
        self.vm.envoy().pass_a_second();
        self.must("proxy_on_tick", &[ROOT]).map(drop)
    }

    /// Answers the module's call for a token as the instance metadata service does.
    fn answer_the_call(&mut self) -> Result<()> {
        let envoy = self.vm.envoy();
        let call = envoy.dispatched;
        if call != 1 {
            return Err(format!("the module made {call} calls for its token, not 1"));
        }
        let lifetime = 86_400;
        let body = json!({
            "access_token": self.token,
            "client_id": "5e29463d-71da-4fe0-8e69-999b57db23b0",
            "expires_in": lifetime.to_string(),
            "expires_on": (envoy.wall_seconds() + lifetime).to_string(),
            "ext_expires_in": lifetime.to_string(),
            "not_before": envoy.wall_seconds().to_string(),
            "resource": "https://monitor.azure.com",
            "token_type": "Bearer",
        });
        envoy.call_body = body.to_string().into_bytes();
        envoy.call_headers = headers(&[(":status", "200"), ("content-type", "application/json")]);
        let arguments = [
            ROOT,
            call,
            size(envoy.call_headers.len()),
            size(envoy.call_body.len()),
            0,
        ];
        self.must("proxy_on_http_call_response", &arguments)
            .map(drop)
    }

    /// One request, with all that Envoy tells the module of it.
    fn request(&mut self) -> Result<Cost> {
        self.contexts += 1;
        let context = self.contexts;
        let chunks = self.kind.body_chunks;
        let method = if chunks == 0 { "GET" } else { "POST" };
        let envoy = self.vm.envoy();
        envoy.request_headers = headers(&[
            (":authority", self.kind.authority()),
            (":method", method),
            (":path", "/api/v1/query?query=up"),
            (":scheme", "http"),
            ("user-agent", "client"),
            ("x-request-id", "0b2e19aa-6f0c-4ad6-9b0a-d1de0b7ad9d6"),
        ]);
        envoy.response_headers.clear();
        envoy.calls.clear();
        envoy.allocated_for_host = 0;
        let allocations = self.vm.allocations()?;

        let mut instructions = BTreeMap::new();
        self.step(
            &mut instructions,
            "proxy_on_context_create",
            &[context, ROOT],
        )?;
        let count = size(self.vm.envoy().request_headers.len());
        let ends = u32::from(chunks == 0);
        let sent = [context, count, ends];
        self.go_on(&mut instructions, "proxy_on_request_headers", &sent)?;
        self.check_token()?;
        for chunk in 1..=chunks {
            let sent = [context, CHUNK, u32::from(chunk == chunks)];
            self.go_on(&mut instructions, "proxy_on_request_body", &sent)?;
        }
        self.answered();
        let count = size(self.vm.envoy().response_headers.len());
        let sent = [context, count, 0];
        self.go_on(&mut instructions, "proxy_on_response_headers", &sent)?;
        self.go_on(
            &mut instructions,
            "proxy_on_response_body",
            &[context, CHUNK, 1],
        )?;
        // Envoy tells upstream filters nothing of its log.
        if self.kind.placement == Placement::Downstream {
            self.step(&mut instructions, "proxy_on_log", &[context])?;
        }
        self.step(&mut instructions, "proxy_on_done", &[context])?;
        self.step(&mut instructions, "proxy_on_delete", &[context])?;

        let after = self.vm.allocations()?;
        let envoy = self.vm.envoy();
        let allocations = allocations.zip(after).map(|(before, after)| Allocations {
            own: after - before - envoy.allocated_for_host,
            for_host: envoy.allocated_for_host,
        });
        Ok(Cost {
            instructions,
            host_calls: envoy.calls.clone(),
            allocations,
        })
    }

    /// The target's answer comes.
    fn answered(&mut self) {
        let envoy = self.vm.envoy();
        envoy.response_headers = headers(&[
            (":status", "200"),
            ("content-type", "application/json"),
            ("server", "target"),
        ]);
        let properties = [
            ("response\0code", 200_u64.to_le_bytes().to_vec()),
            ("response\0code_details", b"via_upstream".to_vec()),
        ];
        envoy
            .properties
            .extend(properties.map(|(path, value)| (path.into(), value)));
    }

    /// Makes a callback and notes its instructions.
    fn step(
        &mut self,
        instructions: &mut BTreeMap<String, u64>,
        callback: &str,
        arguments: &[u32],
    ) -> Result<u32> {
        let Some(done) = self.vm.callback(callback, arguments)? else {
            return Ok(CONTINUE);
        };
        *instructions.entry(callback.to_owned()).or_default() += done.instructions;
        Ok(done.value)
    }

    /// The same, for one that must let the request go on.
    fn go_on(
        &mut self,
        instructions: &mut BTreeMap<String, u64>,
        callback: &str,
        arguments: &[u32],
    ) -> Result<()> {
        match self.step(instructions, callback, arguments)? {
            CONTINUE => Ok(()),
            action => Err(format!("{callback} returned {action}: the request waits")),
        }
    }

    /// Figures count only of requests that got the token, or none where none is due.
    fn check_token(&mut self) -> Result<()> {
        let expected = self
            .kind
            .is_target
            .then(|| format!("Bearer {}", self.token));
        let found = self.vm.envoy().request_headers.get("authorization");
        if found == expected.as_ref() {
            return Ok(());
        }
        Err(match found {
            None => "the request got no token".into(),
            Some(_) => "the request got another token than it should".into(),
        })
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
