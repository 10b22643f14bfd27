//! The process from its start to its end: read the settings, listen, enter the sandbox, serve until a
//! signal comes.

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use entra_auth_settings_input::{ConfigError, Variables};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::listen::{self, Listeners};
use crate::log::Log;
use crate::sandbox::{self, Allowed};
use crate::serve;
use crate::settings::{self, Settings};

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The machine refuses something (`EX_OSERR` of sysexits.h).
const OS_ERROR: u8 = 71;

/// How often the certificate files are read while nobody asks for an assertion, so that a bad file
/// is in the log before an assertion needs it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, and gives the exit code.
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
    match runtime.and_then(|runtime| runtime.block_on(serve_until_signal(settings, listeners))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("token-sidecar: error: {error}");
            ExitCode::from(OS_ERROR)
        }
    }
}

/// Writes all errors to standard error, and gives the exit code.
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

/// Serves in the sandbox. The socket's file is removed when this ends.
async fn serve_until_signal(settings: Settings, listeners: Listeners) -> io::Result<()> {
    let log = settings.log;
    let signal = first_signal()?;
    confine(&settings, log);
    let settings = Arc::new(settings);
    for address in listeners.addresses() {
        log.info(format_args!("listening on {address}"));
    }
    let _socket_file = listeners.serve(|listener| {
        let settings = Arc::clone(&settings);
        tokio::spawn(serve::accept(listener, settings));
    })?;
    tokio::spawn(refresh_periodically(Arc::clone(&settings)));
    log.info(format_args!("ended by {}", signal.await));
    Ok(())
}

/// Handles SIGTERM and SIGINT from now on. The future gives the name of the first signal.
fn first_signal() -> io::Result<impl Future<Output = &'static str>> {
    let mut sigterm = signal(SignalKind::terminate())?;
    let mut sigint = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = sigterm.recv() => "SIGTERM",
            _ = sigint.recv() => "SIGINT",
        }
    })
}

async fn refresh_periodically(settings: Arc<Settings>) {
    let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(signer) = &settings.signer {
            signer.store.refresh(Timestamp::now());
        }
    }
}

/// Enters the sandbox and warns of what the kernel cannot enforce. The runtime has one thread, so the
/// whole process is confined.
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
