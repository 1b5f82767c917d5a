//! Replicas that share a limit in a real Redis: which freezes, dies, and is cut off.

use std::{sync::Arc, time::Duration};

use redis::aio::MultiplexedConnection;
use rs_core::{Call, Clock, FlightRecorder, Guard, Rate};
use rs_policies::{
    Fetched, RateLimitConfig, RedisTokens, SharedRateLimit, SharedRateLimitConfig, Surroundings,
    TokenAsk, TokenStore, TokensGiven,
};
use rs_testkit::{Fault, FaultProxy, Redis, wait_until};

use super::{MS, SECOND};

/// Long beside anything that is waited for here.
const SOON: Duration = Duration::from_secs(20);

struct Replica {
    limit: SharedRateLimit,
    recorder: FlightRecorder,
}

/// A replica with a connection of its own.
fn replica(url: &str, config: SharedRateLimitConfig) -> Replica {
    let recorder = FlightRecorder::new(64);
    let around = Surroundings::apart().with_recorder(recorder.clone());
    let tokens = RedisTokens::new(url).unwrap();
    Replica {
        limit: SharedRateLimit::within(&around, "geocoder", tokens, config).unwrap(),
        recorder,
    }
}

impl Replica {
    async fn admits(&self) -> bool {
        self.limit.admit(&Call::new("look up")).await.is_ok()
    }

    async fn admitted(&self, calls: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..calls {
            admitted += usize::from(self.admits().await);
        }
        admitted
    }

    async fn until_back(&self) {
        let back = wait_until("it is back", SOON, async || {
            self.admits().await;
            !self.limit.is_alone()
        });
        back.await.unwrap();
    }

    fn said(&self) -> Vec<&'static str> {
        let recent = self.recorder.recent(20);
        recent.iter().map(|one| one.signal.kind().name()).collect()
    }
}

/// So few a second that none drips in while a test runs: a token takes a thousand seconds.
fn seldom(burst: u32) -> RateLimitConfig {
    RateLimitConfig::bucket(burst, Rate::new(1.0, 1000 * SECOND).unwrap())
}

fn rules(whole: u32, alone: u32) -> SharedRateLimitConfig {
    SharedRateLimitConfig::of(seldom(whole), seldom(alone))
        .with_patience(300 * MS)
        .with_pause(50 * MS)
}

