//! Load shed by the client.

use std::time::Duration;

use proptest::prelude::*;
use rs_core::{
    Call, Clock, ClockHand, Criticality, Directory, Enforcement, Fault, Guard, Outcome, Share,
    Value,
};
use rs_metrics::Registry;
use rs_policies::{LoadShed, LoadShedConfig, Surroundings};

use crate::adaptive::seen::page;

use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    shed: LoadShed,
    hand: ClockHand,
    around: Surroundings,
    registry: Registry,
    directory: Directory,
}

/// What a while came to, for each class: calls, those that were sent, those that were accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Came {
    calls: [u32; 4],
    sent: [u32; 4],
    accepted: [u32; 4],
}

impl Came {
    fn share_sent(&self, class: Criticality) -> f64 {
        f64::from(self.sent[class as usize]) / f64::from(self.calls[class as usize])
    }

    fn all(of: [u32; 4]) -> f64 {
        f64::from(of.iter().sum::<u32>())
    }
}

impl Bench {
    fn with(config: LoadShedConfig) -> Self {
        let ((clock, hand), registry, directory) =
            (Clock::manual(), Registry::new(), Directory::new());
        let around = Surroundings::apart()
            .with_clock(clock)
            .with_seed(7)
            .with_metrics(registry.clone())
            .with_directory(directory.clone());
        Self {
            shed: LoadShed::within(&around, "search", config).unwrap(),
            hand,
            around,
            registry,
            directory,
        }
    }

    /// Calls of these classes in turn, 100 a second, before a backend that takes so many in each second
    /// and refuses the others.
    fn before(&self, seconds: u32, classes: &[Criticality], takes: u32) -> Came {
        self.against(seconds, classes, |taken| taken < takes)
    }

    fn against(
        &self,
        seconds: u32,
        classes: &[Criticality],
        mut accepts: impl FnMut(u32) -> bool,
    ) -> Came {
        let mut came = Came::default();
        for _ in 0..seconds {
            let mut taken = 0;
            for number in 0..100 {
                self.hand.advance(10 * MS);
                let class = classes[number % classes.len()];
                came.calls[class as usize] += 1;
                let call = Call::new("x").with_criticality(class);
                let Ok(permit) = self.shed.try_admit(&call) else {
                    continue;
                };
                came.sent[class as usize] += 1;
                let outcome = match accepts(taken) {
                    true => {
                        taken += 1;
                        came.accepted[class as usize] += 1;
                        Outcome::Success
                    }
                    false => Fault::throttled().into(),
                };
                permit.finish(outcome);
            }
        }
        came
    }

    fn calls(&self, count: u32, outcome: Outcome) -> u32 {
        let mut refused = 0;
        for _ in 0..count {
            match self.shed.try_admit(&"x".into()) {
                Ok(permit) => permit.finish(outcome),
                Err(_) => refused += 1,
            }
        }
        refused
    }
}

/// The backend takes 30 of 100: it is sent about K times as many, and does not waste its time on the rest.
#[test]
fn what_reaches_the_backend_converges_to_k_times_what_it_accepts() {
    for (k, expected) in [(2.0, 60.0), (1.5, 45.0), (1.1, 33.0)] {
        let bench = Bench::with(LoadShedConfig::sending(k));
        bench.before(240, &[Critical], 30);
        let came = bench.before(120, &[Critical], 30);
        let sent = Came::all(came.sent) / 120.0;
        println!("K {k}: {sent:.1} sent a second for 30 accepted");
        assert!((sent / expected - 1.0).abs() < 0.1, "{sent} of {expected}");
        // By chance a second brings fewer than the backend takes, if K leaves nothing to spare.
        let least = if k < 1.2 { 0.95 } else { 0.995 };
        assert!(Came::all(came.accepted) > least * 3600.0, "{came:?}");
    }
}

#[test]
fn a_backend_that_accepts_one_of_k_is_left_alone() {
    let bench = Bench::with(LoadShedConfig::default());
    let came = bench.before(600, &[Critical], 51);
    assert_eq!(came.sent, came.calls);
}

