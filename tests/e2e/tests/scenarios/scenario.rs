//! A scenario as its folder tells it: `scenario.toml`, and the bodies of replies in the same folder.
//!
//! Every field stands here with what it means; an unknown or contradictory one is an error that
//! names the file and the field.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_sim::fill_in;
use serde::Deserialize;

/// Stands in a body for a token that the target accepts.
const TOKEN: &str = "@token@";
/// Stands in a header value for the URL of a server that must never be called.
pub(crate) const ELSEWHERE: &str = "@elsewhere@";

const IMDS: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const REFRESH: &str = "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE";
const TIMEOUT: &str = "TOKEN_REQUEST_TIMEOUT";

/// What the endpoint does, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The folder's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// One sentence for people.
    pub(crate) about: String,
    /// Variables of the launcher. The simulated run heeds those about refreshes and about how long
    /// a call may take, and no other.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// How long the tokens of right answers live.
    #[serde(default = "an_hour")]
    pub(crate) token_seconds: u64,
    /// What the endpoint answers, in this order; after the last one it is well.
    #[serde(default)]
    pub(crate) reply: Vec<Reply>,
    /// How this machine's clock is set meanwhile.
    pub(crate) clock: Option<ClockStep>,
    /// What must come of it.
    pub(crate) expect: Expect,
    /// How much of it the real run plays.
    #[serde(default)]
    pub(crate) real: Real,
}

/// What the endpoint answers to some calls: one of `right`, `wire` and `status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    /// A right answer, before others come.
    #[serde(default)]
    pub(crate) right: bool,
    /// No whole answer.
    pub(crate) wire: Option<WireFault>,
    /// An answer with this status.
    pub(crate) status: Option<u16>,
    /// Its headers. In values and body, `@date+60@` is the HTTP date in 60 s and `@uuid@` another
    /// UUID each time; in values, `@elsewhere@` is the URL of a server that must not be called.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body; `@token@` in it is a token that the target accepts.
    #[serde(default)]
    body: Option<String>,
    /// The file in the folder that is its body.
    #[serde(default)]
    body_file: Option<PathBuf>,
    #[serde(skip)]
    content: Vec<u8>,
    /// To so many calls; without this and the next, to all calls until the run has seen enough.
    pub(crate) times: Option<u64>,
    /// To all calls in so many seconds from the first.
    pub(crate) for_seconds: Option<u64>,
}

/// What happens to a call that gets no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireFault {
    /// DNS does not know the endpoint's name; the real run has a name of its own for it.
    NoName,
    /// Nobody listens.
    Refused,
    /// The connection is reset before the answer.
    Reset,
    /// The connection is reset in the middle of the right answer.
    ResetInBody,
    /// The connection stays open, and nothing comes.
    Hang,
    /// The right answer, a byte a second.
    Trickle,
    /// An answer of many megabytes.
    Oversized,
}

/// This machine's clock is set.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockStep {
    /// So long after the first token.
    pub(crate) after_seconds: u64,
    /// By so much, back if it is negative.
    pub(crate) by_seconds: i64,
}

/// What must come of the replies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// No attempt fails, and every request is served. Nothing else is expected then.
    #[serde(default)]
    pub(crate) served: bool,
    /// The code of the last failure.
    #[serde(default)]
    pub(crate) code: String,
    /// What its message holds.
    #[serde(default)]
    pub(crate) message: Vec<String>,
    /// What its advice holds; when nothing is given, there must be no advice.
    #[serde(default)]
    pub(crate) advice: Vec<String>,
    /// Whether only a person can heal it.
    #[serde(default)]
    pub(crate) permanent: bool,
    /// The least and the most seconds from a failure to the next attempt. Without it: 30 to 60
    /// where the failure is permanent, else a back-off from a second to a minute.
    wait_seconds: Option<[f64; 2]>,
    /// How often a reason is logged.
    #[serde(default = "once")]
    pub(crate) reasons: usize,
}

