//! The handle: starts the stand-in on its own threads, drives it, and stops it when dropped.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::Service;
use crate::availability::SwitchedListener;
use crate::cloud::{Cloud, lock};
use crate::directory::{Identity, RoleAssignment};
use crate::faults::{Fault, InvalidFault};
use crate::options::Options;
use crate::report::{RequestRecord, SeriesQuery, SeriesReport, StateReport};
use crate::secrets::{FoundSecret, KnownSecrets, SecretKind};
use crate::server::{self, Listener};
use crate::settings::Settings;
use crate::tls;

/// Threads that serve: enough that one busy request does not stop the others.
const WORKERS: usize = 2;

/// Where the services listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// IMDS, plain HTTP.
    pub imds: SocketAddr,
    /// App Service's identity endpoint, plain HTTP.
    pub app_service: SocketAddr,
    /// tsiam with TLS.
    pub tsiam_tls: SocketAddr,
    /// tsiam without TLS.
    pub tsiam_plain: SocketAddr,
    /// Entra with TLS.
    pub entra_tls: SocketAddr,
    /// Entra without TLS.
    pub entra_plain: SocketAddr,
    /// The target with TLS.
    pub target_tls: SocketAddr,
    /// The target without TLS.
    pub target_plain: SocketAddr,
    /// The admin service, plain HTTP.
    pub admin: SocketAddr,
}

/// What happens to the tokens of managed identities that are cached when tokens are revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachedTokens {
    /// The source goes on handing out the revoked token, as the real one does.
    Keep,
    /// The source issues a new token at the next request.
    Forget,
}

/// Why the stand-in did not start.
#[derive(Debug)]
pub enum StartError {
    /// A service could not listen.
    Listen(SocketAddr, io::Error),
    /// Keys or certificates could not be made.
    Keys(Box<dyn Error + Send + Sync>),
    /// No thread or runtime.
    Runtime(io::Error),
    /// The thread ended before it said anything.
    Ended,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Keys(error) => write!(f, "cannot make keys: {error}"),
            Self::Runtime(error) => write!(f, "cannot start threads: {error}"),
            Self::Ended => f.write_str("the serving thread ended at start"),
        }
    }
}

impl Error for StartError {}

/// A running stand-in. Dropping it closes every connection and frees the ports.
pub struct AzureSim {
    pub(crate) cloud: Arc<Cloud>,
    addresses: Addresses,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for AzureSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSim")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

type Started = Result<(Arc<Cloud>, Addresses), StartError>;

impl AzureSim {
    /// Starts the stand-in on threads of its own, for callers in async code.
    ///
    /// # Errors
    /// When a port is taken or the machine refuses threads or randomness.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (launched, started) = Self::launch(options)?;
        launched.finish(started.await.map_err(|_| StartError::Ended)?)
    }

    /// Starts the stand-in on threads of its own, for callers outside async code.
    ///
    /// # Errors
    /// When a port is taken or the machine refuses threads or randomness.
    pub fn start_blocking(options: Options) -> Result<Self, StartError> {
        let (launched, started) = Self::launch(options)?;
        launched.finish(started.blocking_recv().map_err(|_| StartError::Ended)?)
    }

    fn launch(options: Options) -> Result<(Launched, oneshot::Receiver<Started>), StartError> {
        let (stop, stopped) = oneshot::channel();
        let (tell, started) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("azure-sim".to_owned())
            .spawn(move || run(&options, tell, stopped))
            .map_err(StartError::Runtime)?;
        Ok((Launched { stop, thread }, started))
    }