/// One that refuses a share of whatever comes gives ever less; still, some calls go on asking.
#[test]
fn some_always_go_on_asking_and_find_out_that_it_recovered() {
    let bench = Bench::with(LoadShedConfig::default());
    let came = bench.against(600, &[Critical], |_| false);
    assert!(came.share_sent(Critical) > 0.04, "{came:?}");
    assert!((0.949..0.951).contains(&bench.shed.probability(Critical)));
    bench.before(360, &[Critical], 100);
    let came = bench.before(60, &[Critical], 100);
    assert!(came.share_sent(Critical) > 0.95, "{came:?}");
    assert_eq!(bench.shed.probability(Critical), 0.0);
    let said = bench.around.recorder().recent(10);
    let said: Vec<_> = said.iter().map(|one| one.signal.to_string()).collect();
    assert_eq!(
        said,
        [
            "load_shed search: refuses calls: the dependency accepts 0%",
            "load_shed search: lets all calls through again",
        ]
    );
}

/// The backend does not tell classes apart; the client does.
#[test]
fn the_least_critical_are_refused_first() {
    let bench = Bench::with(LoadShedConfig::default());
    let all = Criticality::ALL;
    bench.before(240, &all, 30);
    let came = bench.before(120, &all, 30);
    let sent = all.map(|class| came.share_sent(class));
    println!("sent {sent:.2?}");
    // 40 of 100 are too many: all of the first 25, but for those that ask, and the rest from the next.
    assert!(sent[0] < 0.1 && (0.3..0.5).contains(&sent[1]), "{sent:?}");
    assert_eq!(sent[2..], [1.0, 1.0]);
}

/// The backend itself refuses batch work alone: then nothing else is refused here.
#[test]
fn what_the_backend_takes_is_let_through() {
    let bench = Bench::with(LoadShedConfig::default());
    for _ in 0..200 {
        for (class, outcome) in [
            (Sheddable, Fault::throttled().into()),
            (SheddablePlus, Outcome::Success),
            (CriticalPlus, Outcome::Success),
        ] {
            bench.hand.advance(10 * MS);
            if let Ok(permit) = bench
                .shed
                .try_admit(&Call::new("x").with_criticality(class))
            {
                permit.finish(outcome);
            }
        }
    }
    assert!(bench.shed.probability(Sheddable) > 0.9);
    assert_eq!(bench.shed.probability(SheddablePlus), 0.0);
    assert_eq!(bench.shed.probability(CriticalPlus), 0.0);
}

#[test]
fn only_refusals_by_the_backend_count_as_such() {
    let timed_out: Outcome = Fault::timed_out().into();
    for outcome in [
        Outcome::TRANSIENT,
        Outcome::PERMANENT,
        timed_out,
        Outcome::Ignored,
    ] {
        let bench = Bench::with(LoadShedConfig::default());
        assert_eq!(bench.calls(500, outcome), 0, "{outcome:?}");
    }
    let bench = Bench::with(LoadShedConfig::default().counting_timeouts());
    assert!(bench.calls(500, timed_out) > 300);
    // And calls that are dropped are not counted at all.
    let bench = Bench::with(LoadShedConfig::default());
    for _ in 0..500 {
        drop(bench.shed.try_admit(&"x".into()).unwrap());
    }
    assert_eq!(
        bench.calls(19, Fault::throttled().into()),
        0,
        "no call counted before"
    );
}

/// Few calls are no reason, and calls that are still out are not refused ones.
#[test]
fn it_waits_for_enough_calls_and_for_their_ends() {
    let bench = Bench::with(LoadShedConfig::default().after(50));
    assert_eq!(bench.calls(50, Fault::throttled().into()), 0);
    assert!(bench.calls(50, Fault::throttled().into()) > 30);
    let bench = Bench::with(LoadShedConfig::default());
    let permits: Vec<_> = (0..1000)
        .map(|_| bench.shed.try_admit(&"x".into()).unwrap())
        .collect();
    permits
        .into_iter()
        .for_each(|permit| permit.finish(Outcome::Success));
    assert_eq!(bench.shed.probability(Critical), 0.0);
}

