use std::fmt;

use rs_core::Value;

use crate::inner::Inner;

/// What a replica knows of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetReport {
    /// How many steps all of them have taken together.
    pub revision: u64,
    /// Replicas that have been heard of within a lease, this one included.
    pub live: u32,
    /// Those of them that have not acknowledged the last step.
    pub waiting: u32,
    /// Replicas that were not heard of for a lease, and have not left.
    pub lost: u32,
    /// This one has not reached the record for most of a lease.
    pub cut_off: bool,
    /// Why it could not reach it the last time.
    pub away: Option<String>,
}

impl<K, V, L, N> Inner<K, V, L, N> {
    pub(crate) fn fleet_report(&self) -> Option<FleetReport> {
        self.fleet.is_joined().then(|| {
            let heard = self.fleet.heard().clone();
            FleetReport {
                revision: heard.revision,
                live: heard.live,
                waiting: heard.waiting,
                lost: heard.lost,
                cut_off: self.is_cut_off(),
                away: heard.away,
            }
        })
    }
}

impl FleetReport {
    pub(crate) fn to_value(&self) -> Value {
        Value::map([
            ("revision", Value::from(self.revision)),
            ("live", self.live.into()),
            ("waiting", self.waiting.into()),
            ("lost", self.lost.into()),
            ("cut_off", self.cut_off.into()),
            ("away", self.away.clone().into()),
        ])
    }
}

impl fmt::Display for FleetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            live,
            waiting,
            lost,
            ..
        } = self;
        write!(
            f,
            "fleet: revision {revision}, {live} live, {waiting} behind, {lost} lost"
        )?;
        if let Some(why) = &self.away {
            write!(f, ", record away: {why}")?;
        }
        if self.cut_off {
            f.write_str(", cut off")?;
        }
        Ok(())
    }
}