/// How much of the scenario the real run plays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Real {
    /// The last reply goes on until so many attempts have failed. Without it: three by that reply,
    /// or one where the failure is permanent.
    attempts: Option<u64>,
    /// The last reply goes on as long as it says, instead.
    #[serde(default)]
    pub(crate) in_full: bool,
    /// Whether the run waits for the first request that is served. Without it: unless the
    /// failure is permanent.
    recovers: Option<bool>,
}

fn an_hour() -> u64 {
    3600
}

fn once() -> usize {
    1
}

/// Every scenario of a folder, by name.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        folders.push(entry.map_err(wrong)?.path());
    }
    folders.sort();
    folders.iter().map(|folder| read(folder)).collect()
}

fn read(folder: &Path) -> Result<Scenario, String> {
    let file = folder.join("scenario.toml");
    let wrong = |what: String| format!("{}: {what}", file.display());
    let text = fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let mut scenario: Scenario = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let name = folder.file_name().unwrap_or_default();
    scenario.name = name.to_string_lossy().into_owned();
    for (index, reply) in scenario.reply.iter_mut().enumerate() {
        let number = index + 1;
        reply
            .load(folder)
            .map_err(|what| wrong(format!("reply {number}: {what}")))?;
    }
    scenario.check().map_err(wrong)?;
    Ok(scenario)
}

impl Reply {
    fn load(&mut self, folder: &Path) -> Result<(), String> {
        let kinds = [self.right, self.wire.is_some(), self.status.is_some()];
        if kinds.iter().filter(|is| **is).count() != 1 {
            return Err("give one of `right`, `wire` and `status`".into());
        }
        let has_content = self.body.is_some() || self.body_file.is_some();
        if self.status.is_none() && (has_content || !self.headers.is_empty()) {
            return Err("`headers`, `body` and `body_file` go with a `status`".into());
        }
        if self.times.is_some() && self.for_seconds.is_some() {
            return Err("give `times` or `for_seconds`".into());
        }
        self.content = match (self.body.take(), &self.body_file) {
            (Some(_), Some(_)) => return Err("give `body` or `body_file`".into()),
            (Some(body), None) => body.into_bytes(),
            (None, Some(file)) => fs::read(folder.join(file))
                .map_err(|error| format!("`body_file` {}: {error}", file.display()))?,
            (None, None) => Vec::new(),
        };
        if std::str::from_utf8(&self.content).is_err() && self.status != Some(200) {
            return Err("a body that is not UTF-8 needs `status` 200 (azure-sim)".into());
        }
        Ok(())
    }

    /// The body with this token in its place.
    pub(crate) fn content(&self, token: &str) -> Vec<u8> {
        match std::str::from_utf8(&self.content) {
            Ok(text) => text.replace(TOKEN, token).into_bytes(),
            Err(_) => self.content.clone(),
        }
    }

    /// The value of a header as it is sent at `now`, in seconds since 1970.
    pub(crate) fn header(&self, name: &str, now: i64) -> Option<String> {
        self.headers.get(name).map(|value| fill_in(value, now))
    }
}

impl Scenario {
    fn check(&self) -> Result<(), String> {
        let expect = &self.expect;
        if expect.served != expect.code.is_empty() {
            return Err("expect: give a `code`, or `served = true`".into());
        }
        if let Some((last, others)) = self.reply.split_last() {
            let lasts = |reply: &Reply| reply.times.is_none();
            if let Some(index) = others.iter().position(lasts) {
                let number = index + 1;
                return Err(format!(
                    "reply {number}: only the last one goes without `times`"
                ));
            }
            if last.for_seconds.is_none() && self.real.in_full {
                return Err("real: `in_full` needs the last reply's `for_seconds`".into());
            }
        }
        let elsewhere = [Some(WireFault::Refused), Some(WireFault::NoName)];
        let is_elsewhere = |reply: &Reply| elsewhere.contains(&reply.wire);
        if self.reply.iter().any(is_elsewhere) && self.reply.len() > 1 {
            return Err(
                "reply: `refused` and `no_name` go alone, since the real run has one address"
                    .into(),
            );
        }
        Ok(())
    }

