//! `/status` as an HTML page. It has no script and no external resource, and escapes all texts from
//! servers and from the configuration.

use core::fmt::Write;

use crate::status::{SlotStatus, Status, TokenState};

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">\
<title>Entra Auth</title><style>\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color:#222;background:#fff}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd}\
.good{color:#0a6b2d}.bad{color:#b00020}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}\
.good{color:#5fd38d}.bad{color:#ff8a80}}</style></head><body>";

/// Renders the page, whose content type is `text/html; charset=utf-8`.
#[must_use]
pub fn render(status: &Status) -> String {
    let mut page = String::from(HEAD);
    page.push_str(match status.ready {
        true => "<h1>Entra Auth: <span class=\"good\">ready</span></h1>",
        false => "<h1>Entra Auth: <span class=\"bad\">not ready</span></h1>",
    });
    page.push_str(
        "<table><tr><th>Identity</th><th>Audience</th><th>Token</th><th>Next attempt</th></tr>",
    );
    for slot in &status.slots {
        row(&mut page, slot);
    }
    page.push_str("</table></body></html>\n");
    page
}

fn row(page: &mut String, slot: &SlotStatus) {
    let (class, state) = match slot.state {
        TokenState::Valid => ("good", "valid"),
        TokenState::Waiting => ("bad", "none yet"),
        TokenState::Expired => ("bad", "expired"),
    };
    let identity = escape(&slot.identity);
    let audience = escape(&slot.audience);
    let next = slot.next_attempt_in_seconds;
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<tr><td>{identity}</td><td>{audience}</td><td><span class=\"{class}\">{state}</span>"
    );
    if let (Some(end), Some(left)) = (&slot.expires_on, slot.expires_in_seconds) {
        let _ = write!(page, ", until {end} ({left} s)");
    }
    if let Some(error) = &slot.last_error {
        let (message, advice) = (escape(&error.message), escape(&error.advice));
        let failures = slot.consecutive_failures;
        // If the token is still valid, the failure was that of a refresh.
        let what = match &error.meanwhile {
            Some(meanwhile) => format!("renewals failed; {meanwhile}"),
            None => "failed".into(),
        };
        let _ = write!(
            page,
            "<br><span class=\"bad\">{failures} {what}: {message}</span><br>{advice}"
        );
        if !error.settings.is_empty() {
            let settings = escape(&error.settings.join(", "));
            let _ = write!(page, " Look at {settings}.");
        }
        if !error.trace.is_empty() {
            let trace = escape(&error.trace.to_string());
            let _ = write!(page, "<br><small>{trace}</small>");
        }
    }
    let _ = write!(page, "</td><td>in {next} s</td></tr>");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
