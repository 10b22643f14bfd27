//! The printed result of one slot: a heading and a table of names and values.

use std::fmt::{self, Display};

use entra_token_core::Now;
use entra_token_core::config::{SlotSpec, Uuid};

use super::attempt::{Acquired, Failed};
use super::claims::{Claims, duration, printable};
use super::remedies::{self, Verdict};
use super::responder::{self, Responder};

/// A slot to check.
#[derive(Debug, Clone)]
pub(super) struct CheckedSlot {
    pub(super) spec: SlotSpec,
    /// The names of the targets that get the token.
    pub(super) hosts: Vec<String>,
}

/// The result of one slot.
#[derive(Debug)]
pub(super) struct Report {
    heading: String,
    rows: Vec<(&'static str, String)>,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<10}  {value}")?;
        }
        Ok(())
    }
}

impl Report {
    fn new(slot: &CheckedSlot, result: &str) -> Self {
        let name = &slot.spec.identity;
        let audience = slot.spec.plan.audience.resource();
        Self {
            heading: format!("identity `{name}`: {result}"),
            rows: vec![
                ("target", slot.hosts.join(", ")),
                ("as", responder::principal(&slot.spec.plan).0),
                ("asked for", audience.to_owned()),
            ],
        }
    }

    fn row(&mut self, name: &'static str, value: impl Into<String>) {
        self.rows.push((name, value.into()));
    }

    /// The report of an acquired token, with its claims.
    pub(super) fn of_token(slot: &CheckedSlot, acquired: &Acquired, now: Now) -> Self {
        let mut report = Self::new(slot, "has a token");
        let secret = acquired.token.secret.expose();
        match Claims::of(secret) {
            Some(claims) => report.claims(slot, &claims, now),
            None => {
                let left = duration(acquired.token.until_expiry(now));
                report.row("token", format!("opaque, {} bytes", secret.len()));
                report.row("ends", format!("in {left}"));
            }
        }
        if let Some(by) = acquired.clock_skew {
            let by = duration(by);
            report.row(
                "clock",
                format!("this machine's clock and the endpoint's differ by {by}; set the clock"),
            );
        }
        report
    }

    fn claims(&mut self, slot: &CheckedSlot, claims: &Claims, now: Now) {
        let audience = &slot.spec.plan.audience;
        for (name, value) in claims.shown() {
            let is_other_audience = name == "aud" && claims.text(name) != Some(audience.resource());
            let remark = if is_other_audience {
                " (not the requested audience; check that the target accepts it)"
            } else {
                ""
            };
            self.row(name, value + remark);
        }
        match (claims.roles(), audience.role()) {
            (Some(roles), _) => self.row("roles", roles),
            (None, None) => self.row("roles", "none"),
            (None, Some(role)) => {
                self.row(
                    "roles",
                    "none; Azure role assignments are not in tokens. Without one, the target answers 403:",
                );
                // Nobody has verified the token.
                let id = claims.text("oid").filter(|id| id.parse::<Uuid>().is_ok());
                self.row("", role.grant(id));
            }
        }
        if let Some(end) = claims.end(now.wall) {
            self.row("exp", end);
        }
    }

    /// The report of a failure, with what to do.
    pub(super) fn of_failure(slot: &CheckedSlot, failed: &Failed) -> Self {
        let Failed {
            failure,
            endpoint,
            reason,
        } = failed;
        let result = match Verdict::of(failure) {
            Verdict::Unreachable if remedies::has_response(failure) => {
                "no token: the response is unusable"
            }
            Verdict::Unreachable => "no token: the endpoint cannot be reached",
            Verdict::Refused => "no token: refused",
            Verdict::Misconfigured => "no token: the local credential is unusable",
        };
        let mut report = Self::new(slot, result);
        let plan = &slot.spec.plan;
        let responder = Responder::of(plan, slot.spec.terms.kind(), endpoint);
        let remedy = remedies::remedy(
            failure,
            &slot.spec.terms,
            responder,
            reason.as_deref(),
            endpoint.forward_proxy.is_some(),
        );
        let name = responder.name();
        report.row(
            "at",
            if responder.has_address() {
                format!("{name}, {}", endpoint.authority)
            } else {
                name.to_owned()
            },
        );
        let message = printable(&failure.message);
        report.row("error", format!("{message} ({})", failure.code));
        if let Some(reason) = reason {
            let reason = printable(reason.trim());
            report.row(
                "because",
                match remedy.cause {
                    Some(cause) => format!("{cause} ({reason})"),
                    None => reason,
                },
            );
        }
        if let Some(advice) = failure.advice() {
            report.row("do", advice);
        }
        if !failure.trace.is_empty() {
            report.row("support", printable(&failure.trace.to_string()));
        }
        if !remedy.settings.is_empty() {
            report.row("settings", remedy.settings.join(", "));
        }
        for (index, command) in remedy.commands.iter().enumerate() {
            let name = if index == 0 { "commands" } else { "" };
            report.row(name, filled_in(command, slot));
        }
        report
    }
}

fn filled_in(command: &str, slot: &CheckedSlot) -> String {
    let plan = &slot.spec.plan;
    let command = command.replace("<audience>", plan.audience.resource());
    match responder::principal(plan).1 {
        Some(id) => command.replace("<client id>", id),
        None => command,
    }
}
