//! What all token sources share: how a request goes through them, and what is counted.
//!
//! A source judges a request by its rules first; faults are played on requests that break none,
//! so that the source stays strict under a fault.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use crate::Service;
use crate::availability::Availability;
use crate::cloud::{Cloud, lock};
use crate::fault_play::play;
use crate::http::{Aborted, Body};
use crate::report::SourceReport;
use crate::requests::RequestLog;
use crate::server::{Connection, ConnectionCount};

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

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How requests ended.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) answers: BTreeMap<u16, u64>,
    pub(crate) aborted: u64,
}

impl Outcomes {
    pub(crate) fn record(&mut self, status: Option<StatusCode>) {
        match status {
            Some(status) => *self.answers.entry(status.as_u16()).or_default() += 1,
            None => self.aborted += 1,
        }
    }
}

/// What goes through a token source, whatever its rules are.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) counts: Mutex<Counts>,
    pub(crate) in_flight: Gauge,
    /// The same for each token asked for.
    alike: Mutex<HashMap<String, Arc<Gauge>>>,
    pub(crate) requests: Mutex<RequestLog>,
    pub(crate) connections: Arc<ConnectionCount>,
    pub(crate) availability: Availability,
}

#[derive(Default)]
pub(crate) struct Counts {
    calls: u64,
    accepted: u64,
    tokens_issued: u64,
    tokens_repeated: u64,
    pub(crate) outcomes: Outcomes,
}

impl Traffic {
    /// The count of those who ask for the same token, by what names that token.
    pub(crate) fn alike(&self, token: &str) -> Arc<Gauge> {
        Arc::clone(lock(&self.alike).entry(token.to_owned()).or_default())
    }

    /// Counts a reply with a token.
    pub(crate) fn count_token(&self, is_new: bool) {
        let mut counts = lock(&self.counts);
        if is_new {
            counts.tokens_issued += 1;
        } else {
            counts.tokens_repeated += 1;
        }
    }
}

/// A token source with the rules that its requests can break.
pub(crate) struct TokenSource<R> {
    pub(crate) traffic: Traffic,
    refused: Mutex<BTreeMap<R, u64>>,
}

impl<R> Default for TokenSource<R> {
    fn default() -> Self {
        Self {
            traffic: Traffic::default(),
            refused: Mutex::default(),
        }
    }
}

impl<R: Copy + Ord> TokenSource<R> {
    /// Counts a request and what its judgement was.
    pub(crate) fn count(&self, refusal: Option<R>) {
        let mut counts = lock(&self.traffic.counts);
        counts.calls += 1;
        match refusal {
            None => counts.accepted += 1,
            Some(refusal) => *lock(&self.refused).entry(refusal).or_default() += 1,
        }
    }

    pub(crate) fn report(&self) -> SourceReport<R> {
        let traffic = &self.traffic;
        let alike = lock(&traffic.alike);
        let max_in_flight_alike = alike.values().map(|gauge| gauge.most()).max();
        let counts = lock(&traffic.counts);
        SourceReport {
            calls: counts.calls,
            accepted: counts.accepted,
            refused: lock(&self.refused).clone(),
            tokens_issued: counts.tokens_issued,
            tokens_repeated: counts.tokens_repeated,
            in_flight: traffic.in_flight.now(),
            max_in_flight: traffic.in_flight.most(),
            max_in_flight_alike: max_in_flight_alike.unwrap_or_default(),
            answers: counts.outcomes.answers.clone(),
            aborted: counts.outcomes.aborted,
            connections: traffic.connections.report(),
        }
    }
}

/// A source whose requests have no body: the metadata services.
pub(crate) trait TokenService {
    /// Its name.
    const SERVICE: Service;
    /// A rule that a request can break.
    type Refusal: Copy + Ord;
    /// What a request that breaks none asks for.
    type Asked;

    fn source(cloud: &Cloud) -> &TokenSource<Self::Refusal>;

    /// Judges a request that is one of `at_once`.
    fn check(
        cloud: &Cloud,
        request: &Request<Incoming>,
        at_once: u64,
    ) -> Result<Self::Asked, Self::Refusal>;

    /// What stands in the log for the header fields that may hold a secret.
    fn shown(judged: &Result<Self::Asked, Self::Refusal>) -> String;

    fn refuse(cloud: &Cloud, refusal: Self::Refusal) -> Response<Body>;

    fn answer(cloud: &Cloud, asked: &Self::Asked) -> Response<Body>;
}

/// Takes a request through a source.
pub(crate) async fn serve<S: TokenService>(
    cloud: &Cloud,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    let source = S::source(cloud);
    let traffic = &source.traffic;
    let in_flight = traffic.in_flight.enter();
    let alike = traffic.alike(&request.uri().to_string());
    let _alike = alike.enter();
    let judged = S::check(cloud, &request, in_flight.at_once);
    lock(&traffic.requests).add(S::SERVICE, &request, &S::shown(&judged));
    source.count(judged.as_ref().err().copied());
    let asked = match judged {
        Ok(asked) => asked,
        Err(refusal) => return Ok(S::refuse(cloud, refusal)),
    };
    let fault = cloud.faults().take(S::SERVICE, request.uri().path());
    play(fault, connection, request, |_| async {
        S::answer(cloud, &asked)
    })
    .await
}
