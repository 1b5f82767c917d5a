use std::time::Duration;

/// What a cache knows of a key.
///
/// "There is no such thing" is knowledge too: an [`Absent`](Self::Absent) is served as it is, and nobody asks
/// the other cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers match on all three, and there is no fourth"
)]
pub enum Lookup<V> {
    /// This value.
    Hit(V),
    /// That there is no value: a negative entry.
    Absent,
    /// Nothing: ask the origin.
    Miss,
}

impl<V> Lookup<V> {
    /// The value, if there is one.
    #[must_use]
    pub fn hit(self) -> Option<V> {
        match self {
            Self::Hit(value) => Some(value),
            Self::Absent | Self::Miss => None,
        }
    }

    /// Whether the cache knows nothing.
    #[must_use]
    pub const fn is_miss(&self) -> bool {
        matches!(self, Self::Miss)
    }
}

impl<V> From<Option<Entry<V>>> for Lookup<V> {
    #[inline]
    fn from(found: Option<Entry<V>>) -> Self {
        match found {
            Some(Entry {
                value: Some(value), ..
            }) => Self::Hit(value),
            Some(_) => Self::Absent,
            None => Self::Miss,
        }
    }
}

/// What a cache keeps under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "adapters of other people make and take it apart"
)]
pub struct Entry<V> {
    /// The value; `None` says that there is none: a negative entry.
    pub value: Option<V>,
    /// How long it still lives; `None` is without end, or the cache cannot say.
    pub remaining: Option<Duration>,
    /// In which try of the migration it was written; see [`MigrationState::epoch`](crate::MigrationState).
    pub epoch: u32,
    /// It comes from a nearer level, and says nothing of the cache behind: see [`TwoLevel`](crate::TwoLevel).
    pub near: bool,
}

impl<V> Entry<V> {
    /// This value, without end.
    #[must_use]
    pub const fn of(value: V) -> Self {
        Self {
            value: Some(value),
            remaining: None,
            epoch: 0,
            near: false,
        }
    }

    /// That there is no value.
    #[must_use]
    pub const fn absent() -> Self {
        Self {
            value: None,
            remaining: None,
            epoch: 0,
            near: false,
        }
    }

    /// The same for this long.
    #[must_use]
    pub const fn lasting(mut self, time: Duration) -> Self {
        self.remaining = Some(time);
        self
    }

    pub(crate) const fn in_epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch;
        self
    }
}
