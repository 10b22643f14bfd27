//! Every form of a reply that an endpoint has been seen to send, and many that it should not.

mod common;

use core::time::Duration;

use entra_token_core::Wall;
use entra_token_core::reply::{self, MAX_TOKEN_BYTES, ReplyError};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// 2026-09-21T15:13:20Z.
const END: u64 = 1_790_003_600;

fn with(field: &str, value: &str) -> Result<reply::Reply, ReplyError> {
    reply::parse(format!(r#"{{"access_token":"abc","{field}":{value}}}"#).as_bytes())
}

#[test]
fn the_reply_of_imds_is_read() {
    let body = br#"{"access_token":"eyJ0.eyJh.c2ln","client_id":"x","expires_in":"86399",
        "expires_on":"1790003600","ext_expires_in":"86399","not_before":"1789917200",
        "resource":"https://monitor.azure.com","token_type":"Bearer","refresh_in":"43199"}"#;
    let reply = reply::parse(body).expect("a reply");
    assert_eq!(reply.secret.expose(), "eyJ0.eyJh.c2ln");
    assert_eq!(reply.expires_in, Some(Duration::from_secs(86399)));
    assert_eq!(reply.expires_on, Some(Wall(END * 1000)));
    assert_eq!(reply.refresh_in, Some(Duration::from_secs(43199)));
}

#[test]
fn every_known_form_of_expires_on_means_the_same_moment() {
    for form in [
        "1790003600",
        "\"1790003600\"",
        "1790003600.0",
        "\"09/21/2026 15:13:20\"",
        "\"9/21/2026 15:13:20\"",
        "\"09/21/2026 15:13:20 +00:00\"",
        "\"09/21/2026 03:13:20 PM +00:00\"",
        "\"9/21/2026 3:13:20 PM\"",
        "\"9/21/2026 15:13:20 PM\"",
        "\"2026-09-21 15:13:20\"",
        "\"2026-09-21 15:13:20 +00:00\"",
        "\"2026-09-21T15:13:20Z\"",
        "\"2026-09-21T17:13:20+02:00\"",
        "\"2026-09-21T15:13:20.000Z\"",
    ] {
        let reply = with("expires_on", form).unwrap_or_else(|e| panic!("{form}: {e}"));
        assert_eq!(reply.expires_on, Some(Wall(END * 1000)), "{form}");
    }
}

#[test]
fn every_known_form_of_expires_in_means_the_same_time() {
    for form in ["3599", "\"3599\"", "3599.0", "\"3599.9\"", "\" 3599 \""] {
        let reply = with("expires_in", form).unwrap_or_else(|e| panic!("{form}: {e}"));
        assert_eq!(reply.expires_in, Some(Duration::from_secs(3599)), "{form}");
    }
}

#[test]
fn absurd_lifetimes_are_bounded_or_refused() {
    for form in ["0", "-1", "\"-3600\"", "-1e300"] {
        let reply = with("expires_in", form).expect("a number");
        let refused = reply.expiry(common::START);
        assert!(
            matches!(refused, Err(ReplyError::Invalid("expires_in", _))),
            "{form}: {refused:?}"
        );
    }
    for form in [
        "315360000",
        "18446744073709551616",
        "1e300",
        "\"99999999999999999999\"",
    ] {
        let reply = with("expires_in", form).expect("a number");
        let ends = reply.expiry(common::START).expect("bounded");
        assert_eq!(ends.lifetime, Duration::from_secs(7 * 24 * 3600), "{form}");
    }
}

#[test]
fn what_is_no_token_reply_is_an_error_that_names_the_field() {
    let long = format!(
        r#"{{"access_token":"{}","expires_in":1}}"#,
        "a".repeat(MAX_TOKEN_BYTES + 1)
    );
    for (body, field) in [
        (r#"{"expires_in":"3599"}"#, "access_token"),
        (
            r#"{"access_token":null,"expires_in":"3599"}"#,
            "access_token",
        ),
        (r#"{"access_token":"","expires_in":"3599"}"#, "access_token"),
        (r#"{"access_token":7,"expires_in":"3599"}"#, "access_token"),
        (
            r#"{"access_token":"a b","expires_in":"3599"}"#,
            "access_token",
        ),
        (
            r#"{"access_token":"a\nb","expires_in":"3599"}"#,
            "access_token",
        ),
        (
            r#"{"access_token":"ä","expires_in":"3599"}"#,
            "access_token",
        ),
        (long.as_str(), "access_token"),
        (r#"{"access_token":"abc"}"#, "expires_in"),
        (
            r#"{"access_token":"abc","expires_in":"soon"}"#,
            "expires_in",
        ),
        (r#"{"access_token":"abc","expires_in":[]}"#, "expires_in"),
        (r#"{"access_token":"abc","expires_in":"nan"}"#, "expires_in"),
        (
            r#"{"access_token":"abc","expires_on":"tomorrow"}"#,
            "expires_on",
        ),
        (r#"{"access_token":"abc","expires_on":{}}"#, "expires_on"),
        (
            r#"{"access_token":"abc","expires_on":"13/45/2026 00:00:00"}"#,
            "expires_on",
        ),
        (
            r#"{"access_token":"abc","expires_in":1,"token_type":"mac"}"#,
            "token_type",
        ),
        (
            r#"{"access_token":"abc","expires_in":1,"token_type":1}"#,
            "token_type",
        ),
    ] {
        let error = reply::parse(body.as_bytes()).expect_err(body);
        assert!(error.to_string().contains(field), "{body}: {error}");
    }
}

#[test]
fn what_is_no_json_is_an_error_that_quotes_nothing() {
    let deep = "[".repeat(100_000);
    for body in [
        "",
        " ",
        "null",
        "[]",
        "[\"secret\",\"Bearer\",\"3599\"]",
        "\"abc\"",
        "<html>secret</html>",
        "{\"access_token\":\"secret\"",
        "{\"access_token\":\"secret\"}}",
        deep.as_str(),
    ] {
        let error = reply::parse(body.as_bytes()).expect_err("not a reply");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    reply::parse(b"{\"access_token\":\"\xff\xfe\",\"expires_in\":1}").expect_err("not UTF-8");
}

#[test]
fn one_good_end_is_enough_whatever_the_other_says() {
    for ends in [
        r#""expires_in":"3599","expires_on":"""#,
        r#""expires_in":"soon","expires_on":"1790003600""#,
    ] {
        let body = format!(r#"{{"access_token":"abc",{ends}}}"#);
        reply::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{ends}: {e}"));
    }
}

#[test]
fn a_wrong_clock_does_not_refuse_a_token_that_lives_only_minutes() {
    for (life, off) in [(300, 600), (60, 3600), (300, -3600), (20, 301)] {
        let ends = (common::START.wall.0 / 1000 + life).saturating_add_signed(-off);
        let body = format!(r#"{{"access_token":"abc","expires_in":{life},"expires_on":{ends}}}"#);
        let reply = reply::parse(body.as_bytes()).expect("a reply");
        let ends = reply
            .expiry(common::START)
            .unwrap_or_else(|e| panic!("{life} {off}: {e}"));
        assert_eq!(
            ends.lifetime,
            Duration::from_secs(life),
            "{life} s, off by {off} s"
        );
        assert!(ends.clock_skew.is_some());
    }
}

/// Some caches count the lifetime down to zero and below while the token still has hours.
#[test]
fn a_lifetime_that_cannot_be_is_ignored_beside_an_end_that_can() {
    let now = common::START.wall.0 / 1000;
    let ends = |life: &str, end: u64| {
        let body = format!(r#"{{"access_token":"abc","expires_in":{life},"expires_on":"{end}"}}"#);
        let reply = reply::parse(body.as_bytes()).expect("a reply");
        reply.expiry(common::START)
    };
    for life in ["0", "\"0\"", "-5", "\"-5\"", "-1e300", "0.9"] {
        let ends = ends(life, now + 3600).unwrap_or_else(|error| panic!("{life}: {error}"));
        assert_eq!(ends.lifetime, Duration::from_secs(3600), "{life}");
        assert!(ends.lifetime_ignored && ends.clock_skew.is_none());
    }
    // Where neither can be the token is over; where both can, it ends with the earlier.
    for end in [0, now - 1, now] {
        ends("0", end).expect_err("over");
    }
    for (life, end, expected) in [("3600", 3590, 3590), ("3590", 3600, 3590)] {
        let ends = ends(life, now + end).expect("both can be");
        assert_eq!(ends.lifetime, Duration::from_secs(expected));
        assert!(!ends.lifetime_ignored);
    }
    // It alone is believed.
    with("expires_in", "0")
        .expect("a number")
        .expiry(common::START)
        .expect_err("over");
}

#[test]
fn a_reply_may_begin_with_a_byte_order_mark() {
    let body = "\u{feff}{\"access_token\":\"abc\",\"expires_in\":3599}";
    assert!(reply::parse(body.as_bytes()).is_ok());
}

#[test]
fn a_hint_that_makes_no_sense_is_as_good_as_absent() {
    for hint in ["\"soon\"", "{}", "null"] {
        let body = format!(r#"{{"access_token":"abc","expires_in":3599,"refresh_in":{hint}}}"#);
        assert_eq!(
            reply::parse(body.as_bytes()).expect("a reply").refresh_in,
            None,
            "{hint}"
        );
    }
}
