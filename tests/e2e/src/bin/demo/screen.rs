//! What a person sees in addition to the table.

use anstream::{eprintln, println};
use e2e::Look;
use e2e::screen::{BAD, BOLD, DIM, GOOD, LINK, clock, summary};

use crate::setup::Setup;

/// The first lines.
pub(crate) fn title() {
    println!(
        "
{BOLD}Entra Auth for Envoy{BOLD:#}: a demo against a simulated Azure

  Prometheus ──▶ proxy: Envoy with our filter ──▶ Azure Monitor (simulated; TLS, checks every token)
                 token from IMDS (simulated)

{DIM}starting …{DIM:#}"
    );
}

/// Where to look, and the token.
pub(crate) fn places(setup: &Setup) {
    let azure = format!("http://{}", setup.azure.addresses().admin);
    let places = [
        (
            "Prometheus",
            setup.prometheus.url("/"),
            "scrapes itself and the proxy, every second",
        ),
        ("Proxy", setup.proxy.url("/"), "what Prometheus writes to"),
        (
            "Status",
            setup.proxy.status_url("/status"),
            "and /ready, /health, /metrics",
        ),
        (
            "Azure",
            format!("{azure}/state"),
            "what the target has verified",
        ),
    ];
    println!("\n{BOLD}Where to look{BOLD:#}");
    for (name, url, what) in places {
        println!("  {name:<11} {LINK}{url:<32}{LINK:#} {DIM}{what}{DIM:#}");
    }
    let token = &setup.token;
    let left = token.exp - setup.azure.state().now;
    println!("\n{BOLD}The token{BOLD:#}, as the target has verified it");
    for (claim, value) in [
        ("aud", &token.aud),
        ("appid", &token.appid),
        ("oid", &token.oid),
    ] {
        println!("  {claim:<11} {value}");
    }
    println!(
        "  {:<11} {}, in {left} s: it is renewed before",
        "exp",
        clock(token.exp)
    );
}

/// What a person can try.
pub(crate) fn play(setup: &Setup) {
    let azure = format!("http://{}", setup.azure.addresses().admin);
    println!(
        "
{BOLD}Play{BOLD:#}: from another terminal, let no token be had for some minutes, or revoke it
  {LINK}curl {azure}/faults -d '{{\"service\":\"imds\",\"kind\":{{\"status\":{{\"code\":503}}}}}}'{LINK:#}   {DIM}answers 503{DIM:#}
  {LINK}curl {azure}/faults -d '{{\"service\":\"imds\",\"kind\":\"hang\"}}'{LINK:#}   {DIM}does not answer{DIM:#}
  {LINK}curl '{azure}/revoke?cached=forget' -X POST{LINK:#}   {DIM}the target refuses all tokens so far{DIM:#}
  {LINK}curl {azure}/faults -X DELETE{LINK:#}   {DIM}heals{DIM:#}
The valid token is used to its end. Then samples wait in Prometheus, and none is lost.

Ctrl-C ends the demo."
    );
}

/// The end of a run that a signal ended.
pub(crate) fn interrupted(look: &Look) {
    println!("\n{BOLD}Stopped{BOLD:#}: {}", summary(look));
    if look.sent.pending > 0.0 {
        println!("  {} samples still waited in Prometheus", look.sent.pending);
    }
}

/// The end of a timed run in which all went well.
pub(crate) fn success(look: &Look) {
    println!(
        "\n{GOOD}Every sample has arrived{GOOD:#}: {}",
        summary(look)
    );
}

/// The end of a run that failed.
pub(crate) fn failure(reason: &str) {
    eprintln!("\n{reason}\n{BAD}The demo has failed.{BAD:#}");
}
