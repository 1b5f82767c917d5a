//! What a migration announces.

use std::sync::Arc;

use rs_core::{Mandate, Measure, Name, Severity, Signal, SignalKind, Unit};

use crate::{Flags, MigrationState};

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
    WOULD_ADVANCE = "would_advance", Info, "would take a step, {share} of the keys would be read from new";
    WOULD_ROLL_BACK = "would_roll_back", Warning, "would roll back, but for the dry run";
    HOLDS = "holds", Info, "goes no further by itself";
    RESUMED = "resumed", Info, "may go on by itself";
    FLAGS = "flags_changed", Info, "goes by other flags";
    FLAGS_AWAY = "flags_away", Warning, "cannot read its flags, goes by the last and no further";
    RELEASED = "released", Info, "may go on after a rollback";
    LEGACY_VOID = "legacy_void", Warning, "cannot believe the legacy cache any more, more than {keys} keys are doubtful; it is read as empty until it was cleared";
    RECORD_AWAY = "record_away", Warning, "cannot reach the record of its fleet, stays where it is and goes no further";
    RECORD_BACK = "record_back", Info, "reaches the record of its fleet again";
    CUT_OFF = "cut_off", Warning, "has not reached the record of its fleet for most of a lease, and no longer believes new if other processes write it";
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

/// Somebody ordered this.
pub(crate) fn by(kind: &'static SignalKind, name: Name, mandate: &Mandate) -> Signal {
    kind.signal(name).by(Arc::new(mandate.clone()))
}

pub(crate) fn flags(name: Name, flags: &Flags) -> Signal {
    FLAGS.signal(name).noting(format!("{flags:?}"))
}

pub(crate) fn record_away(name: Name, why: &str) -> Signal {
    RECORD_AWAY.signal(name).noting(why.to_owned())
}

pub(crate) fn flags_away(name: Name, why: &str) -> Signal {
    FLAGS_AWAY.signal(name).noting(why.to_owned())
}
