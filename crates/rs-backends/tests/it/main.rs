//! The tests of `rs-backends`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod allocations;
mod auto_traits;
mod broken;
mod config;
#[cfg(feature = "consul")]
mod consul;
#[cfg(feature = "consul")]
mod consul_lies;
#[cfg(all(feature = "consul", feature = "dns"))]
mod dns;
#[cfg(feature = "dns")]
mod dns_lies;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "etcd")]
mod etcd_facts;
#[cfg(feature = "etcd")]
mod etcd_lies;
#[cfg(all(feature = "consul", feature = "redis"))]
mod facts;
mod file;
mod filter;
mod instance;
#[cfg(feature = "kubernetes")]
mod kubernetes_lies;
#[cfg(feature = "kubernetes")]
mod kubernetes_server;
#[cfg(any(feature = "consul", feature = "etcd"))]
mod liar;
mod local;
#[cfg(feature = "etcd")]
mod many;
#[cfg(all(feature = "consul", feature = "etcd", feature = "redis"))]
mod processes;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_lies;
mod rubbish;
#[cfg(all(feature = "consul", feature = "etcd", feature = "redis"))]
mod steady;
#[cfg(all(feature = "consul", feature = "etcd", feature = "tls"))]
mod tls;
mod wrappers;

use std::time::Duration;
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "kubernetes",
    feature = "redis"
))]
use std::time::Instant;

use rs_backends::{Backend, InstanceSet, ServiceInstance, Watch};

/// An instance of this service and id.
fn instance(service: &str, id: &str) -> ServiceInstance {
    let instance = ServiceInstance::builder(service, "127.0.0.1", 8080).id(id);
    instance.build().expect("it is right")
}

/// Waits until the watch tells of a set that is so.
async fn until(
    watch: &mut Watch,
    what: &str,
    mut is_it: impl FnMut(&InstanceSet) -> bool,
) -> InstanceSet {
    let mut last = None;
    let found = async {
        while let Some(set) = watch.changed().await {
            if is_it(&set) {
                return set;
            }
            last = Some(set);
        }
        panic!("the watch ended before it told {what}");
    };
    let found = rs_testkit::within(what, Duration::from_secs(60), found).await;
    found.unwrap_or_else(|error| panic!("{error}; last {last:?}"))
}

/// The ids of a set.
fn ids(set: &InstanceSet) -> Vec<&str> {
    set.instances()
        .iter()
        .map(|instance| instance.id())
        .collect()
}

/// Whether it can be used without knowing what it is.
fn erased(backend: impl Backend) -> Box<dyn Backend> {
    Box::new(backend)
}

/// The time, which no test can move for a real server.
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "kubernetes",
    feature = "redis"
))]
#[expect(clippy::disallowed_methods, reason = "real servers need real time")]
fn now() -> Instant {
    Instant::now()
}

/// Prints how long something takes, many times over, and bounds it. Who else uses the machine may spoil a
/// round, but not three.
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "kubernetes",
    feature = "redis"
))]
async fn figures(
    what: &str,
    samples: usize,
    bound: Duration,
    mut once: impl AsyncFnMut() -> Duration,
) {
    const ROUNDS: usize = 3;
    let mut p99s = Vec::new();
    while p99s.len() < ROUNDS {
        let mut times = Vec::new();
        for _ in 0..samples {
            times.push(once().await);
        }
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        let (p50, p99, most) = (at(50), at(99), at(100));
        println!("{what}: p50 {p50:?}, p99 {p99:?}, most {most:?}");
        p99s.push(p99);
        if p99 <= bound {
            return;
        }
    }
    panic!("{what}: p99 {p99s:?} are all more than {bound:?}");
}