    /// The host of the token endpoint: the environment's, or that of Azure.
    pub(crate) fn imds_authority(&self) -> &str {
        let host = self.environment.get(IMDS).map(String::as_str);
        host.and_then(|url| url.strip_prefix("http://"))
            .unwrap_or("169.254.169.254")
    }

    /// The share of a token's life before its end at which the next one is asked for.
    pub(crate) fn refresh_percent(&self) -> Result<u8, String> {
        match self.environment.get(REFRESH) {
            Some(percent) => percent.parse().map_err(|_| format!("{REFRESH}: {percent}")),
            None => Ok(10),
        }
    }

    /// How long a call may take.
    pub(crate) fn token_request_timeout(&self) -> Result<Duration, String> {
        let seconds = self.environment.get(TIMEOUT).map_or("30", String::as_str);
        let seconds = seconds
            .parse()
            .map_err(|_| format!("{TIMEOUT}: {seconds}"))?;
        Ok(Duration::from_secs(seconds))
    }

    /// IMDS gives the same token again until it has so many seconds left.
    pub(crate) fn renewed_at_seconds(&self) -> u64 {
        (self.token_seconds / 4).min(300)
    }

    /// From a failure to the next attempt, in seconds; `failures` counts those in a row.
    pub(crate) fn wait(&self, failures: u32) -> RangeInclusive<f64> {
        match self.expect.wait_seconds {
            Some([least, most]) => least..=most,
            None if self.expect.permanent => 30.0..=60.0,
            None => {
                let full = 2_f64
                    .powi(failures.saturating_sub(1).min(10) as i32)
                    .min(60.0);
                full / 2.0..=full
            }
        }
    }

    /// The longest of all waits, in seconds.
    pub(crate) fn longest_wait(&self) -> f64 {
        *self.wait(u32::MAX).end()
    }

    /// How many attempts the real run sees fail before it ends the last reply.
    pub(crate) fn attempts(&self) -> u64 {
        self.real.attempts.unwrap_or_else(|| {
            let others = self.reply.iter().rev().skip(1);
            let before: u64 = others.filter(|r| !r.right).filter_map(|r| r.times).sum();
            before + if self.expect.permanent { 1 } else { 3 }
        })
    }

    /// Whether the real run waits until a request is served again.
    pub(crate) fn recovers(&self) -> bool {
        self.real.recovers.unwrap_or(!self.expect.permanent)
    }

    /// About how many seconds the real run waits for the endpoint to be asked again.
    pub(crate) fn longest_real_wait(&self) -> u64 {
        let in_full = self.reply.last().filter(|_| self.real.in_full);
        let in_full = in_full.and_then(|reply| reply.for_seconds);
        let slow = if self.expect.permanent { 60 } else { 10 };
        in_full.unwrap_or(0) + if self.recovers() { slow } else { 0 }
    }

    /// Whether a message and an advice are as expected; else what is wrong with them.
    pub(crate) fn judge(&self, code: &str, message: &str, advice: &str) -> Result<(), String> {
        let expect = &self.expect;
        if code != expect.code {
            return Err(format!(
                "code `{code}`, expected `{}`: {message}",
                expect.code
            ));
        }
        if let Some(missing) = expect.message.iter().find(|part| !message.contains(*part)) {
            return Err(format!("no `{missing}` in the message: {message}"));
        }
        if expect.advice.is_empty() && !advice.is_empty() {
            return Err(format!("unexpected advice: {advice}"));
        }
        match expect.advice.iter().find(|part| !advice.contains(*part)) {
            Some(missing) => Err(format!("no `{missing}` in the advice: {advice}")),
            None => Ok(()),
        }
    }
}
