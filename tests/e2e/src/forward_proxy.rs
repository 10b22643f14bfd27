//! A real forward proxy, squid, as companies have it: it alone knows where hosts are, and every
//! CONNECT that it was asked for can be looked at.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::{Process, free_port, tools};

const START: Duration = Duration::from_secs(30);

/// Settings for a squid that is to be started.
#[derive(Debug, Clone)]
pub struct ForwardProxyBuilder {
    hosts: Vec<String>,
    refused: Vec<String>,
    password: Option<String>,
    certificate: Option<String>,
    port: u16,
}

/// A running squid.
#[derive(Debug)]
pub struct ForwardProxy {
    settings: ForwardProxyBuilder,
    process: Process,
}

impl ForwardProxyBuilder {
    /// Answers CONNECT to this host with 403.
    #[must_use]
    pub fn refusing(mut self, host: &str) -> Self {
        self.refused.push(host.to_owned());
        self
    }

    /// Answers 407 unless the user `proxy-user` comes with this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Is itself spoken to by TLS, with this certificate and key, PEM.
    #[must_use]
    pub fn certificate(mut self, pem: &str) -> Self {
        self.certificate = Some(pem.to_owned());
        self
    }

    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends, or does not within half a minute.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> ForwardProxy {
        let started = self.spawn().and_then(|mut process| {
            let connects = || {
                TcpStream::connect(("127.0.0.1", self.port))
                    .map(drop)
                    .map_err(|error| error.to_string())
            };
            process.wait_ready(START, connects).map(|()| process)
        });
        match started {
            Ok(process) => ForwardProxy {
                settings: self,
                process,
            },
            Err(reason) => panic!("{reason}"),
        }
    }

    fn spawn(&self) -> Result<Process, String> {
        Process::spawn("squid", |folder| {
            // Squid gives root's rights up before it reads these files.
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            let hosts: String = self
                .hosts
                .iter()
                .map(|host| format!("127.0.0.1 {host}\n"))
                .collect();
            fs::write(folder.join("hosts"), hosts)?;
            let file = folder.join("squid.conf");
            fs::write(&file, self.config(&folder.display().to_string())?)?;
            let mut command = Command::new(tools::squid());
            command
                // In the foreground; its own log goes to standard error.
                .args(["-N", "-d", "2", "-n", &format!("e2e{}", self.port), "-f"])
                .arg(file);
            Ok(command)
        })
    }

    fn config(&self, folder: &str) -> std::io::Result<String> {
        let port = self.port;
        let listen = match &self.certificate {
            None => format!("http_port 127.0.0.1:{port}"),
            Some(pem) => {
                fs::write(format!("{folder}/certificate"), pem)?;
                format!("https_port 127.0.0.1:{port} tls-cert={folder}/certificate")
            }
        };
        let mut config = format!(
            "{listen}\n\
             hosts_file {folder}/hosts\n\
             coredump_dir {folder}\n\
             # The headers of each request, which tell of a tunnel when it begins.\n\
             debug_options ALL,1 11,2\n\
             cache deny all\n\
             access_log none\n\
             cache_log /dev/null\n\
             pid_filename none\n\
             netdb_filename none\n\
             pinger_enable off\n\
             max_filedescriptors 1024\n\
             visible_hostname proxy.test\n\
             shutdown_lifetime 0 seconds\n"
        );
        let mut line = |line: &str| writeln!(config, "{line}").map_err(std::io::Error::other);
        for host in &self.refused {
            line(&format!("acl refused dstdomain {host}"))?;
        }
        if !self.refused.is_empty() {
            line("http_access deny refused")?;
        }
        if let Some(password) = &self.password {
            let helper = format!("{folder}/passwords");
            // Squid's protocol for helpers: a line with user and password, a line with the verdict.
            let script = format!(
                "while read -r line; do\n\
                 [ \"$line\" = 'proxy-user {password}' ] && echo OK || echo ERR\n\
                 done\n"
            );
            fs::write(&helper, script)?;
            line(&format!("auth_param basic program /bin/sh {helper}"))?;
            line("auth_param basic children 1 startup=1")?;
            line("acl known proxy_auth REQUIRED")?;
            line("http_access deny !known")?;
        }
        line("http_access allow all")?;
        Ok(config)
    }
}

impl ForwardProxy {
    /// A proxy that knows these hosts, all of them on this machine.
    #[must_use]
    pub fn knowing(hosts: &[&str]) -> ForwardProxyBuilder {
        ForwardProxyBuilder {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            refused: Vec::new(),
            password: None,
            certificate: None,
            port: free_port(),
        }
    }

    /// Its address, as `HTTPS_PROXY` wants it; by name, so that it must be found, too.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.settings.certificate {
            None => "http",
            Some(_) => "https",
        };
        format!("{scheme}://{}", self.address())
    }

    /// The same without the scheme. What fails is told of the last address only that a name has,
    /// and `localhost` may have two: a proxy with a certificate has an address for a name.
    #[must_use]
    pub fn address(&self) -> String {
        let host = match self.settings.certificate {
            None => "localhost",
            Some(_) => "127.0.0.1",
        };
        format!("{host}:{}", self.settings.port)
    }

    /// Its URL with user and password.
    #[must_use]
    pub fn url_with(&self, password: &str) -> String {
        format!("http://proxy-user:{password}@{}", self.address())
    }

    /// What CONNECT named, each time.
    #[must_use]
    pub fn connects(&self) -> Vec<String> {
        self.process
            .stderr()
            .lines()
            .filter_map(|line| line.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1"))
            .map(str::to_owned)
            .collect()
    }

    /// Everything it was sent and has said.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// Its process, to stop it or to end it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The settings, to start the same again.
    #[must_use]
    pub fn settings(&self) -> ForwardProxyBuilder {
        self.settings.clone()
    }
}
