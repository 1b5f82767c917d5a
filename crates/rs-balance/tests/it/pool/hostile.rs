//! Connections that panic, and that use their pool when they are closed.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use rs_balance::{
    Endpoint, Surroundings,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_core::Outcome;

#[derive(Clone, Default)]
struct Nosy(Arc<OnceLock<BalancedPool<Nosy>>>);

/// Looks at its pool when it is closed.
struct Spy(Nosy);

impl Drop for Spy {
    fn drop(&mut self) {
        if let Some(pool) = self.0.0.get() {
            let _ = (
                pool.idle(),
                pool.leased(),
                pool.snapshot(),
                pool.in_flight(),
            );
        }
    }
}

impl Connect for Nosy {
    type Target = ();
    type Connection = Spy;
    type Error = Infallible;

    async fn connect(&self, (): &()) -> Result<Spy, Infallible> {
        Ok(Spy(self.clone()))
    }

    fn may_stay(&self, _: &mut Spy, outcome: Outcome) -> bool {
        assert_ne!(outcome, Outcome::PERMANENT, "it panics at these");
        true
    }
}

fn nosy(config: PoolConfig) -> BalancedPool<Nosy> {
    let nosy = Nosy::default();
    let pool = BalancedPool::within(&Surroundings::apart(), "test", nosy.clone(), config).unwrap();
    pool.update(["a", "b"].map(|id| Endpoint::new(id, ())));
    assert!(nosy.0.set(pool.clone()).is_ok());
    pool
}

async fn fill(pool: &BalancedPool<Nosy>) {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get("call").await.unwrap());
    }
    held.into_iter()
        .for_each(|held| held.finish(Outcome::Success));
    assert_eq!(pool.idle(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_use_its_pool_while_it_is_closed() {
    let config = |size| PoolConfig::of(size).with_idle(Duration::from_secs(10));
    let pool = nosy(config(2));
    fill(&pool).await;
    pool.reconfigure(config(1)).unwrap();
    assert_eq!(pool.idle(), 2);
    pool.reconfigure(config(2)).unwrap();
    fill(&pool).await;
    pool.update([Endpoint::new("a", ())]);
    assert_eq!(pool.idle(), 2);
    tokio::time::advance(Duration::from_secs(11)).await;
    drop(pool.get("call").await.unwrap());
    pool.get("call")
        .await
        .unwrap()
        .finish_and_close(Outcome::Success);
    assert_eq!((pool.idle(), pool.leased(), pool.in_flight()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_panics_leaves_the_counts_right() {
    let pool = nosy(PoolConfig::of(1));
    for _ in 0..5 {
        let connected = pool.get("call").await.unwrap();
        let panics = || connected.finish(Outcome::PERMANENT);
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!((pool.idle(), pool.leased(), pool.in_flight()), (0, 0, 0));
    }
}
