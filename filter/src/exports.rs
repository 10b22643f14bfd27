//! The exports of telemetry that pass through this VM: counted for the metric, for the log and for `/status`, whose
//! VM learns of them through shared data.

use std::cell::RefCell;

use entra_token_core::Wall;
use entra_token_core::config::{self, Plugin};
use entra_token_core::shared_data;
use entra_token_core::telemetry_exports::{Notice, Outcome, Protocol, SignalExports, Tally};
use proxy_wasm::types::MapType;

use crate::host::{self, Shared};
use crate::metrics::Counter;

/// The exports of one signal.
struct SignalCounts {
    delivered: Counter,
    failed: Counter,
    /// What the record in shared data does not have yet.
    tally: RefCell<Tally>,
}

/// The exports of all signals.
pub(crate) struct Exports {
    /// One for each of [`Plugin::exports`].
    signals: Vec<SignalCounts>,
}

/// One export that has not ended.
pub(crate) struct Export {
    /// Its index in [`Plugin::exports`].
    index: usize,
    protocol: Protocol,
}

impl Exports {
    pub(crate) fn new(plugin: &Plugin) -> Self {
        let signals = plugin.exports.iter().map(|export| {
            let counter = |result| {
                let labels = [("signal", export.signal.as_str()), ("result", result)];
                Counter::new("telemetry_exports_total", &labels)
            };
            SignalCounts {
                delivered: counter("success"),
                failed: counter("failure"),
                tally: RefCell::default(),
            }
        });
        Self {
            signals: signals.collect(),
        }
    }

    /// Counts an export.
    #[cold]
    fn ended(&self, export: &Export, outcome: Outcome) {
        let Some(signal) = self.signals.get(export.index) else {
            return;
        };
        match outcome {
            Outcome::Delivered => signal.delivered.count(),
            Outcome::Failed(_) => signal.failed.count(),
        }
        signal.tally.borrow_mut().ended(outcome);
    }

    /// Hands the counts to Envoy and to the other VMs, and gives the notices that are due.
    #[cold]
    pub(crate) fn publish(&self, plugin: &Plugin, now: Wall) {
        for (export, signal) in plugin.exports.iter().zip(&self.signals) {
            signal.delivered.flush();
            signal.failed.flush();
            let mut tally = signal.tally.borrow_mut();
            if tally.is_empty() {
                continue;
            }
            let key = SignalExports::key(export.signal);
            let add = |exports: &mut SignalExports| exports.add(&tally, now);
            // Otherwise the counts wait for the next tick.
            if let Some(notice) = shared_data::update(&Shared, &key, add) {
                *tally = Tally::default();
                if let Some(notice) = notice {
                    tell(&notice, export);
                }
            }
        }
    }
}

fn tell(notice: &Notice, export: &config::Export) {
    let message = notice.message(export.signal, export.collector.as_str());
    match notice {
        Notice::Failing(_) => log::warn!("{message}"),
        Notice::Recovered(_) => log::info!("{message}"),
    }
}

/// How the exports of each signal end, as all VMs have counted them.
pub(crate) fn of_all_vms(plugin: &Plugin) -> Vec<(&config::Export, SignalExports)> {
    let exports = plugin.exports.iter();
    exports
        .map(|export| {
            let key = SignalExports::key(export.signal);
            (export, shared_data::get(&Shared, &key))
        })
        .collect()
}

impl Export {
    /// The export that the current request is; `None` if it is none.
    #[cold]
    pub(crate) fn of_request(plugin: &Plugin) -> Option<Self> {
        let path = host::header(MapType::HttpRequestHeaders, ":path")?;
        let mut exports = plugin.exports.iter().enumerate();
        exports.find_map(|(index, export)| {
            let protocol = Protocol::of(export.signal, &path)?;
            Some(Self { index, protocol })
        })
    }

    /// Looks at the headers of the response. Returns the export if its trailers will tell the outcome.
    #[cold]
    pub(crate) fn on_response_headers(self, exports: &Exports) -> Option<Self> {
        let status = host::read_header(MapType::HttpResponseHeaders, ":status", str::parse);
        let grpc_status = host::header(MapType::HttpResponseHeaders, "grpc-status");
        let details = host::property("response\0code_details");
        let details = details
            .as_deref()
            .and_then(|details| str::from_utf8(details).ok());
        let Some(outcome) = Outcome::of_headers(
            self.protocol,
            status.and_then(Result::ok),
            grpc_status.as_deref(),
            details.unwrap_or_default(),
        ) else {
            return Some(self);
        };
        if self.protocol == Protocol::HttpProtobuf {
            // Envoy's exporter logs an error for each other status. If this fails, it does.
            let _ = host::replace_response_header(":status", "200");
        }
        exports.ended(&self, outcome);
        None
    }

    /// Looks at the trailers of the response.
    #[cold]
    pub(crate) fn on_response_trailers(self, exports: &Exports) {
        let grpc_status = host::header(MapType::HttpResponseTrailers, "grpc-status");
        let outcome =
            grpc_status.map_or_else(Outcome::without_response, |it| Outcome::of_grpc_status(&it));
        exports.ended(&self, outcome);
    }

    /// The stream has ended before the outcome was known.
    #[cold]
    pub(crate) fn on_done(self, exports: &Exports) {
        exports.ended(&self, Outcome::without_response());
    }
}
