//! Where faults are played: Azure, the proxy and Prometheus, and what a fault does to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azure_sim::{
    AZURE_MONITOR, CachedTokens, METRICS_PUBLISHER, Options, RoleAssignment, Settings, TokenRefusal,
};
use rustix::process::{Signal, kill_process};

use super::catalog::{FaultAction, FaultInjection, Place, TOKEN_LIFETIME};
use crate::azure::{Azure, WRITE};
use crate::{Look, Prometheus, Protocol, Proxy, Release, eventually_ok, verdict};

/// Share of a token's life before its end at which it is renewed: early, so that a fault of some
/// seconds at the token endpoint meets calls.
const REFRESH_PERCENT: &str = "90";

/// Seconds that the launcher has to drain.
const DRAIN_SECONDS: &str = "3";

/// How long Prometheus waits for an answer: above the proxy's hold limit (10 s), so that it sees
/// the proxy's own 503.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(12);

/// A shard that is told to come back later, or whose request hangs, does not hold up the others.
const SHARDS: u32 = 4;

/// How long a sample may take to arrive after a fault: a 503 may name 30 s to come back.
const RESUME: Duration = Duration::from_secs(60);

/// How long everything that waits may take to be sent after the last fault.
const SETTLE: Duration = Duration::from_secs(120);

/// Which clients and protocols a run has.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Which Prometheus.
    pub release: Release,
    /// Which message it sends.
    pub protocol: Protocol,
    /// Whether the target speaks HTTP/2, else HTTP/1.1.
    pub http2: bool,
}

/// Azure, the proxy and Prometheus. Fields are dropped in this order: first who sends, last who
/// receives.
#[derive(Debug)]
pub struct TestBed {
    prometheus: Prometheus,
    proxy: Proxy,
    azure: Azure,
    started: Instant,
    /// Whether a fault keeps the proxy from answering.
    silent: bool,
    /// Whether Envoy was stopped for a while.
    stood_still: bool,
    /// How often each fault was begun.
    played: BTreeMap<&'static str, u64>,
    history: Vec<String>,
}

/// A fault in force.
#[derive(Debug)]
pub(super) struct Playing {
    injection: &'static FaultInjection,
    trace: Trace,
}

/// By what it is seen that a fault has met a request.
#[derive(Debug)]
enum Trace {
    /// How often the simulated Azure has played this one.
    Fault(u64),
    /// The target has refused more requests than so many, for this reason.
    Refused(TokenRefusal, u64),
    /// Envoy has met more refused connections than so many.
    RefusedConnections(f64),
    /// It meets everything at once.
    Sure,
}

impl TestBed {
    /// Starts everything and waits until samples arrive.
    ///
    /// # Errors
    /// When something does not start, or no sample arrives.
    pub fn start(options: RunOptions) -> Result<Self, String> {
        let azure = Azure::try_start(Options {
            http2: options.http2,
            // Ten minutes of samples, more than the longest fault: hours must fit into memory.
            samples_kept_per_series: 600,
            settings: Settings {
                token_lifetime_seconds: TOKEN_LIFETIME,
                cache: false,
                ..Settings::default()
            },
            ..Options::default()
        })?;
        let proxy = azure
            .proxy()
            .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", REFRESH_PERCENT)
            .set("DRAIN_SECONDS", DRAIN_SECONDS)
            // As short as everything else: an answer that comes too late is one of the faults.
            .set("TOKEN_REQUEST_TIMEOUT", "4")
            .set("ACCESS_LOG", "errors")
            .try_start()?;
        let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
            .release(options.release)
            .protocol(options.protocol)
            .remote_timeout(REMOTE_TIMEOUT)
            .shards(SHARDS)
            .scrape("proxy", proxy.status_port())
            .scrape("proxy-again", proxy.status_port())
            .try_start()?;
        let test_bed = Self {
            prometheus,
            proxy,
            azure,
            started: Instant::now(),
            silent: false,
            stood_still: false,
            played: BTreeMap::new(),
            history: Vec::new(),
        };
        test_bed.flows(0)?;
        Ok(test_bed)
    }

