use rs_core::{ConfigError, Enforcement, FaultKind, config};
use rs_metrics::pattern::Checked;

use super::Because;

/// Which failures are answered by something else.
///
/// | | default |
/// |---|---|
/// | refusals by a guard | yes |
/// | what took too long | yes |
/// | failures that may pass, or that ask for fewer calls | yes |
/// | failures that trying again cannot mend | no |
/// | the caller's own errors | no |
///
/// ```
/// use rs_policies::FallbackConfig;
///
/// let only_refusals = FallbackConfig::default().with_timeouts(false).with_transient(false);
/// only_refusals.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct FallbackConfig {
    rejections: bool,
    timeouts: bool,
    transient: bool,
    permanent: bool,
    ignored: bool,
    enforcement: Enforcement,
}

impl FallbackConfig {
    /// Whether refusals by a guard are answered.
    #[must_use]
    pub const fn with_rejections(mut self, yes: bool) -> Self {
        self.rejections = yes;
        self
    }

    /// Whether what took too long is answered.
    #[must_use]
    pub const fn with_timeouts(mut self, yes: bool) -> Self {
        self.timeouts = yes;
        self
    }

    /// Whether failures that may pass, or that ask for fewer calls, are answered.
    #[must_use]
    pub const fn with_transient(mut self, yes: bool) -> Self {
        self.transient = yes;
        self
    }

    /// Whether failures that trying again cannot mend are answered.
    #[must_use]
    pub const fn with_permanent(mut self, yes: bool) -> Self {
        self.permanent = yes;
        self
    }

    /// Whether the caller's own errors are answered: those that the classifier ignores.
    #[must_use]
    pub const fn with_ignored(mut self, yes: bool) -> Self {
        self.ignored = yes;
        self
    }

    /// Failures are only counted, or answered for a share of the calls.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Whether failures are answered.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether a call that failed like this is answered.
    #[must_use]
    pub const fn covers(&self, why: &Because) -> bool {
        match why {
            Because::Rejected(_) => self.rejections,
            Because::TimedOut(_) => self.timeouts,
            Because::Failed(fault) => match fault.kind() {
                FaultKind::TimedOut => self.timeouts,
                FaultKind::Permanent => self.permanent,
                _ => self.transient,
            },
            Because::Ignored => self.ignored,
            Because::Recent | Because::Refreshing => false,
        }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// When nothing is answered.
    pub fn check(&self) -> Result<(), ConfigError> {
        let kinds = [
            self.rejections,
            self.timeouts,
            self.transient,
            self.permanent,
            self.ignored,
        ];
        let answered = kinds.into_iter().filter(|yes| *yes).count();
        config::in_range(
            "kinds of failures that are answered",
            answered,
            1..=kinds.len(),
        )?;
        Ok(())
    }
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self {
            rejections: true,
            timeouts: true,
            transient: true,
            permanent: false,
            ignored: false,
            enforcement: Enforcement::Full,
        }
    }
}

impl Checked for FallbackConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
