//! What a person sees of a run: a table of what happens, and its summary. Colours appear on a
//! terminal only, and not where NO_COLOR is set.

use anstream::println;
use anstyle::{AnsiColor, Style};
use azure_sim::TokenReport;
use jiff::Timestamp;

use crate::Look;

/// Headings and what counts.
pub const BOLD: Style = Style::new().bold();
/// What is said by the way.
pub const DIM: Style = Style::new().dimmed();
/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// All is not well.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Somebody should look.
pub const CARE: Style = AnsiColor::Yellow.on_default();
/// What can be opened or typed.
pub const LINK: Style = AnsiColor::Cyan.on_default();

/// After so many lines the heading is shown again.
const HEADING_EVERY: usize = 20;

/// The table of what happens.
#[derive(Debug, Default)]
pub struct Table {
    lines: usize,
    received: u64,
    generation: u64,
    failure: Option<String>,
}

impl Table {
    /// One more line.
    pub fn line(&mut self, look: &Look) {
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
        let (style, proxy) = match &look.proxy {
            None => (CARE, "stands still"),
            Some(proxy) => match (proxy.ready, &proxy.failure) {
                (true, None) => (GOOD, "ready"),
                (true, Some(_)) => (CARE, "ready, renewal fails"),
                (false, _) => (BAD, "no token"),
            },
        };
        println!(
            "  {:<9} {BOLD}{:>12}{BOLD:#} {:>9} {:>9} {:>9} {:>7} {:>8}  {style}{proxy}{style:#}",
            clock(look.state.now),
            grouped(samples.distinct),
            format!("+{}", grouped(new)),
            grouped(samples.duplicate),
            grouped(waiting),
            look.state.imds.tokens_issued,
            refused(look),
        );
    }

    /// What is new since the last line: a token, or that none is to be had.
    pub fn news(&mut self, look: &Look) {
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
        let failure = look.proxy.as_ref().and_then(|proxy| proxy.failure.as_ref());
        if failure != self.failure.as_ref() {
            if let Some(failure) = failure {
                println!("  {CARE}no new token: {failure}{CARE:#}");
            }
            self.failure = failure.cloned();
        }
    }
}

/// All counts in two lines.
#[must_use]
pub fn summary(look: &Look) -> String {
    let target = &look.state.target;
    format!(
        "{} samples of {} series received and verified in {} requests
  {} repeated, {} refused; tokens: {}, IMDS calls: {}",
        grouped(target.samples.distinct),
        grouped(target.series),
        grouped(target.writes.v1 + target.writes.v2),
        grouped(target.samples.duplicate),
        grouped(refused(look)),
        look.state.imds.tokens_issued,
        look.state.imds.calls,
    )
}

fn refused(look: &Look) -> u64 {
    look.state.target.refused.values().sum()
}

fn newest(look: &Look) -> Option<&TokenReport> {
    look.state
        .tokens
        .iter()
        .max_by_key(|token| token.generation)
}

/// The time of day, UTC.
#[must_use]
pub fn clock(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%H:%M:%S").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// Digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
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
