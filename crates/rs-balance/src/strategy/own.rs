use std::{fmt, sync::Arc};

use rs_core::Call;

use super::Field;
use crate::dice::Dice;

/// A strategy of one's own, as [`Strategy::Own`](crate::Strategy::Own) takes it.
///
/// It is asked for a [`Chooser`] each time the endpoints that may be chosen change, off the hot path; the
/// chooser is asked for each call.
///
/// ```
/// use rs_balance::{Arrange, Balancer, BalancerConfig, Candidates, Chooser, Choosing, Endpoint, Own, Strategy};
/// use rs_core::Call;
///
/// /// Always the same one, until it has too much to do.
/// #[derive(Debug)]
/// struct FillUp { to: u32 }
///
/// impl Arrange for FillUp {
///     fn name(&self) -> &'static str { "fill_up" }
///     fn arrange(&self, _candidates: &Candidates<'_>) -> Box<dyn Chooser> {
///         Box::new(Filling { to: self.to })
///     }
/// }
///
/// struct Filling { to: u32 }
///
/// impl Chooser for Filling {
///     fn choose(&self, candidates: &Candidates<'_>, _choosing: &Choosing<'_>) -> Option<usize> {
///         (0..candidates.len()).find(|place| candidates.in_flight(*place) < self.to)
///     }
/// }
///
/// let own = Strategy::Own(Own::new(FillUp { to: 2 }));
/// let search = Balancer::new("search", BalancerConfig::new(own))?;
/// search.update(["a", "b"].map(|id| Endpoint::new(id, ())));
/// let leases: Vec<_> = (0..3).filter_map(|_| search.pick(&Call::new("query"))).collect();
/// let ids: Vec<_> = leases.iter().map(|lease| lease.id()).collect();
/// assert_eq!(ids, ["a", "a", "b"]);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
pub trait Arrange: fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// A chooser for these endpoints. It must not call the balancer; if it panics, endpoints are chosen at
    /// random.
    fn arrange(&self, candidates: &Candidates<'_>) -> Box<dyn Chooser>;
}

/// Chooses among the endpoints that it was made for. See [`Arrange`].
pub trait Chooser: Send + Sync {
    /// The place of the one for this call; `None` leaves it to chance.
    fn choose(&self, candidates: &Candidates<'_>, choosing: &Choosing<'_>) -> Option<usize>;
}

/// The endpoints that may be chosen, by their places: the same places until the next chooser is arranged.
#[derive(Clone, Copy)]
pub struct Candidates<'a>(&'a dyn Field);

impl<'a> Candidates<'a> {
    pub(crate) fn of(field: &'a dyn Field) -> Self {
        Self(field)
    }

    /// How many there are; never none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls are in flight there.
    #[must_use]
    pub fn in_flight(&self, place: usize) -> u32 {
        self.0.in_flight(place)
    }

    /// How much it can carry, slow start included.
    #[must_use]
    pub fn weight(&self, place: usize) -> f64 {
        f64::from(self.0.weight(place))
    }

    /// Which one it is: a hash of its id, the same everywhere.
    #[must_use]
    pub fn key(&self, place: usize) -> u64 {
        self.0.key(place)
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidates")
            .field("len", &self.len())
            .finish()
    }
}

/// What a [`Chooser`] may go by.
#[derive(Debug, Clone, Copy)]
pub struct Choosing<'a> {
    pub(crate) call: &'a Call,
    pub(crate) dice: &'a Dice<'a>,
    pub(crate) again: u32,
}

impl Choosing<'_> {
    /// The call.
    #[must_use]
    pub const fn call(&self) -> &Call {
        self.call
    }

    /// Any number; the same in every run if the balancer has a seed.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.dice.roll()
    }

    /// How often something else was wanted already in this pick: the endpoint that was chosen is to be
    /// avoided. Who chooses the same again leaves it to chance in the end.
    #[must_use]
    pub const fn again(&self) -> u32 {
        self.again
    }
}

/// A strategy of one's own; see [`Arrange`].
#[derive(Debug, Clone)]
pub struct Own(Arc<dyn Arrange>);

impl Own {
    /// This one.
    pub fn new(strategy: impl Arrange + 'static) -> Self {
        Self(Arc::new(strategy))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn arrange(&self, candidates: &Candidates<'_>) -> Box<dyn Chooser> {
        self.0.arrange(candidates)
    }
}

/// Equal if they are the same.
impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
