use rs_core::{ConfigError, Name, Share, config, hash};

/// Prefers endpoints of the caller's own zone, as far as they can carry their part.
///
/// If the endpoints of this zone are as large a part of all as its callers are, all calls stay; else so
/// many stay as the zone can carry, and the rest goes to the other zones.
///
/// ```
/// use rs_balance::Zones;
///
/// let zones = Zones::local("eu-central-1a").with_callers("40%".parse()?);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Zones {
    local: String,
    #[cfg_attr(feature = "serde", serde(default))]
    callers: Option<Share>,
}

impl Zones {
    /// This process is in that zone.
    #[must_use]
    pub fn local(zone: impl Into<String>) -> Self {
        Self {
            local: zone.into(),
            callers: None,
        }
    }

    /// So large a part of all callers is in this zone. Otherwise every zone that has endpoints is taken to
    /// have as many callers.
    #[must_use]
    pub const fn with_callers(mut self, share: Share) -> Self {
        self.callers = Some(share);
        self
    }

    /// The zone of this process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.local
    }

    /// How large a part of the callers is in it, if that was said.
    #[must_use]
    pub const fn callers(&self) -> Option<Share> {
        self.callers
    }

    pub(crate) fn zone(&self) -> Name {
        Name::new(&self.local)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.local.is_empty() {
            return Err(ConfigError::missing("local"));
        }
        if let Some(callers) = self.callers {
            config::in_range("callers", callers, Share::of(0.0001)?..=Share::ALL)?;
        }
        Ok(())
    }
}

/// Uses only so many of the endpoints, always the same for the same client.
///
/// A client of ten thousand endpoints need not be connected to all of them. Each client prefers other
/// endpoints (rendezvous hashing of its name with their ids), so that together they use all evenly; when one
/// endpoint comes or goes, at most one of those that a client uses changes.
///
/// ```
/// use rs_balance::Subset;
///
/// let subset = Subset::of(20, "checkout-7f9c");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Subset {
    size: u32,
    client: String,
}

impl Subset {
    /// So many, for the client of this name: the name of the replica, not of the service.
    #[must_use]
    pub fn of(size: u32, client: impl Into<String>) -> Self {
        Self {
            size,
            client: client.into(),
        }
    }

    /// How many.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// For whom.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// How much the client dislikes this endpoint: it uses those of the lowest numbers.
    pub(crate) fn rank(&self, id: &str) -> u64 {
        hash::spread(
            hash::stable(self.client.as_bytes()) ^ hash::stable(id.as_bytes()).rotate_left(17),
        )
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::in_range("size", self.size, 1..=10_000_000)?;
        if self.client.is_empty() {
            return Err(ConfigError::missing("client"));
        }
        Ok(())
    }
}
