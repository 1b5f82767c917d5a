//! The pilot against a model that counts windows and knows the rules: legal steps only, none without data, k of n,
//! nothing by itself while held, and a rollback that stays.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rs_core::{Clock, Label};

use super::{Bounds, Course, LONGER, Order};
use crate::{
    Finding, GatesConfig, PilotConfig, PilotMode, SideWindow, Stage, Times, Verdict, Window,
    state::{ALL, Word},
};

const LENGTH: Duration = Duration::from_secs(10);
const SHARES: [u16; 3] = [1000, 5000, ALL];
const BAD: usize = 2;
const OF: usize = 3;
const GOOD: u32 = 3;
const WARM_UP: u32 = 1;

#[derive(Debug, Clone, Copy)]
enum Seen {
    Well,
    Sick,
    Few,
    Nothing,
}

#[derive(Debug, Clone)]
enum Act {
    /// So many seconds later, with this seen in between; what was, if the clock goes back.
    Window(i64, Seen),
    Hold(bool),
    Flags(Stage),
    Mode(PilotMode),
    RollBack,
    Release,
    /// Somebody orders a step.
    Step,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let seen = prop_oneof![
        6 => Just(Seen::Well), 2 => Just(Seen::Sick), 1 => Just(Seen::Few), 1 => Just(Seen::Nothing)
    ];
    let time = prop_oneof![8 => Just(10), 1 => Just(3), 1 => Just(70), 1 => Just(-25)];
    let stage = proptest::sample::select(Stage::ALL);
    let mode = prop_oneof![
        1 => Just(PilotMode::DryRun),
        1 => Just(PilotMode::Guard),
        4 => Just(PilotMode::Automatic)
    ];
    let act = prop_oneof![
        40 => (time, seen).prop_map(|(time, seen)| Act::Window(time, seen)),
        1 => any::<bool>().prop_map(Act::Hold),
        1 => stage.prop_map(Act::Flags),
        1 => mode.prop_map(Act::Mode),
        1 => Just(Act::RollBack),
        2 => Just(Act::Release),
        1 => Just(Act::Step),
    ];
    proptest::collection::vec(act, 0..250)
}

fn window(stage: Stage, seen: Seen) -> Window {
    let times: Times = (0..400).map(|_| Duration::from_micros(200)).collect();
    let side = |reads: u64, errors: u64| SideWindow {
        reads,
        errors,
        hits: reads - errors,
        times: times.clone(),
        ..SideWindow::default()
    };
    let (reads, errors) = match seen {
        Seen::Well => (20_000, 0),
        Seen::Sick => (20_000, 20_000),
        Seen::Few => (100, 0),
        Seen::Nothing => {
            return Window {
                stage,
                ..Window::default()
            };
        }
    };
    Window {
        stage,
        legacy: side(reads, 0),
        new: side(reads, errors),
        changes: reads,
        failed_changes: errors,
        ..Window::default()
    }
}

/// What the rules say, counted anew.
#[derive(Default)]
struct Counted {
    windows: u32,
    good: u32,
    recent: VecDeque<bool>,
}

impl Counted {
    fn verdict(&mut self, finding: Finding, enough: bool) -> Verdict {
        self.windows += 1;
        if self.windows <= WARM_UP {
            return Verdict::Hold;
        }
        if !enough {
            self.good = 0;
            return Verdict::Hold;
        }
        self.recent.push_back(finding == Finding::Bad);
        while self.recent.len() > OF {
            self.recent.pop_front();
        }
        match finding {
            Finding::Good => self.good += 1,
            Finding::Bad => self.good = 0,
            Finding::Unsure => {}
        }
        if self.recent.iter().filter(|bad| **bad).count() >= BAD {
            Verdict::RollBack
        } else if self.good >= GOOD && finding == Finding::Good {
            Verdict::Advance
        } else {
            Verdict::Hold
        }
    }
}

struct World {
    word: Word,
    now: Instant,
    began: Instant,
    bounds: Bounds,
    mode: PilotMode,
    counted: Counted,
    said: Option<Verdict>,
    advanced: u32,
    back: u32,
}

fn config(mode: PilotMode) -> PilotConfig {
    let gates = GatesConfig::default()
        .with_warm_up(WARM_UP)
        .rolling_back_after(BAD, OF)
        .advancing_after(GOOD);
    PilotConfig::default()
        .with_mode(mode)
        .with_window(LENGTH)
        .with_gates(gates)
}

impl World {
    fn moved(&mut self, word: Word) {
        self.word = word.settled();
        self.counted = Counted::default();
        (self.began, self.said) = (self.now, None);
    }

