//! Beside a model so plain that it is right: a list of the moments at which tokens were taken.

use std::time::Duration;

use proptest::prelude::*;

use super::{Stand, bucket};

/// Admits a call if no stretch of time that ends with it would then have more than the burst and what
/// comes in that time.
struct Model {
    interval: u64,
    burst: u64,
    /// When, in nanoseconds, and how many.
    taken: Vec<(u64, u64)>,
}

impl Model {
    fn is_kept(&self, from: u64, to: u64) -> bool {
        let among = |(at, _): &&(u64, u64)| (from..=to).contains(at);
        let taken: u64 = self.taken.iter().filter(among).map(|(_, cost)| cost).sum();
        taken * self.interval <= self.burst * self.interval + (to - from)
    }

    fn takes(&mut self, now: u64, cost: u64) -> bool {
        self.taken.push((now, cost));
        let kept = self.taken.iter().all(|(from, _)| self.is_kept(*from, now));
        if !kept {
            self.taken.pop();
        }
        kept
    }
}

proptest! {
    /// Never more than the burst and the rate in any stretch of time, and never less than that allows.
    #[test]
    fn as_the_model_says(
        // Intervals of whole nanoseconds, so that both speak of the same rate.
        interval in prop::sample::select(vec![100_u64, 1_000, 62_500, 1_000_000, 10_000_000]),
        burst in 1_u32..20,
        calls in prop::collection::vec((0_u64..40, 1_u32..6), 1..120),
    ) {
        let stand = Stand::new(bucket(burst, 1e9 / interval as f64));
        let mut model = Model { interval, burst: burst.into(), taken: Vec::new() };
        let mut now = 0;
        for (pause, cost) in calls {
            // A tenth of an interval each, so that calls come just before, at, and after their turn.
            let pause = pause * interval / 10;
            now += pause;
            stand.hand.advance(Duration::from_nanos(pause));
            let admitted = stand.limit.try_take(cost).is_ok();
            prop_assert_eq!(admitted, model.takes(now, cost.into()), "at {}, cost {}", now, cost);
        }
    }

    /// A rate whose interval is no whole number is never exceeded, and nearly reached.
    #[test]
    fn rounding_is_against_the_caller(rate in 1_u32..3_000_000) {
        let stand = Stand::new(bucket(1_000_000, rate.into()));
        prop_assert!(stand.limit.try_take(1_000_000).is_ok());
        let tokens = rate.min(1_000_000);
        let time = Duration::from_secs_f64(f64::from(tokens) / f64::from(rate));
        stand.hand.advance(time);
        let came = stand.limit.available();
        prop_assert!(came <= f64::from(tokens) + 1e-3, "{came} of {tokens}");
        prop_assert!(came >= f64::from(tokens) * 0.9997 - 1e-3, "{came} of {tokens}");
    }
}
