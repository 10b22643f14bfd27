//! `/status` in a real browser: each verdict, on a phone and on a desk, with every rule of accessibility that
//! axe-core knows. `UPDATE_SCREENSHOTS=1` takes the pictures of the README.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use azure_sim::{Fault, FaultKind, Options, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::browser::{Page, Scheme, look};
use e2e::{Proxy, eventually, free_port, http, tools};
use serde_json::Value;

use crate::healing::{remove_role, through};

/// The windows: a phone's at night, a desk's by day.
const WINDOWS: [(u32, Scheme); 2] = [(390, Scheme::Dark), (1000, Scheme::Light)];

/// Where the picture of a page goes that the README shows.
fn picture(verdict: &str, width: u32) -> Option<PathBuf> {
    env::var_os("UPDATE_SCREENSHOTS")?;
    let file = match (verdict, width) {
        ("degraded", 1000) => "docs/images/status-degraded.png",
        ("onBorrowedTime", 390) => "docs/images/status-on-borrowed-time.png",
        _ => return None,
    };
    Some(tools::repository().join(file))
}

/// Waits for a verdict, and looks at the page in both windows.
fn pages(proxy: &Proxy, verdict: &str) -> Vec<Page> {
    let url = proxy.status_url("/status");
    eventually(Duration::from_secs(30), "the verdict", || {
        let told: Value = http::get(&url)?.json()?;
        match told["verdict"] == verdict {
            true => Ok(()),
            false => Err(told.to_string()),
        }
    });
    let pages = WINDOWS
        .map(|(width, scheme)| look(&url, width, scheme, picture(verdict, width).as_deref()));
    for page in &pages {
        assert_eq!(page.status, 200);
        assert!(page.violations.is_empty(), "{:#?}", page.violations);
        assert!(page.rules > 15, "{} rules", page.rules);
        assert_eq!(page.overflow, 0, "pixels are cut off");
        assert_eq!((page.scripts, page.requests.len()), (0, 0), "{page:?}");
        assert!(page.messages.is_empty(), "{:?}", page.messages);
        let links = ["Reload", "this page as JSON", "ready", "metrics"];
        assert!(
            page.focused.ends_with(&links.map(str::to_owned)),
            "{:?}",
            page.focused
        );
    }
    pages.into()
}

fn shows(page: &Page, texts: &[&str]) {
    for text in texts {
        assert!(page.text.contains(text), "no {text:?} in:\n{}", page.text);
    }
}

#[test]
#[cfg_attr(
    not(feature = "browser"),
    ignore = "needs Chromium: scripts/setup browser"
)]
fn a_proxy_that_serves_says_until_when_how_its_target_responds_and_that_exports_fail() {
    let azure = Azure::start(Options::default());
    let collector = format!("http://127.0.0.1:{}", free_port());
    let proxy = azure
        .proxy()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector)
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_TRACES_EXPORTER", "none")
        .start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    let url = proxy.status_url("/status");
    eventually(Duration::from_secs(20), "the status has both", || {
        let told: Value = http::get(&url)?.json()?;
        let is_counted = told["targets"][0]["responses"]["success"] == 1;
        match is_counted && told["exports"][0]["failing"].is_object() {
            true => Ok(()),
            false => Err(told.to_string()),
        }
    });
    for page in pages(&proxy, "serving") {
        assert_eq!(page.title, "Serving: Entra Auth");
        shows(
            &page,
            &[
                "Serving: requests get a token that is good until",
                "is renewed before.",
            ],
        );
        shows(
            &page,
            &[
                "this machine's own identity",
                "no refusal",
                "metrics: exports fail",
                "the connection is refused",
                "Requests are not affected",
                "Envoy 1.",
                "filter up for",
            ],
        );
        assert_eq!(page.headings[..2], ["H1 Serving", "H2 Identities"]);
    }
}

#[test]
#[cfg_attr(
    not(feature = "browser"),
    ignore = "needs Chromium: scripts/setup browser"
)]
fn a_token_that_is_not_renewed_is_told_with_its_end_and_what_comes_then() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 120,
        ..Settings::default()
    });
    let proxy = azure
        .proxy()
        // 12 s after the token has come, the next one is asked for.
        .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "90")
        .start();
    proxy.wait_until_ready();
    azure
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .expect("a fault");
    for page in pages(&proxy, "onBorrowedTime") {
        assert_eq!(page.title, "Serving on borrowed time: Entra Auth");
        shows(
            &page,
            &[
                "the token is not renewed: requests go on until",
                "then they get 503.",
            ],
        );
        shows(
            &page,
            &[
                "Failing since",
                "Failed attempts",
                "Last error:",
                "Meanwhile requests go on",
            ],
        );
    }
}

#[test]
#[cfg_attr(
    not(feature = "browser"),
    ignore = "needs Chromium: scripts/setup browser"
)]
fn a_target_that_refuses_is_told_with_the_command_that_grants_the_role() {
    let azure = Azure::start(Options::default());
    remove_role(&azure);
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, true).status, 503);
    for page in pages(&proxy, "degraded") {
        assert_eq!(page.title, "Degraded: Entra Auth");
        shows(
            &page,
            &["refuses the identity `default`: 1 request got 403 since"],
        );
        shows(
            &page,
            &["az role assignment create --role \"Monitoring Metrics Publisher\""],
        );
        // Commands can be reached and selected without a mouse.
        assert!(
            page.focused.iter().any(|it| it.contains("az role")),
            "{:?}",
            page.focused
        );
    }
}

#[test]
#[cfg_attr(
    not(feature = "browser"),
    ignore = "needs Chromium: scripts/setup browser"
)]
fn a_proxy_without_a_token_says_since_when_why_and_what_to_do() {
    let azure = Azure::start(Options {
        system_assigned: None,
        ..Options::default()
    });
    let proxy = azure.proxy().start();
    let url = proxy.status_url("/status");
    eventually(Duration::from_secs(30), "a failure", || {
        let told: Value = http::get(&url)?.json()?;
        match told["slots"][0]["failingSince"].is_string() {
            true => Ok(()),
            false => Err(told.to_string()),
        }
    });
    for page in pages(&proxy, "notServing") {
        assert_eq!(page.title, "Not serving: Entra Auth");
        shows(
            &page,
            &[
                "has no token, because every attempt since",
                "its requests get 503.",
            ],
        );
        shows(
            &page,
            &[
                "(identity_not_found)",
                "Assign the managed identity",
                "az vm identity show",
            ],
        );
        shows(&page, &["IDENTITY_TYPE"]);
    }
}
