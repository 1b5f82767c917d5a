use std::time::Duration;

use rs_core::Value;

/// How a [`Fleet`](crate::Fleet) keeps in touch at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FleetStatus {
    /// The name of this replica.
    pub replica: String,
    /// Whether somebody runs the fleet.
    pub running: bool,
    /// How many replicas there were when they were last heard.
    pub replicas: u32,
    /// How long ago that was; none if they were never heard.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    pub age: Option<Duration>,
    /// Why the storage was not reached, if it was not.
    pub lost: Option<String>,
    /// How many orders wait for the storage to take them.
    pub waiting: usize,
}

impl FleetStatus {
    pub(super) fn to_value(&self) -> Value {
        Value::map([
            ("replica", self.replica.clone().into()),
            ("running", self.running.into()),
            ("replicas", self.replicas.into()),
            ("age", self.age.into()),
            ("lost", self.lost.clone().into()),
            ("waiting", self.waiting.into()),
        ])
    }
}
