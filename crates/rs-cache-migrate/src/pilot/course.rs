//! What the pilot decides: pure, it takes windows and the time.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use rs_core::Share;

use super::{
    config::{PilotConfig, PilotMode},
    log::{StageSeen, StagesSeen},
};
use crate::{
    Finding, Gates, Judged, MigrationState, Stage, Verdict, Window,
    state::{ALL, hundredths},
};

/// A window may last this many times as long if there are few reads.
const LONGER: u32 = 6;

/// What others allow: flags, or somebody who ordered to hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) stage: Stage,
    pub(crate) share: Share,
    /// Why it may not go on for now.
    pub(crate) hold: Option<String>,
}

impl Bounds {
    pub(crate) const NONE: Self = Self {
        stage: Stage::Complete,
        share: Share::ALL,
        hold: None,
    };

    /// Why it may not take a step to there.
    fn against(&self, stage: Stage, share: Share, up_to: Stage) -> Option<String> {
        if let Some(why) = &self.hold {
            return Some(why.clone());
        }
        if stage > up_to {
            return Some(format!("goes up to {up_to} by itself"));
        }
        if stage > self.stage {
            return Some(format!("flags allow {} at most", self.stage));
        }
        if stage >= Stage::Live && share > self.share {
            return Some(format!("flags allow {} at most", self.share));
        }
        None
    }
}

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    Stay,
    Advance(String),
    RollBack(String),
    /// What it would have done, said once.
    Would(Verdict, String),
}

/// Where the pilot is on its way.
#[derive(Debug)]
pub(crate) struct Course {
    gates: Gates,
    mode: PilotMode,
    up_to: Stage,
    length: Duration,
    began: Instant,
    stands: Option<(Stage, u16, u32)>,
    said: Option<Verdict>,
    seen: StagesSeen,
    last: Option<Judged>,
    /// Why it did not take the step that the gates allowed.
    against: Option<String>,
}

impl Course {
    pub(crate) fn new(config: &PilotConfig, now: Instant) -> Self {
        Self {
            gates: Gates::checked(config.gates.clone()),
            mode: config.mode,
            up_to: config.up_to,
            length: config.window,
            began: now,
            stands: None,
            said: None,
            seen: StagesSeen::default(),
            last: None,
            against: None,
        }
    }

    /// Goes by other rules from now on; what was judged by the old ones does not count.
    pub(crate) fn reconfigure(&mut self, config: &PilotConfig, now: Instant) {
        let others = self.gates.config() != &config.gates || self.length != config.window;
        (self.mode, self.up_to, self.length) = (config.mode, config.up_to, config.window);
        if others {
            self.gates = Gates::checked(config.gates.clone());
            self.began = now;
        }
        self.said = None;
    }

    /// Looks where the migration stands; `true` if it took a step since, and what was measured before must be
    /// left out.
    pub(crate) fn look(&mut self, state: &MigrationState, now: Instant) -> bool {
        let stands = (
            state.stage,
            hundredths(state.share).unwrap_or(0),
            state.epoch,
        );
        if self.stands == Some(stands) {
            return false;
        }
        self.stands = Some(stands);
        self.gates.begin();
        (self.began, self.said, self.against) = (now, None, None);
        self.last = None;
        self.seen.begin(*state, now);
        true
    }

