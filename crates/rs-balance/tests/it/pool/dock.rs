//! Connections that are made in memory, counted, and fail when told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use rs_balance::{
    BalancerConfig, Endpoint, Strategy, Surroundings,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_metrics::Registry;

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Works,
    /// Nobody answers.
    Refuses,
    /// Whoever connects waits for ever.
    Hangs,
    /// Connections are made, but those there are do not answer.
    Forgets,
    /// Each step takes so many polls.
    Dawdles(u8),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Dock(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    manners: HashMap<u32, Manner>,
    open: HashMap<u32, usize>,
    most: HashMap<u32, usize>,
    made: u64,
}

/// Open until it is dropped.
#[derive(Debug)]
pub(crate) struct Ship {
    dock: Dock,
    pub(crate) target: u32,
    pub(crate) number: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Storm;

impl Dock {
    pub(crate) fn behave(&self, target: u32, manner: Manner) {
        self.0.lock().unwrap().manners.insert(target, manner);
    }

    fn manner(&self, target: u32) -> Manner {
        let books = self.0.lock().unwrap();
        books.manners.get(&target).copied().unwrap_or_default()
    }

    /// How many connections to an endpoint are open.
    pub(crate) fn open(&self, target: u32) -> usize {
        let books = self.0.lock().unwrap();
        books.open.get(&target).copied().unwrap_or_default()
    }

    /// How many were open at once.
    pub(crate) fn most(&self, target: u32) -> usize {
        let books = self.0.lock().unwrap();
        books.most.get(&target).copied().unwrap_or_default()
    }

    pub(crate) fn all_open(&self) -> usize {
        self.0.lock().unwrap().open.values().sum()
    }

    fn dock(&self, target: u32) -> Ship {
        let mut books = self.0.lock().unwrap();
        books.made += 1;
        let number = books.made;
        let open = books.open.entry(target).or_default();
        *open += 1;
        let open = *open;
        let most = books.most.entry(target).or_default();
        *most = open.max(*most);
        let dock = self.clone();
        Ship {
            dock,
            target,
            number,
        }
    }

    async fn behaves(&self, target: u32) -> Result<(), Storm> {
        match self.manner(target) {
            Manner::Works | Manner::Forgets => Ok(()),
            Manner::Refuses => Err(Storm),
            Manner::Hangs => std::future::pending().await,
            Manner::Dawdles(polls) => {
                for _ in 0..polls {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }
}

impl Drop for Ship {
    fn drop(&mut self) {
        let mut books = self.dock.0.lock().unwrap();
        *books.open.get_mut(&self.target).unwrap() -= 1;
    }
}

impl Connect for Dock {
    type Target = u32;
    type Connection = Ship;
    type Error = Storm;

    async fn connect(&self, target: &u32) -> Result<Ship, Storm> {
        let ship = self.dock(*target);
        self.behaves(*target).await?;
        Ok(ship)
    }

    async fn check(&self, ship: &mut Ship) -> Result<(), Storm> {
        if self.manner(ship.target) == Manner::Forgets {
            return Err(Storm);
        }
        self.behaves(ship.target).await
    }
}

pub(crate) fn config(size: u32, strategy: Strategy) -> PoolConfig {
    PoolConfig::of(size).balanced(BalancerConfig::new(strategy))
}

/// A pool over so many endpoints, named after their numbers, on tokio's clock.
pub(crate) fn pool(config: PoolConfig, count: u32) -> (BalancedPool<Dock>, Dock, Registry) {
    let registry = Registry::new();
    let around = Surroundings::apart()
        .with_metrics(registry.clone())
        .with_seed(7);
    let dock = Dock::default();
    let pool = BalancedPool::within(&around, "test", dock.clone(), config).unwrap();
    pool.update(endpoints(0..count));
    (pool, dock, registry)
}

pub(crate) fn endpoints(numbers: impl IntoIterator<Item = u32>) -> Vec<Endpoint<u32>> {
    let numbers = numbers.into_iter();
    numbers
        .map(|number| Endpoint::new(number.to_string(), number))
        .collect()
}

impl std::fmt::Display for Storm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a storm")
    }
}

pub(crate) fn now() -> std::time::Instant {
    rs_core::Clock::tokio().now()
}

pub(crate) async fn sleep(time: std::time::Duration) {
    rs_core::Clock::tokio().sleep(time).await;
}
