//! `azure-sim`: the stand-in as a process of its own, for `make run` and for trying things out.
//!
//! Once everything listens it writes one line of JSON to stdout: the addresses, the identities
//! and the tenant. Applications are registered by the admin service. It runs until SIGTERM or Ctrl-C.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use azure_sim::{AzureSim, Identity, Options, Settings};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A strict stand-in for Azure's token sources and Azure Monitor ingestion, on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on: a loopback address, since the stand-in trusts whoever reaches it.
    #[arg(long, env = "AZURE_SIM_BIND", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port of IMDS; 0 takes a free one.
    #[arg(long, env = "AZURE_SIM_IMDS_PORT", default_value_t = 0)]
    imds_port: u16,
    /// Port of App Service's identity endpoint.
    #[arg(long, env = "AZURE_SIM_APP_SERVICE_PORT", default_value_t = 0)]
    app_service_port: u16,
    /// What a request to App Service's identity endpoint must carry; a random one if not given.
    #[arg(long, env = "AZURE_SIM_IDENTITY_HEADER", hide_env_values = true)]
    identity_header: Option<String>,
    /// Port of tsiam with TLS.
    #[arg(long, env = "AZURE_SIM_TSIAM_TLS_PORT", default_value_t = 0)]
    tsiam_tls_port: u16,
    /// Port of tsiam without TLS.
    #[arg(long, env = "AZURE_SIM_TSIAM_PLAIN_PORT", default_value_t = 0)]
    tsiam_plain_port: u16,
    /// Port of Entra with TLS.
    #[arg(long, env = "AZURE_SIM_ENTRA_TLS_PORT", default_value_t = 0)]
    entra_tls_port: u16,
    /// Port of Entra without TLS.
    #[arg(long, env = "AZURE_SIM_ENTRA_PLAIN_PORT", default_value_t = 0)]
    entra_plain_port: u16,
    /// Port of the target with TLS.
    #[arg(long, env = "AZURE_SIM_TLS_PORT", default_value_t = 0)]
    tls_port: u16,
    /// Port of the target without TLS.
    #[arg(long, env = "AZURE_SIM_PLAIN_PORT", default_value_t = 0)]
    plain_port: u16,
    /// Port of the admin service.
    #[arg(long, env = "AZURE_SIM_ADMIN_PORT", default_value_t = 0)]
    admin_port: u16,
    /// File to write the certificate authority to, PEM.
    #[arg(long, env = "AZURE_SIM_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// A further name or IP address in the certificate of the TLS ports; may come again.
    #[arg(long = "certificate-name", value_name = "NAME")]
    certificate_names: Vec<String>,
    /// Do not offer HTTP/2 on the TLS ports.
    #[arg(long)]
    no_http2: bool,
    /// The machine has no system-assigned identity.
    #[arg(long)]
    no_system_assigned: bool,
    /// Adds a user-assigned identity of this name; may come again. Its ids are in the output.
    #[arg(long = "user-assigned", value_name = "NAME")]
    user_assigned: Vec<String>,
    /// Lifetime of managed identities' tokens in seconds.
    #[arg(long, env = "AZURE_SIM_TOKEN_LIFETIME", default_value_t = Settings::default().token_lifetime_seconds)]
    token_lifetime: i64,
}

impl Arguments {
    fn options(&self) -> Options {
        let at = |port| SocketAddr::new(self.bind, port);
        Options {
            imds: at(self.imds_port),
            app_service: at(self.app_service_port),
            tsiam_tls: at(self.tsiam_tls_port),
            tsiam_plain: at(self.tsiam_plain_port),
            entra_tls: at(self.entra_tls_port),
            entra_plain: at(self.entra_plain_port),
            target_tls: at(self.tls_port),
            target_plain: at(self.plain_port),
            admin: at(self.admin_port),
            certificate_names: self.certificate_names.clone(),
            http2: !self.no_http2,
            system_assigned: (!self.no_system_assigned).then(Identity::system_assigned),
            user_assigned: self
                .user_assigned
                .iter()
                .map(|n| Identity::user_assigned(n))
                .collect(),
            identity_header: (self.identity_header.clone())
                .unwrap_or_else(|| Options::default().identity_header),
            settings: Settings {
                token_lifetime_seconds: self.token_lifetime,
                ..Settings::default()
            },
            ..Options::default()
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("azure-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if !arguments.bind.is_loopback() {
        return Err(format!("{} is not a loopback address", arguments.bind).into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sim = AzureSim::start(arguments.options()).await?;
    if let Some(path) = &arguments.ca_file {
        sim.write_ca(path)?;
    }
    let state = sim.state();
    let line = json!({
        "addresses": sim.addresses(),
        "tenant_id": state.tenant_id,
        "identities": state.identities,
        "ca_file": arguments.ca_file,
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
