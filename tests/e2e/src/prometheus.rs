//! A real Prometheus that scrapes every second and writes what it gets to a remote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::{Metrics, Process, Sample, eventually_ok, free_port, http, tools};

const START: Duration = Duration::from_secs(30);

/// How long Prometheus waits for an answer of its remote where nobody says otherwise: its own
/// default.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);

/// When Prometheus changes the number of its shards it gives up what they have not sent within
/// this time, whatever the remote answers. Its default is a minute; an outage may be longer.
const FLUSH: &str = "1h";

/// How old the samples may be that a query sees: one may be for a later time than now.
const LOOKBACK: &str = "1h";

/// Which Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The one on PATH: Debian's 2.42, or a newer one.
    Packaged,
    /// The current 3.x, as `tests/prometheus/go.mod` pins it.
    Three,
}

/// Which message of remote write it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`, which every release sends by default.
    One,
    /// `io.prometheus.write.v2.Request`, which 2.x does not know.
    Two,
}

/// Settings for a Prometheus that is to be started.
#[derive(Debug, Clone)]
pub struct PrometheusBuilder {
    release: Release,
    protocol: Protocol,
    port: u16,
    jobs: Vec<Job>,
    rules: Option<PathBuf>,
    remote_write: String,
    remote_timeout: Duration,
    shards: u32,
}

/// What is scraped: a path at a loopback port.
#[derive(Debug, Clone)]
struct Job {
    name: String,
    port: u16,
    path: &'static str,
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    settings: PrometheusBuilder,
}

/// Prometheus' own count of what it has sent to its remote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RemoteWrite {
    /// Samples scraped and stored, so to be sent.
    pub scraped: f64,
    /// Samples in all attempts together.
    pub sent: f64,
    /// Samples in attempts that had to be repeated.
    pub retried: f64,
    /// Samples given up: the remote answered with an error that is no reason to retry.
    pub failed: f64,
    /// Samples given up before they were sent.
    pub dropped: f64,
    /// Samples that wait.
    pub pending: f64,
    /// The newest timestamp scraped, in seconds since 1970; 0 before the first.
    pub highest_scraped: f64,
    /// The newest timestamp sent, in seconds since 1970; 0 before the first.
    pub highest_sent: f64,
}

impl RemoteWrite {
    /// How many distinct samples the remote must hold, once all is sent: a retried batch counts
    /// in both of Prometheus' counters.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        self.sent - self.retried
    }

    /// Has everything that was scraped been sent, or given up?
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.pending == 0.0 && self.distinct() + self.failed + self.dropped >= self.scraped
    }
}

impl PrometheusBuilder {
    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Scrapes `/metrics` at this loopback port as well.
    #[must_use]
    pub fn scrape(self, job: &str, port: u16) -> Self {
        self.scrape_at(job, port, "/metrics")
    }

    /// The same for another path.
    #[must_use]
    pub fn scrape_at(mut self, job: &str, port: u16, path: &'static str) -> Self {
        self.jobs.push(Job {
            name: job.to_owned(),
            port,
            path,
        });
        self
    }

    /// Evaluates the rules of this file as well.
    #[must_use]
    pub fn rules(mut self, file: &Path) -> Self {
        self.rules = Some(file.to_owned());
        self
    }

    /// Is this release, instead of the one on PATH.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// Sends this message, instead of 1.0's.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Waits so many whole seconds for an answer of the remote.
    #[must_use]
    pub fn remote_timeout(mut self, timeout: Duration) -> Self {
        self.remote_timeout = timeout;
        self
    }

    /// Sends in so many shards at least, each of which waits and retries by itself.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// Starts Prometheus and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or is not ready within half a minute.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Prometheus {
        self.try_start().unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Like [`PrometheusBuilder::start`], but gives the reason instead of panicking.
    ///
    /// # Errors
    /// When it ends, or is not ready within half a minute.
    pub fn try_start(self) -> Result<Prometheus, String> {
        let port = self.port;
        let mut process = Process::spawn("prometheus", |folder| {
            fs::write(configuration(folder), self.render(true))?;
            let mut command = Command::new(self.program());
            command
                .arg(format!("--config.file={}", configuration(folder).display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.join("data").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--web.enable-lifecycle")
                .arg(format!("--storage.remote.flush-deadline={FLUSH}"))
                .arg(format!("--query.lookback-delta={LOOKBACK}"))
                .env_clear();
            Ok(command)
        })?;
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        process.wait_ready(START, || match http::get(&ready)?.status {
            200 => Ok(()),
            other => Err(format!("/-/ready answered {other}")),
        })?;
        Ok(Prometheus {
            process,
            settings: self,
        })
    }

    fn program(&self) -> PathBuf {
        match self.release {
            Release::Packaged => tools::prometheus(),
            Release::Three => tools::prometheus3(),
        }
    }

    /// Prometheus' configuration: everything in steps of a second, so that a test is short.
    fn render(&self, scraping: bool) -> String {
        let mut text = format!(
            "global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
remote_write:
  - url: {}
    remote_timeout: {}s
    queue_config:
      min_shards: {}
      batch_send_deadline: 500ms
      min_backoff: 100ms
      max_backoff: 1s
      # Without it Prometheus gives up what a target answers 429 to, whoever stands between.
      retry_on_http_429: true
",
            self.remote_write,
            self.remote_timeout.as_secs(),
            self.shards,
        );
        // 2.42 refuses a field that it does not know.
        if self.protocol == Protocol::Two {
            text += "    protobuf_message: io.prometheus.write.v2.Request\n";
        }
        if let Some(rules) = &self.rules {
            text += &format!("rule_files: ['{}']\n", rules.display());
        }
        text += "scrape_configs:\n";
        let itself = Job {
            name: "prometheus".to_owned(),
            port: self.port,
            path: "/metrics",
        };
        let jobs = std::iter::once(&itself).chain(&self.jobs);
        for Job { name, port, path } in jobs.filter(|_| scraping) {
            text += &format!(
                "  - job_name: {name}
    metrics_path: {path}
    static_configs:
      - targets: ['127.0.0.1:{port}']
"
            );
        }
        text
    }
}

impl Prometheus {
    /// Settings for a Prometheus that scrapes itself and writes to `url`.
    #[must_use]
    pub fn writing_to(url: &str) -> PrometheusBuilder {
        PrometheusBuilder {
            release: Release::Packaged,
            protocol: Protocol::One,
            port: free_port(),
            jobs: Vec::new(),
            rules: None,
            remote_write: url.to_owned(),
            remote_timeout: REMOTE_TIMEOUT,
            shards: 1,
        }
    }

    /// Which one it is and what it sends, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let version = Command::new(self.settings.program())
            .arg("--version")
            .output()
            .map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into())
            .unwrap_or_default();
        let version: String = version;
        let version = version
            .strip_prefix("prometheus, version ")
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or("of unknown version");
        let protocol = match self.settings.protocol {
            Protocol::One => 1,
            Protocol::Two => 2,
        };
        format!("Prometheus {version} with remote write {protocol}")
    }

