//! What the limit does before a dependency that has a capacity, in virtual time. Run with `--no-capture`
//! to see the curves.

use std::time::Duration;

use rs_core::Criticality;
use rs_policies::{AdaptiveConfig, Aimd, Algorithm, ClassShares, Gradient, Vegas};

use super::server::{Chance, Server, World};

fn vegas() -> Algorithm {
    Algorithm::Vegas(Vegas::default())
}

fn gradient() -> Algorithm {
    Algorithm::Gradient(Gradient::default())
}

fn aimd() -> Algorithm {
    Algorithm::Aimd(Aimd::default())
}

fn config(algorithm: Algorithm) -> AdaptiveConfig {
    AdaptiveConfig::by(algorithm).with_shares(ClassShares::EQUAL)
}

const MS: Duration = Duration::from_millis(1);

/// AIMD hears of too many only by what is dropped.
fn server(algorithm: &Algorithm, workers: usize, service: Duration) -> Server {
    let mut server = Server::of(workers, service);
    if matches!(algorithm, Algorithm::Aimd(_)) {
        server.queue = workers.div_ceil(10);
    }
    server
}

#[track_caller]
fn near(limit: f64, workers: usize, what: &str) {
    let ratio = limit / workers as f64;
    println!("{what}: limit {limit:.1} of {workers}, {ratio:.2}");
    assert!(
        (0.75..=1.25).contains(&ratio),
        "{what}: {limit} of {workers}"
    );
}

#[track_caller]
fn check_convergence(algorithm: &Algorithm) {
    for (workers, service) in [(20, 20 * MS), (100, 50 * MS)] {
        for overload in [1.2, 3.0] {
            let server = server(algorithm, workers, service);
            let mut world = World::new(config(algorithm.clone()), server);
            world.rate = overload * server.capacity();
            world.run(45);
            let what = format!("{} {workers} x{overload}", algorithm.name());
            world.plot(&what, workers);
            println!("goodput {:.2}", world.goodput(15));
            near(world.mean_limit(15), workers, &what);
            assert!(world.goodput(15) > 0.8, "{what}: {}", world.goodput(15));
        }
    }
}

#[test]
fn aimd_converges_to_the_capacity() {
    check_convergence(&aimd());
}

#[test]
fn vegas_converges_to_the_capacity() {
    check_convergence(&vegas());
}

#[test]
fn gradient_converges_to_the_capacity() {
    check_convergence(&gradient());
}

#[test]
fn it_converges_when_times_differ_much() {
    for algorithm in [aimd(), vegas(), gradient()] {
        for (workers, service) in [(40, 20 * MS), (150, 100 * MS)] {
            let mut server = server(&algorithm, workers, service);
            server.chance = Chance::Much;
            let mut world = World::new(config(algorithm.clone()), server);
            world.rate = 2.0 * server.capacity();
            world.run(120);
            let what = format!("{} {workers} exponential", algorithm.name());
            world.plot(&what, workers);
            println!("goodput {:.2}", world.goodput(60));
            near(world.mean_limit(60), workers, &what);
            assert!(world.goodput(60) > 0.8);
        }
    }
}

#[test]
fn it_follows_the_capacity_down_and_up() {
    for algorithm in [aimd(), vegas(), gradient()] {
        let first = server(&algorithm, 80, 20 * MS);
        let mut world = World::new(config(algorithm.clone()), first);
        world.rate = 1.5 * first.capacity();
        world.run(40);
        near(world.mean_limit(10), 80, "before");
        world.server = server(&algorithm, 40, 20 * MS);
        world.run(30);
        near(world.mean_limit(10), 40, "halved");
        world.server = first;
        world.run(40);
        world.plot(algorithm.name(), 80);
        near(world.mean_limit(10), 80, "doubled");
    }
}

/// The work per call doubles: it is the calls that got slower, and fewer in flight would not help.
#[test]
fn it_finds_out_that_calls_got_slower() {
    for algorithm in [vegas(), gradient()] {
        let mut world = World::new(config(algorithm.clone()), Server::of(50, 20 * MS));
        world.rate = 2.0 * world.server.capacity();
        world.run(30);
        world.server.service = 60 * MS;
        world.run(60);
        world.plot(algorithm.name(), 50);
        near(world.mean_limit(15), 50, algorithm.name());
    }
}

