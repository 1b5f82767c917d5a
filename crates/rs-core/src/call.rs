use std::{
    cell::Cell,
    fmt,
    hash::{Hash, Hasher},
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{Clock, Correlation, Criticality, Deadline, Name, hash};

/// What every policy and the operation know about a call.
///
/// Small and `Copy`: it is handed down by value, and a policy that changes it (the next attempt, an
/// earlier deadline) changes its own copy. The operation receives it, so that a client can send the
/// deadline and the correlation id on the wire and a balancer can avoid the endpoint that failed.
///
/// ```
/// use rs_core::{Call, Clock, Criticality};
/// use std::time::Duration;
///
/// let clock = Clock::default();
/// let call = Call::new("charge")
///     .within(Duration::from_secs(2), &clock)
///     .with_key("customer-17")
///     .with_criticality(Criticality::CriticalPlus)
///     .safe_to_repeat();
/// assert_eq!(call.attempt(), 1);
/// assert!(call.deadline().is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    name: Name,
    id: CallId,
    deadline: Option<Deadline>,
    limits: TimeLimits,
    correlation: Option<Correlation>,
    key: Option<RoutingKey>,
    attempt: u32,
    hedge: u8,
    criticality: Criticality,
    repeatable: bool,
}

impl Call {
    /// A call of this name, with an id of its own, no deadline, normal criticality, and not known to
    /// be safe to repeat.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            id: CallId::next(),
            deadline: None,
            limits: TimeLimits::NONE,
            correlation: None,
            key: None,
            attempt: 1,
            hedge: 0,
            criticality: Criticality::Critical,
            repeatable: false,
        }
    }

    /// A call that is made in order to do this one: another name, an id and attempts of its own, for the same
    /// request, as important, and to be done while this attempt lasts.
    ///
    /// Limits that do not count yet, count for the child from when it begins: an operation that has waited
    /// before fixes its call first, as at [`deadline_at`](Call::deadline_at). The routing key is not handed
    /// on, for another service has other keys; nor is it known that the child may be repeated.
    ///
    /// ```
    /// use rs_core::{Call, Correlation, Criticality};
    /// use std::time::Duration;
    ///
    /// let order = Call::new("order")
    ///     .limited_to(Duration::from_secs(2))
    ///     .with_correlation(Correlation::fresh())
    ///     .with_criticality(Criticality::CriticalPlus);
    /// let charge = order.child("charge");
    /// assert_eq!(charge.correlation(), order.correlation());
    /// assert_eq!(charge.criticality(), order.criticality());
    /// assert_eq!(charge.limits().call(), Some(Duration::from_secs(2)));
    /// assert_ne!(charge.id(), order.id());
    /// ```
    #[must_use]
    pub fn child(&self, name: impl Into<Name>) -> Self {
        Self {
            deadline: self.deadline,
            limits: TimeLimits {
                total: self.limits.total.min(self.limits.each),
                ..TimeLimits::NONE
            },
            correlation: self.correlation,
            criticality: self.criticality,
            ..Self::new(name)
        }
    }

    /// The same call, to be done by then, or by the deadline it has if that is earlier.
    #[must_use]
    pub fn by(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(match self.deadline {
            Some(known) => known.min(deadline),
            None => deadline,
        });
        self
    }

    /// The same call, to be done within this time from now.
    #[must_use]
    pub fn within(self, limit: Duration, clock: &Clock) -> Self {
        self.by(Deadline::after(clock.now(), limit))
    }

    /// The same call, to be done within this time from when it begins.
    ///
    /// Unlike [`within`](Call::within) it does not read the clock: the limit becomes a deadline when
    /// somebody looks, which in a call that is done at once nobody does.
    #[must_use]
    pub fn limited_to(self, limit: Duration) -> Self {
        self.within_limits(TimeLimits::NONE.on_call(limit))
    }

    /// The same call, within these limits, too.
    #[inline]
    #[must_use]
    pub fn within_limits(mut self, limits: TimeLimits) -> Self {
        self.limits.total = self.limits.total.min(limits.total);
        self.limits.each = self.limits.each.min(limits.each);
        self
    }

    /// The same call, its limit turned into a deadline, counted from this moment.
    #[must_use]
    pub fn begun_at(mut self, moment: Instant) -> Self {
        match self.limits.call() {
            None => self,
            Some(limit) => {
                self.limits.total = TimeLimits::NONE.total;
                self.by(Deadline::after(moment, limit))
            }
        }
    }

    /// The same call, on behalf of this request.
    #[must_use]
    pub const fn with_correlation(mut self, correlation: Correlation) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// The same call; calls with equal keys go to the same endpoint where the strategy looks at keys.
    #[must_use]
    pub fn with_key(mut self, key: impl Hash) -> Self {
        self.key = Some(RoutingKey::of(key));
        self
    }

    /// The same call, this important.
    #[must_use]
    pub const fn with_criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// The same call, which may be made twice without harm: it may be hedged, and repeated when it
    /// is not known whether it took effect.
    #[must_use]
    pub const fn safe_to_repeat(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The same call at this attempt, the first being 1.
    #[must_use]
    pub const fn at_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same call and attempt, made once more beside those that run: the hedge of this number, the
    /// first being 1.
    #[must_use]
    pub const fn as_hedge(mut self, number: u8) -> Self {
        self.hedge = number;
        self
    }

    /// What is called.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// The id that all attempts of this call share and no other call of this process has.
    #[must_use]
    pub const fn id(&self) -> CallId {
        self.id
    }

    /// When it must be done, as far as that is a moment: a limit that does not count yet is not in it.
    /// See [`deadline_at`](Call::deadline_at).
    #[must_use]
    pub const fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// When this attempt must be done, limits that do not count yet being counted from `now`.
    ///
    /// What an operation sends on the wire. It is exact before the operation first waits; one that looks
    /// later fixes its call first: `let call = call.begun_at(clock.now())`.
    #[must_use]
    pub fn deadline_at(&self, now: Instant) -> Option<Deadline> {
        match (self.deadline, self.limits.shortest()) {
            (Some(deadline), Some(limit)) => Some(deadline.min(Deadline::after(now, limit))),
            (Some(deadline), None) => Some(deadline),
            (None, Some(limit)) => Some(Deadline::after(now, limit)),
            (None, None) => None,
        }
    }

    /// How much time this attempt has at `now`; `None` if nothing limits it.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        Some(self.deadline_at(now)?.remaining(now))
    }

    /// The limits that count from when the call and its attempts begin, as long as nobody has looked when
    /// that was.
    #[must_use]
    pub const fn limits(&self) -> TimeLimits {
        self.limits
    }

    /// The request that it belongs to.
    #[must_use]
    pub const fn correlation(&self) -> Option<Correlation> {
        self.correlation
    }

    /// What decides the endpoint where a strategy looks at keys.
    #[must_use]
    pub const fn key(&self) -> Option<RoutingKey> {
        self.key
    }

    /// The number of this attempt, the first being 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Which of the attempts that run side by side this is: 0 for the first one, 1 for the first hedge.
    ///
    /// Hedges have the number of the attempt that they stand beside, so that
    /// [`id`](Call::id), [`attempt`](Call::attempt) and this together are one of a kind.
    #[must_use]
    pub const fn hedge(&self) -> u8 {
        self.hedge
    }

    /// How important it is.
    #[must_use]
    pub const fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// Whether it may be made twice without harm.
    #[must_use]
    pub const fn is_safe_to_repeat(&self) -> bool {
        self.repeatable
    }
}

