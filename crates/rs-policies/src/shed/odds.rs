//! How likely a call is to be refused. Pure.

use super::LoadShedConfig;

pub(super) const CLASSES: usize = rs_core::Criticality::ALL.len();

/// What the calls of a class in the window came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Came {
    /// All that were made, also those that were refused here.
    pub(super) requests: f64,
    /// Those that the dependency accepted.
    pub(super) accepts: f64,
}

/// The share of the calls of each class that is to be refused.
///
/// How many are too many follows for each class from its own requests and accepts, as in the book. They
/// are then taken from the least critical calls first, whichever class they are too many of: a
/// dependency that looks at criticality refuses those anyway, and one that does not cannot tell.
pub(super) fn odds(came: &[Came; CLASSES], rules: &LoadShedConfig) -> [f64; CLASSES] {
    let all: f64 = came.iter().map(|class| class.requests).sum();
    if all < f64::from(rules.calls_needed()) {
        return [0.0; CLASSES];
    }
    let too_many = |class: &Came| {
        let sent = rules.for_each_accepted() * class.accepts;
        (class.requests - sent).max(0.0)
    };
    let mut left: f64 = came.iter().map(too_many).sum();
    came.map(|class| {
        let share = left / (class.requests + 1.0);
        // Those that are let through to ask are not made up for by others.
        left = (left - class.requests).max(0.0);
        share.min(rules.most().get())
    })
}