/// A limit that begins above the capacity takes the loaded time for the normal one, until it has
/// measured.
#[test]
fn it_converges_from_above() {
    for algorithm in [vegas(), gradient()] {
        let rules = config(algorithm.clone()).beginning_at(300);
        let mut world = World::new(rules, Server::of(20, 20 * MS));
        world.rate = 3.0 * world.server.capacity();
        world.run(90);
        world.plot(algorithm.name(), 20);
        near(world.mean_limit(20), 20, algorithm.name());
    }
}

/// An hour in which a little more comes than the dependency can do: an average would learn to call the
/// queue normal, and the limit would drift up for ever.
#[test]
fn it_does_not_drift_in_an_hour_of_mild_overload() {
    for algorithm in [aimd(), vegas(), gradient()] {
        let server = server(&algorithm, 40, 400 * MS);
        let mut world = World::new(config(algorithm.clone()), server);
        world.rate = 1.1 * server.capacity();
        world.run(3600);
        world.plot(algorithm.name(), 40);
        let early = world.seconds[300..900].iter().map(|second| second.limit);
        let early = super::server::mean(early);
        let late = world.mean_limit(600);
        println!("{}: {early:.1} then {late:.1}", algorithm.name());
        near(late, 40, algorithm.name());
        assert!((0.9..1.1).contains(&(late / early)));
        let most = world.last(3000).iter().map(|second| second.limit);
        // In a lull nothing queues, and up to twice of what is used is held ready.
        assert!(most.fold(0.0, f64::max) < 2.5 * 40.0);
    }
}

/// Two calls a second, of which one in fifty is lost: that says nothing about twenty at once.
#[test]
fn it_does_not_collapse_when_there_is_little_to_do() {
    for algorithm in [aimd(), vegas(), gradient()] {
        let mut server = server(&algorithm, 50, 20 * MS);
        server.patience = Duration::from_secs(1);
        let mut world = World::new(config(algorithm.clone()), server);
        world.rate = 2.0;
        world.lost = 0.02;
        world.run(3600);
        let least = world.last(3600).iter().map(|second| second.limit);
        let least = least.fold(f64::INFINITY, f64::min);
        println!("{}: at least {least}", algorithm.name());
        assert!(least >= 20.0);
        // And then everybody comes at once.
        world.lost = 0.0;
        world.rate = server.capacity();
        world.run(10);
        println!("goodput {}", world.goodput(5));
        assert!(world.goodput(5) > 0.8);
    }
}

/// Few calls in a hundred time out always; they must not take the limit down to nothing.
#[test]
fn losses_that_are_no_overload_are_tolerated_up_to_a_share() {
    let algorithm = aimd();
    let mut server = server(&algorithm, 50, 20 * MS);
    server.patience = Duration::from_millis(200);
    let mut world = World::new(config(algorithm), server);
    world.rate = 1.2 * server.capacity();
    world.lost = 0.004;
    world.run(60);
    world.plot("lossy", 50);
    near(world.mean_limit(20), 50, "lossy");
}

/// Three times as much comes as the dependency can do, a third of it critical.
#[test]
fn the_least_critical_are_shed_first_and_the_rest_gets_through() {
    for algorithm in [aimd(), vegas(), gradient()] {
        let server = server(&algorithm, 50, 20 * MS);
        let rules = AdaptiveConfig::by(algorithm.clone());
        let mut world = World::new(rules, server);
        world.rate = 3.0 * server.capacity();
        // A third of the capacity is critical, two thirds of all that comes are not.
        world.classes = vec![
            Criticality::Sheddable,
            Criticality::Sheddable,
            Criticality::Sheddable,
            Criticality::Sheddable,
            Criticality::SheddablePlus,
            Criticality::SheddablePlus,
            Criticality::Critical,
            Criticality::Critical,
            Criticality::CriticalPlus,
        ];
        world.run(60);
        let passed = |class: Criticality| {
            let class = class as usize;
            let sum = |of: fn(&super::server::Second) -> [u32; 4]| {
                let last = world.last(30).iter();
                f64::from(last.map(|second| of(second)[class]).sum::<u32>())
            };
            let (done, refused) = (sum(|second| second.succeeded), sum(|second| second.refused));
            done / (done + refused)
        };
        let passed = Criticality::ALL.map(passed);
        println!(
            "{}: passed {passed:.2?}, goodput {:.2}",
            algorithm.name(),
            world.goodput(30)
        );
        assert!(passed.is_sorted());
        assert!(passed[3] > 0.98 && passed[0] < 0.2, "{passed:?}");
        assert!(world.goodput(30) >= 0.8);
    }
}
