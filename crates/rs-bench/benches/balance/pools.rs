//! A connection from a warm pool and back.

use std::{convert::Infallible, future::Future, hint::black_box};

use rs_balance::{
    BalancerConfig, Endpoint, Strategy, Surroundings,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_bench::{Bench, Goal};
use rs_core::{Call, ConfigError, Outcome};
use tokio::runtime::{Builder, Runtime};

const SIZE: u32 = 16;

struct Nothing;

impl Connect for Nothing {
    type Target = u32;
    type Connection = u32;
    type Error = Infallible;

    async fn connect(&self, target: &u32) -> Result<u32, Infallible> {
        Ok(*target)
    }
}

impl deadpool::managed::Manager for Nothing {
    type Type = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(7)
    }

    async fn recycle(
        &self,
        _connection: &mut u32,
        _metrics: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Nothing {
    type Connection = u32;
    type Error = Infallible;

    async fn connect(&self) -> Result<u32, Infallible> {
        Ok(7)
    }

    async fn is_valid(&self, _connection: &mut u32) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _connection: &mut u32) -> bool {
        false
    }
}

fn runtime() -> Runtime {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("a runtime needs little: {error}"),
    }
}

/// On a runtime of its own: bb8 limits each wait by tokio's time.
fn in_runtime(work: impl Future<Output = ()>) {
    runtime().block_on(work);
}

fn pool(endpoints: u32) -> Result<BalancedPool<Nothing>, ConfigError> {
    let config = PoolConfig::of(SIZE).balanced(BalancerConfig::new(Strategy::LeastConnections));
    let pool = BalancedPool::within(&Surroundings::apart(), "bench", Nothing, config)?;
    pool.update((0..endpoints).map(|number| Endpoint::new(number.to_string(), number)));
    Ok(pool)
}

async fn borrow(pool: &BalancedPool<Nothing>, times: u64) {
    for _ in 0..times {
        let Ok(connected) = pool.get(Call::new("bench")).await else {
            panic!("one is free");
        };
        black_box(*connected);
        connected.finish(Outcome::Success);
    }
}

pub(crate) fn pools(bench: &mut Bench) -> Result<(), ConfigError> {
    let cases = [
        ("pool of one endpoint, borrow and return", 1),
        ("pool of 10 endpoints, borrow and return", 10),
    ];
    if !cases.iter().any(|(case, _)| bench.measures(case)) {
        return Ok(());
    }
    let config = deadpool::managed::Pool::builder(Nothing).max_size(SIZE as usize);
    let Ok(deadpool): Result<deadpool::managed::Pool<Nothing>, _> = config.build() else {
        panic!("it needs no runtime");
    };
    // bb8 starts a task that closes what lies idle; this runtime never runs it.
    let idle = runtime();
    let bb8 = {
        let _entered = idle.enter();
        bb8::Pool::builder().max_size(SIZE).build_unchecked(Nothing)
    };
    for (case, endpoints) in cases {
        let pool = pool(endpoints)?;
        bench
            .case(case)
            .ours_in_batches(|times| in_runtime(borrow(&pool, times)))
            .peer_in_batches("deadpool, one server", |times| {
                in_runtime(async {
                    for _ in 0..times {
                        let Ok(connection) = deadpool.get().await else {
                            panic!("one is free");
                        };
                        black_box(*connection);
                    }
                });
            })
            .peer_in_batches("bb8, one server", |times| {
                in_runtime(async {
                    for _ in 0..times {
                        let Ok(connection) = bb8.get().await else {
                            panic!("one is free");
                        };
                        black_box(*connection);
                    }
                });
            })
            .goal(Goal::times(1.0, "bb8, one server").on_threads(1))
            .goal(Goal::times(2.0, "deadpool, one server").on_threads(1))
            .run();
    }
    Ok(())
}
