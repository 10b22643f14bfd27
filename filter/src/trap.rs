//! A switch for tests that kills this VM as a bug would: a header on what the VM handles. It is not in the
//! shipped module; `make traps` builds the test module that has it.

use proxy_wasm::types::MapType;

use crate::host;

const HEADER: &str = "x-entra-auth-trap";

/// Dies if the message whose headers are in `map` says so.
#[expect(clippy::panic, reason = "the switch is for this")]
pub(crate) fn spring(map: MapType) {
    match host::header(map, HEADER).as_deref() {
        Some("panic") => panic!("a test threw the switch"),
        #[cfg(target_family = "wasm")]
        Some("unreachable") => core::arch::wasm32::unreachable(),
        _ => {}
    }
}
