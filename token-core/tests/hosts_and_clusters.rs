//! Which request gets which token, and which never does.

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::host::{HostPattern, HostTable};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap_or_else(|why| panic!("{text} {why}"))
}

fn table(patterns: &[&'static str]) -> HostTable<&'static str> {
    HostTable::new(patterns.iter().map(|text| (pattern(text), *text)))
}

#[test]
fn an_exact_host_matches_in_any_case_with_or_without_a_default_port() {
    let table = table(&["abc.Example.com"]);
    for authority in [
        "abc.example.com",
        "ABC.EXAMPLE.COM",
        "abc.example.com:443",
        "abc.example.com:80",
        "abc.example.com.",
        "abc.example.com:",
    ] {
        assert!(table.find(authority).is_some(), "{authority}");
    }
    for authority in [
        "xabc.example.com",
        "abc.example.com:8443",
        "abc.example.com:0",
        "abc.example.com:443x",
        "abc.example.co",
        "",
        "abc.example.com/",
        "evil@abc.example.com",
    ] {
        assert!(table.find(authority).is_none(), "{authority}");
    }
}

#[test]
fn the_host_makes_no_difference_only_where_all_patterns_lead_where_star_leads() {
    let table = |patterns: &[(&str, u8)]| {
        HostTable::new(patterns.iter().map(|(text, to)| (pattern(text), *to)))
    };
    assert_eq!(table(&[("*", 1)]).for_every_request(), Some(1));
    let all_alike = [("a.example.com", 1), ("*.b.example.com", 1), ("*:8080", 1)];
    assert_eq!(table(&all_alike).for_every_request(), None);
    let with_star = [&all_alike[..], &[("*", 1)]].concat();
    assert_eq!(table(&with_star).for_every_request(), Some(1));
    for elsewhere in ["c.example.com", "*.c.example.com", "*:9090"] {
        let patterns = [&with_star[..], &[(elsewhere, 2)]].concat();
        assert_eq!(table(&patterns).for_every_request(), None, "{elsewhere}");
    }
}

#[test]
fn a_port_that_is_no_default_is_another_server() {
    let table = table(&["a.example.com:8443"]);
    assert!(table.find("a.example.com:8443").is_some());
    assert!(table.find("a.example.com").is_none());
    assert!(table.find("a.example.com:443").is_none());
}

#[test]
fn a_suffix_matches_one_or_more_labels_and_never_the_suffix_itself() {
    let table = table(&["*.ingest.monitor.azure.com"]);
    for authority in [
        "a.ingest.monitor.azure.com",
        "a.b.ingest.monitor.azure.com:443",
        "A.Ingest.Monitor.Azure.Com",
    ] {
        assert!(table.find(authority).is_some(), "{authority}");
    }
    for authority in [
        "ingest.monitor.azure.com",
        ".ingest.monitor.azure.com",
        "evilingest.monitor.azure.com",
        "a.ingest.monitor.azure.com.evil.com",
        "x@a.ingest.monitor.azure.com",
        "a/.ingest.monitor.azure.com",
    ] {
        assert!(table.find(authority).is_none(), "{authority}");
    }
}

#[test]
fn the_most_specific_pattern_wins() {
    let table = table(&[
        "*",
        "*.example.com",
        "*.b.example.com",
        "a.b.example.com",
        "a.b.example.com:81",
    ]);
    for (authority, wins) in [
        ("a.b.example.com", "a.b.example.com"),
        ("a.b.example.com:81", "a.b.example.com:81"),
        ("c.b.example.com", "*.b.example.com"),
        ("b.example.com", "*.example.com"),
        ("example.com", "*"),
        ("anything:9999", "*"),
        ("not a host", "*"),
    ] {
        assert_eq!(table.find(authority), Some(wins), "{authority}");
    }
}

#[test]
fn addresses_are_hosts_too() {
    let table = table(&["127.0.0.1:8443", "[::1]:8443", "[2001:db8::1]"]);
    for authority in [
        "127.0.0.1:8443",
        "[::1]:8443",
        "[2001:DB8::1]",
        "[2001:db8::1]:443",
    ] {
        assert!(table.find(authority).is_some(), "{authority}");
    }
    assert!(table.find("[::1]").is_none());
}

#[test]
fn what_is_no_pattern_is_refused() {
    for text in [
        "",
        "http://a.com",
        "a.com/path",
        "*.",
        "*a.com",
        "a.*.com",
        "a..com",
        "a b.com",
        "a.com:0",
        "a.com:99999",
        "a.com:x",
        "[::1",
        "user@a.com",
        "ä.com",
    ] {
        assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
    }
}

#[test]
fn by_default_only_clusters_named_after_the_hosts_may_carry_the_token() {
    let allowed = AllowedClusters::OfHosts(vec![
        pattern("a.example.com"),
        pattern("*.ingest.azure.com"),
    ]);
    for cluster in [
        "a.example.com",
        "outbound|443||a.example.com",
        "outbound|80|tls|x.ingest.azure.com",
    ] {
        assert!(allowed.allow(cluster), "{cluster}");
    }
    for cluster in [
        "",
        "PassthroughCluster",
        "outbound|443||b.example.com",
        "inbound|443||a.example.com",
        "outbound|443||a.example.com|x",
        "evil-a.example.com",
        "outbound|443||ingest.azure.com",
    ] {
        assert!(!allowed.allow(cluster), "{cluster}");
    }
}

#[test]
fn named_clusters_are_exact() {
    let allowed = AllowedClusters::Named(vec!["target".into()]);
    assert!(allowed.allow("target"));
    assert!(!allowed.allow("target2"));
    assert!(AllowedClusters::Any.allow("whatever"));
}

#[test]
fn a_cluster_on_a_port_that_no_pattern_names_may_not_carry_the_token() {
    let allowed =
        |text: &str, cluster: &str| AllowedClusters::OfHosts(vec![pattern(text)]).allow(cluster);
    assert!(allowed("a.com", "outbound|80||a.com"));
    assert!(allowed("a.com:9999", "outbound|9999||a.com"));
    assert!(!allowed("a.com", "outbound|9999||a.com"));
    assert!(!allowed("a.com:9999", "outbound|443||a.com"));
    assert!(!allowed("a.com", "outbound|x||a.com"));
    assert!(!allowed("*", "outbound|443||a.com"));
}

#[test]
fn a_name_that_is_too_long_is_no_host_and_costs_nothing() {
    let table = table(&["*.example.com", "*"]);
    let long = format!("{}example.com", "a.".repeat(30_000));
    assert_eq!(table.find(&long), Some("*"));
}

#[test]
fn an_ipv6_address_matches_in_each_of_its_spellings() {
    let table = table(&["[2001:0db8:0::1]:81"]);
    for authority in ["[2001:db8::1]:81", "[2001:DB8:0:0::1]:81"] {
        assert!(table.find(authority).is_some(), "{authority}");
    }
}
