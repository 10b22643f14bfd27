//! `/status` as an HTML page. It has no script and no external resource, and escapes all texts from
//! servers and from the configuration.
//!
//! The page does not reload itself, which would reset the position of screen readers and keyboards (WCAG 2.2,
//! success criterion 2.2.1).

use core::fmt::{Display, Write};

use crate::status::{
    ExportStatus, LastError, RefusalStatus, SlotStatus, Status, Subject, TargetStatus, TokenState,
    Verdict, span,
};
use crate::target_responses::Classes;

/// All pairs of colours have a contrast of 4.5 or more (WCAG 2.2, success criterion 1.4.3).
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1b1b;--page:#fff;--line:#767676;--good:#0a6b2d;--warn:#8a4b00;--bad:#b00020;\
--code:#f0f0f0}\
@media(prefers-color-scheme:dark){:root{--text:#e6e6e6;--page:#161616;--line:#8a8a8a;--good:#5fd38d;--warn:#ffb35c;\
--bad:#ff8a80;--code:#262626}}\
body{font:1rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);margin:0 auto;max-width:60rem;\
padding:1rem}\
h1,h2,h3{line-height:1.25;overflow-wrap:anywhere}\
article{border:1px solid var(--line);border-left-width:.4rem;border-radius:.3rem;padding:0 1rem;margin:1rem 0}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\
article.good,article.warn,article.bad{border-left-color:currentColor}\
article>*{color:var(--text)}article>h3>span{font-weight:bold}\
dl{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.2rem 1rem}\
dt{font-weight:bold}dd{margin:0;overflow-wrap:anywhere}\
@media(max-width:40rem){dl{display:block}dd{margin-bottom:.4rem}}\
pre{background:var(--code);padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere;user-select:all}\
a{color:inherit}footer{border-top:1px solid var(--line);margin-top:2rem}";

/// Renders the page, whose content type is `text/html; charset=utf-8`.
#[must_use]
pub fn render(status: &Status) -> String {
    let mut page = Page(String::with_capacity(4096));
    let title = status.verdict.title();
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    // Without it a browser asks for /favicon.ico.
    page.raw("<link rel=\"icon\" href=\"data:,\">");
    page.element("title", &[], format_args!("{title}: Entra Auth"));
    page.raw("<style>");
    page.raw(STYLE);
    page.raw("</style></head><body><main>");
    page.element("h1", &[("class", class(status.verdict))], title);
    page.element("p", &[], &status.summary);
    page.element("h2", &[], "Identities");
    for slot in &status.slots {
        page.slot(slot);
    }
    if !status.targets.is_empty() {
        page.element("h2", &[], "Targets");
    }
    for target in &status.targets {
        page.target(target);
    }
    if !status.exports.is_empty() {
        page.element("h2", &[], "Telemetry");
    }
    for export in &status.exports {
        page.export(export);
    }
    page.raw("</main>");
    page.footer(status);
    page.raw("</body></html>\n");
    page.0
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Serving => "good",
        Verdict::OnBorrowedTime | Verdict::Degraded => "warn",
        Verdict::NotServing => "bad",
    }
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], text: impl Display) {
        let _ = write!(self.0, "<{name}");
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"{value}\"");
        }
        self.raw(">");
        self.text(text);
        let _ = write!(self.0, "</{name}>");
    }

    /// A card with its heading, whose last word tells the state.
    fn open_card(&mut self, class: &str, heading: &str, state: &str) {
        let _ = write!(self.0, "<article class=\"{class}\"><h3>");
        self.text(heading);
        self.raw(": ");
        self.element("span", &[("class", class)], state);
        self.raw("</h3>");
    }

    fn fact(&mut self, name: &str, value: impl Display) {
        self.element("dt", &[], name);
        self.element("dd", &[], value);
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    fn command(&mut self, command: &str) {
        self.raw("<pre tabindex=\"0\"><code>");
        self.text(command);
        self.raw("</code></pre>");
    }

    fn slot(&mut self, slot: &SlotStatus) {
        let certificate = slot.certificate.as_ref();
        let advice = certificate.and_then(|certificate| certificate.advice.as_deref());
        let ends_soon = advice.is_some();
        let (class, state) = match (slot.state, slot.consecutive_failures) {
            (TokenState::Valid, 0) if ends_soon => {
                ("warn", "valid token, but the certificate ends soon")
            }
            (TokenState::Valid, 0) => ("good", "valid token"),
            (TokenState::Valid, _) => ("warn", "valid token, but it is not renewed"),
            (TokenState::Waiting, _) => ("bad", "no token yet"),
            (TokenState::Expired, _) => ("bad", "the token has expired"),
        };
        self.open_card(class, &slot.identity, state);
        self.raw("<dl>");
        self.fact("Audience", &slot.audience);
        if let (Some(end), Some(left)) = (&slot.expires_on, slot.expires_in_seconds) {
            match slot.state {
                TokenState::Valid => {
                    self.fact("Token ends", format_args!("{end}, in {}", span(left)));
                }
                TokenState::Waiting | TokenState::Expired => self.fact("Token ended", end),
            }
        }
        self.optional("Token obtained", slot.obtained_on.as_ref());
        self.fact("Asked of", &slot.endpoint);
        if slot.subject == Subject::default() {
            self.fact("Asked as", "this machine's own identity");
        }
        self.optional("Tenant", slot.subject.tenant_id.as_ref());
        self.optional("Client id", slot.subject.client_id.as_ref());
        self.optional("Object id", slot.subject.object_id.as_ref());
        self.optional("Resource id", slot.subject.resource_id.as_ref());
        if let Some(certificate) = certificate {
            let left = span(certificate.ends_in_seconds);
            match certificate.ends_in_seconds {
                0 => self.fact("Certificate ended", &certificate.ends_on),
                _ => self.fact(
                    "Certificate ends",
                    format_args!("{}, in {left}", certificate.ends_on),
                ),
            }
        }
        self.optional("Failing since", slot.failing_since.as_ref());
        if slot.consecutive_failures > 0 {
            self.fact("Failed attempts", slot.consecutive_failures);
        }
        match slot.next_attempt_in_seconds {
            0 => self.fact("Next attempt", "now"),
            next => self.fact("Next attempt", format_args!("in {}", span(next))),
        }
        self.raw("</dl>");
        if let Some(error) = &slot.last_error {
            self.last_error(error);
        }
        if let Some(advice) = advice {
            self.raw("<p><strong>What to do:</strong> ");
            self.text(advice);
            self.raw("</p>");
        }
        self.raw("</article>");
    }

    fn last_error(&mut self, error: &LastError) {
        self.raw("<p><strong>Last error:</strong> ");
        self.text(format_args!("{} ({})", error.message, error.code));
        self.raw("</p>");
        if let Some(meanwhile) = &error.meanwhile {
            self.element("p", &[], format_args!("Meanwhile {meanwhile}."));
        }
        if !error.advice.is_empty() || !error.settings.is_empty() {
            self.raw("<p><strong>What to do:</strong> ");
            self.text(&error.advice);
            if !error.settings.is_empty() {
                self.text(format_args!(" Look at {}.", error.settings.join(", ")));
            }
            self.raw("</p>");
        }
        for command in &error.commands {
            self.command(command);
        }
        if !error.trace.is_empty() {
            self.element("p", &[], format_args!("For support: {}", error.trace));
        }
    }

    fn target(&mut self, target: &TargetStatus) {
        let (class, state) = match &target.refusals {
            Some(_) => ("bad", "refuses the identity"),
            None if target.responses.classes.server_error > 0 => ("warn", "has server errors"),
            None if target.responses.classes == Classes::default() => ("", "no responses lately"),
            None => ("good", "no refusal"),
        };
        self.open_card(class, &target.target, state);
        self.raw("<dl>");
        self.fact("Identity", &target.identity);
        let recent = &target.responses;
        let name = format!("Responses of the last {} minutes", recent.minutes);
        self.fact(
            &name,
            format_args!(
                "{} with 2xx, {} with 3xx, {} with 4xx, {} with 5xx",
                recent.classes.success,
                recent.classes.redirect,
                recent.classes.client_error,
                recent.classes.server_error
            ),
        );
        if let Some(refusals) = &target.refusals {
            self.fact(
                "Refusals",
                format_args!(
                    "{} with 401, {} with 403",
                    refusals.unauthorized, refusals.forbidden
                ),
            );
            self.optional("First refusal", refusals.since.as_ref());
            self.optional("Last refusal", refusals.last.as_ref());
        }
        self.raw("</dl>");
        if let Some(refusals) = &target.refusals {
            self.refusal(refusals);
        }
        self.raw("</article>");
    }

    fn refusal(&mut self, refusals: &RefusalStatus) {
        self.raw("<p><strong>What to do:</strong> ");
        self.text(&refusals.advice);
        self.raw("</p>");
        if let Some(command) = &refusals.command {
            self.command(command);
        }
    }

    fn export(&mut self, export: &ExportStatus) {
        let (class, state) = match (&export.failing, &export.delivered) {
            (Some(_), _) => ("warn", "exports fail"),
            (None, Some(_)) => ("good", "exported"),
            (None, None) => ("", "no export yet"),
        };
        self.open_card(class, export.signal.as_str(), state);
        self.raw("<dl>");
        self.fact("Collector", &export.collector);
        self.optional("Last delivered", export.delivered.as_ref());
        if let Some(failing) = &export.failing {
            self.optional("Failing since", failing.since.as_ref());
            self.fact("Failed exports", failing.exports);
            self.fact("Last error", &failing.reason);
        }
        self.raw("</dl>");
        if let Some(failing) = &export.failing {
            self.element("p", &[], &failing.consequence);
        }
        self.raw("</article>");
    }

    fn footer(&mut self, status: &Status) {
        self.raw("<footer><p>");
        self.text(format_args!("Entra Auth {}", status.version));
        if let Some(envoy) = &status.envoy_version {
            self.text(format_args!(", Envoy {envoy}"));
        }
        if let Some(uptime) = status.uptime_seconds {
            self.text(format_args!(", filter up for {}", span(uptime)));
        }
        if let Some(time) = &status.time {
            self.text(format_args!(". As of {time}"));
        }
        self.raw(
            ".</p><p><a href=\"status\">Reload</a>, <a href=\"status?format=json\">this page as JSON</a>, \
             <a href=\"ready\">ready</a>, <a href=\"metrics\">metrics</a></p></footer>",
        );
    }
}

/// Writes text into HTML.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
