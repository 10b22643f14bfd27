//! What is printed of one slot: a heading and a small table under it.

use std::fmt::{self, Display};

use entra_token_core::Now;
use entra_token_core::config::SlotSpec;

use super::attempt::{Acquired, Failed};
use super::claims::{Claims, duration, printable};
use super::place::{self, Place};
use super::remedies::{self, Verdict};

/// Whom a slot's token is for.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) spec: SlotSpec,
    /// The hosts that its token goes to.
    pub(super) hosts: Vec<String>,
}

/// A heading and rows of a name and a value.
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
    fn new(subject: &Subject, what: &str) -> Self {
        let name = &subject.spec.identity;
        let audience = subject.spec.plan.audience.resource();
        Self {
            heading: format!("identity `{name}`: {what}"),
            rows: vec![
                ("target", subject.hosts.join(", ")),
                ("as", place::asks_as(&subject.spec.plan).0),
                ("asked for", audience.to_owned()),
            ],
        }
    }

    fn row(&mut self, name: &'static str, value: impl Into<String>) {
        self.rows.push((name, value.into()));
    }

    /// Of a token: what is in it.
    pub(super) fn of_token(subject: &Subject, acquired: &Acquired, now: Now) -> Self {
        let mut report = Self::new(subject, "has a token");
        let secret = acquired.token.secret.expose();
        match Claims::of(secret) {
            Some(claims) => report.claims(subject, &claims, now),
            None => {
                let left = duration(acquired.token.until_expiry(now));
                report.row("token", format!("no JWT, {} bytes", secret.len()));
                report.row("ends", format!("in {left}"));
            }
        }
        if let Some(by) = acquired.clock_off {
            let by = duration(by);
            report.row(
                "clock",
                format!("this machine's and the endpoint's differ by {by}; set the clock"),
            );
        }
        report
    }

    fn claims(&mut self, subject: &Subject, claims: &Claims, now: Now) {
        let audience = &subject.spec.plan.audience;
        for (name, value) in claims.shown() {
            let other = name == "aud" && claims.text(name) != Some(audience.resource());
            let remark = if other {
                " (another than was asked for: see that the target takes it)"
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
                    "none; those of Azure stand in no token, and the target answers 403 without:",
                );
                let id = claims.text("oid").map_or("<object id>".into(), printable);
                self.row(
                    "",
                    format!(
                        "az role assignment create --role \"{}\" --assignee-object-id {id} \
                     --assignee-principal-type ServicePrincipal --scope <id of the {}>",
                        role.name, role.scope
                    ),
                );
            }
        }
        if let Some(end) = claims.end(now.wall) {
            self.row("exp", end);
        }
    }

    /// Of a failure: what was said, and what to do.
    pub(super) fn of_failure(subject: &Subject, failed: &Failed) -> Self {
        let Failed {
            failure,
            endpoint,
            reason,
        } = failed;
        let what = match Verdict::of(failure) {
            Verdict::Unreachable if remedies::was_reached(failure) => "no token: no answer of use",
            Verdict::Unreachable => "no token: not reached",
            Verdict::Refused => "no token: refused",
            Verdict::Misconfigured => "no token: something here is wrong",
        };
        let mut report = Self::new(subject, what);
        let plan = &subject.spec.plan;
        let place = Place::of(plan, subject.spec.terms.kind(), endpoint);
        let remedy = remedies::remedy(
            failure,
            &subject.spec.terms,
            place,
            reason.as_deref(),
            endpoint.forward_proxy.is_some(),
        );
        let name = place.name();
        report.row(
            "at",
            if place.has_address() {
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
            report.row(name, filled_in(command, subject));
        }
        report
    }
}

fn filled_in(command: &str, subject: &Subject) -> String {
    let plan = &subject.spec.plan;
    let command = command.replace("<audience>", plan.audience.resource());
    match place::asks_as(plan).1 {
        Some(id) => command.replace("<client id>", id),
        None => command,
    }
}
