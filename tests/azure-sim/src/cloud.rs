//! All state of the stand-in, shared by its services and by the handle.
//!
//! Each part has its own lock, held for moments and never across an `await`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;

use crate::Service;
use crate::applications::{Application, FederatedCredential};
use crate::availability::Availability;
use crate::directory::{Directory, Identity, RoleAssignment};
use crate::entra::EntraState;
use crate::faults::FaultBook;
use crate::imds::RecentRequests;
use crate::ingestion::otlp::OtlpStore;
use crate::issuers::{FederatedClaims, Issuers};
use crate::options::Options;
use crate::refusals::{AppServiceRefusal, ImdsRefusal, TokenRefusal, TsiamRefusal};
use crate::register::{HandedOut, Register};
use crate::report::{ProbeReport, RequestRecord, StateReport, TargetReport, WriteReport};
use crate::requests::RequestLog;
use crate::secrets::{KnownSecrets, SecretKind, Secrets};
use crate::series::SeriesStore;
use crate::server::{ConnectionCount, Listener};
use crate::settings::Settings;
use crate::source::{Gauge, Outcomes, TokenSource, Traffic};
use crate::tokens::{Holder, Tenant};

pub(crate) struct Cloud {
    pub(crate) tenant: Tenant,
    /// The authority behind the target's certificate, PEM.
    pub(crate) ca_pem: String,
    pub(crate) target_audiences: Vec<String>,
    pub(crate) target_trusts: Vec<FederatedCredential>,
    pub(crate) identity_header: String,
    pub(crate) tsiam_audiences: Vec<String>,
    pub(crate) imds: TokenSource<ImdsRefusal>,
    pub(crate) recent_imds_requests: RecentRequests,
    pub(crate) app_service: TokenSource<AppServiceRefusal>,
    pub(crate) tsiam: TokenSource<TsiamRefusal>,
    pub(crate) entra: EntraState,
    pub(crate) target: TargetState,
    issuers: Mutex<Issuers>,
    secrets: Arc<Mutex<Secrets>>,
    settings: Mutex<Settings>,
    directory: Mutex<Directory>,
    register: Mutex<Register>,
    faults: Mutex<FaultBook>,
    admin_connections: Arc<ConnectionCount>,
    /// Never closed.
    admin_availability: Availability,
}

