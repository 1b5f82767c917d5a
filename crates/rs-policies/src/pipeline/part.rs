use std::time::Duration;

use rs_core::{Guard, Outline};

use crate::{Budget, Coalesce, Fallback, Hedge, HedgeDelay, Retry, Timeout};

/// What a policy says of itself to the plan of its pipeline. Every guard says it by its
/// [`Outline`]; a policy of your own says it by this.
pub trait Part {
    /// What it does to calls.
    fn sketch(&self) -> Sketch;
}

/// What a part of a pipeline does to calls, as far as its plan is concerned.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Sketch {
    /// Admits or refuses.
    Guard(Outline),
    /// Ends what takes longer than this.
    Limit {
        /// How it is called in the plan: `total timeout`.
        name: &'static str,
        /// How long.
        time: Duration,
    },
    /// Tries again, one attempt after the other.
    Again {
        /// How many attempts, the first included.
        attempts: u32,
        /// How long it waits in between at least and at most, all together.
        waits: (Duration, Duration),
        /// By how much it adds to the load of a dependency that fails completely, if a budget says.
        budget: Option<f64>,
        /// Whether it repeats what a time limit ended, even if the call is not safe to repeat.
        repeats_timeouts: bool,
    },
    /// Tries again beside an attempt that is slow.
    Beside {
        /// How many attempts, the first included.
        attempts: u32,
        /// After how long each is started.
        delay: Duration,
        /// By how much it adds to the load of a dependency, if a budget says.
        budget: Option<f64>,
    },
    /// Something else that makes no further attempts and does not wait.
    Other {
        /// How it is called in the plan: `fallback`.
        name: &'static str,
        /// What it does, in a few words.
        words: String,
    },
}

impl<G: Guard> Part for G {
    fn sketch(&self) -> Sketch {
        Sketch::Guard(self.outline())
    }
}

impl Part for Timeout {
    fn sketch(&self) -> Sketch {
        Sketch::Limit {
            name: match self.scope() {
                rs_core::TimeScope::Total => "total timeout",
                rs_core::TimeScope::Attempt => "attempt timeout",
                _ => "timeout",
            },
            time: self.config().limit(),
        }
    }
}

impl Part for Retry {
    fn sketch(&self) -> Sketch {
        let config = self.config();
        let waits = config.attempts() - 1;
        let hints = config.longest_hint().saturating_mul(waits);
        let longest = config.backoff().longest_total(waits).max(hints);
        let within = config.total_time().unwrap_or(Duration::MAX);
        Sketch::Again {
            attempts: config.attempts(),
            waits: (config.backoff().shortest_total(waits), longest.min(within)),
            budget: self.budget().map(ratio),
            repeats_timeouts: config.repeats_timeouts(),
        }
    }
}

impl Part for Hedge {
    fn sketch(&self) -> Sketch {
        let config = self.config();
        Sketch::Beside {
            attempts: u32::from(config.hedges()) + 1,
            delay: match config.delay() {
                HedgeDelay::Fixed(delay) => delay,
                HedgeDelay::Quantile(_) => config.least_delay(),
            },
            budget: self.budget().map(ratio),
        }
    }
}

impl<T, E> Part for Coalesce<T, E> {
    fn sketch(&self) -> Sketch {
        Sketch::Other {
            name: "coalesce",
            words: "calls of one key share a run".to_owned(),
        }
    }
}

impl<S> Part for Fallback<S> {
    fn sketch(&self) -> Sketch {
        Sketch::Other {
            name: "fallback",
            words: String::new(),
        }
    }
}

pub(crate) fn ratio(budget: &Budget) -> f64 {
    budget.config().ratio().get()
}

/// Several policies, the first being outermost: a tuple of up to eight.
pub trait Parts {
    /// What each does, the outermost first.
    fn sketches(&self) -> Vec<Sketch>;
}

macro_rules! parts_of_tuple {
    ($($part:ident)*) => {
        impl<$($part: Part),*> Parts for ($($part,)*) {
            #[allow(non_snake_case, reason = "one letter names the type and its value")]
            fn sketches(&self) -> Vec<Sketch> {
                let ($($part,)*) = self;
                vec![$($part.sketch()),*]
            }
        }
    };
}

parts_of_tuple!(A);
parts_of_tuple!(A B);
parts_of_tuple!(A B C);
parts_of_tuple!(A B C D);
parts_of_tuple!(A B C D F);
parts_of_tuple!(A B C D F G);
parts_of_tuple!(A B C D F G H);
parts_of_tuple!(A B C D F G H I);
