//! The plugin configuration.

use entra_token_core::Secret;
use entra_token_core::config;
use entra_token_core::status::{self, Unavailable};

/// Its text.
pub(crate) fn plugin_config(text: &[u8]) {
    let salvaged = config::salvage(text);
    if let Some(salvaged) = &salvaged {
        assert!(salvaged.targets.iter().all(|it| !it.name.is_empty()));
    }
    match config::read(text) {
        Ok(config) => {
            let written = serde_json::to_vec(&config).expect("JSON");
            let read = config::read(&written).unwrap_or_else(|errors| {
                panic!("{errors} in {}", String::from_utf8_lossy(&written))
            });
            assert_eq!(read, config);
            let plugin = config::compile(&config).expect("a configuration");
            // Nothing is lost of a text that is right.
            let salvaged = salvaged.map(|it| it.targets.len());
            let explains = plugin.explains_errors();
            assert_eq!(salvaged, explains.then_some(plugin.targets.len()));
            for target in &plugin.targets {
                assert!(target.slot < plugin.slots.len());
                let _ = target.clusters.allow("outbound|443||a.example.com");
            }
            for slot in &plugin.slots {
                if let Some((endpoint, request)) = slot.plan.credential_call() {
                    assert!(!endpoint.cluster.is_empty() && request.path.starts_with('/'));
                }
                let credential = Secret::new("s".into());
                let (endpoint, request) = slot.plan.token_call(Some(&credential), String::new());
                assert!(!endpoint.cluster.is_empty() && request.path.starts_with('/'));
            }
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a reason");
            assert!(errors.0.iter().all(|it| !it.message.is_empty()));
            let answer = status::json(&Unavailable::misconfigured(&errors));
            // Each letter of a mistake is six bytes at most: a control character, escaped.
            assert!(answer.len() < 8 * 1024, "{}", answer.len());
        }
    }
}
