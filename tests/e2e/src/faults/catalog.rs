//! Every fault that is played: where, what, and how long.

use azure_sim::{CachedTokens, Fault, FaultKind, RawContent, Service};

/// A fault with a name.
#[derive(Debug)]
pub struct FaultInjection {
    /// What a person reads.
    pub name: &'static str,
    /// Where it strikes.
    pub place: Place,
    /// Seconds that it lasts, at least and at most.
    pub lasts: (u64, u64),
    /// What is done.
    pub action: FaultAction,
}

/// Where a fault strikes. In the mix, faults at different places overlap; those at one place come
/// one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The instance metadata service.
    TokenEndpoint,
    /// Azure Monitor.
    Target,
    /// Envoy and its launcher.
    Proxy,
}

/// What is done to make a fault.
#[derive(Debug)]
pub enum FaultAction {
    /// The simulated Azure plays it on requests.
    Azure(fn() -> Fault),
    /// Nothing listens there.
    Close(Service),
    /// Every token so far is revoked. Where the token endpoint keeps its cached token it goes on
    /// to hand out the revoked one, as the real one does, until the fault ends.
    Revoke(CachedTokens),
    /// The identity has no role for a while.
    TakeRole,
    /// Envoy stands still (SIGSTOP).
    Stall,
    /// The launcher gets SIGTERM, drains, and is started again.
    Drain,
    /// The launcher is killed and started again.
    KillLauncher,
    /// Envoy is killed, so that the launcher ends, which is started again.
    KillEnvoy,
}

impl FaultAction {
    /// Is Envoy another one afterwards?
    #[must_use]
    pub fn restarts(&self) -> bool {
        matches!(self, Self::Drain | Self::KillLauncher | Self::KillEnvoy)
    }
}

/// Lifetime of a token while faults are played, in seconds: below the longest fault.
pub(super) const TOKEN_LIFETIME: i64 = 20;

/// Seconds after which an outage of the token endpoint has outlived every token.
const OUTAGE: u64 = TOKEN_LIFETIME as u64 + 4;

