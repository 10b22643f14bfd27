//! All state of the stand-in, shared by its services and by the handle.
//!
//! Each part has its own lock, held for moments and never across an `await`.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;

use crate::directory::Directory;
use crate::door::Door;
use crate::faults::FaultBook;
use crate::imds::RecentRequests;
use crate::options::Options;
use crate::register::Register;
use crate::report::{
    ImdsRefusal, ImdsReport, ProbeReport, StateReport, TargetReport, TokenRefusal, WriteReport,
};
use crate::requests::RequestLog;
use crate::series::SeriesStore;
use crate::server::{ConnectionCount, Listener};
use crate::settings::Settings;
use crate::tokens::Tenant;

pub(crate) struct Cloud {
    pub(crate) tenant: Tenant,
    /// The authority behind the target's certificate, PEM.
    pub(crate) ca_pem: String,
    pub(crate) target_audiences: Vec<String>,
    pub(crate) imds: ImdsState,
    pub(crate) target: TargetState,
    settings: Mutex<Settings>,
    directory: Mutex<Directory>,
    register: Mutex<Register>,
    faults: Mutex<FaultBook>,
    admin_connections: Arc<ConnectionCount>,
    /// Never closed.
    admin_door: Door,
}

#[derive(Default)]
pub(crate) struct ImdsState {
    pub(crate) counts: Mutex<ImdsCounts>,
    pub(crate) in_flight: Gauge,
    /// The same for each request target: those who ask for one and the same token.
    alike: Mutex<HashMap<String, Arc<Gauge>>>,
    pub(crate) requests: Mutex<RequestLog>,
    pub(crate) recent: RecentRequests,
    pub(crate) door: Door,
    connections: Arc<ConnectionCount>,
}

#[derive(Default)]
pub(crate) struct ImdsCounts {
    pub(crate) calls: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: BTreeMap<ImdsRefusal, u64>,
    pub(crate) tokens_issued: u64,
    pub(crate) tokens_repeated: u64,
    outcomes: Outcomes,
}

pub(crate) struct TargetState {
    pub(crate) counts: Mutex<TargetCounts>,
    pub(crate) in_flight: Gauge,
    pub(crate) requests: Mutex<RequestLog>,
    pub(crate) store: Mutex<SeriesStore>,
    pub(crate) door: Door,
    plain_connections: Arc<ConnectionCount>,
    tls_connections: Arc<ConnectionCount>,
}

#[derive(Default)]
pub(crate) struct TargetCounts {
    pub(crate) requests: u64,
    pub(crate) authorized: u64,
    pub(crate) refused: BTreeMap<TokenRefusal, u64>,
    pub(crate) probes: ProbeReport,
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) writes: WriteReport,
    outcomes: Outcomes,
}

/// How requests ended.
#[derive(Default)]
struct Outcomes {
    answers: BTreeMap<u16, u64>,
    aborted: u64,
}

impl Outcomes {
    fn record(&mut self, status: Option<StatusCode>) {
        match status {
            Some(status) => *self.answers.entry(status.as_u16()).or_default() += 1,
            None => self.aborted += 1,
        }
    }
}

/// How many requests are being handled, and how many ever were at once.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicU64,
    most: AtomicU64,
}

/// Counts a request as being handled until it is dropped.
pub(crate) struct InFlight<'a> {
    gauge: &'a Gauge,
    /// How many there are, this one included.
    pub(crate) at_once: u64,
}

