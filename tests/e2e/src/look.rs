//! What can be seen at one moment of a Prometheus that writes through a proxy to the simulated
//! Azure.

use azure_sim::StateReport;
use serde_json::Value;

use crate::azure::Azure;
use crate::{Prometheus, Proxy, RemoteWrite, http};

/// One look at everything.
#[derive(Debug)]
pub struct Look {
    /// Prometheus' count.
    pub sent: RemoteWrite,
    /// The simulated Azure's count.
    pub state: StateReport,
    /// The proxy; nothing where it was not asked.
    pub proxy: Option<ProxyLook>,
}

/// What the proxy says of itself.
#[derive(Debug)]
pub struct ProxyLook {
    /// Whether it has a valid token.
    pub ready: bool,
    /// Why the last attempt to get a token failed, if it did.
    pub failure: Option<String>,
}

impl Look {
    /// Looks; at the proxy only where one is given.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub fn at(
        prometheus: &Prometheus,
        azure: &Azure,
        proxy: Option<&Proxy>,
    ) -> Result<Self, String> {
        Ok(Self {
            proxy: proxy.map(ProxyLook::at).transpose()?,
            sent: prometheus.remote_write()?,
            state: azure.state(),
        })
    }
}

impl ProxyLook {
    fn at(proxy: &Proxy) -> Result<Self, String> {
        let ready = proxy.ready()?.status == 200;
        let status: Value = http::get(&proxy.status_url("/status"))?.json()?;
        let failure = status
            .pointer("/slots/0/lastError/message")
            .and_then(Value::as_str);
        Ok(Self {
            ready,
            failure: failure.map(str::to_owned),
        })
    }
}
