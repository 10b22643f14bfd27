//! The simulated Azure of a scenario, with its faults in force, and the settings of a proxy to it.

use std::time::Duration;

use azure_sim::{AZURE_MONITOR, Fault, FaultKind, Identity, RawContent, Service, Settings};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::ProxyBuilder;
use e2e::azure::Azure;

use super::network::{Elsewhere, Refusing};
use super::wall_clock::WallClock;
use crate::scenario::{ELSEWHERE, Reply, Scenario, WireFault};

/// Far beyond what the proxy reads of an answer.
const OVERSIZED: u64 = 5_000_000;

pub(super) struct TestBed {
    pub(super) azure: Azure,
    pub(super) clock: Option<WallClock>,
    elsewhere: Elsewhere,
    refusing: Option<Refusing>,
    last_fault: Option<u64>,
}

impl TestBed {
    pub(super) fn set(scenario: &Scenario) -> Result<Self, String> {
        let lifetime = i64::try_from(scenario.token_seconds).unwrap_or(i64::MAX);
        let renewed_at = i64::try_from(scenario.renewed_at_seconds()).unwrap_or(i64::MAX);
        let azure = Azure::with(Settings {
            token_lifetime_seconds: lifetime,
            cache_until_remaining_seconds: Some(renewed_at),
            ..Settings::default()
        });
        let refused = |reply: &Reply| reply.wire == Some(WireFault::Refused);
        let mut test_bed = Self {
            azure,
            clock: scenario.clock.map(|_| WallClock::make()).transpose()?,
            elsewhere: Elsewhere::new().map_err(|error| error.to_string())?,
            refusing: scenario.reply.iter().any(refused).then(Refusing::new),
            last_fault: None,
        };
        // The scenario's environment leads to no server.
        let no_name = |reply: &Reply| reply.wire == Some(WireFault::NoName);
        if test_bed.refusing.is_none() && !scenario.reply.iter().any(no_name) {
            for (index, reply) in scenario.reply.iter().enumerate() {
                let is_last = index + 1 == scenario.reply.len();
                let mut fault = Fault::new(Service::Imds, test_bed.fault(reply)?);
                // The run ends the last one, when it has seen enough.
                fault.times = reply.times.filter(|_| !is_last);
                let id = test_bed
                    .azure
                    .inject(fault)
                    .map_err(|error| error.to_string())?;
                test_bed.last_fault = Some(id);
            }
        }
        Ok(test_bed)
    }

    pub(super) fn proxy(&self, scenario: &Scenario) -> ProxyBuilder {
        let mut proxy = self.azure.proxy();
        if let Some(refusing) = &self.refusing {
            proxy = proxy.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", refusing.url());
        }
        if let Some(clock) = &self.clock {
            proxy = clock.given_to(proxy);
        }
        for (name, value) in &scenario.environment {
            proxy = proxy.set(name, value);
        }
        proxy
    }

    /// The endpoint is well from now on.
    pub(super) fn end_faults(&self) -> Result<(), String> {
        if let Some(refusing) = &self.refusing {
            refusing.open_to(self.azure.addresses().imds)?;
        }
        match self.last_fault {
            Some(id) if !self.azure.end_fault(id) => Err("the last fault was not in force".into()),
            _ => Ok(()),
        }
    }

    /// What the proxy must never have done, whatever came.
    pub(super) fn nothing_went_wrong(&self) -> Result<(), String> {
        self.elsewhere.was_not_called()?;
        let state = self.azure.state();
        if !state.target.refused.is_empty() {
            return Err(format!("the target refused: {:?}", state.target.refused));
        }
        if !state.imds.refused.is_empty() {
            return Err(format!("IMDS refused: {:?}", state.imds.refused));
        }
        if state.imds.max_in_flight > 1 {
            return Err(format!("{} calls at once", state.imds.max_in_flight));
        }
        Ok(())
    }

    /// The waits between the calls so far.
    pub(super) fn gaps(&self) -> Vec<Duration> {
        let calls = self.azure.requests(Service::Imds, usize::MAX);
        calls
            .windows(2)
            .map(|pair| {
                let gap = pair[1].at_ms - pair[0].at_ms;
                Duration::from_millis(u64::try_from(gap).unwrap_or(0))
            })
            .collect()
    }

    fn fault(&self, reply: &Reply) -> Result<FaultKind, String> {
        Ok(match (reply.wire, reply.status) {
            (None, None) => FaultKind::DelayMs(0),
            (None, Some(code)) => self.answer(reply, code)?,
            (Some(WireFault::Refused | WireFault::NoName), _) => {
                return Err("`refused` and `no_name` are no faults of a server".into());
            }
            (Some(WireFault::Reset), _) => FaultKind::ResetBefore,
            (Some(WireFault::ResetInBody), _) => FaultKind::ResetMidBody,
            (Some(WireFault::Hang), _) => FaultKind::Hang,
            (Some(WireFault::Trickle), _) => FaultKind::Trickle {
                bytes: 1,
                interval_ms: 1000,
            },
            (Some(WireFault::Oversized), _) => FaultKind::Oversized { bytes: OVERSIZED },
        })
    }

    fn answer(&self, reply: &Reply, code: u16) -> Result<FaultKind, String> {
        let token = self
            .azure
            .token(&Identity::system_assigned(), AZURE_MONITOR)
            .map_err(|error| error.to_string())?;
        let elsewhere = self.elsewhere.url().map_err(|error| error.to_string())?;
        Ok(match String::from_utf8(reply.content(&token)) {
            Ok(body) => FaultKind::Status {
                code,
                headers: reply
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.replace(ELSEWHERE, &elsewhere)))
                    .collect(),
                body: Some(body),
            },
            Err(bytes) => FaultKind::RawBody {
                content_type: "application/json".into(),
                body: RawContent::Base64(STANDARD.encode(bytes.as_bytes())),
            },
        })
    }
}
