//! A breaker's life in slow motion: a dependency fails for a while, and every half second is a line.
//!
//! `cargo run -p rs-breaker --example breaker_life`
//!
//! Time is moved by hand, so it shows the same each time; on a terminal it takes its time to be watched.

use std::{error::Error, io::IsTerminal, time::Duration};

use rs_breaker::{
    Breaker, BreakerConfig, BreakerState, OpenTime, Probing, Ramp, Surroundings, Trip, Window,
};
use rs_core::{Call, Clock, Guard, Observer, Outcome, Permit};

const STEP: Duration = Duration::from_millis(500);
const CALLS_A_STEP: usize = 12;
/// The dependency is unwell from one step to the other.
const UNWELL: std::ops::Range<u32> = 3..20;
const STEPS: u32 = 54;

fn main() -> Result<(), Box<dyn Error>> {
    let (clock, hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock).with_seed(3);
    let second = Duration::from_secs(1);
    let config = BreakerConfig::default()
        .with_trip([Trip::failure_rate(
            "50%".parse()?,
            Window::last(60).after(20),
        )])
        .with_open_time(OpenTime::exponential(4 * second, 30 * second))
        .with_probing(Probing::needing(2).of(3))
        .with_ramp(Ramp::over(6 * second));
    let breaker = Breaker::within(&around, "payments", config)?;
    let mut news = around.recorder().observe();

    println!("● succeeded   × failed   ◆ ◇ a probe that succeeded, failed   · refused");
    println!("The window is the last 60 calls; it opens where half of them failed: at the mark.\n");
    println!("  time  state    calls         window      what is next");
    for step in 0..STEPS {
        if step == UNWELL.start {
            println!("        ~~~~ the dependency fails two calls of three ~~~~");
        } else if step == UNWELL.end {
            println!("        ~~~~ the dependency is well again ~~~~");
        }
        let is_well = |call: usize| !UNWELL.contains(&step) || call % 3 == 2;
        let calls: String = (0..CALLS_A_STEP)
            .map(|call| one_call(&breaker, is_well(call)))
            .collect();
        show(step, &calls, &breaker);
        announce(&mut news);
        hand.advance(STEP);
        if std::io::stdout().is_terminal() {
            Clock::default().sleep_blocking(Duration::from_millis(220));
        }
    }
    Ok(())
}

fn one_call(breaker: &Breaker, well: bool) -> char {
    let Ok(permit) = breaker.try_admit(&Call::new("charge")) else {
        return '·';
    };
    let probe = permit.ticket().is_some_and(|ticket| ticket.is_probe());
    finish(permit, well);
    match (probe, well) {
        (false, true) => '●',
        (false, false) => '×',
        (true, true) => '◆',
        (true, false) => '◇',
    }
}

fn finish(permit: Permit<&Breaker>, well: bool) {
    permit.finish(if well {
        Outcome::Success
    } else {
        Outcome::TRANSIENT
    });
}

fn show(step: u32, calls: &str, breaker: &Breaker) {
    let now = breaker.snapshot();
    let next = match now.state {
        BreakerState::Open => now
            .next_probe
            .map(|wait| format!("probes in {:.1} s", wait.as_secs_f64())),
        BreakerState::Ramping => Some(format!("lets {:.0} % through", 100.0 * now.admitted.get())),
        BreakerState::Closed => now
            .failures_to_trip
            .map(|more| format!("{more} failures from opening")),
        _ => None,
    };
    let (time, state) = ((STEP * step).as_secs_f64(), now.state.as_str());
    let window = window(now.failure_rate.get());
    println!(
        "{time:5.1}s  {state:<8} {calls}  {window}  {}",
        next.unwrap_or_default()
    );
}

/// A bar of ten cells with a mark at the limit.
fn window(rate: f64) -> String {
    let failed = (rate * 10.0).round() as usize;
    let cell = |place: usize| if place < failed { '█' } else { '░' };
    let (below, above): (String, String) =
        ((0..5).map(cell).collect(), (5..10).map(cell).collect());
    format!("{below}┊{above}")
}

fn announce(news: &mut Observer) {
    while let Some(heard) = news.try_next() {
        println!("        » {}", heard.signal);
    }
}
