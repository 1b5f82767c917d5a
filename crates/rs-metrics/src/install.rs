use std::{
    collections::BTreeSet,
    fmt, io,
    net::SocketAddr,
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rs_core::{FlightRecorder, Name};

use crate::{
    Gathered, LATENCY, Observed, Registry,
    catalogue::{NAMES_FOLDED, SIGNALS_LOST},
    prometheus::page_of,
    registry::CONFLICTS,
    serve::Server,
};

/// Sets up the metrics of the process; see [`Exporter::install`].
///
/// ```
/// use rs_metrics::Exporter;
///
/// let exported = Exporter::new().serve_on("127.0.0.1:0").install()?;
/// println!("metrics on http://{}/metrics", exported.address().expect("it serves"));
///
/// metrics::counter!("tea_cups_total").increment(1);
/// assert!(exported.render().contains("tea_cups_total 1"));
/// # Ok::<(), rs_metrics::InstallError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is exported before it is installed"]
pub struct Exporter {
    registry: Registry,
    buckets: &'static [f64],
    with_facade: bool,
    address: Option<String>,
}

impl Default for Exporter {
    fn default() -> Self {
        Self::new()
    }
}

/// Where somebody installed the exporter of the process.
static FIRST: Mutex<Option<&'static Location<'static>>> = Mutex::new(None);

impl Exporter {
    /// Exports the registry of the process, and what other code records through the `metrics` facade.
    pub fn new() -> Self {
        Self {
            registry: Registry::global().clone(),
            buckets: LATENCY,
            with_facade: true,
            address: None,
        }
    }

    /// Serves `/metrics` on this address, on a thread of its own. Port 0 takes any free port.
    pub fn serve_on(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Exports this registry instead of that of the process.
    pub fn of(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// The buckets of histograms that other code records through the facade.
    pub const fn facade_buckets(mut self, buckets: &'static [f64]) -> Self {
        self.buckets = buckets;
        self
    }

    /// Leaves the `metrics` facade alone: for a process whose facade has another recorder already.
    pub const fn without_facade(mut self) -> Self {
        self.with_facade = false;
        self
    }

    /// Sets everything up: the recorder of the `metrics` facade, with histograms that can be added up
    /// over instances, its upkeep, and the server if one was asked for. It needs no runtime.
    ///
    /// Handles that were bound before are exported like those bound later. A name that the registry
    /// and the facade both have is exported as the registry says; `metrics_conflicts_total` counts it.
    ///
    /// # Errors
    /// When it was done before, by this function or by other code, or the address cannot be had.
    #[track_caller]
    pub fn install(self) -> Result<Exported, InstallError> {
        let here = Location::caller();
        let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = *first {
            return Err(InstallError::Twice { first });
        }
        let server = self.address.as_deref().map(Server::bind).transpose()?;
        let facade = match self.with_facade {
            true => Some(record_the_facade(self.buckets)?),
            false => None,
        };
        *first = Some(here);

        let exported = Exported {
            address: server.as_ref().map(Server::address),
            page: Page {
                _process: Arc::new(observe_the_process(&self.registry)),
                registry: self.registry,
                facade,
                clashes: Arc::default(),
            },
        };
        keep_up(exported.page.clone(), server)?;
        Ok(exported)
    }
}

fn record_the_facade(buckets: &[f64]) -> Result<PrometheusHandle, InstallError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(buckets)
        .map_err(|_| InstallError::NoBuckets)?
        .with_recommended_naming(true)
        .build_recorder();
    let facade = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| InstallError::OtherRecorder)?;
    Ok(facade)
}

/// The metrics of the process, set up.
#[derive(Debug, Clone)]
pub struct Exported {
    page: Page,
    address: Option<SocketAddr>,
}

impl Exported {
    /// What `/metrics` shows.
    #[must_use]
    pub fn render(&self) -> String {
        self.page.render()
    }

    /// Where `/metrics` is served, if it is.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

#[derive(Clone)]
pub(crate) struct Page {
    registry: Registry,
    facade: Option<PrometheusHandle>,
    /// The names that both have, each of which is counted once.
    clashes: Arc<Mutex<BTreeSet<&'static str>>>,
    /// What the process says of itself, for as long as anybody can see it.
    _process: Arc<[Observed; 2]>,
}

impl Page {
    pub(crate) fn render(&self) -> String {
        let all = self.registry.gather();
        let mut page = page_of(&all);
        let facade = self.facade.as_ref().map(PrometheusHandle::render);
        // The facade's page has a blank line after each metric, and nowhere else.
        for metric in facade.unwrap_or_default().split_inclusive("\n\n") {
            match declared(&all, metric) {
                // Prometheus refuses a page that says twice what a name is.
                Some(name) => self.count_clash(name),
                None => page.push_str(metric),
            }
        }
        page
    }

    fn count_clash(&self, name: &'static str) {
        let mut clashes = self.clashes.lock().unwrap_or_else(PoisonError::into_inner);
        if clashes.insert(name) {
            self.registry.count(&CONFLICTS, name);
        }
    }
}

/// The name of this part of the facade's page, `# TYPE name …`, if it was declared here too.
fn declared(all: &[Gathered], metric: &str) -> Option<&'static str> {
    let name = metric.split(' ').nth(2)?;
    let place = all
        .binary_search_by(|gathered| gathered.description.name.cmp(name))
        .ok()?;
    all.get(place).map(|gathered| gathered.description.name)
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// How often the facade's samples are folded into buckets: each costs 15 bytes until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts the threads that do the upkeep and serve the page, for as long as the process lives.
fn keep_up(page: Page, server: Option<Server>) -> Result<(), InstallError> {
    if let Some(facade) = page.facade.clone() {
        start_thread("rs-metrics", move || {
            loop {
                thread::sleep(UPKEEP);
                facade.run_upkeep();
            }
        })?;
    }
    match server {
        Some(server) => start_thread("rs-metrics-http", move || server.run(page)),
        None => Ok(()),
    }
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), InstallError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(run).map(drop).map_err(InstallError::Io)
}

fn observe_the_process(registry: &Registry) -> [Observed; 2] {
    [
        SIGNALS_LOST.observe(registry, (), |()| FlightRecorder::global().lost()),
        NAMES_FOLDED.observe(registry, (), |()| Name::folded()),
    ]
}

/// The metrics of the process could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// Somebody did it before.
    Twice {
        /// Who.
        first: &'static Location<'static>,
    },
    /// Other code installed another recorder of the `metrics` facade.
    OtherRecorder,
    /// A histogram without buckets.
    NoBuckets,
    /// The address cannot be had.
    Address {
        /// The address.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// The thread could not be started.
    Io(io::Error),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice { first } => write!(f, "metrics were installed before, at {first}"),
            Self::OtherRecorder => f.write_str(
                "other code installed a recorder of the `metrics` facade; install this one first, \
                 or keep that one and forward to it",
            ),
            Self::NoBuckets => f.write_str("the facade's histograms need at least one bucket"),
            Self::Address { address, error } => {
                write!(f, "cannot serve metrics on {address}: {error}")
            }
            Self::Io(error) => write!(f, "cannot start the thread for metrics: {error}"),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { error, .. } | Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
