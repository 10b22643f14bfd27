//! Plays a scenario into the product as it ships: the launcher, its Envoy and the Wasm module,
//! with azure-sim as the endpoint and the target.

mod network;
mod test_bed;
mod turns;
mod wall_clock;

use std::thread;
use std::time::{Duration, Instant};

use e2e::azure::ECHO;
use e2e::http::Response;
use e2e::{Proxy, eventually_ok, http};
use serde_json::Value;
use test_bed::TestBed;
use turns::Turn;

use crate::scenario::Scenario;

/// Between two requests of a client that always wants something.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client is watched to whom nothing is to happen.
const WATCHED: Duration = Duration::from_secs(5);
/// A token that lives shorter than this is watched beyond its end.
const SHORT_LIFE: u64 = 60;
/// What a machine with too much to do may take longer.
const LOAD: Duration = Duration::from_secs(45);
/// Two clock readings in milliseconds.
const ROUNDING: f64 = 0.002;
/// One of them stands in the log line that tells a reason: without a token, and with one in hand.
const REASON: [&str; 2] = ["no token for", "could not be renewed"];

/// Plays the scenario.
pub(crate) fn run(scenario: &Scenario) -> Result<(), String> {
    let turn = Turn::take();
    let test_bed = TestBed::set(scenario)?;
    let proxy = test_bed.proxy(scenario).try_start()?;
    drop(turn);
    let play = if scenario.expect.served {
        served
    } else {
        failing
    };
    play(scenario, &test_bed, &proxy)
        .and_then(|()| test_bed.nothing_went_wrong())
        .map_err(|why| format!("{why}\n{}", proxy.process().tail()))
}

fn request(proxy: &Proxy) -> Result<Response, String> {
    http::get(&proxy.url(ECHO))
}

/// A request that must be served.
fn is_served(proxy: &Proxy) -> Result<(), String> {
    let answer = request(proxy)?;
    match answer.status {
        200 => Ok(()),
        other => Err(format!("a request got {other}: {}", answer.text())),
    }
}

/// Nothing fails: every request is served, and the endpoint is not asked in a hurry.
fn served(scenario: &Scenario, test_bed: &TestBed, proxy: &Proxy) -> Result<(), String> {
    is_served(proxy)?;
    let begun = Instant::now();
    let beyond_its_end = Duration::from_secs(match scenario.token_seconds {
        life @ ..SHORT_LIFE => life,
        _ => 0,
    });
    let mut clock = scenario.clock;
    let steps_after = clock.map_or(Duration::ZERO, |step| {
        Duration::from_secs(step.after_seconds)
    });
    while begun.elapsed() < beyond_its_end + steps_after + WATCHED {
        if begun.elapsed() > steps_after
            && let Some((step, wall)) = clock.take().zip(test_bed.clock.as_ref())
        {
            wall.set(step.by_seconds)?;
        }
        is_served(proxy)?;
        thread::sleep(PAUSE);
    }
    let told = lines(proxy, &REASON);
    if !told.is_empty() {
        return Err(format!("an attempt failed: {told:?}"));
    }
    if let Some(gap) = test_bed.gaps().iter().find(|gap| gap.as_secs_f64() < 0.5) {
        return Err(format!("two calls within {gap:?}"));
    }
    // The token that came after the step shows that the proxy's clock was off.
    match (scenario.clock, lines(proxy, &["set the clock"]).len()) {
        (Some(_), 1) | (None, 0) => Ok(()),
        (_, count) => Err(format!("{count} log lines about the clock")),
    }
}

/// Attempts fail: that is told, and nothing is sent without a token.
fn failing(scenario: &Scenario, test_bed: &TestBed, proxy: &Proxy) -> Result<(), String> {
    let begun = Instant::now();
    let is_well_first = scenario.reply.first().is_some_and(|reply| reply.right);
    let refused = if is_well_first {
        until_refused(scenario, test_bed, proxy)?
    } else {
        request(proxy)?
    };
    check_refusal(scenario, &refused)?;
    if scenario.real.in_full {
        let lasts = scenario.reply.last().and_then(|reply| reply.for_seconds);
        let lasts = Duration::from_secs(lasts.unwrap_or_default());
        thread::sleep(lasts.saturating_sub(begun.elapsed()));
    }
    wait_for_attempts(scenario, proxy)?;
    check_ready(scenario, proxy)?;
    check_log(scenario, proxy)?;
    test_bed.end_faults()?;
    if scenario.recovers() {
        let within = Duration::from_secs_f64(scenario.longest_wait()) + LOAD;
        // A request waits at the proxy for its token, which costs less than asking often.
        eventually_ok(within, "a request is served again", || is_served(proxy))?;
        let ready = proxy.ready()?;
        if ready.status != 200 {
            return Err(format!("/ready is {}: {}", ready.status, ready.text()));
        }
        check_log(scenario, proxy)?;
        let recovered = lines(proxy, &["works again after"]).len();
        if recovered != 1 {
            return Err(format!("{recovered} log lines about the recovery"));
        }
    }
    if is_well_first {
        return Ok(());
    }
    check_gaps(scenario, &test_bed.gaps())
}