#[test]
fn what_was_is_forgotten_after_the_window() {
    let bench = Bench::with(LoadShedConfig::default().over(10 * SECOND));
    bench.before(10, &[Critical], 0);
    assert!(bench.shed.probability(Critical) > 0.9);
    bench.hand.advance(5 * SECOND);
    assert!(bench.shed.probability(Critical) > 0.9);
    bench.hand.advance(5 * SECOND + 500 * MS);
    assert_eq!(bench.shed.probability(Critical), 0.0);
}

#[test]
fn a_rejection_explains_itself() {
    let bench = Bench::with(LoadShedConfig::default());
    bench.before(120, &[Critical], 30);
    let refused = (0..100).find_map(|_| bench.shed.try_admit(&"x".into()).err());
    let refused = refused.unwrap().to_string();
    let (before, after) = refused.split_once("accepted ").unwrap();
    assert_eq!(before, "load_shed `search` refused the call: shed (");
    let share: f64 = after.split_once('%').unwrap().0.parse().unwrap();
    assert!((28.0..32.0).contains(&share), "{refused}");
    assert!(refused.ends_with("limit 50%)"));
}

#[test]
fn in_the_dark_nothing_is_refused_and_all_counted() {
    let bench = Bench::with(LoadShedConfig::default().with_enforcement(Enforcement::Dark));
    let came = bench.before(240, &[Critical], 30);
    assert_eq!(came.sent, came.calls);
    let would = bench.shed.would_have_refused(Critical) as f64 / Came::all(came.calls);
    assert!((0.35..0.45).contains(&would), "{would}");
    assert_eq!(bench.shed.refused(Critical), 0);
    let half = Enforcement::Partial(Share::of(0.5).unwrap());
    let bench = Bench::with(LoadShedConfig::default().with_enforcement(half));
    bench.before(240, &[Critical], 30);
    let (refused, would) = (
        bench.shed.refused(Critical) as f64,
        bench.shed.would_have_refused(Critical) as f64,
    );
    assert!(
        (0.8..1.25).contains(&(refused / would)),
        "{refused} {would}"
    );
}

#[test]
fn a_reconfiguration_keeps_what_was_counted() {
    let bench = Bench::with(LoadShedConfig::default());
    bench.before(120, &[Critical], 30);
    let before = bench.shed.probability(Critical);
    bench
        .shed
        .reconfigure(LoadShedConfig::default().over(60 * SECOND))
        .unwrap();
    assert!((bench.shed.probability(Critical) - before).abs() < 0.05);
    bench
        .shed
        .reconfigure(LoadShedConfig::default().over(600 * SECOND))
        .unwrap();
    assert!((bench.shed.probability(Critical) - before).abs() < 0.05);
    assert_eq!(bench.shed.reconfigure(LoadShedConfig::sending(3.0)), Ok(4));
    assert!(bench.shed.probability(Critical) < before / 2.0);
    let wrong = LoadShedConfig::default().over(MS);
    assert!(bench.shed.reconfigure(wrong).is_err());
    assert_eq!(bench.shed.config(), LoadShedConfig::sending(3.0));
}

/// Whatever part of a slice is over: with so many calls a second there are always as many in the window.
#[test]
fn the_window_slides_and_does_not_jump() {
    let bench = Bench::with(LoadShedConfig::default().over(10 * SECOND));
    let counted = || {
        let shown = bench.directory.snapshots();
        let classes = shown[0].state.get("classes").unwrap().clone();
        match classes.get("critical").unwrap().get("calls") {
            Some(Value::Number(calls)) => *calls,
            other => panic!("{other:?}"),
        }
    };
    for tenth in 0..400 {
        bench.hand.advance(100 * MS);
        bench.calls(10, Outcome::Success);
        if tenth > 110 {
            assert!((990.0..=1010.0).contains(&counted()), "{}", counted());
        }
    }
}