pub(crate) struct TargetState {
    pub(crate) counts: Mutex<TargetCounts>,
    pub(crate) in_flight: Gauge,
    pub(crate) requests: Mutex<RequestLog>,
    pub(crate) store: Mutex<SeriesStore>,
    pub(crate) otlp: Mutex<OtlpStore>,
    pub(crate) availability: Availability,
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

/// Locks a part of the state. A panic elsewhere leaves counters that are still good to read.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    pub(crate) fn new(
        options: &Options,
        ca_pem: String,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let cloud = Self {
            tenant: Tenant::new(options.cloud)?,
            ca_pem,
            target_audiences: options.target_audiences.clone(),
            target_trusts: options.target_trusts.clone(),
            identity_header: options.identity_header.clone(),
            tsiam_audiences: options.tsiam_audiences.clone(),
            imds: TokenSource::default(),
            recent_imds_requests: RecentRequests::default(),
            app_service: TokenSource::default(),
            tsiam: TokenSource::default(),
            entra: EntraState::new(options.cloud, options.other_tenants.clone()),
            target: TargetState {
                counts: Mutex::default(),
                in_flight: Gauge::default(),
                requests: Mutex::default(),
                store: Mutex::new(SeriesStore::new(options.samples_kept_per_series)),
                otlp: Mutex::default(),
                availability: Availability::default(),
                plain_connections: Arc::default(),
                tls_connections: Arc::default(),
            },
            issuers: Mutex::default(),
            secrets: Arc::default(),
            settings: Mutex::new(options.settings.clone()),
            directory: Mutex::new(Directory::new(
                options.system_assigned.clone(),
                options.user_assigned.clone(),
                options.extra_audiences.clone(),
            )),
            register: Mutex::default(),
            faults: Mutex::default(),
            admin_connections: Arc::default(),
            admin_availability: Availability::default(),
        };
        cloud.secrets().add(
            SecretKind::IdentityHeader,
            &options.identity_header,
            "of the app",
        );
        for application in &options.applications {
            cloud.register_application(application.clone());
        }
        Ok(cloud)
    }

    /// Registers an application and gives it its roles.
    pub(crate) fn register_application(&self, application: Application) {
        for secret in &application.secrets {
            let which = format!("of {}", application.name);
            self.secrets()
                .add(SecretKind::ClientSecret, &secret.value, &which);
        }
        for (audience, role) in &application.roles {
            self.directory().grant(RoleAssignment {
                object_id: application.object_id.clone(),
                audience: audience.clone(),
                role: role.clone(),
            });
        }
        lock(&self.entra.applications).register(application);
    }

    /// The token that a source gives for a managed identity at a moment, and whether it is a new
    /// one.
    pub(crate) fn identity_token(
        &self,
        source: Service,
        identity: &Identity,
        resource: &str,
        now: i64,
    ) -> jsonwebtoken::errors::Result<(HandedOut, bool)> {
        let settings = self.settings().clone();
        let issued = self.register().for_identity(
            &self.tenant,
            source,
            identity,
            resource,
            now,
            &settings,
        )?;
        self.note(&issued.0);
        Ok(issued)
    }

    /// A new token for an application.
    pub(crate) fn application_token(
        &self,
        holder: &Holder,
        resource: &str,
    ) -> jsonwebtoken::errors::Result<HandedOut> {
        let (now, settings) = (self.now(), self.settings().clone());
        let issued =
            self.register()
                .for_application(&self.tenant, holder, resource, now, &settings)?;
        self.note(&issued);
        Ok(issued)
    }

    fn note(&self, token: &HandedOut) {
        let which = format!("generation {}", token.generation);
        self.secrets()
            .add_jwt(SecretKind::AccessToken, &token.jwt, &which);
    }

    /// A token that a federated issuer signs at a moment.
    pub(crate) fn federated_token(
        &self,
        claims: &FederatedClaims,
        now: i64,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let token = self.issuers().sign(claims, now)?;
        let which = format!("of {} for {}", claims.issuer, claims.subject);
        self.secrets()
            .add_jwt(SecretKind::FederatedToken, &token, &which);
        Ok(token)
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

    pub(crate) fn issuers(&self) -> MutexGuard<'_, Issuers> {
        lock(&self.issuers)
    }

    pub(crate) fn secrets(&self) -> MutexGuard<'_, Secrets> {
        lock(&self.secrets)
    }

    /// The same for those who ask after the stand-in has ended.
    pub(crate) fn known_secrets(&self) -> KnownSecrets {
        KnownSecrets(Arc::clone(&self.secrets))
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

    /// What goes through a service, if it is a token source.
    pub(crate) fn traffic(&self, service: Service) -> Option<&Traffic> {
        match service {
            Service::Imds => Some(&self.imds.traffic),
            Service::AppService => Some(&self.app_service.traffic),
            Service::Tsiam => Some(&self.tsiam.traffic),
            Service::Entra => Some(&self.entra.endpoint.traffic),
            Service::Target => None,
        }
    }

    pub(crate) fn connections(&self, listener: Listener) -> &Arc<ConnectionCount> {
        match listener {
            Listener::Admin => &self.admin_connections,
            Listener::TargetPlain => &self.target.plain_connections,
            Listener::TargetTls => &self.target.tls_connections,
            Listener::Imds => &self.imds.traffic.connections,
            Listener::AppService => &self.app_service.traffic.connections,
            Listener::TsiamPlain | Listener::TsiamTls => &self.tsiam.traffic.connections,
            Listener::EntraPlain | Listener::EntraTls => &self.entra.endpoint.traffic.connections,
        }
    }

    pub(crate) fn availability(&self, listener: Listener) -> &Availability {
        match listener {
            Listener::TargetPlain | Listener::TargetTls => &self.target.availability,
            Listener::Admin => &self.admin_availability,
            Listener::Imds => &self.imds.traffic.availability,
            Listener::AppService => &self.app_service.traffic.availability,
            Listener::TsiamPlain | Listener::TsiamTls => &self.tsiam.traffic.availability,
            Listener::EntraPlain | Listener::EntraTls => &self.entra.endpoint.traffic.availability,
        }
    }

    /// Counts how a request ended: by an answer, or by none.
    pub(crate) fn record_answer(&self, service: Service, status: Option<StatusCode>) {
        match self.traffic(service) {
            Some(traffic) => lock(&traffic.counts).outcomes.record(status),
            None => lock(&self.target.counts).outcomes.record(status),
        }
    }

    pub(crate) fn last_requests(&self, service: Service, count: usize) -> Vec<RequestRecord> {
        let log = match self.traffic(service) {
            Some(traffic) => &traffic.requests,
            None => &self.target.requests,
        };
        lock(log).last(count)
    }

    pub(crate) fn report(&self) -> StateReport {
        // One lock at a time: a guard inside the literal would be held to its end.
        let tokens = self.register().report();
        let faults = self.faults().report();
        let settings = self.settings().clone();
        let identities = self.directory().identities().cloned().collect();
        let applications = lock(&self.entra.applications).report();
        StateReport {
            now: self.now(),
            tenant_id: self.tenant.id.clone(),
            imds: self.imds.report(),
            app_service: self.app_service.report(),
            tsiam: self.tsiam.report(),
            entra: self.entra.report(),
            tokens,
            target: self.target.report(),
            faults,
            settings,
            identities,
            applications,
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
            in_flight: self.in_flight.now(),
            max_in_flight: self.in_flight.most(),
            answers: counts.outcomes.answers.clone(),
            aborted: counts.outcomes.aborted,
            versions: counts.versions.clone(),
            writes: counts.writes.clone(),
            samples: store.samples,
            histograms: store.histograms,
            series: store.len() as u64,
            highest_timestamp_ms: store.highest_timestamp_ms,
            otlp: lock(&self.otlp).report(),
            plain_connections: self.plain_connections.report(),
            tls_connections: self.tls_connections.report(),
        }
    }
}
