//! Replicas that stand where a record in a real Redis says, each in its own surroundings.

use std::time::Duration;

use rs_cache_migrate::{
    CacheMigration, FlagSource, Flags, FlagsError, FleetError, MigrationConfig, RedisFlags,
    RedisFleet, Stage, StepRefused, TtlCache,
};
use rs_core::{Action, Directory, Share};
use rs_metrics::Surroundings;
use rs_testkit::{Redis, wait_until};

use crate::support::{HOUR, by};

type Replica = CacheMigration<String, u64, TtlCache<String, u64>, TtlCache<String, u64>>;

const LEASE: Duration = Duration::from_millis(400);

fn replica() -> (Replica, Directory) {
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let cache = || TtlCache::within(&around, HOUR);
    let config = MigrationConfig::default();
    let made = CacheMigration::within(&around, "prompts", cache(), cache(), config);
    (made.unwrap(), directory)
}

fn fleet(redis: &Redis, name: &str) -> RedisFleet {
    RedisFleet::new(&redis.url(), name)
        .unwrap()
        .with_lease(LEASE)
        .with_limit(LEASE / 4)
}

struct Running(tokio::task::JoinHandle<()>);

impl Running {
    fn start(replica: &Replica) -> Self {
        let replica = replica.clone();
        Self(tokio::spawn(async move { replica.run().await }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn member(redis: &Redis, name: &str) -> (Replica, Running) {
    let (replica, _) = replica();
    replica.join_fleet(fleet(redis, name)).await.unwrap();
    let running = Running::start(&replica);
    (replica, running)
}

async fn stands(replica: &Replica, state: &str) {
    let there = || async { replica.state().to_string() == state };
    let limit = Duration::from_secs(10);
    let waited = wait_until(format!("it stands at {state}"), limit, there).await;
    waited.unwrap_or_else(|error| panic!("{error}: {}", replica.report()));
}

/// Takes the step as soon as it may.
async fn advance(replica: &Replica) {
    let taken = || async {
        match replica.advance(by()).await {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.to_string()),
        }
    };
    let waited = wait_until("the step", Duration::from_secs(10), taken).await;
    waited.unwrap_or_else(|error| panic!("{error}: {}", replica.report()));
}

#[tokio::test]
async fn a_step_is_taken_by_all_when_all_have_acknowledged_the_last() {
    let redis = Redis::start().await.unwrap();
    let (a, _running) = member(&redis, "a").await;
    let early = a.advance(by()).await.unwrap_err();
    assert!(
        matches!(early, StepRefused::TooSoon(_)),
        "the record is new: {early}"
    );
    let (b, running) = member(&redis, "b").await;
    advance(&a).await;
    stands(&b, "dual_write").await;
    advance(&b).await;
    stands(&a, "shadow").await;

    // b hangs: nobody goes on before its lease has lapsed.
    drop(running);
    advance(&a).await;
    let refused = a.advance(by()).await.unwrap_err();
    assert_eq!(refused, StepRefused::Behind(1));
    assert_eq!(b.state().stage, Stage::Shadow);
    let lost = || async { a.report().fleet.unwrap().lost == 1 };
    wait_until("b is lost", Duration::from_secs(5), lost)
        .await
        .unwrap();
    advance(&a).await;
    assert_eq!(a.state().to_string(), "live 25%");
    assert!(
        b.report().fleet.unwrap().cut_off,
        "it knows by its own clock"
    );

    // It comes back and stands where the others stand.
    let _running = Running::start(&b);
    stands(&b, "live 25%").await;
    let decisions = b.report().decisions;
    let why = decisions.last().unwrap().to_string();
    assert!(
        why.contains("by the fleet: ordered, by anna (a test)"),
        "{why}"
    );
    b.set_share(Share::percent(70.0).unwrap(), by())
        .await
        .unwrap();
    stands(&a, "live 70%").await;
}

#[tokio::test]
async fn a_rollback_needs_no_record_and_is_sticky_for_all() {
    let redis = Redis::builder().append_only(false).start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    let (b, _b) = member(&redis, "b").await;
    for _ in 0..3 {
        advance(&a).await;
    }
    stands(&b, "live 10%").await;
    redis.kill().await;
    let away = || async { a.report().fleet.unwrap().away.is_some() };
    wait_until("it is missed", Duration::from_secs(5), away)
        .await
        .unwrap();
    assert_eq!(
        b.state().to_string(),
        "live 10%",
        "the last that is known stays"
    );
    let refused = b.advance(by()).await.unwrap_err();
    assert!(matches!(refused, StepRefused::RecordAway(_)), "{refused}");
    assert_eq!(b.state().to_string(), "live 10%");

    let state = a.rollback(by()).unwrap();
    assert_eq!((state.stage, state.held), (Stage::Off, true));
    // The server comes back without its data: those who are left know.
    redis.restart().await.unwrap();
    stands(&b, "off, held").await;
    assert_eq!(b.state().epoch, a.state().epoch);
    let refused = b.advance(by()).await.unwrap_err();
    assert_eq!(refused, StepRefused::Held);
    let (c, _c) = member(&redis, "c").await;
    assert_eq!(
        c.state().to_string(),
        "off, held",
        "who comes later as well"
    );
    assert!(b.release(by()));
    stands(&a, "off").await;
    advance(&a).await;
    stands(&c, "dual_write").await;
}

#[tokio::test]
async fn a_rollback_while_others_go_on_stops_them() {
    let redis = Redis::start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    let (b, b_running) = member(&redis, "b").await;
    advance(&a).await;
    stands(&b, "dual_write").await;
    // b hears of nothing and rolls back by itself; then it is heard.
    drop(b_running);
    b.rollback(by()).unwrap();
    let lost = || async { a.report().fleet.unwrap().lost == 1 };
    wait_until("b is lost", Duration::from_secs(5), lost)
        .await
        .unwrap();
    advance(&a).await;
    let _b = Running::start(&b);
    stands(&a, "off, held").await;
    stands(&b, "off, held").await;
    assert_eq!(a.state().epoch, b.state().epoch);
}

#[tokio::test]
async fn the_last_step_waits_for_those_who_were_lost() {
    let redis = Redis::start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    let (b, running) = member(&redis, "b").await;
    let (c, _c) = member(&redis, "c").await;
    while a.state().stage != Stage::RampDown {
        advance(&a).await;
    }
    stands(&b, "ramp_down").await;
    // Who leaves is not waited for.
    c.shutdown().await;
    drop(running);
    let lost = || async { a.report().fleet.unwrap().lost > 0 };
    wait_until("b is lost", Duration::from_secs(5), lost)
        .await
        .unwrap();
    assert_eq!(a.advance(by()).await.unwrap_err(), StepRefused::Lost(1));
    assert_eq!(a.forget_lost().await.unwrap(), 1);
    advance(&a).await;
    assert!(a.is_complete());
    // It was no loss: it goes where the others are, and its rollback comes too late.
    b.rollback(by()).unwrap();
    let _running = Running::start(&b);
    stands(&b, "complete").await;
}

#[tokio::test]
async fn who_starts_while_the_record_is_away_joins_later() {
    let redis = Redis::start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    advance(&a).await;
    redis.pause().unwrap();
    let (b, _) = replica();
    let refused = b.join_fleet(fleet(&redis, "b")).await.unwrap_err();
    assert!(matches!(refused, FleetError::Away(_)), "{refused}");
    assert!(b.report().fleet.unwrap().cut_off);
    let refused = b.advance(by()).await.unwrap_err();
    assert!(matches!(refused, StepRefused::RecordAway(_)), "{refused}");
    let _b = Running::start(&b);
    redis.resume().unwrap();
    stands(&b, "dual_write").await;
    assert_eq!(
        b.join_fleet(fleet(&redis, "b")).await.unwrap_err(),
        FleetError::TooLate
    );
}

#[tokio::test]
async fn it_is_steered_through_the_directory_of_any_replica() {
    let redis = Redis::start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    let (b, directory) = replica();
    b.join_fleet(fleet(&redis, "b")).await.unwrap();
    let _b = Running::start(&b);
    advance(&a).await;
    stands(&b, "dual_write").await;
    let tell = |what: &'static str| {
        let found = directory.find("cache_migration", "prompts").unwrap();
        found.control(&Action::new(what), &by()).unwrap();
    };
    tell("advance");
    stands(&a, "shadow").await;
    tell("step_back");
    stands(&a, "dual_write").await;
    tell("rollback");
    stands(&a, "off, held").await;
    tell("release");
    stands(&a, "off").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_fleet_is_said() {
    let redis = Redis::start().await.unwrap();
    let (a, _) = replica();
    let short = fleet(&redis, "a").with_lease(Duration::from_millis(10));
    let refused = a.join_fleet(short).await.unwrap_err();
    assert!(refused.to_string().contains("lease"), "{refused}");
    let nobody = a.join_fleet(fleet(&redis, "")).await.unwrap_err();
    assert!(nobody.to_string().contains("replica"), "{nobody}");
    assert_eq!(a.forget_lost().await.unwrap_err(), FleetError::Alone);
    a.advance(by()).await.unwrap();
    let late = a.join_fleet(fleet(&redis, "a")).await.unwrap_err();
    assert_eq!(late, FleetError::TooLate);
    assert!(a.report().fleet.is_none());
}

#[tokio::test]
async fn all_go_by_the_flags_in_redis_and_by_the_last_while_it_is_down() {
    let redis = Redis::start().await.unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = async |flag: &str, value: &str| {
        let mut set = redis::cmd("HSET");
        set.arg("flags").arg(flag).arg(value);
        set.query_async::<()>(&mut connection).await.unwrap();
    };
    let flags = || {
        let flags = RedisFlags::new(&redis.url(), "flags").unwrap();
        flags.with_limit(Duration::from_millis(100))
    };
    assert_eq!(flags().read("prompts").await.unwrap(), Flags::default());
    let (a, b) = (replica().0, replica().0);
    let mut following = tokio::task::JoinSet::new();
    for one in [&a, &b] {
        while one.state().stage != Stage::Live {
            one.advance(by()).await.unwrap();
        }
        one.set_share(Share::ALL, by()).await.unwrap();
        let (one, flags) = (one.clone(), flags());
        following.spawn(async move { one.follow(flags, Duration::from_millis(20)).await });
    }
    set("MIGRATION_PROMPTS_PERCENTAGE", "25").await;
    stands(&a, "live 25%").await;
    stands(&b, "live 25%").await;
    set("MIGRATION_PROMPTS_PERCENTAGE", "125").await;
    let wrong = flags().read("prompts").await.unwrap_err();
    assert!(matches!(wrong, FlagsError::Wrong(_)), "{wrong}");
    redis.kill().await;
    let away = flags().read("prompts").await.unwrap_err();
    assert!(matches!(away, FlagsError::Away(_)), "{away}");
    assert_eq!(a.state().to_string(), "live 25%");
    redis.restart().await.unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("HSET");
    let right = ["MIGRATION_PROMPTS_PERCENTAGE", "25"];
    set.arg("flags")
        .arg(&right)
        .arg(&["MIGRATION_KILL_SWITCH", "true"]);
    set.query_async::<()>(&mut connection).await.unwrap();
    stands(&a, "off, held").await;
    stands(&b, "off, held").await;
}

/// Both have seen enough at the same moment: that is one step and not two.
#[tokio::test]
async fn two_who_decide_at_once_take_one_step() {
    let redis = Redis::start().await.unwrap();
    let (a, _a) = member(&redis, "a").await;
    let (b, _b) = member(&redis, "b").await;
    advance(&a).await;
    stands(&b, "dual_write").await;
    let agreed = || async { a.report().fleet.unwrap().waiting == 0 };
    wait_until("both stand there", Duration::from_secs(5), agreed)
        .await
        .unwrap();
    for _ in 0..3 {
        let before = a.state();
        let (one, other) = tokio::join!(a.advance(by()), b.advance(by()));
        assert!(one.is_err() || other.is_err(), "{one:?} {other:?}");
        if one.is_ok() || other.is_ok() {
            break;
        }
        assert_eq!(a.state().stage, before.stage);
    }
    stands(&a, "shadow").await;
    stands(&b, "shadow").await;
}
