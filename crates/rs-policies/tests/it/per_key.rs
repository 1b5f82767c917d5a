//! A guard for each key: which one a call meets, who makes room, and what becomes of those for whom there is
//! none.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use rs_core::{
    Call, ClockHand, ConfigError, Directory, Ending, FlightRecorder, Guard, Policy, Rejection,
    RoutingKey, Value,
};
use rs_metrics::Registry;
use rs_policies::{
    BulkheadConfig, PerKey, PerKeyConfig, RateLimit, RateLimitConfig, Resting, Surroundings,
    TooFast, WhenFull, metrics,
};

use crate::rate_limit::{MS, bucket};

const SECOND: Duration = Duration::from_secs(1);

struct Around {
    around: Surroundings,
    hand: ClockHand,
    metrics: Registry,
    recorder: FlightRecorder,
    directory: Directory,
}

fn around() -> Around {
    let (clock, hand) = rs_core::Clock::manual();
    let (metrics, directory) = (Registry::new(), Directory::new());
    let recorder = FlightRecorder::with_clock(64, clock.clone());
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_metrics(metrics.clone())
        .with_directory(directory.clone())
        .with_recorder(recorder.clone());
    Around {
        around,
        hand,
        metrics,
        recorder,
        directory,
    }
}

fn limits(around: &Around, keys: PerKeyConfig, burst: u32) -> PerKey<RateLimit> {
    PerKey::rate_limits_within(&around.around, "customers", keys, bucket(burst, 1.0)).unwrap()
}

fn upto(keys: u32) -> PerKeyConfig {
    PerKeyConfig::default().with_limit(keys)
}

fn of(key: &str) -> Call {
    Call::new("search").with_key(key)
}

#[test]
fn each_key_has_its_own() {
    let around = around();
    let customers = limits(&around, upto(10), 2);
    for key in ["anna", "ben"] {
        assert!(customers.try_admit(&of(key)).is_ok());
        assert!(customers.of(key).try_admit(&Call::new("export")).is_ok());
        let refused = customers.try_admit(&of(key)).unwrap_err();
        assert_eq!(refused.instance().as_str(), "customers");
        assert_eq!(refused.reason().code(), "no_tokens");
    }
    assert_eq!((customers.len(), customers.refused()), (2, 2));
    // Calls without a key have one together.
    let without = Call::new("search");
    let admitted = (0..5).filter(|_| customers.try_admit(&without).is_ok());
    assert_eq!(admitted.count(), 2);
    assert_eq!(customers.len(), 3);
}

#[test]
fn exported_and_listed_as_one() {
    let around = around();
    let customers = limits(&around, upto(10), 1);
    for key in ["anna", "ben", "anna", "ben", "anna"] {
        let _ = customers.try_admit(&of(key));
    }
    let registry = &around.metrics;
    let read = metrics::PER_KEY_KEYS.read(registry, "customers", ());
    assert_eq!(read, Some(2.0));
    let read = metrics::PER_KEY_REJECTED.read(registry, "customers", ());
    assert_eq!(read, Some(3));
    let read = metrics::RATE_LIMIT_REJECTED.read(registry, "customers", TooFast::NoTokens);
    assert_eq!(read, Some(3));
    let listed: Vec<_> = around.directory.snapshots();
    let mut kinds: Vec<_> = listed.iter().map(|one| one.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["per_key", "rate_limit"]);
    let seen = around.directory.find("per_key", "customers").unwrap();
    assert_eq!(seen.snapshot().get("keys"), Some(&Value::Count(2)));
}

#[test]
fn all_take_new_rules_and_keep_what_they_had() {
    let around = around();
    let customers = limits(&around, upto(10), 4);
    let anna = customers.of("anna");
    assert!(anna.try_admit(&of("anna")).is_ok());
    let _ben = customers.of("ben");
    anna.guard().unwrap().reconfigure(bucket(8, 2.0)).unwrap();
    let level = |key: &str| customers.of(key).guard().unwrap().available();
    assert_eq!(
        (level("anna"), level("ben"), level("carol")),
        (3.0, 4.0, 8.0)
    );
    around.hand.advance(SECOND);
    assert_eq!((level("anna"), level("ben")), (5.0, 6.0));
}

#[test]
fn who_rests_makes_room_when_it_is_needed() {
    let around = around();
    let customers = limits(&around, upto(2), 1);
    assert!(customers.try_admit(&of("anna")).is_ok());
    assert!(customers.try_admit(&of("ben")).is_ok());
    // Both owe a token: who is in debt stays.
    assert!(customers.try_admit(&of("carol")).is_ok());
    assert_eq!((customers.len(), customers.not_kept()), (2, 1));
    assert!(customers.try_admit(&of("anna")).is_err());
    around.hand.advance(SECOND);
    assert!(customers.try_admit(&of("dave")).is_ok());
    assert!(customers.try_admit(&of("erin")).is_ok());
    assert_eq!((customers.len(), customers.not_kept()), (2, 1));
    assert!(customers.try_admit(&of("dave")).is_err());
    assert!(customers.try_admit(&of("erin")).is_err());
}

