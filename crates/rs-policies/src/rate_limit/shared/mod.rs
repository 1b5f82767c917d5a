mod config;
mod contact;
#[cfg(feature = "redis")]
mod redis;
mod store;

pub use self::{
    config::SharedRateLimitConfig,
    store::{Taking, TokenAsk, TokenStore, TokenStoreError, TokensGiven},
};
#[cfg(feature = "redis")]
pub use redis::RedisTokens;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Instant,
};

use rs_core::{
    Call, ConfigError, Ending, Guard, Health, Inspect, Name, Rejection, Value, humane, label_set,
};
use rs_metrics::{
    Counter, Family, Observed, Surroundings,
    pattern::{Announcements, Rules},
};

use self::contact::{Contact, Verdict};
use super::{Desk, RateLimit};
use crate::metrics;

label_set! {
    /// What came of asking the store for tokens.
    pub enum Fetched: "result" {
        /// It gave some.
        Given = "given",
        /// It had none.
        Empty = "empty",
        /// It was not reached, or too slow.
        Failed = "failed",
    }
}

/// One rate limit for all replicas of a service, whose tokens are in a [`TokenStore`] such as Redis.
///
/// ```no_run
/// # #[cfg(not(feature = "redis"))] fn main() {}
/// # #[cfg(feature = "redis")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rs_policies::{RateLimitConfig, RedisTokens, SharedRateLimit, SharedRateLimitConfig};
///
/// // A thousand a second for all of ten replicas, and a hundred for one that is alone.
/// let whole = RateLimitConfig::bucket(500, "1000/s".parse()?);
/// let alone = RateLimitConfig::bucket(50, "100/s".parse()?);
/// let rules = SharedRateLimitConfig::of(whole, alone).with_batch(20);
///
/// let redis = RedisTokens::new("redis://limits:secret@redis.internal")?;
/// let geocoder = SharedRateLimit::new("geocoder", redis, rules)?;
/// # Ok(()) }
/// ```
///
/// A call takes a token that this replica has fetched already, or waits for the store to give some. One call
/// at a time asks, for all that wait and at least for a [batch](SharedRateLimitConfig::with_batch). When the
/// store has none, it says when there will be some, and calls before that are refused without asking.
///
/// # How many calls get through
/// While the store is reached: in any time `t`, from all replicas together, no more than
/// `burst + rate × t + replicas × (batch − 1)`. The last part is what replicas have fetched and not used;
/// with a batch of one there is none, but for the tokens of calls that gave up while they waited for them.
///
/// While it is not reached: what each replica may do alone, and the tokens that it has fetched. When the
/// store is back it has refilled meanwhile, and may give a burst.
///
/// # When the store is away
/// A call waits for the store as long as [patience](SharedRateLimitConfig::with_patience) says, and no longer
/// than half of the time that its deadline leaves. Then this replica's own limit decides, and does so for
/// all calls at once until the [pause](SharedRateLimitConfig::with_pause) is over and one of them asks the
/// store again. A signal says when the store is lost, and one when it is back; no other work is needed for
/// it to come back.
///
/// A call that cannot wait, [`try_admit`](Guard::try_admit), takes a token that was fetched, and is judged
/// by this replica's own limit when there is none.
///
/// # Cancel safety
/// A call that is dropped while it asks the store may lose the tokens that the store was about to give: a
/// batch at most, and never the other way round. The next call asks anew.
#[derive(Clone)]
pub struct SharedRateLimit(Arc<Inner>);

struct Inner {
    /// Explains and counts refusals, those of the store and those of this replica.
    desk: Arc<Desk>,
    rules: Rules<SharedRateLimitConfig>,
    alone: RateLimit,
    store: Box<dyn TokenStore>,
    /// Tokens that were fetched.
    purse: AtomicU64,
    /// How many tokens those want who wait for the store.
    wanted: AtomicU64,
    /// Whose turn it is to ask.
    turn: tokio::sync::Mutex<()>,
    contact: Mutex<Contact>,
    asked: Family<Counter, Fetched>,
    decided_alone: Family<Counter>,
    observed: OnceLock<Observed>,
}

static ANNOUNCED: Announcements = Announcements::of("shared_rate_limit");

