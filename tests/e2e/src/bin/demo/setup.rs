//! The processes of the demo: the simulated Azure in this process, the launcher with its Envoy, and
//! Prometheus. Dropping it ends all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azure_sim::{EchoReport, Options, Settings, TokenSummary};
use e2e::azure::{Azure, ECHO, WRITE};
use e2e::{Look, Prometheus, Proxy, eventually_ok, free_port, http, is_free};

/// Short enough for a person to see tokens being renewed, in seconds.
const TOKEN_LIFETIME: i64 = 120;

/// The processes of the demo. Fields are dropped in this order: first who sends, last who receives.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) prometheus: Prometheus,
    pub(crate) proxy: Proxy,
    pub(crate) azure: Azure,
    /// The claims of the first token, as the target verified them.
    pub(crate) token: TokenSummary,
}

impl Setup {
    /// Starts everything and waits until a first request has come through; `stop` ends it early.
    pub(crate) fn start(stop: &AtomicBool) -> Result<Self, String> {
        let going = || match stop.load(Ordering::Relaxed) {
            true => Err("stopped while starting"),
            false => Ok(()),
        };
        let azure = start_azure()?;
        going()?;

        let proxy = azure
            .proxy()
            .set("LISTENING_PORT", preferred(8081).to_string())
            .set("STATUS_PORT", preferred(9464).to_string())
            .try_start()?;
        going()?;

        let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
            .port(preferred(9090))
            .scrape("proxy", proxy.status_port())
            .try_start()?;
        going()?;

        let token =
            first_token(&proxy).map_err(|reason| format!("{}{reason}", proxy.process().tail()))?;
        Ok(Self {
            prometheus,
            proxy,
            azure,
            token,
        })
    }

    /// Looks at everything.
    pub(crate) fn look(&self) -> Result<Look, String> {
        Look::at(&self.prometheus, &self.azure, Some(&self.proxy))
    }

    /// Has a process ended that should run?
    pub(crate) fn check_processes(&mut self) -> Result<(), String> {
        let processes = [
            ("the proxy", self.proxy.process_mut()),
            ("prometheus", self.prometheus.process_mut()),
        ];
        for (name, process) in processes {
            if let Some(status) = process.ended() {
                return Err(format!("{name} has ended: {status}"));
            }
        }
        Ok(())
    }

    /// The last log lines of all processes.
    pub(crate) fn tail(&self) -> String {
        self.proxy.process().tail() + &self.prometheus.process().tail()
    }
}

fn start_azure() -> Result<Azure, String> {
    let settings = Settings {
        token_lifetime_seconds: TOKEN_LIFETIME,
        ..Settings::default()
    };
    Azure::try_start(Options {
        settings,
        ..Options::default()
    })
}

/// The port that people expect, or a free one.
fn preferred(port: u16) -> u16 {
    if is_free(port) { port } else { free_port() }
}

/// Sends a request through the proxy: it waits there for the first token.
fn first_token(proxy: &Proxy) -> Result<TokenSummary, String> {
    eventually_ok(
        Duration::from_secs(20),
        "a first request with a token",
        || {
            let response = http::get(&proxy.url(ECHO))?;
            match response.status {
                200 => Ok(response.json::<EchoReport>()?.token),
                other => Err(format!("the proxy answered {other}: {}", response.text())),
            }
        },
    )
}
