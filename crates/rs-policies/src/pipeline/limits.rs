//! What limits the attempts of a pipeline: nothing, or several guards in the right order.

use rs_core::{Guard, Name};
use rs_metrics::Surroundings;

use super::{Both, Given, Part, PlanError, Sketch};
use crate::{
    AdaptiveConfig, AdaptiveLimit, Bulkhead, BulkheadConfig, LoadShed, LoadShedConfig, RateLimit,
    RateLimitConfig,
};

/// The limits of a pipeline that is being put together, the outermost first: what sheds load, what limits
/// the rate, what limits how many run at once. `()` stands where there is none.
#[derive(Debug, Clone, Default)]
pub struct Limits<S = (), R = (), C = ()> {
    pub(super) shed: S,
    pub(super) rate: R,
    pub(super) concurrent: C,
}

/// A limit that is being made.
pub trait LimitSlot {
    /// What it is when it is made.
    type Made: Guard;

    /// Makes it, of this name, and adds what it says of itself.
    ///
    /// # Errors
    /// When it is configured wrongly.
    fn make(
        self,
        around: &Surroundings,
        name: Name,
        sketches: &mut Vec<Sketch>,
    ) -> Result<Self::Made, PlanError>;
}

impl LimitSlot for () {
    type Made = ();

    fn make(self, _: &Surroundings, _: Name, _: &mut Vec<Sketch>) -> Result<(), PlanError> {
        Ok(())
    }
}

macro_rules! slots {
    ($($policy:ident: $config:ident, $name:literal;)*) => {$(
        impl LimitSlot for Given<$policy, $config> {
            type Made = $policy;

            fn make(
                self,
                around: &Surroundings,
                name: Name,
                sketches: &mut Vec<Sketch>,
            ) -> Result<$policy, PlanError> {
                let made = Self::make(self, $name, |config| $policy::within(around, name, config))?;
                sketches.push(made.sketch());
                Ok(made)
            }
        }

        impl Within<()> for $policy {
            type Both = Self;

            fn around(self, (): ()) -> Self {
                self
            }
        }
    )*};
}

slots! {
    LoadShed: LoadShedConfig, "load_shed";
    RateLimit: RateLimitConfig, "rate_limit";
    Bulkhead: BulkheadConfig, "bulkhead";
    AdaptiveLimit: AdaptiveConfig, "adaptive_limit";
}

/// A limit with others within, without a trace of those that are not there.
pub trait Within<I> {
    /// All of them.
    type Both: Guard;

    /// This limit around those.
    fn around(self, inner: I) -> Self::Both;
}

impl<I: Guard> Within<I> for () {
    type Both = I;

    fn around(self, inner: I) -> I {
        inner
    }
}

macro_rules! within {
    ($($outer:ident: $($inner:ident)*;)*) => {$($(
        impl Within<$inner> for $outer {
            type Both = Both<Self, $inner>;

            fn around(self, inner: $inner) -> Self::Both {
                Both(self, inner)
            }
        }
    )*)*};
}

within! {
    LoadShed: RateLimit Bulkhead AdaptiveLimit;
    RateLimit: Bulkhead AdaptiveLimit;
}

impl<A: Guard, B: Guard> Within<Both<A, B>> for LoadShed {
    type Both = Both<Self, Both<A, B>>;

    fn around(self, inner: Both<A, B>) -> Self::Both {
        Both(self, inner)
    }
}

/// All limits of a pipeline.
pub trait LimitSlots {
    /// What they are when they are made.
    type Made: Guard;

    /// Makes them, of this name, and adds what they say of themselves.
    ///
    /// # Errors
    /// When one is configured wrongly.
    fn make(
        self,
        around: &Surroundings,
        name: Name,
        sketches: &mut Vec<Sketch>,
    ) -> Result<Self::Made, PlanError>;
}

impl<S, R, C> LimitSlots for Limits<S, R, C>
where
    S: LimitSlot,
    R: LimitSlot,
    C: LimitSlot,
    R::Made: Within<C::Made>,
    S::Made: Within<<R::Made as Within<C::Made>>::Both>,
{
    type Made = <S::Made as Within<<R::Made as Within<C::Made>>::Both>>::Both;

    fn make(
        self,
        around: &Surroundings,
        name: Name,
        sketches: &mut Vec<Sketch>,
    ) -> Result<Self::Made, PlanError> {
        let shed = self.shed.make(around, name, sketches)?;
        let rate = self.rate.make(around, name, sketches)?;
        let concurrent = self.concurrent.make(around, name, sketches)?;
        Ok(shed.around(rate.around(concurrent)))
    }
}