impl SharedRateLimit {
    /// The limit of this name, which is also the name of its bucket in the store.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`SharedRateLimitConfig::check`].
    pub fn new(
        name: impl Into<Name>,
        store: impl TokenStore,
        config: SharedRateLimitConfig,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, store, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`SharedRateLimitConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        store: impl TokenStore,
        config: SharedRateLimitConfig,
    ) -> Result<Self, ConfigError> {
        let rules = Rules::new(config)?;
        let name = name.into();
        let desk = Arc::new(Desk::new(around, name, config.alone())?);
        let alone = RateLimit::at(&desk);
        alone.follows(&desk);
        let registry = desk.home.metrics();
        let inner = Arc::new(Inner {
            rules,
            alone,
            store: Box::new(store),
            purse: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
            contact: Mutex::new(Contact::new(around.dice(name.as_str()))),
            asked: metrics::SHARED_RATE_LIMIT_ASKS.bind_in(&registry, name),
            decided_alone: metrics::SHARED_RATE_LIMIT_ALONE.bind_in(&registry, name),
            observed: OnceLock::new(),
            desk,
        });
        inner.observed.get_or_init(|| Inner::watch(&inner));
        inner.desk.home.register(&inner);
        Ok(Self(inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.desk.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> SharedRateLimitConfig {
        *self.0.rules.get()
    }

    /// Goes by this from now on; tokens that were fetched stay. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: SharedRateLimitConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// Whether this replica decides alone, because it does not reach the store.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.contact().is_lost()
    }

    /// How many tokens it has fetched and not used.
    #[must_use]
    pub fn at_hand(&self) -> u64 {
        self.0.purse.load(Ordering::Relaxed)
    }

    /// How often asking the store ended so.
    #[must_use]
    pub fn asked(&self, result: Fetched) -> u64 {
        self.0.asked[result].value()
    }

    /// How many calls this replica decided alone.
    #[must_use]
    pub fn decided_alone(&self) -> u64 {
        self.0.decided_alone.value()
    }

    /// Takes so many tokens, asking the store if there are not as many at hand.
    ///
    /// # Errors
    /// The rejection that says when there will be as many; not when there never will.
    ///
    /// # Cancel safety
    /// See [`SharedRateLimit`].
    pub async fn take(&self, call: &Call, cost: u32) -> Result<(), Rejection> {
        if self.0.take_at_hand(cost) {
            return Ok(());
        }
        self.0.take(call, cost).await
    }
}

impl Inner {
    fn contact(&self) -> MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn take_at_hand(&self, cost: u32) -> bool {
        let less = |tokens: u64| tokens.checked_sub(cost.into());
        let (order, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.purse.try_update(order, relaxed, less).is_ok()
    }

    async fn take(&self, call: &Call, cost: u32) -> Result<(), Rejection> {
        let rules = *self.rules.get();
        if cost > rules.whole().burst() {
            let burst = rules.whole().burst();
            return self.refuse_unless_dark(call, || self.desk.refuse_too_costly(cost, burst));
        }
        let now = self.desk.now();
        let verdict = self.contact().verdict(now, cost);
        let patience = match call.remaining(now) {
            Some(left) => rules.patience().min(left / 2),
            None => rules.patience(),
        };
        let _wanting = Wanting::more(&self.wanted, cost);
        let mut timer = pin!(self.desk.home.around.clock().sleep(patience));
        let turn = match verdict {
            Verdict::Alone => return self.take_alone(call, cost),
            Verdict::Refuse(until) => return self.refuse_empty(call, cost, until),
            Verdict::Probe => self.turn.try_lock().ok(),
            Verdict::Ask => before(&mut timer, self.turn.lock()).await,
        };
        let Some(turn) = turn else {
            return self.take_alone(call, cost);
        };
        // Whoever asked before may have brought enough, or bad news.
        if self.take_at_hand(cost) {
            return Ok(());
        }
        let asked = self.desk.now();
        match self.contact().verdict(asked, cost) {
            Verdict::Alone => return self.take_alone(call, cost),
            Verdict::Refuse(until) => return self.refuse_empty(call, cost, until),
            Verdict::Ask | Verdict::Probe => {}
        }
        let whole = rules.whole();
        let wanted = u32::try_from(self.wanted.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let most = rules.batch().max(wanted).min(whole.burst()).max(cost);
        let ask = TokenAsk::new(self.desk.home.name, cost, most, whole.rate(), whole.burst());
        let answer = before(&mut timer, self.store.take(&ask)).await;
        let judged = self.judge(answer, &ask, asked, &rules);
        drop(turn);
        match judged {
            Judged::Admitted => Ok(()),
            Judged::Empty(until) => self.refuse_empty(call, cost, until),
            Judged::Unknown => self.take_alone(call, cost),
        }
    }

    fn judge(
        &self,
        answer: Option<Result<TokensGiven, TokenStoreError>>,
        ask: &TokenAsk,
        asked: Instant,
        rules: &SharedRateLimitConfig,
    ) -> Judged {
        let (now, name) = (self.desk.now(), self.desk.home.name);
        let mut contact = self.contact();
        let (judged, result, signal) = match answer {
            Some(Ok(TokensGiven::Some(tokens))) if tokens >= ask.at_least => {
                let rest = tokens - ask.at_least;
                self.purse.fetch_add(rest.into(), Ordering::AcqRel);
                (Judged::Admitted, Fetched::Given, contact.reached(name, now))
            }
            Some(Ok(TokensGiven::NoneFor(wait))) => {
                let signal = contact.reached(name, now);
                let until = now.checked_add(wait).unwrap_or(now);
                contact.is_empty_until(until, ask.at_least);
                (Judged::Empty(until), Fetched::Empty, signal)
            }
            failed => {
                let why = match failed {
                    Some(Err(why)) => Some(why),
                    Some(Ok(_)) => {
                        Some(TokenStoreError::new("it gave fewer than it was asked for"))
                    }
                    None => contact.is_silent(asked, now, rules.patience()).then(|| {
                        let patience = humane::show_duration(rules.patience());
                        TokenStoreError::new(format_args!("no answer within {patience}"))
                    }),
                };
                let failed = why.and_then(|why| contact.failed(name, &why, now, rules.pause()));
                (Judged::Unknown, Fetched::Failed, failed)
            }
        };
        drop(contact);
        self.asked[result].increment();
        // Observers run outside the lock.
        if let Some(signal) = signal {
            self.desk.home.record(|| signal);
        }
        judged
    }

    #[cold]
    fn take_alone(&self, call: &Call, cost: u32) -> Result<(), Rejection> {
        self.decided_alone.increment();
        self.alone.try_take_for(call, cost)
    }

    #[cold]
    fn refuse_empty(&self, call: &Call, cost: u32, until: Instant) -> Result<(), Rejection> {
        self.refuse_unless_dark(call, || self.desk.refuse_no_tokens(cost, 0.0, until))
    }

    fn refuse_unless_dark(
        &self,
        call: &Call,
        refuse: impl FnOnce() -> Rejection,
    ) -> Result<(), Rejection> {
        if self.desk.is_let_in(call) {
            return Ok(());
        }
        Err(refuse())
    }

    fn reconfigure(&self, config: SharedRateLimitConfig) -> Result<u64, ConfigError> {
        let then = |config: &SharedRateLimitConfig| self.desk.goes_by(config.alone());
        self.rules
            .replace(&self.desk.home, &ANNOUNCED, config, then)
    }
}

/// One who waits for the store. Whoever asks it asks for all of them, so that a store which answers in a
/// millisecond is not limited to a thousand calls a second.
struct Wanting<'s> {
    wanted: &'s AtomicU64,
    cost: u64,
}

impl<'s> Wanting<'s> {
    fn more(wanted: &'s AtomicU64, cost: u32) -> Self {
        let cost = cost.into();
        wanted.fetch_add(cost, Ordering::Relaxed);
        Self { wanted, cost }
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.wanted.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// What an answer of the store means for the call that asked.
enum Judged {
    Admitted,
    Empty(Instant),
    Unknown,
}

/// What the future gives, unless the timer is first.
async fn before<T>(
    timer: &mut Pin<&mut impl Future<Output = ()>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}

impl Guard for SharedRateLimit {
    type Ticket = ();

    fn try_enter(&self, call: &Call) -> Result<(), Rejection> {
        if self.0.take_at_hand(1) {
            return Ok(());
        }
        let verdict = self.0.contact().verdict(self.0.desk.now(), 1);
        match verdict {
            Verdict::Refuse(until) => self.0.refuse_empty(call, 1, until),
            Verdict::Ask | Verdict::Probe | Verdict::Alone => self.0.take_alone(call, 1),
        }
    }

    async fn enter(&self, call: &Call) -> Result<(), Rejection> {
        self.take(call, 1).await
    }

    fn leave(&self, (): (), _ending: Ending) {}
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> Observed {
        let home = &of.desk.home;
        home.observe(&metrics::SHARED_RATE_LIMIT_LOST, of, |of, ()| {
            u8::from(of.contact().is_lost()).into()
        })
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("shared_rate_limit", desk.home);

    fn health(&self) -> Health {
        match self.contact().is_lost() {
            true => Health::degraded("does not reach its store, goes by its own limit"),
            false => Health::UP,
        }
    }

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let results = <Fetched as rs_core::Label>::ALL.iter();
        let asked = results.map(|result| (result.as_str(), self.asked[*result].value().into()));
        let mut shown = vec![
            ("alone", Value::from(self.contact().is_lost())),
            ("at_hand", self.purse.load(Ordering::Relaxed).into()),
            ("batch", rules.batch().into()),
            ("asked", Value::map(asked)),
            ("decided_alone", self.decided_alone.value().into()),
        ];
        shown.extend(self.desk.snapshot_by(&rules.whole(), self.rules.version()));
        Value::map(shown)
    }
}

impl fmt::Debug for SharedRateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimit")
            .field("name", &self.name())
            .field("at_hand", &self.at_hand())
            .field("is_alone", &self.is_alone())
            .finish_non_exhaustive()
    }
}
