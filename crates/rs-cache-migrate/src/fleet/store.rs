//! What a fleet asks of whatever keeps its record.

use std::{future::Future, pin::Pin, time::Duration};

use crate::{CacheError, MigrationState, Stage};

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CacheError>> + Send + 'a>>;

/// Each of these happens as a whole or not at all.
pub(crate) trait Store: Send + Sync {
    /// A replica says where it stands, and hears where all shall stand.
    fn visit<'a>(&'a self, visit: Visit<'a>) -> Answer<'a, Seen>;

    /// A replica wants all to stand elsewhere.
    fn propose<'a>(&'a self, proposal: Proposal<'a>) -> Answer<'a, Result<(), Refused>>;

    /// A replica writes nothing any more.
    fn leave<'a>(&'a self, replica: &'a str) -> Answer<'a, ()>;

    /// Somebody knows that the lost ones are gone; how many they were.
    fn forget(&self) -> Answer<'_, u64>;
}

/// Where all shall stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) stage: Stage,
    pub(crate) share: u16,
    pub(crate) epoch: u32,
    pub(crate) held: bool,
}

#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) replica: &'a str,
    pub(crate) lease: Duration,
    /// The last that it has followed; 0 at first.
    pub(crate) revision: u64,
    /// It has no change under way that does not know of that.
    pub(crate) acknowledges: bool,
    /// What that was, for a record that was lost.
    pub(crate) standing: Standing,
    /// It went back by itself since, because of this; its next try has this number.
    pub(crate) rolled_back: Option<(u32, &'a str)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) standing: Standing,
    pub(crate) why: String,
    pub(crate) live: u32,
    /// Live ones that have not acknowledged this revision.
    pub(crate) waiting: u32,
    /// Those whose lease has lapsed and that have not left.
    pub(crate) lost: u32,
    /// The record was made or lost so lately that live ones may not be counted yet.
    pub(crate) young: bool,
}

#[derive(Debug)]
pub(crate) struct Proposal<'a> {
    pub(crate) lease: Duration,
    /// What it builds on.
    pub(crate) revision: u64,
    pub(crate) standing: Standing,
    pub(crate) why: &'a str,
    /// It need not wait until all have acknowledged.
    pub(crate) at_once: bool,
}

/// Why the record stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Overtaken,
    Waiting(u32),
    Young(Duration),
    Lost(u32),
}

impl Standing {
    pub(crate) fn is(self, state: &MigrationState, share: u16) -> bool {
        (self.stage, self.share, self.epoch, self.held)
            == (state.stage, share, state.epoch, state.held)
    }
}
