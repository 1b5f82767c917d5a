//! The balancers that ours is measured beside, each as its users call it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower::{
    Service,
    balance::p2c::Balance,
    discover::ServiceList,
    load::{CompleteOnResponse, Constant, Load, PeakEwma, PendingRequests},
};
use volo::{
    context::Endpoint,
    discovery::WeightedStaticDiscover,
    loadbalance::{LoadBalance, random::WeightedRandomBalance},
};

/// Makes so many picks.
pub(crate) type Body = Box<dyn Fn(u64) + Sync>;

pub(crate) type Rows = Vec<(&'static str, Body)>;

fn address(number: usize) -> SocketAddr {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, a, b, c), 8080))
}

/// What is behind each endpoint: an answer at once.
struct Echo;

impl Service<()> for Echo {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// tower's, two choices by a load that never changes.
pub(crate) fn tower_constant(count: usize) -> Body {
    tower((0..count).map(|_| Constant::new(Echo, 1_u32)))
}

/// tower's, two choices by calls in flight.
pub(crate) fn tower_pending(count: usize) -> Body {
    let counted = |_| PendingRequests::new(Echo, CompleteOnResponse::default());
    tower((0..count).map(counted))
}

/// tower's, two choices by peak latency averages.
pub(crate) fn tower_peak(count: usize) -> Body {
    let (usual, decay) = (Duration::from_millis(20), 10e9);
    let timed = move |_| PeakEwma::new(Echo, usual, decay, CompleteOnResponse::default());
    tower((0..count).map(timed))
}

/// It takes whoever calls it by `&mut`, so that threads share it behind a lock, or a buffer that costs more;
/// here the lock is taken once for many calls and costs nothing.
fn tower<S>(services: impl Iterator<Item = S>) -> Body
where
    S: Service<(), Error = Infallible> + Load + Send + 'static,
    S::Metric: std::fmt::Debug,
    S::Future: Send,
{
    let services: Vec<S> = services.collect();
    let balance = Mutex::new(Balance::new(ServiceList::new::<()>(services)));
    Box::new(move |times| {
        let mut balance = balance.lock().unwrap_or_else(PoisonError::into_inner);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..times {
            assert!(balance.poll_ready(&mut context).is_ready(), "it is ready");
            let answer = pin!(balance.call(())).poll(&mut context);
            assert!(black_box(answer).is_ready(), "it answers at once");
        }
    })
}

/// volo's, by weights.
pub(crate) fn volo_weighted(count: usize) -> Body {
    let instances: Vec<(SocketAddr, u32)> = (0..count)
        .map(|number| (address(number), 1 + number as u32 % 7))
        .collect();
    let discover = WeightedStaticDiscover::from(instances);
    let balance = WeightedRandomBalance::with_discover(&discover);
    let callee = Endpoint::new("bench".into());
    Box::new(move |times| {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..times {
            let picker = pin!(balance.get_picker(&callee, &discover)).poll(&mut context);
            let Poll::Ready(Ok(mut picker)) = picker else {
                panic!("a static list is there at once");
            };
            assert!(black_box(picker.next()).is_some(), "somebody is there");
        }
    })
}

/// pingora's, by the strategy of this name; of so many one in `every` is up.
#[cfg(not(pingora))]
pub(crate) fn pingora(_name: &str, _count: usize, _every: usize) -> Rows {
    Rows::new()
}

/// pingora's, by the strategy of this name; of so many one in `every` is up.
#[cfg(pingora)]
pub(crate) fn pingora(name: &str, count: usize, every: usize) -> Rows {
    use pingora_load_balancing::selection::{Consistent, Random, RoundRobin};

    vec![match name {
        "consistent_hash" => (
            "pingora, ketama",
            within_pingora::<Consistent>(count, every),
        ),
        "round_robin" => (
            "pingora, round robin",
            within_pingora::<RoundRobin>(count, every),
        ),
        _ => ("pingora, random", within_pingora::<Random>(count, every)),
    }]
}

#[cfg(pingora)]
fn within_pingora<S>(count: usize, every: usize) -> Body
where
    S: pingora_load_balancing::selection::BackendSelection + Send + Sync + 'static,
    S::Iter: pingora_load_balancing::selection::BackendIter,
    S::Config: 'static,
{
    let all = (0..count).map(address);
    let balancer = match pingora_load_balancing::LoadBalancer::<S>::try_from_iter(all) {
        Ok(balancer) => balancer,
        Err(error) => panic!("addresses need no look-up: {error}"),
    };
    for (place, backend) in balancer.backends().get_backend().iter().enumerate() {
        let is_up = place % every == 0;
        balancer.backends().set_enable(backend, is_up);
    }
    Box::new(move |times| {
        for key in 0..times {
            let picked = balancer.select(&key.to_be_bytes(), count);
            assert!(black_box(picked).is_some(), "somebody is up");
        }
    })
}
