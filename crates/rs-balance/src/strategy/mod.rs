//! The strategies, as tables that are made when the set changes and asked for each call.

mod alias;
mod hashing;
mod own;
mod smooth;
mod table;

pub use own::{Arrange, Candidates, Chooser, Choosing, Own};
pub(crate) use table::Table;

use crate::ewma::Ewma;

/// The endpoints that a table chooses among, by their places.
pub(crate) trait Field {
    fn len(&self) -> usize;

    fn in_flight(&self, place: usize) -> u32;

    /// How much it can carry, slow start included; 1 where the strategy does not ask.
    fn weight(&self, place: usize) -> f32;

    /// Whether some weights differ.
    fn is_weighed(&self) -> bool {
        true
    }

    /// Whether all take part in each call and weigh the same.
    fn is_even(&self) -> bool {
        false
    }

    /// Its part of all weights.
    fn share(&self, place: usize) -> f64;

    /// How fast it was.
    fn latency(&self, place: usize) -> Ewma;

    /// Which one it is, everywhere.
    fn key(&self, place: usize) -> u64;

    /// Whether it is one for this call: who starts slowly is not always, and who was tried is not again.
    fn takes_part(&self, place: usize, choosing: &Choosing<'_>) -> bool;

    /// How many calls are in flight everywhere, if that is counted.
    fn all_in_flight(&self) -> u64;
}