/// The same seed, the same calls: the same decisions.
#[test]
fn a_run_can_be_repeated() {
    let run = || {
        let bench = Bench::with(LoadShedConfig::default());
        let call = |_| match bench.shed.try_admit(&"x".into()) {
            Ok(permit) => {
                permit.finish(Fault::throttled().into());
                true
            }
            Err(_) => false,
        };
        (0..500).map(call).collect::<Vec<bool>>()
    };
    // The turns of a thread are its own: each run gets one.
    let runs = [(); 2].map(|()| std::thread::spawn(run).join().unwrap());
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].iter().any(|sent| !sent));
}

#[test]
fn numbers_are_exported_and_shown() {
    let bench = Bench::with(LoadShedConfig::default());
    bench.before(60, &[SheddablePlus], 10);
    let page = page(&bench.registry);
    let value = |name: &str| -> f64 {
        let line = page.iter().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {page:?}"))
            .trim()
            .parse()
            .unwrap()
    };
    let refused = value("load_shed_rejected_calls_total search sheddable_plus");
    assert_eq!(refused, bench.shed.refused(SheddablePlus) as f64);
    assert_eq!(
        refused + value("load_shed_throttled_calls_total search sheddable_plus") + 600.0,
        6000.0
    );
    assert!(value("load_shed_probability search sheddable_plus") > 0.5);
    assert_eq!(value("load_shed_probability search critical"), 0.0);
    let shown = bench.directory.snapshots();
    let classes = shown[0].state.get("classes").unwrap();
    let class = classes.get("sheddable_plus").unwrap();
    assert_eq!(class.get("calls"), Some(&Value::Number(6000.0)));
    assert_eq!(class.get("accepted"), Some(&Value::Number(600.0)));
}

#[cfg(feature = "serde")]
#[test]
fn it_is_read_from_a_file_as_people_write_it() {
    let text = r#"
        for_each_accepted = 1.5
        window = "30s"
        most = "80%"
        timeouts_are_refusals = true
    "#;
    let config: LoadShedConfig = toml::from_str(text).unwrap();
    let expected = LoadShedConfig::sending(1.5)
        .over(30 * SECOND)
        .at_most(Share::of(0.8).unwrap())
        .counting_timeouts();
    assert_eq!(config, expected);
    assert!(toml::from_str::<LoadShedConfig>("k = 2").is_err());
}

proptest! {
    /// Beside a list of all calls: what is in the window is off by no more than what a slice holds.
    #[test]
    fn the_window_counts_as_a_list_does(steps in prop::collection::vec((0..3000_u64, 1..200_u32, any::<bool>()), 1..60)) {
        // Nothing is refused, so that all is counted as it comes.
        let rules = LoadShedConfig::default().over(24 * SECOND).with_enforcement(Enforcement::Dark);
        let bench = Bench::with(rules);
        let (mut now, mut list) = (0, Vec::new());
        for (wait, calls, accepted) in steps {
            now += wait;
            bench.hand.advance(wait as u32 * MS);
            // Looked at before and after: calls are taken for those of this moment.
            let _ = bench.shed.probability(Critical);
            let outcome = match accepted {
                true => Outcome::Success,
                false => Fault::throttled().into(),
            };
            bench.calls(calls, outcome);
            let shown = bench.directory.snapshots();
            let shown = shown[0].state.get("classes").unwrap().get("critical").unwrap().clone();
            list.push((now, f64::from(calls), accepted));
            let within = |length: u64, accepts: bool| -> f64 {
                let young = list.iter().filter(|(at, _, accepted)| at + length > now && (*accepted || !accepts));
                young.map(|(_, calls, _)| calls).sum()
            };
            for (name, accepts) in [("calls", false), ("accepted", true)] {
                let Some(Value::Number(counted)) = shown.get(name) else { panic!("{shown}") };
                // A slice is a 23rd of the window; rounding is half a call.
                let (least, most) = (within(22_900, accepts), within(25_100, accepts));
                prop_assert!((least - 0.6..=most + 0.6).contains(counted), "{} {}..{}", counted, least, most);
            }
        }
    }
}
