use std::sync::Arc;

use rs_core::{ConfigError, Name, Value, config};
use rs_metrics::{
    Surroundings,
    pattern::{GuardKind, MadeGuard},
};

use crate::Breaker;

/// Breakers for pipelines that stand in a file, under the key `breaker`, configured as a
/// [`BreakerConfig`](crate::BreakerConfig) is.
///
/// ```
/// use rs_breaker::BreakerKind;
/// use rs_core::Value;
/// use rs_metrics::{Surroundings, pattern::GuardKind};
///
/// let written: Value = serde_json::from_str(r#"{ "trip": [{ "consecutive_failures": 5 }] }"#).unwrap();
/// let made = BreakerKind.make(&Surroundings::apart(), "payments".into(), written).unwrap();
/// assert!(made.entry().health().is_up());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct BreakerKind;

impl GuardKind for BreakerKind {
    fn key(&self) -> &'static str {
        "breaker"
    }

    fn make(
        &self,
        around: &Surroundings,
        name: Name,
        config: Value,
    ) -> Result<MadeGuard, ConfigError> {
        let breaker = Breaker::within(around, name, config::read(config)?)?;
        let entry = breaker.entry();
        Ok(MadeGuard::new(breaker, entry))
    }
}

impl Breaker {
    fn entry(&self) -> Arc<dyn rs_core::Inspect> {
        Arc::clone(self.shared()) as Arc<dyn rs_core::Inspect>
    }
}
