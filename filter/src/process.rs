//! What is known of Envoy's process.

use std::cell::Cell;

use entra_token_core::Mono;
use entra_token_core::lease::SharedData;
use entra_token_core::status::Process;

use crate::host::{self, Shared};

/// Names, in shared data, the moment at which the first VM of the process had its first tick.
const STARTED: &str = "entra-auth/v1/started";

thread_local! {
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the process runs; called at each tick.
pub(crate) fn runs(now: Mono) {
    if !IS_NOTED.replace(true) {
        // Fails where another VM has written it.
        Shared.write(STARTED, &now.0.to_le_bytes(), None);
    }
}

/// What `/status` tells of the process.
pub(crate) fn known() -> Process {
    let started = Shared.read(STARTED);
    let started = started.and_then(|(bytes, _)| bytes.try_into().ok());
    Process {
        version: env!("CARGO_PKG_VERSION"),
        envoy: envoy_version(),
        started: started.map(|bytes| Mono(u64::from_le_bytes(bytes))),
    }
}

/// `envoy.config.core.v3.Node.user_agent_build_version`, which Envoy fills in.
fn envoy_version() -> Option<String> {
    let part = |name: &str| {
        let path = format!("xds\0node\0user_agent_build_version\0version\0{name}");
        host::number_property(&path)
    };
    let (major, minor) = (part("major_number")?, part("minor_number")?);
    let patch = part("patch").unwrap_or_default();
    Some(format!("{major}.{minor}.{patch}"))
}
