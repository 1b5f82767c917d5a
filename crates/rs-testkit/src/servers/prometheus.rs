//! Prometheus.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::json::quoted;
use crate::error::Error;
use crate::http::Request;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private Prometheus.
///
/// ```no_run
/// # async fn doc(exporter: std::net::SocketAddr) -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Prometheus;
///
/// let prometheus = Prometheus::builder()
///     .scrape("orders", exporter)
///     .rules("groups: [{name: up, rules: [{record: all_up, expr: min(up)}]}]")
///     .start()
///     .await?;
/// println!("{}", prometheus.url()); // http://127.0.0.1:…
/// # Ok(())
/// # }
/// ```
pub type Prometheus = Server<PrometheusOptions>;

/// Options for [`Prometheus`].
#[derive(Debug, Clone)]
#[must_use = "options do nothing until they are started"]
pub struct PrometheusOptions {
    targets: Vec<(String, SocketAddr)>,
    rules: Vec<String>,
    interval: Duration,
}

impl Default for PrometheusOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            rules: Vec::new(),
            interval: Duration::from_millis(200),
        }
    }
}

impl PrometheusOptions {
    /// Scrapes `/metrics` there, as this job.
    pub fn scrape(mut self, job: impl Into<String>, target: SocketAddr) -> Self {
        self.targets.push((job.into(), target));
        self
    }

    /// Loads recording and alert rules: the text of a rule file.
    pub fn rules(mut self, yaml: impl Into<String>) -> Self {
        self.rules.push(yaml.into());
        self
    }

    /// How often it scrapes and evaluates rules (default: every 200 ms).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`]; rules with a mistake are shown by the log in the error.
    pub async fn start(self) -> Result<Prometheus, Error> {
        Prometheus::start_with(self).await
    }

    fn configuration(&self) -> String {
        let interval = format!("{}ms", self.interval.as_millis().max(1));
        let mut yaml =
            format!("global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n");
        yaml.push_str("rule_files: [\"rules-*.yml\"]\nscrape_configs:\n");
        for (job, target) in &self.targets {
            let job = quoted(job);
            yaml.push_str(&format!(
                "  - {{job_name: {job}, static_configs: [{{targets: [\"{target}\"]}}]}}\n"
            ));
        }
        yaml
    }
}

impl Prometheus {
    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }
}

impl ServerKind for PrometheusOptions {
    const NAME: &'static str = "Prometheus";
    const PORTS: usize = 1;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let configuration = place.write("prometheus.yml", self.configuration())?;
        for (index, rules) in self.rules.iter().enumerate() {
            place.write(&format!("rules-{index}.yml"), rules)?;
        }
        let mut command = Command::new(program("prometheus")?);
        command
            .arg("--config.file")
            .arg(configuration)
            .arg("--storage.tsdb.path=data");
        command
            .arg(format!("--web.listen-address={}", place.addr()))
            .arg("--web.enable-lifecycle");
        Ok(command)
    }

    async fn ready(&self, place: &Place) -> io::Result<()> {
        Request::get(place.addr(), "/-/ready")
            .send()
            .await?
            .ok()
            .map(drop)
    }
}
