//! One limit for several replicas: over a store that a test holds in its hand, and over a real Redis.

#[cfg(feature = "redis")]
mod redis;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rs_core::{Call, Clock, ClockHand, Deadline, FlightRecorder, Guard, Name, Rejection};
use rs_metrics::Registry;
use rs_policies::{
    Fetched, SharedRateLimit, SharedRateLimitConfig, Surroundings, Taking, TokenAsk, TokenStore,
    TokenStoreError, TokensGiven, metrics,
};

use crate::rate_limit::{MS, NS, bucket};

const SECOND: Duration = Duration::from_secs(1);

/// A store in memory, which fails, hangs or answers late as it is told.
#[derive(Debug)]
struct InHand {
    clock: Clock,
    buckets: Mutex<HashMap<Name, (f64, Instant)>>,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<TokenAsk>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Fails,
    Hangs,
    After(Duration),
}

impl InHand {
    fn give(&self, ask: &TokenAsk) -> TokensGiven {
        let now = self.clock.now();
        let mut buckets = self.buckets.lock().unwrap();
        let burst = f64::from(ask.burst);
        let (level, at) = buckets.entry(ask.name).or_insert((burst, now));
        *level = (*level + (now - *at).as_secs_f64() * ask.rate.per_second()).min(burst);
        *at = now;
        let least = f64::from(ask.at_least);
        if *level + 1e-9 < least {
            let wait = (least - *level) / ask.rate.per_second();
            return TokensGiven::NoneFor(Duration::from_secs_f64(wait));
        }
        let taken = (*level + 1e-9).floor().min(ask.at_most.into());
        *level -= taken;
        TokensGiven::Some(taken as u32)
    }
}

impl TokenStore for InHand {
    fn take<'a>(&'a self, ask: &'a TokenAsk) -> Taking<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(*ask);
            let mood = *self.mood.lock().unwrap();
            match mood {
                Mood::Well => {}
                Mood::Fails => return Err(TokenStoreError::new("the store is on fire")),
                Mood::Hangs => std::future::pending().await,
                Mood::After(time) => self.clock.sleep(time).await,
            }
            Ok(self.give(ask))
        })
    }
}

struct Town {
    store: Arc<InHand>,
    clock: Clock,
    hand: ClockHand,
}

struct Replica {
    limit: SharedRateLimit,
    recorder: FlightRecorder,
    metrics: Registry,
}

impl Town {
    fn new() -> Self {
        let (clock, hand) = Clock::manual();
        let store = Arc::new(InHand {
            clock: clock.clone(),
            buckets: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            asked: Mutex::default(),
        });
        Self { store, clock, hand }
    }

    fn replica(&self, config: SharedRateLimitConfig) -> Replica {
        let recorder = FlightRecorder::with_clock(64, self.clock.clone());
        let metrics = Registry::new();
        let around = Surroundings::apart()
            .with_clock(self.clock.clone())
            .with_seed(7)
            .with_metrics(metrics.clone())
            .with_recorder(recorder.clone());
        let store = Arc::clone(&self.store);
        Replica {
            limit: SharedRateLimit::within(&around, "geocoder", store, config).unwrap(),
            recorder,
            metrics,
        }
    }

    fn is(&self, mood: Mood) {
        *self.store.mood.lock().unwrap() = mood;
    }

    fn asks(&self) -> usize {
        self.store.asked.lock().unwrap().len()
    }
}

type Entering<'r> = std::pin::Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'r>>;

fn poll(entering: &mut Entering<'_>) -> Poll<Result<(), Rejection>> {
    entering
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

impl Replica {
    fn enter<'r>(&'r self, call: &'r Call) -> Entering<'r> {
        Box::pin(self.limit.enter(call))
    }

    /// Asks, and must not have to wait.
    #[track_caller]
    fn asks(&self) -> Result<(), Rejection> {
        let call = Call::new("look up");
        match poll(&mut self.enter(&call)) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("it waits"),
        }
    }

    /// How many in a row.
    fn admitted(&self) -> usize {
        (0..10_000).take_while(|_| self.asks().is_ok()).count()
    }

    fn said(&self) -> Vec<String> {
        let recent = self.recorder.recent(10);
        recent.iter().map(|one| one.signal.to_string()).collect()
    }
}

