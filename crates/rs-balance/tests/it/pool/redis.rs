//! Against real servers: one is killed, one stands still.

use std::time::{Duration, Instant};

use redis::{AsyncCommands, Client, RedisError, aio::MultiplexedConnection};
use rs_balance::{
    BalancerConfig, Endpoint, Outliers, Strategy, Surroundings,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_testkit::Redis;

struct Caches;

impl Connect for Caches {
    type Target = Client;
    type Connection = MultiplexedConnection;
    type Error = RedisError;

    async fn connect(&self, client: &Client) -> Result<MultiplexedConnection, RedisError> {
        client.get_multiplexed_async_connection().await
    }

    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        redis::cmd("PING").query_async(connection).await
    }
}

fn endpoint(server: &Redis) -> Endpoint<Client> {
    Endpoint::new(
        server.addr().to_string(),
        Client::open(server.url()).unwrap(),
    )
}

fn clock() -> Instant {
    rs_core::Clock::tokio().now()
}

async fn ask(pool: &BalancedPool<Caches>) -> Result<(), String> {
    let set = pool.call("set", async |connection, _| {
        connection.set::<_, _, ()>("key", 17).await?;
        connection.get::<_, u32>("key").await
    });
    match set.await {
        Ok(17) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_servers_die_and_stand_still() {
    let servers = [
        Redis::start().await.unwrap(),
        Redis::start().await.unwrap(),
        Redis::start().await.unwrap(),
    ];
    let limit = Duration::from_millis(150);
    let balance = BalancerConfig::new(Strategy::RoundRobin).with_outliers(
        Outliers::default().with_ejection(Duration::from_millis(500), Duration::from_secs(1)),
    );
    let config = PoolConfig::of(4)
        .with_check(Duration::ZERO, limit)
        .with_connect_within(limit)
        .balanced(balance);
    let pool = BalancedPool::within(&Surroundings::apart(), "caches", Caches, config).unwrap();
    pool.update(servers.iter().map(endpoint));
    for _ in 0..30 {
        ask(&pool).await.unwrap();
    }
    assert!(pool.idle() >= 3, "one to each, and they stay");

    servers[0].kill().await;
    for _ in 0..30 {
        ask(&pool).await.unwrap();
    }

    servers[1].pause().unwrap();
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let before = clock();
        ask(&pool).await.unwrap();
        longest = longest.max(clock() - before);
    }
    // A check and a connection that are not answered, each 150 ms, and a loaded machine.
    println!("longest call beside a dead and a stopped server: {longest:?}");
    assert!(longest < Duration::from_millis(1500), "{longest:?}");

    servers[1].resume().unwrap();
    servers[0].restart().await.unwrap();
    let until = clock() + Duration::from_secs(20);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 3 {
        assert!(clock() < until, "only {seen:?} serve again");
        if let Ok(connection) = pool.get("look").await {
            seen.insert(connection.id().to_owned());
            connection.finish(rs_core::Outcome::Success);
        }
        tokio::task::yield_now().await;
    }

    // One leaves: its server has no client left.
    pool.update(servers[..2].iter().map(endpoint));
    for _ in 0..10 {
        ask(&pool).await.unwrap();
    }
    let mut direct = Client::open(servers[2].url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let until = clock() + Duration::from_secs(10);
    loop {
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut direct)
            .await
            .unwrap();
        if clients.lines().count() == 1 {
            break;
        }
        assert!(clock() < until, "still there: {clients}");
        tokio::task::yield_now().await;
    }
    assert_eq!((pool.leased(), pool.in_flight()), (0, 0));
}