#[test]
fn idle_ones_go_and_busy_ones_stay() {
    let around = around();
    let customers = limits(&around, upto(100).with_idle(60 * SECOND), 1);
    for number in 0..50 {
        assert!(customers.try_admit(&of(&number.to_string())).is_ok());
    }
    let held = customers.of("7");
    customers.evict_idle();
    around.hand.advance(59 * SECOND);
    let _ = customers.try_admit(&of("8"));
    customers.evict_idle();
    assert_eq!(customers.len(), 50);
    around.hand.advance(SECOND);
    customers.evict_idle();
    // One is held, one was asked for a moment ago.
    assert_eq!(customers.len(), 2);
    drop(held);
    around.hand.advance(60 * SECOND);
    customers.evict_idle();
    assert!(customers.is_empty());
    let evicted = metrics::PER_KEY_EVICTED.read(&around.metrics, "customers", ());
    assert_eq!(evicted, Some(50));
    assert!(customers.try_admit(&of("7")).is_ok());
}

/// Who is forgotten would come back with a burst.
#[test]
fn who_is_in_debt_is_not_forgotten_however_long() {
    let around = around();
    let hourly = RateLimitConfig::gcra("1/h".parse().unwrap());
    let keys = upto(1).with_idle(SECOND);
    let customers = PerKey::rate_limits_within(&around.around, "customers", keys, hourly).unwrap();
    assert!(customers.try_admit(&of("anna")).is_ok());
    for _ in 0..3 {
        around.hand.advance(1000 * SECOND);
        customers.evict_idle();
        assert!(customers.try_admit(&of("another")).is_ok());
    }
    assert_eq!((customers.len(), customers.not_kept()), (1, 3));
    assert!(customers.try_admit(&of("anna")).is_err());
    around.hand.advance(1000 * SECOND);
    customers.evict_idle();
    around.hand.advance(SECOND);
    customers.evict_idle();
    assert!(customers.is_empty());
}

#[test]
fn new_keys_clear_away_the_idle() {
    let around = around();
    let customers = limits(&around, upto(100_000).with_idle(SECOND), 1);
    for number in 0..20_000 {
        assert!(customers.try_admit(&of(&number.to_string())).is_ok());
        around.hand.advance(MS);
    }
    // A key is idle after a second and found within an eighth of one more, and once more a second later.
    assert!(customers.len() < 3_000, "{}", customers.len());
    assert_eq!(customers.not_kept(), 0);
}

#[test]
fn a_flood_of_keys_is_bounded() {
    for (what, goes_through) in [(WhenFull::LetThrough, true), (WhenFull::Refuse, false)] {
        let around = around();
        let customers = limits(&around, upto(100).when_full(what), 1);
        for number in 0..10_000 {
            let admitted = customers.try_admit(&of(&number.to_string())).is_ok();
            assert_eq!(admitted, number < 100 || goes_through);
        }
        assert_eq!((customers.len(), customers.not_kept()), (100, 9_900));
        let refused = if goes_through { 0 } else { 9_900 };
        assert_eq!(customers.refused(), refused);
        assert!(customers.of("stranger").guard().is_none());
        let stranger = customers.of("stranger");
        let answer = stranger.try_admit(&of("stranger"));
        match answer {
            Ok(_) => assert!(goes_through),
            Err(refused) => assert_eq!(
                refused.to_string(),
                "per_key `customers` refused the call: full (keys 100, limit 100)"
            ),
        }
        // Who is known is still guarded.
        assert!(customers.try_admit(&of("7")).is_err());
    }
}

#[test]
fn a_lower_limit_throws_nobody_out() {
    let around = around();
    let customers = limits(&around, upto(10), 1);
    for key in ["anna", "ben", "carol"] {
        assert!(customers.try_admit(&of(key)).is_ok());
    }
    assert_eq!(customers.reconfigure(upto(1)), Ok(2));
    assert_eq!(customers.len(), 3);
    assert!(customers.try_admit(&of("ben")).is_err());
    assert!(customers.try_admit(&of("dave")).is_ok());
    assert_eq!((customers.len(), customers.not_kept()), (3, 1));
}

