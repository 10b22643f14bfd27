//! A configuration that is wrong: which requests it was meant for can still be told, and what an
//! answer to them says.

#[path = "common/seed.rs"]
mod seed;

use entra_token_core::config::{self, ConfigError, ConfigErrors, Salvage};
use entra_token_core::status::{self, Unavailable};
use proptest::prelude::*;
use seed::rng_seed;
use serde_json::{Value, json};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn right() -> Value {
    json!({
        "identities": [{"name": "i", "type": "systemAssigned", "imds": {"cluster": "imds"}}],
        "targets": [
            {"hosts": ["a.example.com", "*.b.example.com"], "identity": "i", "audience": "https://x"},
            {"hosts": ["c.example.com:8080"], "identity": "i", "audience": "https://y", "clusters": ["one", "two"]},
        ],
    })
}

fn salvage(text: impl AsRef<[u8]>) -> Salvage {
    config::salvage(text.as_ref()).expect("a filter that authorizes requests")
}

/// Whether requests to this host by way of this cluster were meant.
fn is_meant(salvage: &Salvage, authority: &str, cluster: &str) -> bool {
    let target = salvage.hosts.find(authority);
    target.is_some_and(|target| salvage.targets[target].clusters.allow(cluster))
}

/// Requests, and whether `right()` means them.
const REQUESTS: [(&str, &str, bool); 9] = [
    ("a.example.com", "outbound|443||a.example.com", true),
    ("A.example.com:80", "outbound|80||a.example.com", true),
    ("a.example.com", "PassthroughCluster", false),
    ("x.b.example.com", "outbound|443||x.b.example.com", true),
    ("b.example.com", "outbound|443||b.example.com", false),
    ("c.example.com:8080", "two", true),
    ("c.example.com:8080", "three", false),
    ("c.example.com", "one", false),
    ("d.example.com", "outbound|443||d.example.com", false),
];

#[track_caller]
fn means_what_it_was_meant_for(text: &str) {
    assert!(config::read(text.as_bytes()).is_err(), "{text} is right");
    let salvage = salvage(text);
    for (authority, cluster, meant) in REQUESTS {
        let found = is_meant(&salvage, authority, cluster);
        assert_eq!(found, meant, "{authority} by {cluster}: {text}");
    }
}

#[test]
fn a_target_that_is_no_list_of_them_hides_no_host() {
    let mut config = right();
    config["targets"] = json!({"hosts": "a.example.com", "identity": "i"});
    let salvage = salvage(config.to_string());
    let cluster = "outbound|443||a.example.com";
    assert!(is_meant(&salvage, "a.example.com", cluster));
    assert!(!is_meant(&salvage, "a.example.com", "PassthroughCluster"));
}

#[test]
fn mistakes_elsewhere_hide_no_host() {
    for (pointer, wrong) in [
        ("/identities", json!([])),
        ("/identities", json!("i")),
        ("/identities/0/type", json!("magic")),
        ("/identities/0/imds", json!({"clustre": "imds"})),
        ("/targets/0/identity", json!("nobody")),
        ("/targets/0/audience", json!(7)),
        ("/targets/1/audience", json!("https://x y")),
    ] {
        let mut config = right();
        *config.pointer_mut(pointer).expect(pointer) = wrong;
        means_what_it_was_meant_for(&config.to_string());
    }
    for (field, wrong) in [
        ("mode", json!("prxy")),
        ("placement", json!(["upstream"])),
        ("hold", json!({"timeout": "soon"})),
        ("tagrets", json!([{"hosts": ["d.example.com"]}])),
    ] {
        let mut config = right();
        config[field] = wrong;
        means_what_it_was_meant_for(&config.to_string());
    }
}

#[test]
fn a_mistake_in_a_list_hides_no_more_than_itself() {
    let mut config = right();
    config["targets"][0]["hosts"] = json!([
        7,
        "not a host",
        "a.example.com",
        {},
        "https://*.b.example.com/path",
    ]);
    config["targets"][1]["clusters"] = json!(["one", "t w o", "two", null]);
    config["targets"]
        .as_array_mut()
        .expect("targets")
        .insert(0, json!("d.example.com"));
    means_what_it_was_meant_for(&config.to_string());
    let mut config = right();
    config["targets"][1]["hosts"] = json!("http://c.example.com:8080?query");
    means_what_it_was_meant_for(&config.to_string());
}

#[test]
fn a_field_that_is_given_twice_counts_twice() {
    let text = right().to_string();
    let with_more = text.replacen(
        r#""hosts":["a.example.com""#,
        r#""hosts":["*.b.example.com"],"hosts":["a.example.com""#,
        1,
    );
    assert_ne!(with_more, text);
    means_what_it_was_meant_for(&with_more);
}

#[test]
fn clusters_that_are_no_names_leave_those_named_after_the_hosts() {
    let mut config = right();
    config["targets"][0]["clusters"] = json!([7]);
    means_what_it_was_meant_for(&config.to_string());
}

#[test]
fn what_would_answer_for_everybody_is_left_out() {
    for (hosts, clusters) in [
        (json!(["*"]), Value::Null),
        (json!(["*"]), json!(["*"])),
        (json!(["*:8080"]), json!([7])),
        (json!(["*.com"]), json!([])),
        (json!(["*.com"]), json!(["one", "*"])),
    ] {
        let target = json!({"hosts": hosts, "clusters": clusters});
        let salvage = salvage(json!({"targets": [target]}).to_string());
        assert!(salvage.targets.is_empty(), "{target}");
        for authority in ["a.com", "a.com:8080"] {
            assert_eq!(salvage.hosts.find(authority), None, "{target}");
        }
    }
    let named = json!({"targets": [{"hosts": ["*"], "clusters": ["one"]}]});
    let salvage = salvage(named.to_string());
    assert!(is_meant(&salvage, "anything", "one"));
    assert!(!is_meant(&salvage, "anything", "two"));
}