/// All of them.
pub const CATALOG: &[FaultInjection] = &[
    imds("IMDS answers 503", || kind(FaultKind::status(503))),
    imds("IMDS answers 500", || kind(FaultKind::status(500))),
    imds("IMDS answers 404", || kind(FaultKind::status(404))),
    imds("IMDS answers 410", || kind(FaultKind::status(410))),
    imds("IMDS answers 429 with Retry-After", || {
        kind(FaultKind::status_with_retry_after(429, 2))
    }),
    FaultInjection {
        name: "IMDS refuses connections",
        place: Place::TokenEndpoint,
        lasts: (2, 7),
        action: FaultAction::Close(Service::Imds),
    },
    imds("IMDS hangs", || kind(FaultKind::Hang)),
    imds("IMDS answers after 2 s", || kind(FaultKind::DelayMs(2000))),
    imds("IMDS resets before its answer", || {
        kind(FaultKind::ResetBefore)
    }),
    imds("IMDS resets in its answer", || {
        kind(FaultKind::ResetMidBody)
    }),
    imds("IMDS trickles", || {
        kind(FaultKind::Trickle {
            bytes: 64,
            interval_ms: 200,
        })
    }),
    imds("IMDS answers with a web page", || {
        raw("text/html", "<html>captive portal</html>")
    }),
    imds("IMDS answers with half a token", || {
        raw(
            "application/json",
            "{\"expires_in\":\"3599\",\"access_token\":\"eyJ0",
        )
    }),
    imds("IMDS answers with 5 MB", || {
        kind(FaultKind::Oversized { bytes: 5_000_000 })
    }),
    imds("IMDS redirects", || {
        kind(FaultKind::Redirect {
            code: 302,
            location: "http://127.0.0.1:1/".to_owned(),
        })
    }),
    FaultInjection {
        lasts: (OUTAGE, OUTAGE),
        ..imds("IMDS is out for longer than a token lives", || {
            kind(FaultKind::status(503))
        })
    },
    target("the target answers 503", || {
        at_target(FaultKind::status(503))
    }),
    target("the target answers 503 with Retry-After", || {
        at_target(FaultKind::status_with_retry_after(503, 1))
    }),
    target("the target answers 503 without reading", || {
        at_target(FaultKind::status(503)).without_reading()
    }),
    target("the target answers 500", || {
        at_target(FaultKind::status(500))
    }),
    target("the target answers 502", || {
        at_target(FaultKind::status(502))
    }),
    target("the target answers 429", || {
        at_target(FaultKind::status_with_retry_after(429, 1))
    }),
    // One or two requests with their retries: each that meets it is told to come back in 30 s.
    target("the target answers 401 to every token", || {
        at_target(FaultKind::status(401)).times(5)
    }),
    target("the target closes its connections", || {
        let mut answer = FaultKind::status(503);
        if let FaultKind::Status { headers, .. } = &mut answer {
            headers.insert("connection".to_owned(), "close".to_owned());
        }
        at_target(answer)
    }),
    target("the target resets before its answer", || {
        at_target(FaultKind::ResetBefore)
    }),
    target("the target resets in its answer", || {
        at_target(FaultKind::ResetMidBody)
    }),
    target("the target hangs", || at_target(FaultKind::Hang)),
    target("the target answers after 2 s", || {
        at_target(FaultKind::DelayMs(2000))
    }),
    target("the target stores and answers 503", || {
        at_target(FaultKind::status(503)).after_handling()
    }),
    target("the target stores and resets", || {
        at_target(FaultKind::ResetBefore).after_handling()
    }),
    target("the target stores and hangs", || {
        at_target(FaultKind::Hang).after_handling()
    }),
    FaultInjection {
        name: "the target refuses connections",
        place: Place::Target,
        lasts: (1, 4),
        action: FaultAction::Close(Service::Target),
    },
    FaultInjection {
        name: "tokens are revoked",
        place: Place::Target,
        lasts: (1, 2),
        action: FaultAction::Revoke(CachedTokens::Forget),
    },
    FaultInjection {
        name: "tokens are revoked, and IMDS keeps the revoked one",
        place: Place::Target,
        lasts: (3, 8),
        action: FaultAction::Revoke(CachedTokens::Keep),
    },
    FaultInjection {
        name: "the role is taken and granted again",
        place: Place::Target,
        lasts: (1, 3),
        action: FaultAction::TakeRole,
    },
    proxy("Envoy stands still", (2, 5), FaultAction::Stall),
    proxy(
        "the launcher drains and is started again",
        (3, 4),
        FaultAction::Drain,
    ),
    proxy("the launcher is killed", (1, 3), FaultAction::KillLauncher),
    proxy("Envoy is killed", (1, 3), FaultAction::KillEnvoy),
];

const fn imds(name: &'static str, fault: fn() -> Fault) -> FaultInjection {
    FaultInjection {
        name,
        place: Place::TokenEndpoint,
        lasts: (2, 7),
        action: FaultAction::Azure(fault),
    }
}

const fn target(name: &'static str, fault: fn() -> Fault) -> FaultInjection {
    FaultInjection {
        name,
        place: Place::Target,
        lasts: (1, 4),
        action: FaultAction::Azure(fault),
    }
}

const fn proxy(name: &'static str, lasts: (u64, u64), action: FaultAction) -> FaultInjection {
    FaultInjection {
        name,
        place: Place::Proxy,
        lasts,
        action,
    }
}

fn kind(kind: FaultKind) -> Fault {
    Fault::new(Service::Imds, kind)
}

fn raw(content_type: &str, text: &str) -> Fault {
    kind(FaultKind::RawBody {
        content_type: content_type.to_owned(),
        body: RawContent::Text(text.to_owned()),
    })
}

fn at_target(kind: FaultKind) -> Fault {
    Fault::new(Service::Target, kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_a_place_that_it_strikes() {
        let names: BTreeSet<_> = CATALOG.iter().map(|injection| injection.name).collect();
        assert_eq!(names.len(), CATALOG.len());
        for injection in CATALOG {
            let (least, most) = injection.lasts;
            assert!(0 < least && least <= most, "{injection:?}");
            if let FaultAction::Azure(fault) = injection.action {
                let expected = match injection.place {
                    Place::TokenEndpoint => Service::Imds,
                    Place::Target => Service::Target,
                    Place::Proxy => panic!("{injection:?}"),
                };
                assert_eq!(fault().service, expected, "{injection:?}");
            }
        }
    }
}
