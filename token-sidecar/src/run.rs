//! The life of the process: settings, listeners, sandbox, service, end.

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::listen::{self, Listeners};
use crate::log::Log;
use crate::sandbox::{self, Allowed};
use crate::serve;
use crate::settings::config_error::ConfigError;
use crate::settings::variables::Variables;
use crate::settings::{self, Settings};

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The machine refuses something (`EX_OSERR` of sysexits.h).
const OS_ERROR: u8 = 71;

/// How often the files are looked at while nobody asks for an assertion, so that the log speaks
/// of a bad file before it is needed.
const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT and gives the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let reading = settings::read(&Variables::of_this_process(), Timestamp::now());
    for warning in &reading.warnings {
        eprintln!("token-sidecar: warning: {warning}");
    }
    let settings = match reading.outcome {
        Ok(settings) => settings,
        Err(errors) => return refuse(&errors),
    };
    let listeners = match listen::bind(settings.socket.as_deref(), settings.address) {
        Ok(listeners) => listeners,
        Err(errors) => return refuse(&errors),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(live(settings, listeners))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("token-sidecar: error: {error}");
            ExitCode::from(OS_ERROR)
        }
    }
}

fn refuse(errors: &[ConfigError]) -> ExitCode {
    match errors.len() {
        1 => eprintln!("token-sidecar: 1 mistake in the environment:"),
        count => eprintln!("token-sidecar: {count} mistakes in the environment:"),
    }
    for error in errors {
        eprintln!("  {error}");
    }
    ExitCode::from(USAGE)
}

/// The listeners live as long as this: dropping them removes the socket.
async fn live(settings: Settings, listeners: Listeners) -> io::Result<()> {
    let log = settings.log;
    let ended = end()?;
    confine(&settings, log);
    let settings = Arc::new(settings);
    for place in listeners.places() {
        log.info(format_args!("listening on {place}"));
    }
    let _socket = listeners.serve(|listener| {
        let settings = Arc::clone(&settings);
        tokio::spawn(serve::accept(listener, settings));
    })?;
    tokio::spawn(refresh(Arc::clone(&settings)));
    log.info(format_args!("ended by {}", ended.await));
    Ok(())
}

/// Listens for signals from now on; the future ends with the name of the first.
fn end() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => "SIGTERM",
            _ = interrupted.recv() => "SIGINT",
        }
    })
}

async fn refresh(settings: Arc<Settings>) {
    let mut ticks = tokio::time::interval(REFRESH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(signer) = &settings.signer {
            signer.store.refresh(Timestamp::now());
        }
    }
}

/// Gives up what the process does not need. There is one thread, so all of it is confined.
fn confine(settings: &Settings, log: Log) {
    let certificates = settings
        .signer
        .iter()
        .flat_map(|signer| signer.store.files().all());
    let served_files = [&settings.federated_token, &settings.client_secret]
        .into_iter()
        .filter_map(|served_file| served_file.file.as_ref());
    let confinement = sandbox::enter(&Allowed {
        read: certificates
            .chain(served_files)
            .map(|file| file.path.clone())
            .collect(),
        remove: settings.socket.clone(),
    });
    for missing in confinement.missing() {
        log.warning(missing);
    }
}