#[test]
fn bulkheads_give_their_places_back() {
    let around = around();
    let keys = upto(10).with_idle(SECOND);
    let hosts = PerKey::bulkheads_within(&around.around, "hosts", keys, BulkheadConfig::of(1));
    let hosts = hosts.unwrap();
    let first = hosts.try_admit(&of("10.0.0.7")).unwrap();
    assert!(hosts.try_admit(&of("10.0.0.7")).is_err());
    assert!(hosts.try_admit(&of("10.0.0.8")).is_ok());
    // One that is in use is not forgotten, however long.
    hosts.evict_idle();
    around.hand.advance(3600 * SECOND);
    hosts.evict_idle();
    assert_eq!(hosts.len(), 1);
    assert!(hosts.try_admit(&of("10.0.0.7")).is_err());
    first.finish(rs_core::Outcome::Success);
    assert!(hosts.try_admit(&of("10.0.0.7")).is_ok());
    let reads = |metric: &rs_metrics::Metric<rs_metrics::Counter, (), 1>| {
        metric.read(&around.metrics, "hosts", ())
    };
    assert_eq!(reads(&metrics::PER_KEY_REJECTED), Some(2));
}

#[test]
fn a_call_that_waits_holds_its_guard() {
    let around = around();
    let each = BulkheadConfig::of(1).with_queue(1, 3600 * SECOND);
    let keys = upto(10).with_idle(SECOND);
    let hosts = PerKey::bulkheads_within(&around.around, "hosts", keys, each).unwrap();
    let call = of("10.0.0.7");
    let first = hosts.try_admit(&call).unwrap();
    let mut second = Box::pin(hosts.admit(&call));
    let mut poll = || {
        let polled = second
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        polled.map(|admitted| admitted.map(drop).is_ok())
    };
    assert_eq!(poll(), Poll::Pending);
    drop(first);
    around.hand.advance(60 * SECOND);
    hosts.evict_idle();
    hosts.evict_idle();
    assert_eq!(hosts.len(), 1);
    assert_eq!(poll(), Poll::Ready(true));
    drop(second);
    around.hand.advance(60 * SECOND);
    hosts.evict_idle();
    assert!(hosts.is_empty());
}

/// A guard that asks the map it is kept in, as the careless do.
struct Nosy {
    of: Arc<Mutex<Option<PerKey<Nosy>>>>,
    rests: Arc<AtomicBool>,
}

impl Nosy {
    fn ask(&self) {
        let of = self.of.lock().unwrap().clone();
        if let Some(of) = of {
            let _ = of.len();
            let _ = of.of("another").guard().is_some();
        }
    }
}

impl Guard for Nosy {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        self.ask();
        Ok(())
    }

    fn leave(&self, (): (), _ending: Ending) {
        self.ask();
    }
}

impl Resting for Nosy {
    fn is_resting(&self) -> bool {
        self.ask();
        self.rests.load(SeqCst)
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.ask();
    }
}

#[test]
fn guards_may_ask_the_map_from_anywhere() {
    let around = around();
    let of_itself = Arc::new(Mutex::new(None));
    let rests = Arc::new(AtomicBool::new(true));
    let (known, resting) = (Arc::clone(&of_itself), Arc::clone(&rests));
    let make = move |_: &str| {
        let nosy = Nosy {
            of: Arc::clone(&known),
            rests: Arc::clone(&resting),
        };
        nosy.ask();
        Ok(nosy)
    };
    // Else making one would make another, and so on.
    let keys = upto(1000).with_idle(SECOND);
    let nosy = PerKey::within(&around.around, "nosy", keys, make).unwrap();
    drop(nosy.of("another"));
    *of_itself.lock().unwrap() = Some(nosy.clone());
    for number in 0..100 {
        drop(nosy.try_admit(&of(&number.to_string())).unwrap());
    }
    for _ in 0..3 {
        around.hand.advance(2 * SECOND);
        nosy.evict_idle();
    }
    assert!(nosy.len() <= 1, "{}", nosy.len());
    *of_itself.lock().unwrap() = None;
}

#[test]
fn what_cannot_be_made_is_treated_as_full_and_said_once() {
    let around = around();
    let make = |key: &str| match key {
        "bad" => Err(ConfigError::other("no such customer")),
        _ => RateLimit::within(&Surroundings::apart(), "one", bucket(1, 1.0)),
    };
    let keys = upto(10).when_full(WhenFull::Refuse);
    let customers = PerKey::within(&around.around, "customers", keys, make).unwrap();
    for _ in 0..3 {
        assert!(customers.of("bad").try_admit(&of("bad")).is_err());
    }
    assert!(customers.of("good").try_admit(&of("good")).is_ok());
    assert_eq!((customers.len(), customers.not_kept()), (1, 3));
    let said = around.recorder.recent(10);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].signal.note(), Some("no such customer"));
}