/// Ten at once and a hundred a second for all; two at once and ten a second for one that is alone.
fn rules() -> SharedRateLimitConfig {
    SharedRateLimitConfig::of(bucket(10, 100.0), bucket(2, 10.0))
}

#[test]
fn replicas_share_the_limit() {
    let town = Town::new();
    let [one, two] = [(); 2].map(|()| town.replica(rules()));
    for _ in 0..5 {
        assert!(one.asks().is_ok() && two.asks().is_ok());
    }
    for replica in [&one, &two] {
        let refused = replica.asks().unwrap_err();
        assert_eq!(refused.reason().code(), "no_tokens");
        assert_eq!(refused.retry_after(town.clock.now()), Some(10 * MS));
    }
    town.hand.advance(10 * MS);
    assert_eq!(one.admitted() + two.admitted(), 1);
    town.hand.advance(SECOND);
    assert_eq!(two.admitted() + one.admitted(), 10);
    assert!(one.said().is_empty());
}

#[test]
fn a_batch_saves_questions() {
    let town = Town::new();
    let replica = town.replica(rules().with_batch(5));
    assert_eq!(replica.admitted(), 10);
    // Two batches, and one question that was answered with no.
    assert_eq!(town.asks(), 3);
    assert_eq!(replica.limit.asked(Fetched::Given), 2);
    assert_eq!(replica.limit.asked(Fetched::Empty), 1);
}

#[test]
fn what_others_fetched_is_the_bound() {
    let town = Town::new();
    let replicas = [(); 3].map(|()| town.replica(rules().with_batch(4)));
    // Each fetches a batch and uses one of it.
    for replica in &replicas {
        assert!(replica.asks().is_ok());
    }
    let at_hand: u64 = replicas.iter().map(|one| one.limit.at_hand()).sum();
    assert_eq!(at_hand, 7);
    // A full bucket later: the burst, and what was at hand.
    town.hand.advance(SECOND);
    let admitted: usize = replicas.iter().map(Replica::admitted).sum();
    assert_eq!(admitted, 17);
    assert!(admitted <= 10 + 3 * (4 - 1));
}

#[test]
fn no_questions_while_there_is_nothing() {
    let town = Town::new();
    let replica = town.replica(rules());
    assert_eq!(replica.admitted(), 10);
    let asks = town.asks();
    for _ in 0..1000 {
        assert!(replica.asks().is_err());
    }
    assert_eq!(town.asks(), asks);
    town.hand.advance(10 * MS - NS);
    assert!(replica.asks().is_err());
    assert_eq!(town.asks(), asks);
    town.hand.advance(NS);
    assert!(replica.asks().is_ok());
}

#[test]
fn a_store_that_fails_is_left_alone_for_a_while() {
    let town = Town::new();
    let replica = town.replica(rules());
    assert!(replica.asks().is_ok());
    town.is(Mood::Fails);
    assert_eq!(replica.admitted(), 2);
    assert!(replica.limit.is_alone());
    assert_eq!(town.asks(), 2);
    let lost = metrics::SHARED_RATE_LIMIT_LOST.read(&replica.metrics, "geocoder", ());
    assert_eq!(lost, Some(1.0));
    // The replica's own limit goes on.
    town.hand.advance(500 * MS);
    assert_eq!(replica.admitted(), 2);
    assert_eq!(town.asks(), 2);
    // After about a second one call asks again, and hears nothing better.
    town.hand.advance(800 * MS);
    assert_eq!(replica.admitted(), 2);
    assert_eq!(town.asks(), 3);
    town.is(Mood::Well);
    town.hand.advance(1300 * MS);
    assert_eq!(replica.admitted(), 10);
    assert!(!replica.limit.is_alone());
    let said = replica.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("does not reach its store"), "{said:?}");
    assert!(
        said[0].contains("on fire")
            || replica.recorder.recent(2)[0].signal.note() == Some("the store is on fire")
    );
    assert!(
        said[1].contains("reaches its store again after 2.6s"),
        "{said:?}"
    );
    assert_eq!(replica.limit.asked(Fetched::Failed), 2);
}

