//! Which of two registries is believed, and nothing else.

use std::time::{Duration, Instant};

use super::FailoverConfig;

/// The primary, unless it has been away for long enough and the secondary is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    give_up_after: Duration,
    take_back_after: Duration,
    side: Side,
    /// Since when the other side is due.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Primary,
    Secondary,
}

/// What is known of the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    /// The primary answers.
    pub(super) primary: bool,
    /// The primary has answered before, so that there is something to keep.
    pub(super) kept: bool,
    /// The secondary answers, and what it says can be believed.
    pub(super) secondary: bool,
}

impl Choice {
    pub(super) const fn new(give_up_after: Duration, take_back_after: Duration) -> Self {
        Self {
            give_up_after,
            take_back_after,
            side: Side::Primary,
            since: None,
        }
    }

    /// From now on with these times.
    pub(super) const fn go_by(&mut self, config: &FailoverConfig) {
        self.give_up_after = config.give_up_after;
        self.take_back_after = config.take_back_after;
    }

    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Whether anybody needs to know what the secondary says.
    pub(super) fn wants_secondary(&self) -> bool {
        self.side == Side::Secondary || self.since.is_some()
    }

    /// When time alone will change something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since?.checked_add(match self.side {
            Side::Primary => self.give_up_after,
            Side::Secondary => self.take_back_after,
        })
    }

    /// This is how it is now; whether the side has changed.
    pub(super) fn see(&mut self, now: Instant, sight: Sight) -> bool {
        let other_is_better = match self.side {
            Side::Primary => !sight.primary,
            Side::Secondary => sight.primary,
        };
        if !other_is_better {
            self.since = None;
            return false;
        }
        self.since.get_or_insert(now);
        let is_time = self.due().is_some_and(|due| due <= now);
        let changes = match self.side {
            Side::Primary => sight.secondary && (is_time || !sight.kept),
            Side::Secondary => is_time || !sight.secondary,
        };
        if changes {
            self.since = None;
            self.side = match self.side {
                Side::Primary => Side::Secondary,
                Side::Secondary => Side::Primary,
            };
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rs_core::Clock;

    use super::*;

    const GIVE_UP: Duration = Duration::from_secs(30);
    const TAKE_BACK: Duration = Duration::from_secs(10);

    proptest! {
        /// Against the rule as it is told to people, looked at over the whole history.
        #[test]
        fn it_is_given_up_and_taken_again_as_the_page_says(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..25), 1..80),
        ) {
            let (clock, hand) = Clock::manual();
            let mut choice = Choice::new(GIVE_UP, TAKE_BACK);
            let (mut away_since, mut back_since, mut last) = (None, None, Side::Primary);
            for (primary, secondary, wait) in steps {
                hand.advance(Duration::from_secs(wait));
                let now = clock.now();
                if primary { away_since = None; back_since.get_or_insert(now); }
                else { back_since = None; away_since.get_or_insert(now); }
                let changed = choice.see(now, Sight { primary, kept: true, secondary });
                prop_assert_eq!(changed, choice.side() != last);
                match (last, choice.side()) {
                    (Side::Primary, Side::Secondary) => {
                        prop_assert!(secondary && now - away_since.unwrap() >= GIVE_UP);
                    }
                    (Side::Secondary, Side::Primary) => {
                        prop_assert!(primary && (!secondary || now - back_since.unwrap() >= TAKE_BACK));
                    }
                    (Side::Primary, Side::Primary) if secondary => {
                        prop_assert!(away_since.is_none_or(|since| now - since < GIVE_UP));
                    }
                    (Side::Secondary, Side::Secondary) => {
                        prop_assert!(back_since.is_none_or(|since| secondary && now - since < TAKE_BACK));
                    }
                    _ => {}
                }
                last = choice.side();
            }
        }
    }

    #[test]
    fn one_that_never_answered_is_not_waited_for() {
        let (clock, _hand) = Clock::manual();
        let mut choice = Choice::new(GIVE_UP, TAKE_BACK);
        let sight = Sight {
            primary: false,
            kept: false,
            secondary: true,
        };
        assert!(choice.see(clock.now(), sight));
        assert_eq!(choice.side(), Side::Secondary);
    }
}
