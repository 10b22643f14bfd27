//! What a person sees. Colours appear on a terminal only, and not where NO_COLOR is set.

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use azure_sim::TokenReport;
use jiff::Timestamp;

use crate::scene::{Look, Scene};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const CARE: Style = AnsiColor::Yellow.on_default();
const LINK: Style = AnsiColor::Cyan.on_default();

/// After so many lines the heading is shown again.
const HEADING_EVERY: usize = 20;

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
pub(crate) fn places(scene: &Scene) {
    let azure = format!("http://{}", scene.azure.addresses().admin);
    let places = [
        (
            "Prometheus",
            scene.prometheus.url("/"),
            "scrapes itself and the proxy, every second",
        ),
        ("Proxy", scene.proxy.url("/"), "what Prometheus writes to"),
        (
            "Status",
            scene.proxy.status_url("/status"),
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
    let token = &scene.token;
    let left = token.exp - scene.azure.state().now;
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
pub(crate) fn play(scene: &Scene) {
    let azure = format!("http://{}", scene.azure.addresses().admin);
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

/// The table of what happens.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    lines: usize,
    received: u64,
    generation: u64,
    trouble: Option<String>,
}

impl Screen {
    /// One more line, and what is new.
    pub(crate) fn show(&mut self, look: &Look) {
        self.tell_news(look);
        if self.lines.is_multiple_of(HEADING_EVERY) {
            println!(
                "\n{DIM}  {:<9} {:>12} {:>9} {:>9} {:>9} {:>7} {:>8}  proxy{DIM:#}",
                "UTC", "verified", "new", "repeated", "waiting", "tokens", "refused"
            );
        }
        self.lines += 1;
        let samples = look.state.target.samples;
        let new = samples.received - self.received;
        self.received = samples.received;
        let waiting = (look.sent.scraped - look.sent.distinct()).max(0.0) as u64;
        let refused: u64 = look.state.target.refused.values().sum();
        let (style, proxy) = match (look.ready, &look.trouble) {
            (true, None) => (GOOD, "ready"),
            (true, Some(_)) => (CARE, "ready, renewal fails"),
            (false, _) => (BAD, "no token"),
        };
        println!(
            "  {:<9} {BOLD}{:>12}{BOLD:#} {:>9} {:>9} {:>9} {:>7} {:>8}  {style}{proxy}{style:#}",
            clock(look.state.now),
            grouped(samples.distinct),
            format!("+{}", grouped(new)),
            grouped(samples.duplicate),
            grouped(waiting),
            look.state.imds.tokens_issued,
            refused,
        );
    }

    fn tell_news(&mut self, look: &Look) {
        if let Some(token) = newest(look)
            && token.generation > self.generation
        {
            // The first one has been shown.
            if self.generation > 0 {
                println!(
                    "  {GOOD}new token, expires at {}{GOOD:#}",
                    clock(token.expires_at)
                );
            }
            self.generation = token.generation;
        }
        if look.trouble != self.trouble {
            if let Some(trouble) = &look.trouble {
                println!("  {CARE}no new token: {trouble}{CARE:#}");
            }
            self.trouble.clone_from(&look.trouble);
        }
    }
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

fn summary(look: &Look) -> String {
    let target = &look.state.target;
    let refused: u64 = target.refused.values().sum();
    format!(
        "{} samples of {} series received and verified in {} requests
  {} repeated, {} refused; tokens: {}, IMDS calls: {}",
        grouped(target.samples.distinct),
        grouped(target.series),
        grouped(target.writes.v1 + target.writes.v2),
        grouped(target.samples.duplicate),
        grouped(refused),
        look.state.imds.tokens_issued,
        look.state.imds.calls,
    )
}

fn newest(look: &Look) -> Option<&TokenReport> {
    look.state
        .tokens
        .iter()
        .max_by_key(|token| token.generation)
}

/// The time of day, UTC.
fn clock(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%H:%M:%S").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        let texts: Vec<String> = [0, 12, 123, 1_234, 1_234_567].map(grouped).into();
        assert_eq!(texts, ["0", "12", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(clock(1_700_000_000), "22:13:20");
    }
}