#[test]
fn a_store_that_hangs_costs_patience_once() {
    let town = Town::new();
    let replica = town.replica(rules().with_patience(20 * MS));
    town.is(Mood::Hangs);
    let call = Call::new("look up");
    let mut all: Vec<_> = (0..4).map(|_| replica.enter(&call)).collect();
    for one in &mut all {
        assert!(poll(one).is_pending());
    }
    town.hand.advance(20 * MS - NS);
    assert!(all.iter_mut().all(|one| poll(one).is_pending()));
    town.hand.advance(NS);
    let admitted = all.iter_mut().map(poll).filter(|one| match one {
        Poll::Ready(answer) => answer.is_ok(),
        Poll::Pending => panic!("it still waits"),
    });
    assert_eq!(admitted.count(), 2);
    assert_eq!((town.asks(), replica.limit.decided_alone()), (1, 4));
    // Now nobody waits.
    for _ in 0..100 {
        assert!(replica.asks().is_err());
    }
    assert_eq!(town.asks(), 1);
    // After the pause one waits, and the others do not wait for it.
    town.hand.advance(1300 * MS);
    let mut probe = replica.enter(&call);
    assert!(poll(&mut probe).is_pending());
    assert_eq!(replica.admitted(), 2);
    assert_eq!(replica.said().len(), 1);
    town.is(Mood::Well);
    town.hand.advance(20 * MS);
    assert!(poll(&mut probe).is_ready());
}

#[test]
fn a_slow_answer_in_time_is_an_answer() {
    let town = Town::new();
    let replica = town.replica(rules());
    town.is(Mood::After(40 * MS));
    let call = Call::new("look up");
    let mut one = replica.enter(&call);
    assert!(poll(&mut one).is_pending());
    town.hand.advance(40 * MS);
    assert!(matches!(poll(&mut one), Poll::Ready(Ok(()))));
    assert_eq!(replica.limit.decided_alone(), 0);
    assert!(replica.said().is_empty());
}

/// One asks for all that wait, so that the store's delay does not limit the rate.
#[test]
fn who_waits_is_asked_for_together() {
    let town = Town::new();
    let replica = town.replica(rules());
    town.is(Mood::After(10 * MS));
    let call = Call::new("look up");
    let mut all: Vec<_> = (0..8).map(|_| replica.enter(&call)).collect();
    for one in &mut all {
        assert!(poll(one).is_pending());
    }
    town.hand.advance(10 * MS);
    assert!(matches!(poll(&mut all[0]), Poll::Ready(Ok(()))));
    town.is(Mood::Well);
    assert!(
        all[1..]
            .iter_mut()
            .all(|one| matches!(poll(one), Poll::Ready(Ok(()))))
    );
    // The first asked before the others were there.
    let asked: Vec<_> = town
        .store
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|ask| ask.at_most)
        .collect();
    assert_eq!(asked, [1, 7]);
    assert_eq!(replica.limit.at_hand(), 0);
}

#[test]
fn not_more_than_half_of_the_time_that_is_left() {
    let town = Town::new();
    let replica = town.replica(rules());
    town.is(Mood::Hangs);
    let by = |time| Call::new("look up").by(Deadline::after(town.clock.now(), time));
    let hurried = by(10 * MS);
    let mut one = replica.enter(&hurried);
    assert!(poll(&mut one).is_pending());
    town.hand.advance(5 * MS);
    assert!(matches!(poll(&mut one), Poll::Ready(Ok(()))));
    // It had not the patience to say that the store is lost. Many of them find that out together.
    assert!(!replica.limit.is_alone());
    for _ in 0..9 {
        let hurried = by(10 * MS);
        let mut one = replica.enter(&hurried);
        assert!(poll(&mut one).is_pending());
        town.hand.advance(5 * MS);
        assert!(poll(&mut one).is_ready());
    }
    assert!(replica.limit.is_alone());
}