/// How long a call and each of its attempts may take, counted from when they begin.
///
/// ```
/// use rs_core::TimeLimits;
/// use std::time::Duration;
///
/// let limits = TimeLimits::NONE.on_call(Duration::from_secs(2));
/// assert_eq!(limits.call(), Some(Duration::from_secs(2)));
/// assert_eq!(limits.attempt(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// In nanoseconds, the largest number being no limit: a call is copied often.
    total: u64,
    each: u64,
}

impl TimeLimits {
    /// No limits.
    pub const NONE: Self = Self {
        total: u64::MAX,
        each: u64::MAX,
    };

    /// The same limits, and this one on the whole call.
    #[inline]
    #[must_use]
    pub fn on_call(mut self, limit: Duration) -> Self {
        self.total = self.total.min(nanos(limit));
        self
    }

    /// The same limits, and this one on each attempt.
    #[inline]
    #[must_use]
    pub fn on_attempt(mut self, limit: Duration) -> Self {
        self.each = self.each.min(nanos(limit));
        self
    }

    /// How long the whole call may take.
    #[must_use]
    pub const fn call(self) -> Option<Duration> {
        time(self.total)
    }

    /// How long each attempt may take.
    #[must_use]
    pub const fn attempt(self) -> Option<Duration> {
        time(self.each)
    }

    fn shortest(self) -> Option<Duration> {
        time(self.total.min(self.each))
    }
}

/// Longer than 584 years is no limit.
#[inline]
const fn nanos(limit: Duration) -> u64 {
    let seconds = limit.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(limit.subsec_nanos() as u64)
}

const fn time(nanos: u64) -> Option<Duration> {
    match nanos {
        u64::MAX => None,
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

impl fmt::Debug for TimeLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeLimits")
            .field("call", &self.call())
            .field("attempt", &self.attempt())
            .finish()
    }
}

impl<N: Into<Name>> From<N> for Call {
    fn from(name: N) -> Self {
        Self::new(name)
    }
}

/// The identity of a call within this process: equal for all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(NonZeroU64);

impl CallId {
    /// The next id. Threads take blocks of ids, so that calls do not meet on a shared counter.
    pub(crate) fn next() -> Self {
        const BLOCK: u64 = 4096;
        static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        NEXT.with(|next| {
            let mut id = next.get();
            if id % BLOCK == 0 {
                id = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK;
            }
            next.set(id + 1);
            Self(NonZeroU64::MIN.saturating_add(id))
        })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// What decides the endpoint where a strategy looks at keys: a hash that is the same in every
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoutingKey(u64);

impl RoutingKey {
    /// The routing key of a value: the same on every machine for text, bytes, numbers and what is
    /// made of them. Only lists of numbers wider than a byte follow the machine's byte order.
    #[must_use]
    pub fn of(value: impl Hash) -> Self {
        let mut hasher = StableHasher(0);
        value.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The hash.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

struct StableHasher(u64);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash::spread(self.0 ^ hash::stable(bytes));
    }

    fn finish(&self) -> u64 {
        self.0
    }

    // The defaults take the bytes as this machine keeps them; other machines must find the same.

    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}
