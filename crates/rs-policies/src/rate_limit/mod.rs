mod bucket;
mod config;
mod desk;
mod shared;
mod timeline;
mod wait;

pub use config::RateLimitConfig;
pub use desk::TooFast;
#[cfg(feature = "redis")]
pub use shared::RedisTokens;
pub use shared::{
    Fetched, SharedRateLimit, SharedRateLimitConfig, Taking, TokenAsk, TokenStore, TokenStoreError,
    TokensGiven,
};

use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
    time::Instant,
};

use rs_core::{
    Call, Clock, ConfigError, Ending, Guard, Inspect, Name, Outline, Rejection, Value, humane,
};
use rs_metrics::{Observed, Surroundings};

pub(crate) use self::desk::{Desk, Members};
use self::{
    bucket::{Bucket, Pace},
    timeline::{Ticks, Timeline},
    wait::Entering,
};
use crate::{
    metrics,
    sync::{AtomicU64, Ordering},
};

/// Lets so many calls through in a time, and a burst of so many at once.
///
/// A call that comes too early is refused, and told the moment from which on it is not too early any more;
/// or it waits for its turn, if the configuration says so.
///
/// ```
/// use rs_core::{Call, Clock, Guard};
/// use rs_policies::{RateLimit, RateLimitConfig, Surroundings};
/// use std::time::Duration;
///
/// let (clock, hand) = Clock::manual();
/// let around = Surroundings::apart().with_clock(clock.clone());
/// let geocoder = RateLimitConfig::gcra("10/s".parse()?).with_burst(2);
/// let geocoder = RateLimit::within(&around, "geocoder", geocoder)?;
///
/// let look_up = Call::new("look up");
/// assert!(geocoder.try_admit(&look_up).is_ok());
/// assert!(geocoder.try_admit(&look_up).is_ok());
///
/// let too_fast = geocoder.try_admit(&look_up).unwrap_err();
/// assert_eq!(too_fast.retry_after(clock.now()), Some(Duration::from_millis(100)));
///
/// hand.advance(Duration::from_millis(100));
/// assert!(geocoder.try_admit(&look_up).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In any time `t` it admits no more than `burst + rate × t`, whatever the threads do, and it never
/// refuses a call that this allows. The time between two calls is rounded up to a sixteenth of a
/// nanosecond, so that a rate is never exceeded: at a million calls a second by less than one call in ten
/// thousand.
///
/// # Calls that cost more
/// A call may cost several tokens: [`costing`](RateLimit::costing) gives a handle to the same limit for
/// such calls.
///
/// ```
/// use rs_policies::{RateLimit, RateLimitConfig};
///
/// let search = RateLimit::new("search", RateLimitConfig::bucket(10, "10/s".parse()?))?;
/// let exports = search.costing(5);
/// assert!(exports.try_take(exports.cost()).is_ok());
/// assert_eq!(search.available().floor(), 5.0);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// # Waiting
/// A call that waits is promised its tokens when it begins to wait, and so calls go on in the order in
/// which they came, without a queue. It does not begin to wait when its tokens would come after
/// [`with_wait`](RateLimitConfig::with_wait) or at its deadline, or when
/// [`with_waiters`](RateLimitConfig::with_waiters) others wait.
///
/// # New rules while it runs
/// [`reconfigure`](RateLimit::reconfigure) keeps the tokens that are there, as far as the new burst has room
/// for them, and those that are owed to calls that wait. A larger burst fills at the new rate; it is not
/// handed out. Calls that wait go on at the moment that they were promised.
///
/// # Cancel safety
/// A call that is dropped while it waits gives its tokens back if no other call has taken or been promised
/// any since it was, and the rate is still the same: then it is as if it had never come. Otherwise its
/// tokens are lost, and nobody else goes on earlier for it: those who came later keep the moments that they
/// were promised, for another call that went on in its place would go on together with them. Either way
/// it is not counted any more among those who wait.
pub struct RateLimit {
    inner: Arc<Inner>,
    cost: u32,
}

pub(crate) struct Inner {
    bucket: Bucket,
    timeline: Timeline,
    /// The one of the surroundings, at hand.
    clock: Clock,
    desk: Arc<Desk>,
    waiting: AtomicU64,
    /// Elsewhere: the limits of many keys have none.
    observed: OnceLock<Box<[Observed]>>,
}

