use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rs_core::{Clock, Name};

use super::{Exchange, FleetOrder, Report, Storage, View, millis, time};

/// A [`Storage`] in the memory of the process: fleets on clones of it know of each other.
///
/// For several registries in one process, and for tests.
#[derive(Clone)]
pub struct MemoryStorage(Arc<Inner>);

struct Inner {
    clock: Clock,
    origin: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    replicas: HashMap<String, Replica>,
    orders: HashMap<String, Known>,
}

/// All times are in milliseconds since the origin, so that an order may be older than the storage.
struct Replica {
    until: i64,
    open: Vec<Name>,
}

struct Known {
    order: FleetOrder,
    given: i64,
    ends: Option<i64>,
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::default())
    }

    /// An empty storage that takes the time from this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            origin: clock.now(),
            clock,
            kept: Mutex::default(),
        }))
    }

    /// Forgets everything, as a server does that comes back without its data.
    pub fn clear(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn exchange<'a>(&'a self, report: &'a Report) -> Exchange<'a> {
        Box::pin(async move {
            let now = self.0.clock.now().saturating_duration_since(self.0.origin);
            Ok(self.kept().exchange(report, millis(now)))
        })
    }
}

impl Kept {
    fn exchange(&mut self, report: &Report, now: i64) -> View {
        self.replicas.retain(|_, replica| replica.until > now);
        let replica = Replica {
            until: now + millis(report.keep),
            open: report.open.clone(),
        };
        self.replicas.insert(report.replica.clone(), replica);
        let remembered = millis(FleetOrder::REMEMBERED);
        self.orders
            .retain(|_, known| known.ends.is_none_or(|ends| ends + remembered > now));
        for order in &report.orders {
            self.take(order, now);
        }
        self.view(now)
    }

    fn take(&mut self, order: &FleetOrder, now: i64) {
        let given = now - millis(order.given);
        let later = |known: &Known| known.order.id == order.id || known.given > given;
        if self.orders.get(&order.breaker).is_some_and(later) {
            return;
        }
        let expires = order.expires_in.map(|time| now + millis(time));
        let known = Known {
            order: order.clone(),
            given,
            ends: if order.forced.is_none() {
                Some(given)
            } else {
                expires
            },
        };
        self.orders.insert(order.breaker.clone(), known);
    }

    fn view(&self, now: i64) -> View {
        let mut open = HashMap::<Name, u32>::new();
        for name in self.replicas.values().flat_map(|replica| &replica.open) {
            *open.entry(*name).or_default() += 1;
        }
        View {
            replicas: u32::try_from(self.replicas.len()).unwrap_or(u32::MAX),
            open: open
                .into_iter()
                .map(|(name, count)| (name.to_string(), count))
                .collect(),
            orders: self.orders.values().map(|known| known.shown(now)).collect(),
        }
    }
}

impl Known {
    fn shown(&self, now: i64) -> FleetOrder {
        let expires = self.ends.filter(|_| self.order.forced.is_some());
        FleetOrder {
            given: time(now - self.given),
            expires_in: expires.map(|ends| time(ends - now)),
            ..self.order.clone()
        }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("MemoryStorage")
            .field("replicas", &kept.replicas.len())
            .field("orders", &kept.orders.len())
            .finish()
    }
}