/// A client that is served until the token is over; the clock is set meanwhile.
fn until_refused(
    scenario: &Scenario,
    test_bed: &TestBed,
    proxy: &Proxy,
) -> Result<Response, String> {
    is_served(proxy)?;
    let begun = Instant::now();
    let mut clock = scenario.clock;
    let within = Duration::from_secs(scenario.token_seconds.min(SHORT_LIFE)) + LOAD;
    while begun.elapsed() < within {
        if let Some((step, wall)) = clock.zip(test_bed.clock.as_ref())
            && begun.elapsed() > Duration::from_secs(step.after_seconds)
        {
            wall.set(step.by_seconds)?;
            clock = None;
        }
        let answer = request(proxy)?;
        if answer.status != 200 {
            return Ok(answer);
        }
        thread::sleep(PAUSE);
    }
    Err(format!("requests are still served after {within:?}"))
}

/// 503, which clients retry, with a reason for programs and one for people.
fn check_refusal(scenario: &Scenario, answer: &Response) -> Result<(), String> {
    let text = answer.text();
    let body: Value = answer.json()?;
    let error = &body["error"];
    let message = error["message"].as_str().unwrap_or_default();
    let retry_after: Option<u64> = answer
        .header("retry-after")
        .and_then(|value| value.parse().ok());
    if answer.status != 503 || error["code"] != "token_unavailable" {
        return Err(format!("a request got {}: {text}", answer.status));
    }
    if !retry_after.is_some_and(|seconds| (1..=30).contains(&seconds)) {
        return Err(format!("Retry-After of a refused request: {retry_after:?}"));
    }
    // Who sends need not know what the endpoint said.
    let words = &scenario.expect.message;
    if let Some(part) = words.iter().find(|part| message.contains(*part)) {
        return Err(format!("`{part}` in {text}"));
    }
    // Where the reason changes, it may have been another one at that time.
    if scenario.expect.reasons == 1 && error["reason"] != scenario.expect.code {
        return Err(format!("not for {}: {text}", scenario.expect.code));
    }
    Ok(())
}

fn wait_for_attempts(scenario: &Scenario, proxy: &Proxy) -> Result<(), String> {
    let attempts = scenario.attempts();
    let longest = scenario.longest_wait().min(attempts as f64 * 5.0);
    let within = Duration::from_secs_f64(longest) + LOAD;
    eventually_ok(within, &format!("{attempts} failed attempts"), || {
        let body: Value = proxy.ready()?.json()?;
        let failures = &body["slots"][0]["consecutiveFailures"];
        match failures.as_u64() {
            Some(failures) if failures >= attempts => Ok(()),
            _ => Err(format!("{failures} so far")),
        }
    })
}

/// `/ready` says that the proxy is not, why, and what to do.
fn check_ready(scenario: &Scenario, proxy: &Proxy) -> Result<(), String> {
    let ready = proxy.ready()?;
    if ready.status != 503 {
        return Err(format!("/ready is {}: {}", ready.status, ready.text()));
    }
    let body: Value = ready.json()?;
    let error = &body["slots"][0]["lastError"];
    let field = |name: &str| error[name].as_str().unwrap_or_default();
    scenario
        .judge(field("code"), field("message"), field("advice"))
        .map_err(|why| format!("/ready: {why}"))
}

/// The log tells each reason once, with what to do.
fn check_log(scenario: &Scenario, proxy: &Proxy) -> Result<(), String> {
    let told = lines(proxy, &REASON);
    let expect = &scenario.expect;
    // That the token in hand has ended is told once more.
    let ends = told
        .windows(2)
        .filter(|pair| pair[0].contains(REASON[1]) && pair[1].contains(REASON[0]));
    if told.len() != expect.reasons + ends.count() {
        return Err(format!("{} log lines, not {}", told.len(), expect.reasons));
    }
    let last = told.last().map(String::as_str).unwrap_or_default();
    let parts = expect.message.iter().chain(&expect.advice);
    match parts
        .chain([&expect.code])
        .find(|part| !last.contains(*part))
    {
        Some(part) => Err(format!("no `{part}` in the log: {last}")),
        None => Ok(()),
    }
}

/// The endpoint saw no call before its time, and none much too late.
fn check_gaps(scenario: &Scenario, gaps: &[Duration]) -> Result<(), String> {
    for (failures, gap) in (1..).zip(gaps) {
        let (gap, wait) = (gap.as_secs_f64(), scenario.wait(failures));
        if gap < wait.start() - ROUNDING || gap > wait.end() + LOAD.as_secs_f64() {
            return Err(format!(
                "call {} came {gap} s after the one before, not after {wait:?} s: {gaps:?}",
                failures + 1
            ));
        }
    }
    Ok(())
}

fn lines(proxy: &Proxy, parts: &[&str]) -> Vec<String> {
    let logs = proxy.process().logs();
    let has_one = |line: &&str| parts.iter().any(|part| line.contains(part));
    let found = logs.lines().filter(has_one);
    found.map(str::to_owned).collect()
}