    /// Where the services listen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The certificate of the authority behind the certificate of every TLS listener, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.cloud.ca_pem
    }

    /// Writes [`AzureSim::ca_pem`] to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_ca(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, &self.cloud.ca_pem)
    }

    /// The public keys that tokens are signed with, as a JWKS.
    #[must_use]
    pub fn jwks(&self) -> Value {
        serde_json::to_value(self.cloud.tenant.jwks()).unwrap_or_default()
    }

    /// Everything counted so far.
    #[must_use]
    pub fn state(&self) -> StateReport {
        self.cloud.report()
    }

    /// The stored series that a query names, sorted by labels.
    #[must_use]
    pub fn series(&self, query: &SeriesQuery) -> Vec<SeriesReport> {
        lock(&self.cloud.target.store).find(query)
    }

    /// The last requests to a service, oldest first; at most the 4,096 that are remembered.
    #[must_use]
    pub fn requests(&self, service: Service, last: usize) -> Vec<RequestRecord> {
        self.cloud.last_requests(service, last)
    }

    /// Puts a fault in force and returns the number by which it is ended.
    ///
    /// # Errors
    /// When the fault holds what HTTP cannot carry.
    pub fn inject(&self, fault: Fault) -> Result<u64, InvalidFault> {
        self.cloud.faults().inject(fault)
    }

    /// Ends a fault; false when it was not in force.
    pub fn end_fault(&self, id: u64) -> bool {
        self.cloud.faults().end(id)
    }

    /// Ends every fault.
    pub fn end_all_faults(&self) {
        self.cloud.faults().end_all();
    }

    /// Closes a service or opens it again, and waits until that is so: a closed one refuses
    /// connections. Those that are open end soon afterwards.
    pub fn set_open(&self, service: Service, open: bool) {
        let availability = match self.cloud.traffic(service) {
            Some(traffic) => &traffic.availability,
            None => &self.cloud.target.availability,
        };
        availability.set_open(open);
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.cloud.settings().clone()
    }

    /// Changes settings, e.g. `sim.change_settings(|s| s.token_lifetime_seconds = 60)`.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.cloud.settings());
    }

    /// Gives a role, from the next request on.
    pub fn grant_role(&self, assignment: RoleAssignment) {
        self.cloud.directory().grant(assignment);
    }

    /// Takes a role away, from the next request on.
    pub fn remove_role(&self, assignment: RoleAssignment) {
        self.cloud.directory().remove(assignment);
    }

    /// Revokes every token issued so far: the target answers 401 to them. Returns how many.
    pub fn revoke(&self, cached: CachedTokens) -> u64 {
        self.cloud.revoke(cached)
    }

    /// Makes the sources issue new tokens at the next requests, without revoking the old ones.
    pub fn forget_cached_tokens(&self) {
        self.cloud.register().forget_cached();
    }

    /// Issues a token as IMDS would, without a request to IMDS.
    ///
    /// # Errors
    /// When signing fails.
    pub fn token(
        &self,
        identity: &Identity,
        resource: &str,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let (token, _) =
            self.cloud
                .identity_token(Service::Imds, identity, resource, self.cloud.now())?;
        Ok(token.jwt)
    }

    /// Signs any claims with the tenant's key: for tokens that Azure would never issue.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, claims: &Value) -> Result<String, Box<dyn Error + Send + Sync>> {
        let token = self.cloud.tenant.sign(claims)?;
        self.cloud
            .secrets()
            .add_jwt(SecretKind::AccessToken, &token, "signed for a test");
        Ok(token)
    }

    /// The secrets that a text holds: of all that the stand-in was given, was sent or issued.
    #[must_use]
    pub fn secrets_in(&self, text: &str) -> Vec<FoundSecret> {
        self.cloud.secrets().found_in(text)
    }

    /// To ask the same as long as one likes: it knows what becomes known later, too, and outlives
    /// the stand-in.
    #[must_use]
    pub fn known_secrets(&self) -> KnownSecrets {
        self.cloud.known_secrets()
    }
}

impl Drop for AzureSim {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

/// The thread, before it is known whether the start succeeds.
struct Launched {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Launched {
    fn finish(self, started: Started) -> Result<AzureSim, StartError> {
        let (cloud, addresses) = started?;
        Ok(AzureSim {
            cloud,
            addresses,
            stop: Some(self.stop),
            thread: Some(self.thread),
        })
    }
}

impl Cloud {
    pub(crate) fn revoke(&self, cached: CachedTokens) -> u64 {
        let mut register = self.register();
        if cached == CachedTokens::Forget {
            register.forget_cached();
        }
        register.revoke_all()
    }
}

/// The thread's life: serve until the handle is dropped.
fn run(options: &Options, tell: oneshot::Sender<Started>, stopped: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("azure-sim")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            drop(tell.send(Err(StartError::Runtime(error))));
            return;
        }
    };
    runtime.block_on(async {
        // If the caller has gone, so is the sender of `stopped`, and this ends at once.
        drop(tell.send(serve(options).await));
        drop(stopped.await);
    });
    // Waits until every task is dropped, and with it every socket; nothing here blocks.
    runtime.shutdown_timeout(Duration::from_secs(5));
}

async fn serve(options: &Options) -> Started {
    let tls = tls::make(&options.certificate_names, options.http2).map_err(StartError::Keys)?;
    let cloud = Arc::new(Cloud::new(options, tls.ca_pem.clone()).map_err(StartError::Keys)?);
    let listen = async |kind, address, tls| {
        let failed = |error| StartError::Listen(address, error);
        let listener = SwitchedListener::at(address, cloud.availability(kind))
            .await
            .map_err(failed)?;
        let bound = listener.address();
        tokio::spawn(server::accept(Arc::clone(&cloud), kind, listener, tls));
        Ok::<SocketAddr, StartError>(bound)
    };
    let with_tls = || Some(tls.acceptor.clone());
    let addresses = Addresses {
        imds: listen(Listener::Imds, options.imds, None).await?,
        app_service: listen(Listener::AppService, options.app_service, None).await?,
        tsiam_tls: listen(Listener::TsiamTls, options.tsiam_tls, with_tls()).await?,
        tsiam_plain: listen(Listener::TsiamPlain, options.tsiam_plain, None).await?,
        entra_tls: listen(Listener::EntraTls, options.entra_tls, with_tls()).await?,
        entra_plain: listen(Listener::EntraPlain, options.entra_plain, None).await?,
        target_tls: listen(Listener::TargetTls, options.target_tls, with_tls()).await?,
        target_plain: listen(Listener::TargetPlain, options.target_plain, None).await?,
        admin: listen(Listener::Admin, options.admin, None).await?,
    };
    Ok((cloud, addresses))
}