#[test]
fn a_filter_that_answers_for_the_proxy_is_better_refused() {
    let text = json!({"mode": "status", "targets": 7}).to_string();
    assert!(config::salvage(text.as_bytes()).is_none(), "{text}");
    let elsewhere = json!({"targets": [{"mode": "status"}], "hold": {"mode": "status"}});
    assert!(config::salvage(elsewhere.to_string().as_bytes()).is_some());
}

/// In the target's cluster there are no others' requests.
#[test]
fn in_upstream_placement_every_request_of_the_cluster_was_meant() {
    for clusters in [Value::Null, json!(["*"])] {
        let target = json!({"hosts": ["a.example.com", "*"], "clusters": clusters});
        let salvage = salvage(json!({"targets": [target], "placement": "upstream"}).to_string());
        assert_eq!(salvage.targets[0].name, "a.example.com");
        for authority in ["a.example.com", "b.example.com:8080"] {
            assert!(
                is_meant(&salvage, authority, "outbound|80||a.example.com"),
                "{authority}"
            );
        }
    }
    // What is no word of ours says nothing, and what stands elsewhere neither.
    for wrong in [
        json!({"placement": "upstraem"}),
        json!({"hold": {"placement": "upstream"}}),
    ] {
        let mut config = wrong;
        config["targets"] = json!([{"hosts": ["a.example.com", "*"], "clusters": ["*"]}]);
        let salvage = salvage(config.to_string());
        assert!(is_meant(&salvage, "a.example.com", "any"), "{config}");
        assert!(!is_meant(&salvage, "b.example.com", "any"), "{config}");
    }
}

#[test]
fn what_is_no_json_at_all_means_no_request() {
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "{",
        "\u{0}",
        "targets:\n- hosts: [a.example.com]",
        &deep,
    ] {
        assert!(salvage(text).targets.is_empty());
    }
}

#[test]
fn the_answer_names_the_first_mistakes_and_is_short() {
    let errors = |count: usize| {
        let error = |n| ConfigError {
            path: format!("targets[{n}]"),
            message: format!("is wrong{}", "…".repeat(1000)),
        };
        ConfigErrors((0..count).map(error).collect())
    };
    let answer = Unavailable::misconfigured(&errors(5));
    assert_eq!(answer.retry_after, 30);
    let json: Value = serde_json::from_slice(&status::json(&answer)).expect("JSON");
    let error = &json["error"];
    assert_eq!(error["code"], "configuration_invalid");
    let message = error["message"].as_str().expect("a message");
    for part in ["targets[0]: is wrong", "targets[2]: ", "; and 2 more"] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    assert!(!message.contains("targets[3]"), "{message}");
    assert!(message.chars().count() < 700, "{}", message.len());

    let whole = Unavailable::misconfigured(&errors(3));
    let json = String::from_utf8(status::json(&whole)).expect("UTF-8");
    assert!(!json.contains("more"), "{json}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        rng_seed: rng_seed(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_bring_it_down(bytes in any::<Vec<u8>>()) {
        let _ = config::salvage(&bytes);
    }

    #[test]
    fn a_text_that_is_damaged_somewhere_means_no_other_request(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        authority in "[a-e](\\.[ab])?\\.example\\.com(:8080)?",
    ) {
        let mut text = right().to_string().into_bytes();
        let whole = salvage(&text);
        text.truncate(cut.index(text.len()) + 1);
        // What is cut off means no more than the whole.
        let part = salvage(&text);
        prop_assert!(part.hosts.find(&authority).is_none() || whole.hosts.find(&authority).is_some());

        for (at, byte) in damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        // Bytes that were changed may spell another host, but never one for everybody.
        if let Some(salvage) = config::salvage(&text) {
            prop_assert!(salvage.hosts.for_every_request().is_none());
        }
    }

    #[test]
    fn of_a_text_that_is_right_the_same_requests_are_meant(
        hosts in prop::collection::vec("(\\*\\.)?[a-c]\\.[de]\\.f(:(80|8080))?", 1..5),
        clusters in prop::option::of(prop::collection::vec("[a-c]\\.[de]\\.f", 1..3)),
        authority in "([a-c]\\.){0,2}[de]\\.f(:(443|8080))?",
        cluster in "(outbound\\|(80|8080)\\|\\|)?([a-c]\\.){1,2}[de]\\.f",
    ) {
        let mut config = right();
        config["targets"] = json!([{
            "hosts": hosts,
            "clusters": clusters,
            "identity": "i",
            "audience": "https://x",
        }]);
        let text = config.to_string();
        let Ok(read) = config::read(text.as_bytes()) else {
            // Two hosts are the same.
            return Ok(());
        };
        let plugin = config::compile(&read).expect("a configuration");
        let target = plugin.hosts.find(&authority);
        let meant = target.is_some_and(|target| plugin.targets[target].clusters.allow(&cluster));
        prop_assert_eq!(is_meant(&salvage(&text), &authority, &cluster), meant);
    }
}