    fn look(&mut self, course: &mut Course, seen: Seen) -> Result<(), TestCaseError> {
        let state = self.word.state();
        if course.look(&state, self.now) {
            // What was seen before it looked is left out.
            self.began = self.now;
            if state.stage != Stage::Off {
                return Ok(());
            }
        }
        let window = window(state.stage, seen);
        let enough = match state.stage {
            Stage::DualWrite => window.changes > 0,
            _ => matches!(seen, Seen::Well | Seen::Sick),
        };
        let lasted = self.now.saturating_duration_since(self.began);
        let order = course.judge(&state, &window, &self.bounds, &SHARES, self.now);
        if state.stage == Stage::Off {
            let free = !state.held && self.bounds.hold.is_none() && self.bounds.stage > Stage::Off;
            let goes = free && self.mode == PilotMode::Automatic;
            prop_assert_eq!(
                matches!(order, Some(Order::Advance(_))),
                goes,
                "{:?}",
                order
            );
            self.began = self.now;
            if goes {
                let next = self.word.forward(&SHARES);
                self.moved(next.map_err(|error| TestCaseError::fail(error.to_string()))?);
            }
            return Ok(());
        }
        let due = lasted >= LENGTH && (enough || lasted >= LENGTH * LONGER);
        prop_assert_eq!(order.is_some(), due, "{:?} after {:?}", order, lasted);
        let Some(order) = order else { return Ok(()) };
        self.began = self.now;
        let finding = course
            .last()
            .map_or(Finding::Unsure, |judged| judged.finding);
        prop_assert!(enough || finding == Finding::Unsure, "no data is neither");
        let verdict = self.counted.verdict(finding, enough);
        if finding == Finding::Bad && verdict == Verdict::Hold {
            self.said = None;
        }
        let next = self.word.forward(&SHARES);
        let allowed = next.as_ref().is_ok_and(|next| {
            let stage = next.stage();
            stage <= Stage::RampDown && stage <= self.bounds.stage && self.bounds.hold.is_none()
        });
        let acts = self.mode == PilotMode::Automatic;
        let would = |world: &mut Self| world.said.replace(verdict) != Some(verdict);
        match verdict {
            Verdict::RollBack if self.mode == PilotMode::DryRun => {
                let says = would(self);
                prop_assert_eq!(matches!(order, Order::Would(Verdict::RollBack, _)), says);
            }
            Verdict::RollBack => {
                prop_assert!(matches!(order, Order::RollBack(_)), "{:?}", order);
                if let Ok(back) = self.word.rolled_back() {
                    self.back += 1;
                    self.moved(back);
                }
            }
            Verdict::Advance if allowed && acts => {
                prop_assert!(matches!(order, Order::Advance(_)), "{:?}", order);
                self.advanced += 1;
                self.moved(next.map_err(|error| TestCaseError::fail(error.to_string()))?);
            }
            Verdict::Advance if allowed => {
                let says = would(self);
                prop_assert_eq!(matches!(order, Order::Would(Verdict::Advance, _)), says);
            }
            Verdict::Advance | Verdict::Hold => prop_assert_eq!(order, Order::Stay),
        }
        Ok(())
    }
}

fn run(acts: Vec<Act>) -> Result<World, TestCaseError> {
    // It goes back as well.
    let now = Clock::tokio().now() + Duration::from_secs(100_000);
    let mode = PilotMode::Automatic;
    let mut course = Course::new(&config(mode), now);
    let mut world = World {
        word: Word::start(1),
        now,
        began: now,
        bounds: Bounds::NONE,
        mode,
        counted: Counted::default(),
        said: None,
        advanced: 0,
        back: 0,
    };
    for act in acts {
        match act {
            Act::Window(seconds, seen) => {
                let time = Duration::from_secs(seconds.unsigned_abs());
                world.now = match seconds < 0 {
                    true => world.now - time,
                    false => world.now + time,
                };
                let held = world.word.is_held();
                world.look(&mut course, seen)?;
                prop_assert!(!held || world.word.is_held(), "a rollback stays");
            }
            Act::Hold(hold) => world.bounds.hold = hold.then(|| "by order".to_owned()),
            Act::Flags(stage) => world.bounds.stage = stage,
            Act::Mode(mode) => {
                course.reconfigure(&config(mode), world.now);
                (world.mode, world.said) = (mode, None);
            }
            Act::RollBack => {
                if let Ok(back) = world.word.rolled_back() {
                    world.moved(back);
                    let _ = course.look(&world.word.state(), world.now);
                }
            }
            Act::Release => world.word = world.word.released(),
            Act::Step => {
                if world.word.stage() < Stage::RampDown
                    && let Ok(next) = world.word.forward(&SHARES)
                {
                    world.moved(next);
                    let _ = course.look(&world.word.state(), world.now);
                }
            }
        }
    }
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn it_does_what_the_rules_say_and_no_more(acts in acts()) {
        run(acts)?;
    }
}

fn cases() -> u32 {
    match std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1") {
        true => 20_000,
        false => 256,
    }
}

/// The model would find nothing in a world that stands still.
#[test]
fn good_windows_lead_to_the_end_and_bad_ones_back() {
    let well = || (0..60).map(|_| Act::Window(10, Seen::Well));
    let world = run(well().collect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((world.word.stage(), world.advanced), (Stage::RampDown, 5));
    let sick = (0..4).map(|_| Act::Window(10, Seen::Sick));
    let world =
        run(well().chain(sick).chain(well()).collect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((world.word.stage(), world.back), (Stage::Off, 1));
    assert!(
        world.word.is_held(),
        "good windows after that change nothing"
    );
}

/// The clock goes back by minutes: windows get longer, and nothing else.
#[test]
fn a_clock_that_goes_back_makes_windows_longer_and_nothing_else() {
    let mut acts: Vec<_> = (0..8).map(|_| Act::Window(10, Seen::Well)).collect();
    acts.extend((0..20).map(|_| Act::Window(-25, Seen::Sick)));
    let world = run(acts).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.back, 0);
    assert!(!world.word.is_held());
}