    /// Whether the window is over.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= self.length
    }

    /// Ends the window if there is enough in it, or it lasts too long already; judges it then. A clock that
    /// goes back makes a window longer, and nothing else.
    pub(crate) fn judge(
        &mut self,
        state: &MigrationState,
        window: &Window,
        bounds: &Bounds,
        shares: &[u16],
        now: Instant,
    ) -> Option<Order> {
        let lasted = now.saturating_duration_since(self.began);
        let enough = self.gates.is_enough(window);
        if state.stage == Stage::Off {
            self.began = now;
            return Some(self.leave_off(state, bounds));
        }
        if lasted < self.length || (!enough && lasted < self.length * LONGER) {
            return None;
        }
        self.began = now;
        let judged = self.gates.judge(window);
        self.seen.window(window, judged.finding);
        let order = self.order(state, &judged, bounds, shares);
        self.last = Some(judged);
        Some(order)
    }

    /// There is nothing to see while it is off, and nothing to lose by the first step.
    fn leave_off(&mut self, state: &MigrationState, bounds: &Bounds) -> Order {
        if state.held {
            self.against = Some("it was rolled back; release it first".to_owned());
            return Order::Stay;
        }
        self.against = bounds.against(Stage::DualWrite, Share::NONE, self.up_to);
        match self.mode {
            PilotMode::Automatic if self.against.is_none() => {
                Order::Advance("nothing is read from new yet".to_owned())
            }
            _ => Order::Stay,
        }
    }

    fn order(
        &mut self,
        state: &MigrationState,
        judged: &Judged,
        bounds: &Bounds,
        shares: &[u16],
    ) -> Order {
        let why = judged.why.clone();
        self.against = None;
        match judged.verdict {
            Verdict::Hold => {
                if judged.finding == Finding::Bad {
                    self.said = None;
                }
                Order::Stay
            }
            Verdict::RollBack if self.mode == PilotMode::DryRun => {
                self.would(Verdict::RollBack, why)
            }
            Verdict::RollBack => Order::RollBack(why),
            Verdict::Advance if state.stage == Stage::Complete => Order::Stay,
            Verdict::Advance => {
                let (stage, share) = next(state, shares);
                self.against = bounds.against(stage, share, self.up_to);
                match (&self.against, self.mode) {
                    (None, PilotMode::Automatic) => Order::Advance(why),
                    (None, _) => self.would(Verdict::Advance, why),
                    (Some(_), _) => Order::Stay,
                }
            }
        }
    }

    fn would(&mut self, verdict: Verdict, why: String) -> Order {
        if self.said == Some(verdict) {
            return Order::Stay;
        }
        self.said = Some(verdict);
        Order::Would(verdict, why)
    }

    /// The step that was ordered could not be taken.
    pub(crate) fn refused(&mut self, why: String) {
        self.against = Some(why);
    }

    pub(crate) const fn mode(&self) -> PilotMode {
        self.mode
    }

    pub(crate) const fn last(&self) -> Option<&Judged> {
        self.last.as_ref()
    }

    pub(crate) fn against(&self) -> Option<&str> {
        self.against.as_deref()
    }

    pub(crate) fn stages(&self, now: Instant) -> Vec<StageSeen> {
        self.seen.all(now)
    }

    /// How long it will take from here if all windows are good; `None` if it does not go on by itself.
    pub(crate) fn time_left(
        &self,
        state: &MigrationState,
        shares: &[u16],
        propagation: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let held = state.held || self.against.is_some();
        if self.mode != PilotMode::Automatic || held || state.stage >= self.up_to {
            return None;
        }
        let config = self.gates.config();
        let each = self.length * (config.warm_up().saturating_add(config.good()));
        let each = each.max(propagation);
        let steps = steps_left(state, shares, self.up_to);
        let begun = match state.stage {
            Stage::Off => each.saturating_sub(self.length),
            _ => {
                self.length
                    * (self.gates.good() + u32::from(self.gates.good() > 0) * config.warm_up())
            }
        };
        let begun =
            begun.saturating_add(now.saturating_duration_since(self.began).min(self.length));
        Some((each * steps).saturating_sub(begun))
    }
}

/// Where the next step leads.
fn next(state: &MigrationState, shares: &[u16]) -> (Stage, Share) {
    let above = |now: u16| {
        let next = shares.iter().copied().find(|share| *share > now);
        Share::of(f64::from(next.unwrap_or(ALL)) / f64::from(ALL)).unwrap_or(Share::ALL)
    };
    match state.stage {
        Stage::Off => (Stage::DualWrite, Share::NONE),
        Stage::DualWrite => (Stage::Shadow, Share::NONE),
        Stage::Shadow => (Stage::Live, above(0)),
        Stage::Live if state.share < Share::ALL => {
            (Stage::Live, above(hundredths(state.share).unwrap_or(0)))
        }
        Stage::Live => (Stage::RampDown, Share::ALL),
        Stage::RampDown | Stage::Complete => (Stage::Complete, Share::ALL),
    }
}

fn steps_left(state: &MigrationState, shares: &[u16], up_to: Stage) -> u32 {
    let now = hundredths(state.share).unwrap_or(0);
    let mut steps = (up_to as u32).saturating_sub(state.stage as u32);
    if state.stage < Stage::Live && up_to >= Stage::Live {
        steps += shares.len().saturating_sub(1) as u32;
    } else if state.stage == Stage::Live && now < ALL {
        steps += shares.iter().filter(|share| **share > now).count() as u32;
    }
    steps
}