impl Gauge {
    pub(crate) fn enter(&self) -> InFlight<'_> {
        let at_once = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_once, Ordering::SeqCst);
        InFlight {
            gauge: self,
            at_once,
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Locks a part of the state. A panic elsewhere leaves counters that are still good to read.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    pub(crate) fn new(
        options: &Options,
        ca_pem: String,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self {
            tenant: Tenant::new()?,
            ca_pem,
            target_audiences: options.target_audiences.clone(),
            imds: ImdsState::default(),
            target: TargetState {
                counts: Mutex::default(),
                in_flight: Gauge::default(),
                requests: Mutex::default(),
                store: Mutex::new(SeriesStore::new(options.samples_kept_per_series)),
                door: Door::default(),
                plain_connections: Arc::default(),
                tls_connections: Arc::default(),
            },
            settings: Mutex::new(options.settings.clone()),
            directory: Mutex::new(Directory::new(
                options.system_assigned.clone(),
                options.user_assigned.clone(),
                options.extra_audiences.clone(),
            )),
            register: Mutex::default(),
            faults: Mutex::default(),
            admin_connections: Arc::default(),
            admin_door: Door::default(),
        })
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    pub(crate) fn register(&self) -> MutexGuard<'_, Register> {
        lock(&self.register)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultBook> {
        lock(&self.faults)
    }

    /// Azure's clock, in whole seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        let here = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            });
        here.saturating_add(self.settings().clock_skew_seconds)
    }

    pub(crate) fn connections(&self, listener: Listener) -> &Arc<ConnectionCount> {
        match listener {
            Listener::Imds => &self.imds.connections,
            Listener::TargetPlain => &self.target.plain_connections,
            Listener::TargetTls => &self.target.tls_connections,
            Listener::Admin => &self.admin_connections,
        }
    }

    pub(crate) fn door(&self, listener: Listener) -> &Door {
        match listener {
            Listener::Imds => &self.imds.door,
            Listener::TargetPlain | Listener::TargetTls => &self.target.door,
            Listener::Admin => &self.admin_door,
        }
    }

    /// Counts how a request ended: by an answer, or by none.
    pub(crate) fn record_answer(&self, listener: Listener, status: Option<StatusCode>) {
        match listener {
            Listener::Imds => lock(&self.imds.counts).outcomes.record(status),
            Listener::TargetPlain | Listener::TargetTls => {
                lock(&self.target.counts).outcomes.record(status);
            }
            Listener::Admin => {}
        }
    }

    pub(crate) fn report(&self) -> StateReport {
        // One lock at a time: a guard inside the literal would be held to its end.
        let tokens = self.register().report();
        let faults = self.faults().report();
        let settings = self.settings().clone();
        let identities = self.directory().identities().cloned().collect();
        StateReport {
            now: self.now(),
            tenant_id: self.tenant.id.clone(),
            imds: self.imds.report(),
            tokens,
            target: self.target.report(),
            faults,
            settings,
            identities,
        }
    }
}

impl ImdsState {
    /// The count of those who ask for the same token as this request target.
    pub(crate) fn alike(&self, target: &str) -> Arc<Gauge> {
        Arc::clone(lock(&self.alike).entry(target.to_owned()).or_default())
    }

    fn report(&self) -> ImdsReport {
        let alike = lock(&self.alike);
        let most = |gauge: &Arc<Gauge>| gauge.most.load(Ordering::SeqCst);
        let max_in_flight_alike = alike.values().map(most).max().unwrap_or_default();
        let counts = lock(&self.counts);
        ImdsReport {
            calls: counts.calls,
            accepted: counts.accepted,
            refused: counts.refused.clone(),
            tokens_issued: counts.tokens_issued,
            tokens_repeated: counts.tokens_repeated,
            in_flight: self.in_flight.now.load(Ordering::SeqCst),
            max_in_flight: self.in_flight.most.load(Ordering::SeqCst),
            max_in_flight_alike,
            answers: counts.outcomes.answers.clone(),
            aborted: counts.outcomes.aborted,
            connections: self.connections.report(),
        }
    }
}

impl TargetState {
    fn report(&self) -> TargetReport {
        let counts = lock(&self.counts);
        let store = lock(&self.store);
        TargetReport {
            requests: counts.requests,
            authorized: counts.authorized,
            refused: counts.refused.clone(),
            probes: counts.probes.clone(),
            in_flight: self.in_flight.now.load(Ordering::SeqCst),
            max_in_flight: self.in_flight.most.load(Ordering::SeqCst),
            answers: counts.outcomes.answers.clone(),
            aborted: counts.outcomes.aborted,
            versions: counts.versions.clone(),
            writes: counts.writes.clone(),
            samples: store.samples,
            histograms: store.histograms,
            series: store.len() as u64,
            highest_timestamp_ms: store.highest_timestamp_ms,
            plain_connections: self.plain_connections.report(),
            tls_connections: self.tls_connections.report(),
        }
    }
}