#[test]
fn who_cannot_wait_takes_what_is_at_hand() {
    let town = Town::new();
    let replica = town.replica(rules().with_batch(3));
    let call = Call::new("look up");
    assert!(replica.asks().is_ok());
    assert_eq!(replica.limit.at_hand(), 2);
    let admitted = (0..10).filter(|_| replica.limit.try_admit(&call).is_ok());
    // Two that were fetched, two of its own.
    assert_eq!(admitted.count(), 4);
    assert_eq!(town.asks(), 1);
}

/// Dropped at every poll: whoever comes next asks anew, and nothing is admitted twice.
#[test]
fn dropped_while_it_asks() {
    for polls in 0..4 {
        let town = Town::new();
        let replica = town.replica(rules());
        town.is(Mood::After(3 * MS));
        let call = Call::new("look up");
        let mut one = replica.enter(&call);
        let mut went = false;
        for _ in 0..polls {
            went = went || poll(&mut one).is_ready();
            town.hand.advance(MS);
        }
        drop(one);
        town.is(Mood::Well);
        let admitted = replica.admitted() + usize::from(went);
        assert!((9..=10).contains(&admitted), "{polls} polls, {admitted}");
        assert!(replica.said().is_empty());
    }
}

#[test]
fn in_the_dark() {
    let town = Town::new();
    let dark = bucket(10, 100.0).with_enforcement(rs_core::Enforcement::Dark);
    let rules = SharedRateLimitConfig::of(dark, bucket(2, 10.0));
    let replica = town.replica(rules);
    assert_eq!(replica.admitted(), 10_000);
    let dark = metrics::RATE_LIMIT_DARK.read(&replica.metrics, "geocoder", ());
    assert_eq!(dark, Some(9_990));
    town.is(Mood::Fails);
    town.hand.advance(10 * MS);
    assert_eq!(replica.admitted(), 10_000);
}

#[test]
fn costs_and_new_rules() {
    let town = Town::new();
    let replica = town.replica(rules().with_batch(2));
    let call = Call::new("export");
    let take = |cost| match poll(&mut (Box::pin(replica.limit.take(&call, cost)) as Entering<'_>)) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    };
    assert!(take(7).is_ok());
    let refused = take(4).unwrap_err();
    assert_eq!(refused.retry_after(town.clock.now()), Some(10 * MS));
    // Fewer may be there, though more are not.
    assert!(take(3).is_ok());
    assert_eq!(take(11).unwrap_err().reason().code(), "too_costly");
    let wide = SharedRateLimitConfig::of(bucket(20, 1000.0), bucket(5, 10.0));
    assert_eq!(replica.limit.reconfigure(wide), Ok(2));
    assert_eq!(replica.limit.config(), wide);
    town.hand.advance(20 * MS);
    assert!(take(20).is_ok());
    assert_eq!(
        replica.said(),
        ["shared_rate_limit geocoder: has new rules, version 2"]
    );
}

#[test]
fn wrong_ones() {
    #[track_caller]
    fn refused(config: SharedRateLimitConfig, expected: &str) {
        assert_eq!(config.check().unwrap_err().to_string(), expected);
    }
    let waits = bucket(10, 1.0).with_wait(MS);
    refused(
        SharedRateLimitConfig::of(bucket(0, 1.0), bucket(1, 1.0)),
        "whole.burst: 0 is out of range; allowed: 1 to 31536000",
    );
    refused(
        SharedRateLimitConfig::of(bucket(1, 1.0), waits),
        "alone.longest_wait: 1ms is out of range; allowed: 0s to 0s",
    );
    refused(
        rules().with_batch(11),
        "batch: 11 is out of range; allowed: 1 to 10",
    );
    refused(
        rules().with_patience(Duration::ZERO),
        "patience: 0s is out of range; allowed: 1ms to 10s",
    );
    refused(
        rules().with_pause(MS),
        "pause: 1ms is out of range; allowed: 10ms to 1h",
    );
}

#[cfg(feature = "serde")]
#[test]
fn written_and_read_back() {
    let config = rules().with_batch(5).with_patience(20 * MS);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<SharedRateLimitConfig>(&json).unwrap(),
        config
    );
    let short = "whole = { rate = '100/s', burst = 10 }\nalone = { rate = '10/s', burst = 2 }";
    assert_eq!(
        toml::from_str::<SharedRateLimitConfig>(short).unwrap(),
        rules()
    );
}
