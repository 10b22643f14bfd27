//! The plugin configuration.

use entra_token_core::Secret;
use entra_token_core::config;

/// Its text.
pub(crate) fn plugin_config(text: &[u8]) {
    match config::read(text) {
        Ok(config) => {
            let written = serde_json::to_vec(&config).expect("JSON");
            let read = config::read(&written).unwrap_or_else(|mistakes| {
                panic!("{mistakes} in {}", String::from_utf8_lossy(&written))
            });
            assert_eq!(read, config);
            let plugin = config::compile(&config);
            for target in &plugin.targets {
                assert!(target.slot < plugin.slots.len());
                let _ = target.clusters.allow("outbound|443||a.example.com");
            }
            for slot in &plugin.slots {
                assert!((1..=2).contains(&slot.plan.calls()));
                let credential = Secret::new("s".into());
                let (endpoint, request) = slot.plan.token_call(Some(&credential), String::new());
                assert!(!endpoint.cluster.is_empty() && request.path.starts_with('/'));
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.0.is_empty(), "refused without a reason");
            assert!(mistakes.0.iter().all(|it| !it.message.is_empty()));
        }
    }
}
