use std::{fmt, time::Duration};

/// Buckets for each doubling: a bucket is 3 % wide.
const PARTS: u64 = 32;
const BITS: u32 = PARTS.trailing_zeros();
/// Up to 73 minutes; longer is as long.
pub(crate) const BUCKETS: usize = ((42 - BITS as usize) + 1) * PARTS as usize;

/// How long some reads took: a count for each of some thousand ranges of time, each 3 % wide. Those of many
/// windows can be put together, and percentiles are then right, as averages of percentiles never are.
///
/// ```
/// use rs_cache_migrate::Times;
/// use std::time::Duration;
///
/// let times: Times = (1..=1000).map(Duration::from_micros).collect();
/// let p95 = times.quantile(0.95).unwrap_or_default();
/// assert!(p95.abs_diff(Duration::from_micros(950)) < Duration::from_micros(30), "{p95:?}");
/// ```
#[derive(Clone, Default)]
pub struct Times {
    /// Empty, or all of them.
    buckets: Vec<u64>,
    /// From the first that is used to behind the last.
    used: (usize, usize),
    count: u64,
}

impl Times {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buckets: Vec::new(),
            used: (0, 0),
            count: 0,
        }
    }

    pub(crate) fn of(buckets: Vec<u64>) -> Self {
        let first = buckets.iter().position(|count| *count > 0);
        let last = buckets.iter().rposition(|count| *count > 0);
        Self {
            count: buckets.iter().sum(),
            used: (first.unwrap_or(0), last.map_or(0, |last| last + 1)),
            buckets,
        }
    }

    fn some(&self) -> impl Iterator<Item = (usize, u64)> {
        let (first, end) = self.used;
        let used = self
            .buckets
            .iter()
            .copied()
            .enumerate()
            .take(end)
            .skip(first);
        used.filter(|(_, count)| *count > 0)
    }

    fn uses(&mut self, first: usize, end: usize) {
        self.used = match self.count {
            0 => (first, end),
            _ => (self.used.0.min(first), self.used.1.max(end)),
        };
    }

    /// One more.
    pub fn record(&mut self, time: Duration) {
        self.buckets.resize(BUCKETS, 0);
        let at = bucket(time);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
            self.uses(at, at + 1);
            self.count += 1;
        }
    }

    /// Those as well.
    pub fn merge(&mut self, others: &Self) {
        if others.count == 0 {
            return;
        }
        self.buckets.resize(BUCKETS, 0);
        for (at, theirs) in others.some() {
            if let Some(mine) = self.buckets.get_mut(at) {
                *mine = mine.saturating_add(theirs);
            }
        }
        self.uses(others.used.0, others.used.1);
        self.count = self.count.saturating_add(others.count);
    }

    /// What came since then, if this is the same count later on.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        if self.count == before.count {
            return Self::new();
        }
        let earlier = before.buckets.iter().chain(std::iter::repeat(&0));
        let left = self.buckets.iter().zip(earlier);
        Self::of(left.map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// This part of them took no longer: 0.95 is p95. `None` of nothing.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        self.at_rank(part.clamp(0.0, 1.0) * self.count as f64)
    }

    /// Between which two the quantile is of which these are a sample, with so many standard deviations.
    pub(crate) fn quantile_within(&self, part: f64, z: f64) -> Option<(Duration, Duration)> {
        let n = self.count as f64;
        let spread = z * (n * part * (1.0 - part)).sqrt();
        let low = self.at_rank((n * part - spread).max(0.0))?;
        let high = self.at_rank((n * part + spread).min(n))?;
        Some((low, high))
    }

    fn at_rank(&self, rank: f64) -> Option<Duration> {
        let mut below = 0.0;
        let mut last = None;
        for (index, count) in self.some() {
            let (from, width) = range(index);
            let count = count as f64;
            if below + count >= rank {
                let within = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(Duration::from_nanos((from + width * within) as u64));
            }
            below += count;
            last = Some(Duration::from_nanos((from + width) as u64));
        }
        last
    }

    /// How long they took on average, and the standard deviation of that average; in nanoseconds.
    pub(crate) fn mean(&self) -> Option<(f64, f64)> {
        if self.count == 0 {
            return None;
        }
        let n = self.count as f64;
        let middles = || {
            let some = self.buckets.iter().enumerate();
            some.filter(|(_, count)| **count > 0).map(|(index, count)| {
                let (from, width) = range(index);
                (from + width / 2.0, *count as f64)
            })
        };
        let mean = middles().map(|(time, count)| time * count).sum::<f64>() / n;
        let squares: f64 = middles()
            .map(|(time, count)| (time - mean).powi(2) * count)
            .sum();
        Some((mean, (squares / n / n).sqrt()))
    }
}

impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.some().eq(other.some())
    }
}

impl Eq for Times {}

impl FromIterator<Duration> for Times {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        let mut all = Self::new();
        for time in times {
            all.record(time);
        }
        all
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Times")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish()
    }
}

/// Which range of time this is in.
#[inline]
pub(crate) fn bucket(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if nanos < PARTS {
        return nanos as usize;
    }
    let doublings = nanos.ilog2() - BITS;
    let part = (nanos >> doublings) - PARTS;
    ((u64::from(doublings) + 1) * PARTS + part).min(BUCKETS as u64 - 1) as usize
}

/// Where that range begins and how wide it is, in nanoseconds.
fn range(index: usize) -> (f64, f64) {
    let index = index as u64;
    if index < PARTS {
        return (index as f64, 1.0);
    }
    let doublings = index / PARTS - 1;
    let from = (PARTS + index % PARTS) << doublings;
    (from as f64, (1_u64 << doublings) as f64)
}
