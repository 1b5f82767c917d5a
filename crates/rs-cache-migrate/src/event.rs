//! What a migration announces.

use rs_core::{Measure, Name, Severity, Signal, SignalKind, Unit};

use crate::MigrationState;

static SHARE: Measure = Measure::new("share", Unit::Share);
static EPOCH: Measure = Measure::new("epoch", Unit::Count);
static KEYS: Measure = Measure::new("keys", Unit::Count);

macro_rules! kinds {
    ($($kind:ident = $name:literal, $severity:ident, $words:literal;)*) => {$(
        pub(crate) static $kind: SignalKind =
            SignalKind::new("cache_migration", $name, Severity::$severity, $words);
    )*};
}

kinds! {
    STEPPED = "stepped", Info, "took a step, {share} of the keys are read from new";
    ROLLED_BACK = "rolled_back", Warning, "rolled back, everything goes to legacy; the next try has number {epoch}";
    RELEASED = "released", Info, "may go on after a rollback";
    LEGACY_VOID = "legacy_void", Warning, "cannot believe the legacy cache any more, more than {keys} keys are doubtful; it is read as empty until it was cleared";
    CLEARED = "legacy_cleared", Info, "cleared the legacy cache and believes it again";
}

/// It stands here now, because of this.
pub(crate) fn at(
    kind: &'static SignalKind,
    name: Name,
    state: &MigrationState,
    why: &str,
) -> Signal {
    kind.signal(name)
        .with(SHARE.at(state.share.get()))
        .with(EPOCH.at(state.epoch.into()))
        .noting(format!("{state}: {why}"))
}

pub(crate) fn legacy_void(name: Name, limit: usize) -> Signal {
    LEGACY_VOID.signal(name).with(KEYS.at(limit as f64))
}