    /// The proxy.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// How often each fault was begun.
    #[must_use]
    pub fn played(&self) -> &BTreeMap<&'static str, u64> {
        &self.played
    }

    /// Looks at everything that can answer.
    ///
    /// # Errors
    /// When something does not answer that should.
    pub fn look(&self) -> Result<Look, String> {
        let proxy = (!self.silent).then_some(&self.proxy);
        Look::at(&self.prometheus, &self.azure, proxy)
    }

    /// Has a process ended that no fault has ended?
    ///
    /// # Errors
    /// When one has.
    pub fn check_processes(&mut self) -> Result<(), String> {
        if let Some(status) = self.prometheus.process_mut().ended() {
            return Err(format!("prometheus has ended: {status}"));
        }
        if !self.silent
            && let Some(status) = self.proxy.process_mut().ended()
        {
            return Err(format!("the proxy has ended: {status}"));
        }
        Ok(())
    }

    /// What a person needs who looks for the reason of a failure.
    #[must_use]
    pub fn tail(&self) -> String {
        let state = self.azure.state();
        format!(
            "{}{}--- faults:\n{}\n--- target: {:?}\n--- IMDS: {:?}\n",
            self.proxy.process().tail(),
            self.prometheus.process().tail(),
            self.history.join("\n"),
            state.target,
            state.imds,
        )
    }

    /// Begins a fault.
    pub(super) fn begin(&mut self, injection: &'static FaultInjection) -> Result<Playing, String> {
        self.note("begin", injection);
        *self.played.entry(injection.name).or_default() += 1;
        let mut trace = Trace::Sure;
        match injection.action {
            FaultAction::Azure(fault) => {
                let id = self.azure.inject(fault());
                trace = Trace::Fault(id.map_err(|error| error.to_string())?);
            }
            FaultAction::Close(service) => {
                trace = Trace::RefusedConnections(self.refused_connections());
                self.azure.set_open(service, false);
            }
            FaultAction::Revoke(cached) => {
                trace = self.refusals(TokenRefusal::Revoked);
                self.azure
                    .change_settings(|settings| settings.cache = cached == CachedTokens::Keep);
                self.azure.revoke(cached);
            }
            FaultAction::TakeRole => {
                trace = self.refusals(TokenRefusal::MissingRole);
                self.azure.remove_role(self.role());
            }
            FaultAction::Stall => {
                self.silent = true;
                signal(self.proxy.envoy()?, Signal::STOP)?;
                self.stood_still = true;
            }
            FaultAction::Drain => {
                self.silent = true;
                self.proxy.process().signal(Signal::TERM);
            }
            FaultAction::KillLauncher => {
                self.silent = true;
                self.proxy.process().signal(Signal::KILL);
            }
            FaultAction::KillEnvoy => {
                self.silent = true;
                signal(self.proxy.envoy()?, Signal::KILL)?;
            }
        }
        Ok(Playing { injection, trace })
    }

    /// Has the fault met a request?
    pub(super) fn has_met(&self, playing: &Playing) -> bool {
        match playing.trace {
            Trace::Sure => true,
            Trace::Fault(id) => {
                let faults = self.azure.state().faults;
                faults
                    .iter()
                    .any(|fault| fault.id == id && fault.played > 0)
            }
            Trace::RefusedConnections(before) => self.refused_connections() > before,
            Trace::Refused(refusal, before) => {
                self.azure.state().target.refused.get(&refusal).copied() > Some(before)
            }
        }
    }

    /// Does again what passes by itself, until it meets a request: a token that was revoked may have
    /// been replaced before a request carried it.
    pub(super) fn repeat(&self, playing: &Playing) {
        if let FaultAction::Revoke(CachedTokens::Forget) = playing.injection.action {
            self.azure.revoke(CachedTokens::Forget);
        }
    }

    /// Ends a fault.
    pub(super) fn end(&mut self, playing: &Playing) -> Result<(), String> {
        self.note("end  ", playing.injection);
        match playing.injection.action {
            FaultAction::Azure(_) => {
                if let Trace::Fault(id) = playing.trace {
                    self.azure.end_fault(id);
                }
            }
            FaultAction::Close(service) => self.azure.set_open(service, true),
            FaultAction::Revoke(_) => self
                .azure
                .change_settings(|settings| settings.cache = false),
            FaultAction::TakeRole => self.azure.grant_role(self.role()),
            FaultAction::Stall => signal(self.proxy.envoy()?, Signal::CONT)?,
            FaultAction::Drain | FaultAction::KillLauncher | FaultAction::KillEnvoy => {
                self.proxy.start_again()?;
            }
        }
        if playing.injection.place == Place::Proxy {
            self.silent = false;
        }
        Ok(())
    }

    /// Waits until more samples have arrived than there are now.
    pub(super) fn resumes(&self) -> Result<(), String> {
        self.flows(self.arrived())
    }

    fn flows(&self, before: u64) -> Result<(), String> {
        eventually_ok(RESUME, "samples arrive", || {
            if self.arrived() > before {
                Ok(())
            } else {
                Err(format!("{before} so far"))
            }
        })
    }

    fn arrived(&self) -> u64 {
        self.azure.state().target.samples.distinct
    }

    /// Stops scraping, waits until all is sent, and judges.
    ///
    /// # Errors
    /// When something still waits, and when a count is not what it must be; with the reasons.
    pub fn judge(&self) -> Result<Look, String> {
        self.prometheus.settle(SETTLE)?;
        let look = self.look()?;
        let at_once = if self.stood_still { 2 } else { 1 };
        let problems = verdict::problems(&look.sent, &look.state, at_once);
        if problems.is_empty() {
            Ok(look)
        } else {
            Err(problems.join("\n"))
        }
    }

    fn refusals(&self, refusal: TokenRefusal) -> Trace {
        let refused = self.azure.state().target.refused;
        Trace::Refused(refusal, refused.get(&refusal).copied().unwrap_or_default())
    }

    /// As Envoy counts them, if it answers.
    fn refused_connections(&self) -> f64 {
        let proxy = (!self.silent).then_some(&self.proxy);
        proxy
            .and_then(|proxy| proxy.metrics().ok())
            .and_then(|metrics| metrics.sum("envoy_cluster_upstream_cx_connect_fail"))
            .unwrap_or_default()
    }

    fn role(&self) -> RoleAssignment {
        let identities = self.azure.state().identities;
        RoleAssignment {
            object_id: identities
                .first()
                .map(|identity| identity.object_id.clone())
                .unwrap_or_default(),
            audience: AZURE_MONITOR.to_owned(),
            role: METRICS_PUBLISHER.to_owned(),
        }
    }

    fn note(&mut self, what: &str, injection: &FaultInjection) {
        let at = self.started.elapsed().as_secs_f64();
        self.history
            .push(format!("{at:7.1} s  {what} {}", injection.name));
    }
}

fn signal(envoy: rustix::process::Pid, signal: Signal) -> Result<(), String> {
    kill_process(envoy, signal).map_err(|error| format!("Envoy cannot be signalled: {error}"))
}