async fn raw(redis: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn two_replicas_share_the_limit() {
    let redis = Redis::start().await.unwrap();
    let [one, two] = [(); 2].map(|()| replica(&redis.url(), rules(30, 5)));
    let (of_one, of_two) = tokio::join!(one.admitted(40), two.admitted(40));
    assert_eq!(of_one + of_two, 30, "{of_one} {of_two}");
    assert!(of_one > 0 && of_two > 0);
    assert_eq!(one.limit.decided_alone() + two.limit.decided_alone(), 0);
    assert!(one.said().is_empty() && two.said().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "calls of many tasks at once")]
async fn many_tasks_in_batches() {
    let redis = Redis::start().await.unwrap();
    let config = rules(500, 5).with_batch(10);
    let replicas = [(); 2].map(|()| Arc::new(replica(&redis.url(), config)));
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let replica = Arc::clone(&replicas[task % 2]);
            tokio::spawn(async move { replica.admitted(100).await })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    let alone: u64 = replicas.iter().map(|one| one.limit.decided_alone()).sum();
    assert_eq!((admitted, alone), (500, 0));
    let asks: u64 = replicas
        .iter()
        .map(|one| one.limit.asked(Fetched::Given))
        .sum();
    assert!(asks <= 52, "{asks}");
}

#[tokio::test]
async fn tokens_drip_in_by_the_clock_of_redis() {
    let redis = Redis::start().await.unwrap();
    let tokens = RedisTokens::new(&redis.url()).unwrap();
    let rate = Rate::new(20.0, SECOND).unwrap();
    let ask = TokenAsk::new("dripping".into(), 1, 10, rate, 10);
    assert_eq!(tokens.take(&ask).await, Ok(TokensGiven::Some(10)));
    let TokensGiven::NoneFor(wait) = tokens.take(&ask).await.unwrap() else {
        panic!("there were more than there can be");
    };
    assert!(wait <= 50 * MS, "{wait:?}");
    // What it promises is there, and no more than came meanwhile.
    let clock = Clock::default();
    let begin = clock.now();
    clock.sleep(wait + MS).await;
    let TokensGiven::Some(came) = tokens.take(&ask).await.unwrap() else {
        panic!("nothing came");
    };
    let most = 1.0 + (clock.now() - begin).as_secs_f64() * 20.0;
    assert!(came >= 1 && f64::from(came) <= most, "{came} of {most}");
    // The same bucket with other rules keeps its level; with room for more it fills.
    let larger = TokenAsk::new("dripping".into(), 500, 500, rate, 1000);
    assert!(
        matches!(tokens.take(&larger).await, Ok(TokensGiven::NoneFor(wait)) if wait > 24 * SECOND)
    );
    let other = TokenAsk::new("another".into(), 10, 10, rate, 10);
    assert_eq!(tokens.take(&other).await, Ok(TokensGiven::Some(10)));
}

#[tokio::test]
async fn a_clock_that_was_put_back_stops_nothing() {
    let redis = Redis::start().await.unwrap();
    let tokens = RedisTokens::new(&redis.url()).unwrap();
    let rate = Rate::new(1000.0, SECOND).unwrap();
    let ask = TokenAsk::new("geocoder".into(), 1, 1, rate, 10);
    let mut ahead = redis::cmd("HSET");
    ahead
        .arg("rs-rate-limit:geocoder")
        .arg("level")
        .arg("0")
        .arg("at")
        .arg("9999999999999999");
    ahead.exec_async(&mut raw(&redis).await).await.unwrap();
    assert!(matches!(
        tokens.take(&ask).await,
        Ok(TokensGiven::NoneFor(_))
    ));
    wait_until("tokens come again", SOON, async || {
        matches!(tokens.take(&ask).await, Ok(TokensGiven::Some(1)))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_frozen_redis_costs_the_patience_once() {
    let redis = Redis::start().await.unwrap();
    let config = rules(100, 3).with_pause(60 * SECOND);
    let one = replica(&redis.url(), config);
    assert!(one.admits().await);
    redis.pause().unwrap();
    let clock = Clock::default();
    let begin = clock.now();
    assert_eq!(one.admitted(1000).await, 3);
    let took = clock.now() - begin;
    assert!(took < 2 * config.patience(), "{took:?}");
    assert_eq!(one.limit.asked(Fetched::Failed), 1);
    assert_eq!(one.said(), ["store_lost"]);
    redis.resume().unwrap();
}

#[tokio::test]
async fn frozen_and_back() {
    let redis = Redis::start().await.unwrap();
    let [one, two] = [(); 2].map(|()| replica(&redis.url(), rules(10, 2)));
    assert_eq!(one.admitted(4).await, 4);
    redis.pause().unwrap();
    assert_eq!(one.admitted(10).await, 2);
    assert!(one.limit.is_alone());
    redis.resume().unwrap();
    one.until_back().await;
    // What was taken is taken; what the frozen one may have given to calls that did not wait is lost.
    let admitted = one.admitted(20).await + two.admitted(20).await;
    assert!(admitted <= 6, "{admitted}");
    assert_eq!(one.said(), ["store_lost", "store_back"]);
    assert!(two.said().is_empty());
}

#[tokio::test]
async fn killed_and_back() {
    let redis = Redis::start().await.unwrap();
    let one = replica(&redis.url(), rules(10, 2));
    assert_eq!(one.admitted(4).await, 4);
    redis.kill().await;
    assert_eq!(one.admitted(10).await, 2);
    redis.restart().await.unwrap();
    one.until_back().await;
    assert!(one.admitted(20).await <= 6);
    assert_eq!(one.said(), ["store_lost", "store_back"]);
}

#[tokio::test]
async fn a_quick_restart_is_no_alarm() {
    let redis = Redis::start().await.unwrap();
    let one = replica(&redis.url(), rules(10, 2));
    assert!(one.admits().await);
    redis.restart().await.unwrap();
    assert_eq!(one.admitted(20).await, 9);
    assert!(one.said().is_empty(), "{:?}", one.said());
}

#[tokio::test]
async fn cut_off_and_healed() {
    let redis = Redis::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    let one = replica(&format!("redis://{}", proxy.addr()), rules(1000, 1000));
    assert!(one.admits().await);
    for (round, fault) in [
        Fault::black_hole(),
        Fault::stall(),
        Fault::reset(),
        Fault::refuse(),
    ]
    .into_iter()
    .enumerate()
    {
        proxy.set(fault);
        if fault == Fault::refuse() {
            proxy.cut();
        }
        let clock = Clock::default();
        let begin = clock.now();
        assert!(one.admits().await, "{fault:?}");
        assert!(clock.now() - begin < 2 * SECOND, "{fault:?}");
        assert!(one.limit.is_alone(), "{fault:?}");
        proxy.heal();
        one.until_back().await;
        assert_eq!(one.said().len(), 2 * (round + 1), "{fault:?}");
    }
}

#[tokio::test]
async fn one_round_trip() {
    let redis = Redis::start().await.unwrap();
    let one = replica(&redis.url(), rules(100, 1));
    assert_eq!(one.admitted(10).await, 10);
    let mut info = redis::cmd("INFO");
    let info: String = info
        .arg("commandstats")
        .query_async(&mut raw(&redis).await)
        .await
        .unwrap();
    // The first finds no script.
    assert!(info.contains("cmdstat_evalsha:calls=11,"), "{info}");
    assert!(info.contains("cmdstat_script|load:calls=1,"), "{info}");
}

#[tokio::test]
async fn a_user_with_no_more_rights_than_it_needs() {
    let redis = Redis::start().await.unwrap();
    let mut rights = redis::cmd("ACL");
    rights
        .arg("SETUSER")
        .arg("limits")
        .arg("on")
        .arg(">secret")
        .arg("~rs-rate-limit:*");
    for command in RedisTokens::COMMANDS {
        rights.arg(format!("+{command}"));
    }
    rights.exec_async(&mut raw(&redis).await).await.unwrap();
    let url = format!("redis://limits:secret@{}", redis.addr());
    let tokens = RedisTokens::new(&url).unwrap();
    let ask = TokenAsk::new("geocoder".into(), 1, 1, Rate::new(1.0, SECOND).unwrap(), 5);
    assert_eq!(tokens.take(&ask).await, Ok(TokensGiven::Some(1)));
    assert!(tokens.with_prefix("elsewhere").take(&ask).await.is_err());
}

#[tokio::test]
async fn a_bucket_that_is_full_vanishes() {
    let redis = Redis::start().await.unwrap();
    let tokens = RedisTokens::new(&redis.url()).unwrap();
    let ask = TokenAsk::new("geocoder".into(), 1, 4, Rate::new(2.0, SECOND).unwrap(), 8);
    tokens.take(&ask).await.unwrap();
    let mut left = redis::cmd("PTTL");
    left.arg("rs-rate-limit:geocoder");
    let left: i64 = left.query_async(&mut raw(&redis).await).await.unwrap();
    assert!((2500..=3000).contains(&left), "{left}");
}

#[tokio::test]
async fn garbage_of_others_is_said() {
    let redis = Redis::start().await.unwrap();
    let mut other = redis::cmd("SET");
    other.arg("rs-rate-limit:geocoder").arg("something else");
    other.exec_async(&mut raw(&redis).await).await.unwrap();
    let one = replica(&redis.url(), rules(10, 2));
    assert_eq!(one.admitted(10).await, 2);
    let note = one.recorder.recent(1)[0].signal.note().unwrap().to_owned();
    assert!(note.contains("WRONGTYPE"), "{note}");
}

#[tokio::test]
async fn passwords_are_not_shown() {
    let tokens = RedisTokens::new("redis://user:abracadabra@host").unwrap();
    let bad_url = RedisTokens::new("http://user:abracadabra@host").unwrap_err();
    for shown in [format!("{tokens:?}"), format!("{bad_url} {bad_url:?}")] {
        assert!(!shown.contains("abracadabra"), "{shown}");
    }
}
