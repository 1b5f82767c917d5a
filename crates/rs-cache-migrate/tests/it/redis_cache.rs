//! A real Redis as one side.

use std::time::Duration;

use rs_cache_migrate::{
    AsBytes, CacheAdapter, CacheError, CacheMigration, Codec, Entry, GatesConfig, Lookup,
    MigrationConfig, PilotConfig, PilotMode, RedisCache, Stage, TtlCache,
};
use rs_core::Share;
use rs_metrics::Surroundings;
use rs_testkit::{Fault, FaultProxy, Redis, wait_until};

use crate::{
    caches::contract,
    support::{HOUR, by},
};

/// Numbers as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text;

impl Codec<u64> for Text {
    fn encode(&self, value: &u64) -> Result<Vec<u8>, CacheError> {
        Ok(value.to_string().into_bytes())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, CacheError> {
        let text = std::str::from_utf8(bytes).ok();
        let value = text.and_then(|text| text.parse().ok());
        value.ok_or_else(|| CacheError::Undecodable("no number".into()))
    }
}

fn cache(url: &str) -> RedisCache<Text> {
    RedisCache::new(url, Text).unwrap().with_prefix("[a*]:")
}

async fn get(cache: &RedisCache<Text>, key: &str) -> Option<u64> {
    let found: Option<Entry<u64>> = cache.get(&key.to_owned()).await.unwrap();
    found.and_then(|entry| entry.value)
}

#[tokio::test]
async fn it_is_a_cache_as_others() {
    let redis = Redis::builder().password("hunter2").start().await.unwrap();
    let mut other = redis::Client::open(redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let () = redis::cmd("SET")
        .arg("aa:other")
        .arg("1")
        .query_async(&mut other)
        .await
        .unwrap();
    let cache = cache(&redis.url());
    contract(cache.clone(), None).await;
    let left: String = redis::cmd("GET")
        .arg("aa:other")
        .query_async(&mut other)
        .await
        .unwrap();
    assert_eq!(left, "1", "the prefix is no pattern");
    let key = "a".to_owned();
    assert!(cache.add(&key, Entry::of(1)).await.unwrap());
    assert!(!cache.add(&key, Entry::of(2)).await.unwrap());
    let nanos = Entry::of(3).lasting(Duration::from_nanos(5));
    cache.set(&key, nanos).await.unwrap();
    assert_eq!(get(&cache, "a").await, None, "never longer than it should");
    let shown = format!(
        "{cache:?} {:?}",
        CacheAdapter::<String, u64>::capabilities(&cache)
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn what_others_wrote_is_read_bare_and_else_not() {
    let redis = Redis::start().await.unwrap();
    let mut other = redis::Client::open(redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let () = redis::cmd("SET")
        .arg("[a*]:a")
        .arg("17")
        .arg("PX")
        .arg(60_000)
        .query_async(&mut other)
        .await
        .unwrap();
    let bare = cache(&redis.url()).bare();
    let found: Entry<u64> = bare.get(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.value, Some(17));
    assert!(found.remaining.unwrap() <= Duration::from_secs(60));
    let wrapped: Result<Option<Entry<u64>>, _> = cache(&redis.url()).get(&"a".to_owned()).await;
    assert!(
        matches!(wrapped, Err(CacheError::Undecodable(_))),
        "{wrapped:?}"
    );
    bare.set(&"b".to_owned(), Entry::of(18)).await.unwrap();
    let written: String = redis::cmd("GET")
        .arg("[a*]:b")
        .query_async(&mut other)
        .await
        .unwrap();
    assert_eq!(written, "18");
    let broken = RedisCache::new(&redis.url(), AsBytes)
        .unwrap()
        .with_prefix("[a*]:");
    let bytes = Entry::of(vec![255_u8]);
    broken.set(&"c".to_owned(), bytes).await.unwrap();
    let text: Result<Option<Entry<String>>, _> = broken.get(&"c".to_owned()).await;
    assert!(matches!(text, Err(CacheError::Undecodable(_))), "{text:?}");
}

/// A server that sleeps carries out nothing of what was given up meanwhile.
#[tokio::test]
async fn what_was_given_up_is_never_carried_out() {
    let redis = Redis::start().await.unwrap();
    let cache = cache(&redis.url()).with_limit(Duration::from_millis(100));
    let key = "a".to_owned();
    cache.set(&key, Entry::of(1)).await.unwrap();
    redis.pause().unwrap();
    let late = cache.set(&key, Entry::of(2)).await;
    assert!(matches!(late, Err(CacheError::TookTooLong(_))), "{late:?}");
    // A caller that goes away is no other case.
    let gone = tokio::time::timeout(Duration::from_millis(10), cache.set(&key, Entry::of(3))).await;
    assert!(gone.is_err());
    tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>())
        .await
        .unwrap_err();
    redis.resume().unwrap();
    let again = || async { get_or(&cache, "a").await };
    wait_until("it answers again", Duration::from_secs(5), || async {
        again().await.is_ok()
    })
    .await
    .unwrap();
    assert_eq!(get(&cache, "a").await, Some(1));
}

async fn get_or(cache: &RedisCache<Text>, key: &str) -> Result<Option<Entry<u64>>, CacheError> {
    cache.get(&key.to_owned()).await
}

#[tokio::test]
async fn it_comes_back_after_a_kill_and_a_cut() {
    let redis = Redis::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    let cache = cache(&format!("redis://{}", proxy.addr())).with_limit(Duration::from_millis(300));
    let key = "a".to_owned();
    cache.set(&key, Entry::of(1)).await.unwrap();
    proxy.cut();
    wait_until("after the cut", Duration::from_secs(5), || async {
        get_or(&cache, "a").await.is_ok()
    })
    .await
    .unwrap();
    redis.kill().await;
    assert!(get_or(&cache, "a").await.is_err());
    redis.restart().await.unwrap();
    wait_until("after the kill", Duration::from_secs(5), || async {
        get_or(&cache, "a").await.is_ok()
    })
    .await
    .unwrap();
    assert_eq!(get(&cache, "a").await, Some(1));
    proxy.set(Fault::black_hole());
    let lost = get_or(&cache, "a").await;
    assert!(matches!(lost, Err(CacheError::TookTooLong(_))), "{lost:?}");
}

#[tokio::test]
async fn marks_and_leases_keep_out_what_is_old() {
    let redis = Redis::start().await.unwrap();
    let cache = cache(&redis.url());
    let (key, hold) = ("a".to_owned(), Duration::from_millis(300));
    let entry = |value| Some(Entry::<u64>::of(value).lasting(HOUR));
    // A server that is new here may have forgotten a mark.
    let new = cache.clone();
    assert!(
        !CacheAdapter::<String, u64>::lease(&new, &key, 1, hold)
            .await
            .unwrap()
    );
    let leased = || async {
        CacheAdapter::<String, u64>::lease(&new, &key, 1, hold)
            .await
            .unwrap()
    };
    wait_until("it is no longer new", Duration::from_secs(5), leased)
        .await
        .unwrap();
    assert!(
        !CacheAdapter::<String, u64>::lease(&new, &key, 2, hold)
            .await
            .unwrap(),
        "one copies"
    );
    assert!(new.fill(&key, 1, entry(10)).await.unwrap());
    assert_eq!(get(&new, "a").await, Some(10));

    // One change.
    let mark = |mark| CacheAdapter::<String, u64>::mark(&new, &key, mark, hold);
    mark(1).await.unwrap();
    assert_eq!(get(&new, "a").await, None);
    assert!(
        !CacheAdapter::<String, u64>::lease(&new, &key, 3, hold)
            .await
            .unwrap()
    );
    assert!(new.settle(&key, 1, hold, entry(11)).await.unwrap());
    assert_eq!(get(&new, "a").await, Some(11));

    // Two that meet: nobody knows who was last in legacy.
    mark(2).await.unwrap();
    mark(3).await.unwrap();
    assert!(!new.settle(&key, 2, hold, entry(12)).await.unwrap());
    assert!(!new.settle(&key, 3, hold, entry(13)).await.unwrap());
    assert_eq!(get(&new, "a").await, None);
    mark(4).await.unwrap();
    assert!(
        new.settle(&key, 4, hold, entry(14)).await.unwrap(),
        "they have gone"
    );

    // A change takes a lease away.
    assert!(
        CacheAdapter::<String, u64>::lease(&new, &key, 5, hold)
            .await
            .unwrap()
    );
    mark(6).await.unwrap();
    assert!(!new.fill(&key, 5, entry(1)).await.unwrap());
    assert!(
        new.settle(&key, 6, hold, None)
            .await
            .is_ok_and(|kept| !kept)
    );

    // A mark whose holder has died lapses, and his late change leaves nothing.
    mark(7).await.unwrap();
    let leased = || async {
        CacheAdapter::<String, u64>::lease(&new, &key, 8, hold)
            .await
            .unwrap()
    };
    wait_until("the mark lapses", Duration::from_secs(5), leased)
        .await
        .unwrap();
    assert!(new.fill(&key, 8, entry(15)).await.unwrap());
    assert!(!new.settle(&key, 7, hold, entry(7)).await.unwrap());
    assert_eq!(get(&new, "a").await, None);
}

#[tokio::test]
async fn a_cache_without_marks_cannot_be_shared() {
    let around = Surroundings::apart();
    let cache = || TtlCache::<String, u64>::within(&around, HOUR);
    let config = MigrationConfig::default().shared_by_processes();
    let refused = CacheMigration::within(&around, "a", cache(), cache(), config).unwrap_err();
    assert!(refused.to_string().contains("shared"), "{refused}");
}

/// From a map in the process to Redis, all the way, with a backfill between two servers.
#[tokio::test]
async fn the_whole_way_between_two_servers() {
    let (old, new) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let (old, new) = (cache(&old.url()).bare(), cache(&new.url()));
    let config = MigrationConfig::default();
    let around = Surroundings::apart();
    let migration =
        CacheMigration::within(&around, "way", old.clone(), new.clone(), config).unwrap();
    let key = |number: u64| format!("key-{number}");
    for number in 0..20 {
        migration.set(&key(number), number, HOUR).await.unwrap();
    }
    migration.advance(by()).await.unwrap();
    let fast = rs_core::Rate::new(1e6, Duration::from_secs(1)).unwrap();
    let mut backfill = migration
        .backfill(rs_cache_migrate::BackfillConfig::at_most(fast))
        .unwrap();
    let done = backfill.run().await;
    assert_eq!((done.keys, done.copied), (20, 20));
    let left = CacheAdapter::<String, u64>::get(&new, &key(3))
        .await
        .unwrap()
        .unwrap();
    assert!(left.remaining.is_some_and(|left| left <= HOUR));
    migration.delete(&key(7)).await.unwrap();
    migration.set(&key(8), 80, HOUR).await.unwrap();
    while migration.state().stage != Stage::Complete {
        migration.advance(by()).await.unwrap();
        for number in 0..20 {
            let expected = match number {
                7 => Lookup::Miss,
                8 => Lookup::Hit(80),
                number => Lookup::Hit(number),
            };
            assert_eq!(migration.get(&key(number)).await.unwrap(), expected);
        }
    }
}

/// Where processes share the caches, the pilot counts what it can count: the changes of its own.
#[tokio::test]
async fn the_pilot_leaves_dual_write_where_processes_share() {
    let (old, new) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let gates = GatesConfig::default()
        .with_warm_up(0)
        .with_errors(Share::percent(5.0).unwrap())
        .advancing_after(2);
    let pilot = PilotConfig::default()
        .with_mode(PilotMode::Automatic)
        .up_to(Stage::Shadow)
        .with_window(Duration::from_millis(50))
        .with_gates(gates);
    let config = MigrationConfig::default()
        .shared_by_processes()
        .with_pilot(pilot);
    let around = Surroundings::apart();
    let (old, new) = (cache(&old.url()).bare(), cache(&new.url()));
    let migration = CacheMigration::within(&around, "shared", old, new, config).unwrap();
    let writes = async {
        for number in 0_u64.. {
            let key = format!("key-{}", number % 10);
            migration.set(&key, number, HOUR).await.unwrap();
        }
    };
    let there = || async { migration.state().stage == Stage::Shadow };
    tokio::select! {
        () = migration.run() => {}
        () = writes => {}
        there = wait_until("shadow", Duration::from_secs(20), there) => there.unwrap(),
    }
    let why = migration.report().decisions.last().unwrap().why.clone();
    assert!(why.starts_with("failed changes 0.00%"), "{why}");
}
