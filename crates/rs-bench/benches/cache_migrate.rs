//! What a migration costs beside the bare cache at every stage, and the caches beside their peers.

#![allow(clippy::expect_used, reason = "a bench that cannot go on ends")]

use std::{
    cell::Cell,
    error::Error,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use dashmap::DashMap;
use rs_bench::{Bench, Goal};
use rs_cache_migrate::{
    CacheAdapter, CacheMigration, MigrationConfig, ModularCache, ModularCacheConfig, Stage,
    Surroundings, TtlCache,
};
use rs_core::{Mandate, Share};

type Value = std::sync::Arc<[u8]>;
type Plain = TtlCache<String, Value>;
type Moving = CacheMigration<String, Value, Plain, Plain>;

const HOUR: Duration = Duration::from_secs(3600);
const KEYS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::from_args("cache-migrate");
    reads(&mut bench)?;
    changes(&mut bench)?;
    caches(&mut bench)?;
    bench.finish();
    Ok(())
}

/// Caches in the process answer at once, unless another thread changes a key of the same stripe.
#[inline]
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// One key after another, on each thread.
fn next(keys: &[String]) -> &String {
    thread_local!(static NEXT: Cell<usize> = const { Cell::new(0) });
    let next = NEXT.get();
    NEXT.set(next.wrapping_add(1));
    &keys[next % KEYS]
}

fn keys() -> Vec<String> {
    (0..KEYS)
        .map(|number| format!("a key of 24 bytes {number:06}"))
        .collect()
}

fn value() -> Value {
    Value::from(vec![7; 64])
}

fn plain() -> Plain {
    let cache = Plain::within(&Surroundings::apart(), HOUR);
    for key in keys() {
        cache.set(key, value());
    }
    cache
}

/// A migration at this stage, both caches full.
fn at(stage: Stage, shadow: bool) -> Result<Moving, Box<dyn Error>> {
    let around = Surroundings::apart();
    let cache = || Plain::within(&around, HOUR);
    let config = MigrationConfig::default().with_steps([Share::ALL]);
    let moving = match shadow {
        true => {
            CacheMigration::comparing(&around, "bench", cache(), cache(), config, |a, b| a == b)?
        }
        false => CacheMigration::within(&around, "bench", cache(), cache(), config)?,
    };
    let fill = |moving: &Moving| {
        for key in keys() {
            now(moving.set(&key, value(), HOUR)).expect("caches in the process do not fail");
        }
    };
    fill(&moving);
    while moving.state().stage != stage {
        now(moving.advance(Mandate::new("bench", "")))?;
        fill(&moving);
    }
    Ok(moving)
}

fn reads(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (keys, bare) = (keys(), plain());
    let cases = [
        ("read, off", Stage::Off, false, 1.04),
        ("read, dual write", Stage::DualWrite, false, 1.05),
        ("read, shadow 1%", Stage::Shadow, true, 1.25),
        ("read, live", Stage::Live, false, 1.75),
        ("read, ramp down", Stage::RampDown, false, 1.75),
        ("read, complete", Stage::Complete, false, 1.04),
    ];
    for (name, stage, shadow, limit) in cases {
        let moving = at(stage, shadow)?;
        let case = bench
            .case(name)
            .ours(|| drop(black_box(now(moving.get(next(&keys))))))
            .peer("bare", || {
                drop(black_box(now(CacheAdapter::get(&bare, next(&keys)))))
            })
            .goal(Goal::times(limit, "bare").on_threads(1));
        // 95 % of what the bare cache answers. A hit in the process takes less than all that is counted in
        // between, so the other stages cannot reach that.
        match stage {
            Stage::Off | Stage::Complete => case
                .goal(Goal::times(1.0 / 0.95, "bare").on_threads(2))
                .run(),
            _ => case.goal(Goal::times(limit, "bare").on_threads(2)).run(),
        }
    }
    Ok(())
}

fn changes(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (keys, old, new, value) = (keys(), plain(), plain(), value());
    let entry = || rs_cache_migrate::Entry::of(value.clone()).lasting(HOUR);
    let put = |cache: &Plain| {
        let key = next(&keys);
        drop(black_box(now(CacheAdapter::set(cache, key, entry()))));
    };
    let both = || {
        let key = next(&keys);
        let entry = entry();
        let _ = black_box(now(CacheAdapter::set(&old, key, entry.clone())));
        let _ = black_box(now(CacheAdapter::set(&new, key, entry)));
    };
    for (name, stage) in [
        ("change, dual write", Stage::DualWrite),
        ("change, live", Stage::Live),
    ] {
        let moving = at(stage, false)?;
        bench
            .case(name)
            .ours(|| drop(black_box(now(moving.set_entry(next(&keys), entry())))))
            .peer("legacy + new", both)
            .goal(Goal::times(1.15, "legacy + new"))
            .run();
    }
    for (name, stage) in [
        ("change, off", Stage::Off),
        ("change, complete", Stage::Complete),
    ] {
        let moving = at(stage, false)?;
        bench
            .case(name)
            .ours(|| drop(black_box(now(moving.set_entry(next(&keys), entry())))))
            .peer("bare", || put(&old))
            .run();
    }
    Ok(())
}

/// What people write by themselves.
struct Ending {
    value: Value,
    until: Instant,
}

fn caches(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (keys, ttl) = (keys(), plain());
    let modular = ModularCache::new(ModularCacheConfig::of(100_000).with_ttl(HOUR))?;
    let moka = moka::sync::Cache::builder()
        .max_capacity(100_000)
        .time_to_live(HOUR)
        .build();
    let quick = quick_cache::sync::Cache::new(100_000);
    let map = DashMap::new();
    let until = rs_core::Clock::tokio().now() + HOUR;
    for key in &keys {
        modular.set(key.clone(), value());
        moka.insert(key.clone(), value());
        quick.insert(key.clone(), value());
        map.insert(
            key.clone(),
            Ending {
                value: value(),
                until,
            },
        );
    }
    let of_map = || {
        let found = map.get(next(&keys));
        let now = rs_core::Clock::tokio().now();
        drop(black_box(
            found
                .filter(|there| there.until > now)
                .map(|there| there.value.clone()),
        ));
    };
    bench
        .case("hot hit, TtlCache")
        .ours(|| drop(black_box(ttl.get(next(&keys)))))
        .peer("DashMap + TTL", of_map)
        .peer("moka", || drop(black_box(moka.get(next(&keys)))))
        .peer("quick_cache, no TTL", || {
            drop(black_box(quick.get(next(&keys))))
        })
        .goal(Goal::times(1.2, "DashMap + TTL"))
        .run();
    bench
        .case("hot hit, ModularCache")
        .ours(|| drop(black_box(modular.get(next(&keys)))))
        .peer("DashMap + TTL", of_map)
        .peer("moka", || drop(black_box(moka.get(next(&keys)))))
        .peer("quick_cache, no TTL", || {
            drop(black_box(quick.get(next(&keys))))
        })
        .goal(Goal::times(1.2, "moka"))
        .run();
    Ok(())
}
