//! Where the replicas of a service meet: what a storage has to do, and what goes through it.

mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use memory::MemoryStorage;
#[cfg(feature = "redis")]
pub use redis::RedisStorage;

use std::{any::Any, error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use rs_core::{Mandate, Name};

use crate::Forced;

/// Where the replicas of a service leave what the others should know about their breakers.
///
/// It is a meeting place and not the truth: each replica keeps its breakers as they are while the
/// storage is away, and brings back what the storage has forgotten.
///
/// # Implementing
///
/// One function does all, in one round trip and as a whole:
///
/// - The report replaces the one that the replica left before. It counts until [`Report::keep`] has
///   passed.
/// - An order replaces the one for the same breaker if that was not given later. When it was given is
///   reckoned on the storage's clock, as now less [`FleetOrder::given`]; so no clocks are compared, and
///   an order that comes late does not undo a later one. One whose id is there is not taken again.
/// - An order that was lifted or has expired is remembered for [`FleetOrder::REMEMBERED`] and handed
///   out, so that an older one, delivered late, does not take its place, and whoever is still under
///   one hears that it was replaced.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Takes in what this replica says, and answers with what all say.
    ///
    /// # Errors
    /// When there is no answer. Whether the report was taken in is not known then; it can be made again
    /// without harm.
    ///
    /// # Cancel safety
    /// Dropping the future is like an error.
    fn exchange<'a>(&'a self, report: &'a Report) -> Exchange<'a>;
}

/// The answer of a [`Storage`], which is waited for.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<View, StorageError>> + Send + 'a>>;

/// What a replica says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Which replica.
    pub replica: String,
    /// For how long it speaks.
    pub keep: Duration,
    /// The breakers that it has open by its own judgement.
    pub open: Vec<Name>,
    /// Orders that the storage may not know.
    pub orders: Vec<FleetOrder>,
}

impl Report {
    /// A report of this replica that speaks for so long; nothing is open, nothing ordered.
    pub fn new(replica: impl Into<String>, keep: Duration) -> Self {
        Self {
            replica: replica.into(),
            keep,
            open: Vec::new(),
            orders: Vec::new(),
        }
    }
}

/// What all replicas say.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// How many replicas there are.
    pub replicas: u32,
    /// The breakers that replicas have open, and how many do.
    pub open: Vec<(String, u32)>,
    /// The last order for each breaker, in force or not.
    pub orders: Vec<FleetOrder>,
}

/// An order to the breakers of a name, on all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetOrder {
    /// The name of the breakers.
    pub breaker: String,
    /// Tells it from all other orders: a number by chance.
    pub id: u64,
    /// What they are to be; `None` lifts the order before.
    pub forced: Option<Forced>,
    /// Who ordered it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// How long ago.
    pub given: Duration,
    /// When it ends by itself; zero if it has.
    pub expires_in: Option<Duration>,
}

impl FleetOrder {
    /// How long an order that has ended is remembered: a replica that was away for less does not bring
    /// back what it did not see end.
    pub const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

    /// How many bytes of an author or a reason go through the fleet.
    pub const MAX_TEXT: usize = 1024;

    /// An order, given now.
    pub fn new(
        breaker: impl Into<String>,
        id: u64,
        forced: Option<Forced>,
        mandate: &Mandate,
    ) -> Self {
        Self {
            breaker: breaker.into(),
            id,
            forced,
            author: clipped(mandate.author()),
            reason: clipped(mandate.reason()),
            given: Duration::ZERO,
            expires_in: mandate.expires_in(),
        }
    }

    /// By whose order, why and for how long from now on.
    pub(crate) fn mandate(&self) -> Mandate {
        let mandate = Mandate::new(clipped(&self.author), clipped(&self.reason));
        match self.expires_in {
            Some(time) => mandate.lasting(time),
            None => mandate,
        }
    }
}

fn clipped(text: &str) -> String {
    let end = text.floor_char_boundary(FleetOrder::MAX_TEXT.min(text.len()));
    text.get(..end).unwrap_or_default().to_owned()
}

/// A storage did not answer.
#[derive(Debug, Clone)]
pub struct StorageError(Arc<dyn Error + Send + Sync>);

impl StorageError {
    /// It did not answer because of this: an error, or a text.
    pub fn new(problem: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(problem.into().into())
    }

    /// The error that it was made of.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::new(format!("it panicked: {}", text.unwrap_or("without a text")))
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A time in milliseconds, a century at most: sums of two cannot overflow.
fn millis(time: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    i64::try_from(time.min(CENTURY).as_millis()).unwrap_or(0)
}

/// A time in milliseconds; what is below zero is none.
fn time(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