#[test]
fn the_maker_hears_the_key() {
    let heard = Arc::new(Mutex::new(HashSet::new()));
    let keys = Arc::clone(&heard);
    let make = move |key: &str| {
        keys.lock().unwrap().insert(key.to_owned());
        RateLimit::within(&Surroundings::apart(), "one", bucket(1, 1.0))
    };
    let customers = PerKey::within(&around().around, "customers", upto(10), make).unwrap();
    let _ = customers.of("anna");
    let _ = customers.try_admit(&of("ben"));
    let of_ben = format!("{:016x}", RoutingKey::of("ben").get());
    assert_eq!(
        *heard.lock().unwrap(),
        HashSet::from(["anna".into(), of_ben])
    );
}

#[test]
fn threads_that_meet_get_one_guard() {
    let made = Arc::new(AtomicUsize::new(0));
    for _ in 0..50 {
        let around = around();
        let customers = limits(&around, upto(3), 100);
        let admitted: usize = thread::scope(|scope| {
            let each = |_| {
                scope.spawn(|| {
                    let keys = ["anna", "ben", "carol"];
                    let calls = (0..300).map(|call| of(keys[call % 3]));
                    calls
                        .filter(|call| customers.try_admit(call).is_ok())
                        .count()
                })
            };
            let all: Vec<_> = (0..4).map(each).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!((admitted, customers.len()), (300, 3));
        made.fetch_add(1, SeqCst);
    }
    assert_eq!(made.load(SeqCst), 50);
}

/// Both find room for one, and both make a guard.
#[test]
fn of_two_that_take_the_last_place_one_gets_it() {
    let both = Arc::new(std::sync::Barrier::new(2));
    let make = move |_: &str| {
        both.wait();
        RateLimit::within(&Surroundings::apart(), "one", bucket(1, 1.0))
    };
    let customers = PerKey::within(&around().around, "customers", upto(1), make).unwrap();
    thread::scope(|scope| {
        for key in ["anna", "ben"] {
            let customers = &customers;
            scope.spawn(move || assert!(customers.try_admit(&of(key)).is_ok()));
        }
    });
    assert_eq!((customers.len(), customers.not_kept()), (1, 1));
}

/// Evicted and made again meanwhile: nobody gets a burst twice, for only full ones go.
#[test]
fn evicting_beside_calls_hands_out_nothing() {
    let around = around();
    let customers = limits(&around, upto(100).with_idle(SECOND), 50);
    let admitted: usize = thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            for _ in 0..500 {
                customers.evict_idle();
            }
        });
        let each = |_| {
            scope.spawn(|| {
                let calls = (0..2000).map(|call: u32| of(&(call % 20).to_string()));
                calls
                    .filter(|call| customers.try_admit(call).is_ok())
                    .count()
            })
        };
        let all: Vec<_> = (0..4).map(each).collect();
        let admitted = all.into_iter().map(|one| one.join().unwrap()).sum();
        sweeper.join().unwrap();
        admitted
    });
    assert_eq!(admitted, 20 * 50);
}

#[tokio::test(start_paused = true)]
async fn as_a_policy() {
    let each = bucket(1, 10.0).with_wait(SECOND);
    let customers = PerKey::rate_limits("as a policy", upto(10), each).unwrap();
    let clock = rs_core::Clock::default();
    let begin = clock.now();
    for _ in 0..3 {
        let answer = customers.call(of("anna"), async |call: Call| {
            Ok::<_, std::io::Error>(call.key().is_some())
        });
        assert!(answer.await.unwrap());
    }
    assert!((200 * MS..210 * MS).contains(&(clock.now() - begin)));
}

#[test]
fn wrong_ones() {
    #[track_caller]
    fn refused(config: PerKeyConfig, expected: &str) {
        assert_eq!(config.check().unwrap_err().to_string(), expected);
        assert!(PerKey::rate_limits("wrong", config, bucket(1, 1.0)).is_err());
    }
    refused(upto(0), "limit: 0 is out of range; allowed: 1 to 10000000");
    refused(
        upto(1).with_idle(MS),
        "idle: 1ms is out of range; allowed: 1s to 1d",
    );
    assert!(PerKey::rate_limits("wrong", upto(1), bucket(0, 1.0)).is_err());
    assert!(PerKey::bulkheads("wrong", upto(1), BulkheadConfig::of(0)).is_err());
}

#[cfg(feature = "serde")]
#[test]
fn written_and_read_back() {
    let config = upto(500).when_full(WhenFull::Refuse);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(json, r#"{"limit":500,"idle":"10m","when_full":"refuse"}"#);
    assert_eq!(serde_json::from_str::<PerKeyConfig>(&json).unwrap(), config);
    assert_eq!(
        toml::from_str::<PerKeyConfig>("").unwrap(),
        PerKeyConfig::default()
    );
    assert!(toml::from_str::<PerKeyConfig>("limits = 3").is_err());
}
