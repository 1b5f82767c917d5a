//! What is known of the store without asking it.

use std::time::{Duration, Instant};

use rs_core::{Measure, Name, Severity, Signal, SignalKind, Unit};

use super::TokenStoreError;

static AWAY: Measure = Measure::new("away", Unit::Seconds);

static LOST: SignalKind = SignalKind::new(
    "shared_rate_limit",
    "store_lost",
    Severity::Warning,
    "does not reach its store; this replica goes by its own limit",
);
static BACK: SignalKind = SignalKind::new(
    "shared_rate_limit",
    "store_back",
    Severity::Info,
    "reaches its store again after {away}",
);

#[derive(Debug)]
pub(super) struct Contact {
    /// Since when calls have asked in vain and heard nothing.
    silent_since: Option<Instant>,
    lost: Option<Lost>,
    empty: Option<Empty>,
    dice: fastrand::Rng,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    since: Instant,
    ask_again_at: Instant,
}

/// So many tokens will not be there before that moment.
#[derive(Debug, Clone, Copy)]
struct Empty {
    cost: u32,
    until: Instant,
}

/// What to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The store is to be asked.
    Ask,
    /// It may be asked by one call, to see whether it is back.
    Probe,
    /// It was lost a moment ago.
    Alone,
    /// It has said that there will be nothing before this moment.
    Refuse(Instant),
}

impl Contact {
    pub(super) const fn new(dice: fastrand::Rng) -> Self {
        Self {
            silent_since: None,
            lost: None,
            empty: None,
            dice,
        }
    }

    pub(super) fn verdict(&self, now: Instant, cost: u32) -> Verdict {
        match (self.lost, self.empty) {
            (Some(lost), _) if now < lost.ask_again_at => Verdict::Alone,
            (Some(_), _) => Verdict::Probe,
            (None, Some(empty)) if now < empty.until && cost >= empty.cost => {
                Verdict::Refuse(empty.until)
            }
            (None, _) => Verdict::Ask,
        }
    }

    pub(super) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// It answered. What is to be said of it, if anything.
    pub(super) fn reached(&mut self, name: Name, now: Instant) -> Option<Signal> {
        (self.silent_since, self.empty) = (None, None);
        let lost = self.lost.take()?;
        let away = now.saturating_duration_since(lost.since);
        Some(BACK.signal(name).with(AWAY.at(away.as_secs_f64())))
    }

    /// It had nothing to give.
    pub(super) const fn is_empty_until(&mut self, until: Instant, cost: u32) {
        self.empty = Some(Empty { cost, until });
    }

    /// It failed. What is to be said of it: once, not each time.
    pub(super) fn failed(
        &mut self,
        name: Name,
        why: &TokenStoreError,
        now: Instant,
        pause: Duration,
    ) -> Option<Signal> {
        let is_news = self.lost.is_none();
        let since = self.lost.map_or(now, |lost| lost.since);
        // Replicas that lost it together do not come back together.
        let pause = pause.mul_f64(0.75 + self.dice.f64() / 2.0);
        self.lost = Some(Lost {
            since,
            ask_again_at: now.checked_add(pause).unwrap_or(now),
        });
        is_news.then(|| LOST.signal(name).noting(why.to_string()))
    }

    /// It was asked then and has not answered yet, and the call has no more time. Whether it has been
    /// silent for so long that it is lost: many calls in a hurry find that out together.
    pub(super) fn is_silent(&mut self, asked: Instant, now: Instant, patience: Duration) -> bool {
        let since = *self.silent_since.get_or_insert(asked);
        self.lost.is_some() || now.saturating_duration_since(since) >= patience
    }
}