    /// A URL of its web interface.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.settings.port)
    }

    /// Its own metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<Metrics, String> {
        http::get(&self.url("/metrics")).map(|response| Metrics::parse(&response.text()))
    }

    /// The series that an expression gives at a time, each as one sample.
    ///
    /// # Errors
    /// When it does not answer, or the expression is wrong or gives no series.
    pub fn query(&self, expression: &str, at: SystemTime) -> Result<Vec<Sample>, String> {
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_err(|error| error.to_string())?.as_secs_f64();
        let query: String = expression.bytes().map(|it| format!("%{it:02x}")).collect();
        let url = self.url(&format!("/api/v1/query?time={seconds}&query={query}"));
        let answer = http::get(&url)?;
        if answer.status != 200 {
            return Err(format!("{expression}: {}", answer.text()));
        }
        let answer: Answer = answer.json()?;
        answer.data.result.into_iter().map(Series::sample).collect()
    }

    /// Its own count of what it has sent.
    ///
    /// # Errors
    /// When it does not answer, or does not count.
    pub fn remote_write(&self) -> Result<RemoteWrite, String> {
        let metrics = self.metrics()?;
        let find = |name: &str| metrics.sum(&format!("prometheus_remote_storage_{name}"));
        let sum = |name: &str| {
            find(name)
                .ok_or_else(|| format!("prometheus has no metric prometheus_remote_storage_{name}"))
        };
        Ok(RemoteWrite {
            scraped: sum("samples_in_total")?,
            sent: sum("samples_total")?,
            retried: sum("samples_retried_total")?,
            failed: sum("samples_failed_total")?,
            // 3.x has one for each reason, from the first sample dropped on.
            dropped: match self.settings.release {
                Release::Packaged => sum("samples_dropped_total")?,
                Release::Three => find("samples_dropped_total").unwrap_or_default(),
            },
            pending: sum("samples_pending")?,
            // Not there before the first sample.
            highest_scraped: find("highest_timestamp_in_seconds").unwrap_or_default(),
            highest_sent: find("queue_highest_sent_timestamp_seconds").unwrap_or_default(),
        })
    }

    /// Stops scraping, waits until everything has been sent, and gives the final count.
    ///
    /// # Errors
    /// When something still waits after `timeout`.
    pub fn settle(&self, timeout: Duration) -> Result<RemoteWrite, String> {
        self.stop_scraping()?;
        eventually_ok(timeout, "prometheus has sent everything", || {
            let count = self.remote_write()?;
            if count.is_settled() {
                Ok(count)
            } else {
                Err(format!("{count:?}"))
            }
        })
    }

    /// Takes away all scrape jobs: no sample is added once this returns. The remote and its
    /// queue stay.
    fn stop_scraping(&self) -> Result<(), String> {
        let path = configuration(self.process.folder());
        fs::write(path, self.settings.render(false)).map_err(|error| error.to_string())?;
        let response = http::post(&self.url("/-/reload"), [])?;
        match response.status {
            200 => Ok(()),
            other => Err(format!("/-/reload answered {other}: {}", response.text())),
        }
    }

    /// The process: its logs, its end.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to signal, stop or wait for it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// What Prometheus answers to a query
/// (<https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>).
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// The time, and the value as text: JSON has neither NaN nor infinity.
    value: (f64, String),
}

impl Series {
    fn sample(self) -> Result<Sample, String> {
        let mut labels = self.metric;
        let (_, value) = self.value;
        Ok(Sample {
            name: labels.remove("__name__").unwrap_or_default(),
            labels,
            value: value.parse().map_err(|error| format!("{value}: {error}"))?,
        })
    }
}

fn configuration(folder: &Path) -> PathBuf {
    folder.join("prometheus.yml")
}
