//! Three Redis servers behind one pool, of which one dies: `cargo run --example balanced_pool_redis
//! --features pool`.

use std::{collections::BTreeMap, error::Error, time::Duration};

use redis::{AsyncCommands, Client, RedisError, aio::MultiplexedConnection};
use rs_balance::{
    BalancerConfig, Endpoint, Strategy,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_core::{Failure, Outcome};
use rs_testkit::Redis;

/// How connections to Redis are made and checked.
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = [
        Redis::start().await?,
        Redis::start().await?,
        Redis::start().await?,
    ];
    let config = PoolConfig::of(8)
        .with_check(Duration::ZERO, Duration::from_millis(200))
        .balanced(BalancerConfig::new(Strategy::LeastConnections));
    let caches = BalancedPool::new("caches", Caches, config)?;
    let mut endpoints = Vec::new();
    for server in &servers {
        endpoints.push(Endpoint::new(
            server.addr().to_string(),
            Client::open(server.url())?,
        ));
    }
    caches.update(endpoints);

    println!("all live: {:?}", visit(&caches).await?);
    servers[0].kill().await;
    println!("one dead: {:?}", visit(&caches).await?);
    println!("{:?}", caches.snapshot());
    Ok(())
}

/// Counts visits, and which server counted how many of them.
async fn visit(
    caches: &BalancedPool<Caches>,
) -> Result<BTreeMap<String, u32>, Failure<RedisError>> {
    let mut visits = BTreeMap::new();
    for _ in 0..300 {
        let mut connection = caches.get("visit").await?;
        let counted: Result<u64, RedisError> = connection.incr("visits", 1).await;
        *visits.entry(connection.id().to_owned()).or_default() += 1;
        connection.finish(match counted {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::TRANSIENT,
        });
    }
    Ok(visits)
}