impl RateLimit {
    /// A limit of this name, with all its tokens.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`RateLimitConfig::check`].
    pub fn new(name: impl Into<Name>, config: RateLimitConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`RateLimitConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: RateLimitConfig,
    ) -> Result<Self, ConfigError> {
        let desk = Arc::new(Desk::new(around, name.into(), config)?);
        let limit = Self::at(&desk);
        let inner = &limit.inner;
        limit.follows(&desk);
        inner.observed.get_or_init(|| Inner::watch(inner).into());
        inner.desk.home.register(inner);
        Ok(limit)
    }

    /// One of those who go by the same rules and are counted as one.
    pub(crate) fn at(desk: &Arc<Desk>) -> Self {
        let inner = Inner {
            bucket: Bucket::new(Pace::of(&desk.rules.get())),
            timeline: Timeline::from(desk.now()),
            clock: desk.home.around.clock().clone(),
            desk: Arc::clone(desk),
            waiting: AtomicU64::new(0),
            observed: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
            cost: 1,
        }
    }

    /// The same limit, for calls that cost so many tokens each; at least one.
    #[must_use]
    pub fn costing(&self, cost: u32) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            cost: cost.max(1),
        }
    }

    /// How many tokens a call through this handle costs.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// What stands in the directory for it.
    pub(crate) fn entry(&self) -> Arc<dyn Inspect> {
        Arc::clone(&self.inner) as Arc<dyn Inspect>
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.inner.desk.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> RateLimitConfig {
        *self.inner.desk.rules.get()
    }

    /// Goes by this from now on. The version that is in force then. Of the limits of many keys all change.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: RateLimitConfig) -> Result<u64, ConfigError> {
        self.inner.reconfigure(config)
    }

    /// Takes so many tokens at once, and none if there are not as many: for what is no call, such as the
    /// bytes of an answer.
    ///
    /// # Errors
    /// The rejection that says when there will be as many; not when there never will.
    #[inline]
    pub fn try_take(&self, cost: u32) -> Result<(), Rejection> {
        let now = self.inner.clock.now();
        match self.inner.take(now, cost) {
            Ok(()) => Ok(()),
            Err(_)
                if self.inner.desk.is_lenient()
                    && self.inner.desk.is_let_in(&Call::new(self.name())) =>
            {
                Ok(())
            }
            Err(enough_at) => Err(self.inner.refuse(cost, now, enough_at)),
        }
    }

    /// How many tokens there are; less than none if some are promised that are still to come.
    #[must_use]
    pub fn available(&self) -> f64 {
        self.inner.level()
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.inner.count_waiting()
    }

    /// How many calls were refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: TooFast) -> u64 {
        self.inner.desk.refused[reason].value()
    }

    /// How many calls had to wait or would have been refused, but for dark mode.
    #[must_use]
    pub fn would_have_held_up(&self) -> u64 {
        self.inner.desk.dark.value()
    }

    /// Whether it is full and nobody waits: one made anew would be the same.
    pub(crate) fn is_untouched(&self) -> bool {
        let now = self.inner.timeline.ticks(self.inner.clock.now());
        self.waiting() == 0 && self.inner.bucket.is_full(now)
    }

    /// Alone goes by the rules of this desk.
    fn follows(&self, desk: &Desk) {
        let member = Arc::downgrade(&self.inner);
        desk.members.get_or_init(|| member);
    }

    /// As [`try_take`](RateLimit::try_take), for a call.
    #[inline]
    fn try_take_for(&self, call: &Call, cost: u32) -> Result<(), Rejection> {
        let now = self.inner.clock.now();
        match self.inner.take(now, cost) {
            Ok(()) => Ok(()),
            Err(_) if self.inner.desk.is_let_in(call) => Ok(()),
            Err(enough_at) => Err(self.inner.refuse(cost, now, enough_at)),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    #[inline(always)]
    fn take(&self, now: Instant, cost: u32) -> Result<(), Ticks> {
        self.bucket.take(self.timeline.ticks(now), cost)
    }

    /// Takes the pace of the rules.
    pub(crate) fn follow(&self) {
        let now = self.timeline.ticks(self.clock.now());
        let pace = || Pace::of(&self.desk.rules.get());
        self.bucket.change(now, pace);
    }

    fn reconfigure(&self, config: RateLimitConfig) -> Result<u64, ConfigError> {
        self.desk.reconfigure(config)
    }

    fn level(&self) -> f64 {
        self.bucket.level(self.timeline.ticks(self.clock.now()))
    }

    fn count_waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed) as u32
    }
}

impl Members for Inner {
    fn each(&self, visit: &mut dyn FnMut(&Inner)) {
        visit(self);
    }
}

impl Guard for RateLimit {
    type Ticket = ();

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<(), Rejection> {
        self.try_take_for(call, self.cost)
    }

    #[inline]
    fn enter(&self, call: &Call) -> impl Future<Output = Result<(), Rejection>> + Send {
        Entering::new(&self.inner, call, self.cost)
    }

    #[inline]
    fn enter_at_once(&self, _call: &Call) -> Option<Result<(), Rejection>> {
        let now = self.inner.clock.now();
        self.inner.take(now, self.cost).ok().map(Ok)
    }

    #[inline]
    fn leave(&self, (): (), _ending: Ending) {}

    fn outline(&self) -> Outline {
        let config = self.config();
        let said = format!("{}, bursts of {}", config.rate(), config.burst());
        let wait = config.longest_wait();
        let outline = Outline::of("rate_limit").waiting_up_to(wait);
        if wait.is_zero() {
            return outline.saying(said);
        }
        outline.saying(format!(
            "{said}, waits up to {}",
            humane::show_duration(wait)
        ))
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 3] {
        let home = &of.desk.home;
        [
            home.observe(&metrics::RATE_LIMIT_AVAILABLE, of, |of, ()| of.level()),
            home.observe(&metrics::RATE_LIMIT_RATE, of, |of, ()| {
                of.desk.rules.get().rate().per_second()
            }),
            home.observe(&metrics::RATE_LIMIT_WAITING, of, |of, ()| {
                of.count_waiting().into()
            }),
        ]
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("rate_limit", desk.home);

    fn snapshot(&self) -> Value {
        let mut shown = vec![
            ("available", self.level().into()),
            ("waiting", self.count_waiting().into()),
        ];
        shown.extend(self.desk.snapshot());
        Value::map(shown)
    }
}

impl Clone for RateLimit {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            cost: self.cost,
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("name", &self.name())
            .field("available", &self.available())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
