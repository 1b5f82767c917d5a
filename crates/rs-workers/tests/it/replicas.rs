//! Two processes that share a lease in a real Redis or etcd; one of them is frozen while it leads.

use crate::{leader::keeps_the_contract, support::*};
use redis::{AsyncCommands, Script, aio::MultiplexedConnection};
use rs_testkit::{Redis, wait_until};
use rs_workers::{
    Claim, LeaderConfig, Lease, ManagerConfig, RedisLease, WorkerContext, WorkerError,
    WorkerManager, leader_only, worker,
};
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(30);
const URL: &str = "RS_WORKERS_TEST_REDIS";
/// Where the lease is kept, if not in Redis.
const ETCD: &str = "RS_WORKERS_TEST_ETCD";

/// What the leader changes: it takes nothing from a leader of an older epoch.
const FENCED: &str = "
    local seen = tonumber(redis.call('GET', 'fence') or '0')
    if tonumber(ARGV[1]) < seen then
        redis.call('INCR', 'refused')
        return 0
    end
    redis.call('SET', 'fence', ARGV[1])
    redis.call('RPUSH', 'written', ARGV[1] .. ' ' .. ARGV[2])
    return 1
";

#[tokio::test]
async fn redis_keeps_the_contract() {
    let redis = Redis::start().await.unwrap();
    let lease = RedisLease::new(&redis.url()).unwrap();
    keeps_the_contract(&lease, 200 * MILLI, sleep).await;
}

#[tokio::test]
async fn epochs_grow_even_if_redis_forgets() {
    let redis = Redis::start().await.unwrap();
    let lease = RedisLease::new(&redis.url()).unwrap();
    let claim = Claim::new("job", "a", MINUTE);
    let first = lease.acquire(&claim).await.unwrap().unwrap();
    let mut raw = raw(&redis.url()).await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut raw).await.unwrap();
    let grown = async || {
        lease
            .acquire(&claim)
            .await
            .unwrap()
            .is_some_and(|epoch| epoch > first)
    };
    wait_until("an epoch that is larger", SOON, grown)
        .await
        .unwrap();
    // A server that restarts is found again.
    redis.kill().await;
    assert!(lease.renew(&claim, first).await.is_err());
    redis.restart().await.unwrap();
    let again = async || {
        lease
            .acquire(&claim)
            .await
            .is_ok_and(|epoch| epoch.is_some())
    };
    wait_until("it answers again", SOON, again).await.unwrap();
}

#[tokio::test]
async fn a_leader_by_redis_that_is_frozen_is_replaced_and_fenced() {
    a_frozen_leader_is_replaced_and_fenced(None).await;
}

/// What the leader changes is in Redis here, too.
#[cfg(feature = "etcd")]
#[tokio::test]
async fn a_leader_by_etcd_that_is_frozen_is_replaced_and_fenced() {
    let etcd = rs_testkit::Etcd::start().await.unwrap();
    a_frozen_leader_is_replaced_and_fenced(Some(etcd.url())).await;
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn etcd_keeps_the_contract() {
    let etcd = rs_testkit::Etcd::start().await.unwrap();
    let lease = rs_workers::EtcdLease::new(&etcd.url()).unwrap();
    // Its leases last whole seconds, and it looks now and then who is late.
    keeps_the_contract(&lease, 2 * SECOND, sleep).await;
    // One that is away is an error, and is found again.
    let claim = Claim::new("job", "a", MINUTE);
    etcd.kill().await;
    assert!(lease.acquire(&claim).await.is_err());
    etcd.restart().await.unwrap();
    let again = async || {
        lease
            .acquire(&claim)
            .await
            .is_ok_and(|epoch| epoch.is_some())
    };
    wait_until("it answers again", SOON, again).await.unwrap();
    for wrong in ["", "etcd", "https://etcd:2379", "http://"] {
        assert!(rs_workers::EtcdLease::new(wrong).is_err(), "{wrong}");
    }
}

async fn a_frozen_leader_is_replaced_and_fenced(etcd: Option<String>) {
    let redis = Redis::start().await.unwrap();
    let mut raw = raw(&redis.url()).await;
    let replicas = [0, 1].map(|_| Replica::start(&redis.url(), etcd.as_deref()));
    let first = leader_other_than(&mut raw, 0).await;
    let frozen = replicas.iter().find(|it| it.id() == first).unwrap();
    frozen.signal(rustix::process::Signal::STOP);
    let second = leader_other_than(&mut raw, first).await;
    assert!(replicas.iter().any(|it| it.id() == second));
    let refused: u32 = raw.get("refused").await.unwrap_or(0);
    assert_eq!(refused, 0);
    frozen.signal(rustix::process::Signal::CONT);
    // Its unruly half knows nothing of leases and goes on writing; the fence refuses it.
    let mut asks = raw.clone();
    wait_until("a write of the frozen one is refused", SOON, async || {
        let mut asks = asks.clone();
        asks.get::<_, u32>("refused")
            .await
            .is_ok_and(|refused| refused > 0)
    })
    .await
    .unwrap();
    // Its ruly half has heard that it leads no more.
    wait_until("the frozen one knows", SOON, async || {
        let mut asks = asks.clone();
        asks.get::<_, u32>("deposed")
            .await
            .is_ok_and(|deposed| deposed == first)
    })
    .await
    .unwrap();
    let written: Vec<String> = asks.lrange("written", 0, -1).await.unwrap();
    let epochs: Vec<u64> = written.iter().map(|line| parse(line).0).collect();
    assert!(epochs.is_sorted(), "{written:?}");
    for pair in written.windows(2) {
        let (before, after) = (parse(&pair[0]), parse(&pair[1]));
        assert!(
            before.1 == after.1 || before.0 < after.0,
            "a new leader, a larger epoch: {pair:?}"
        );
    }
    assert_eq!(parse(written.last().unwrap()).1, second);
}

fn parse(line: &str) -> (u64, u32) {
    let (epoch, id) = line.split_once(' ').unwrap();
    (epoch.parse().unwrap(), id.parse().unwrap())
}

async fn raw(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn leader_other_than(raw: &mut MultiplexedConnection, other: u32) -> u32 {
    let leads = wait_until("somebody else leads", SOON, async || {
        let last: Option<String> = raw.clone().lindex("written", -1).await.unwrap_or(None);
        last.map(|line| parse(&line).1).filter(|id| *id != other)
    });
    leads.await.unwrap()
}

/// Another process: this test binary again, which runs nothing but [`replica`].
struct Replica(Child);

impl Replica {
    fn start(url: &str, etcd: Option<&str>) -> Self {
        let binary = std::env::current_exe().unwrap();
        let child = Command::new(binary)
            .args(["replicas::replica", "--exact", "--nocapture"])
            .env(URL, url)
            .env(ETCD, etcd.unwrap_or_default())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the other processes run; in this one there is nobody to lead.
#[test]
fn replica() {
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let workers = WorkerManager::new("replica", ManagerConfig::default()).unwrap();
        let lease = lease(&url);
        let config = LeaderConfig::default().with_lease(SECOND);
        let writer = worker("writer", move |ctx: WorkerContext| lead(ctx, url.clone()));
        workers
            .register(leader_only(writer, lease, config))
            .unwrap();
        workers.start_all().await.unwrap();
        // Until it is killed; and not for ever, should nobody do that.
        sleep(4 * SOON).await;
    });
}

fn lease(url: &str) -> std::sync::Arc<dyn Lease> {
    #[cfg(feature = "etcd")]
    if let Some(etcd) = std::env::var(ETCD).ok().filter(|etcd| !etcd.is_empty()) {
        return std::sync::Arc::new(rs_workers::EtcdLease::new(&etcd).unwrap());
    }
    let lease = RedisLease::new(url).unwrap();
    std::sync::Arc::new(lease.with_timeout(300 * MILLI))
}

async fn lead(ctx: WorkerContext, url: String) -> Result<(), WorkerError> {
    let epoch = ctx.epoch().ok_or("it leads without an epoch")?.number();
    let (id, raw) = (std::process::id(), raw(&url).await);
    let mut unruly = raw.clone();
    // Belongs to nobody, and stops for nobody.
    spawn(async move {
        loop {
            let _: redis::RedisResult<u32> = write(&mut unruly, epoch, id).await;
            sleep(20 * MILLI).await;
        }
    });
    // Frozen for longer than its lease it has no time left to say anything: it is dropped.
    let _deposed = Deposed(Some(raw), id);
    ctx.stopped().await;
    std::future::pending().await
}

struct Deposed(Option<MultiplexedConnection>, u32);

impl Drop for Deposed {
    fn drop(&mut self) {
        let (raw, id) = (self.0.take(), self.1);
        spawn(async move { raw.unwrap().set::<_, _, ()>("deposed", id).await });
    }
}

async fn write(to: &mut MultiplexedConnection, epoch: u64, id: u32) -> redis::RedisResult<u32> {
    Script::new(FENCED)
        .arg(epoch)
        .arg(id)
        .invoke_async(to)
        .await
}
