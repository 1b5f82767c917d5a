//! What a migration exports.

use rs_core::{Name, Unit, label_set};
use rs_metrics::{Catalogue, Counter, Family, Gauge, Metric, Registry};

use crate::{Finding, Side, Stage, shadow::Comparison};

label_set! {
    /// What a cache was asked for.
    pub enum CacheOperation: "operation" {
        /// What it has under a key.
        Get = "get",
        /// To keep something.
        Set = "set",
        /// To keep nothing.
        Delete = "delete",
    }
}

/// Reads that legacy answered.
pub static LEGACY_HITS: Metric<Counter, (), 1> = Metric::counter(
    "migration_legacy_hits_total",
    "Reads that the legacy cache answered; not counted while the migration is off.",
)
.by(["migration"]);

/// Reads that new answered.
pub static NEW_HITS: Metric<Counter, (), 1> = Metric::counter(
    "migration_new_hits_total",
    "Reads that the new cache answered; not counted once the migration is complete.",
)
.by(["migration"]);

/// Reads that nobody answered.
pub static MISSES: Metric<Counter, (), 1> = Metric::counter(
    "migration_misses_total",
    "Reads that no cache answered that was asked.",
)
.by(["migration"]);

/// Reads that were meant for new.
pub static FALLBACKS: Metric<Counter, (), 1> = Metric::counter(
    "migration_fallbacks_total",
    "Reads that the new cache could not answer and the legacy cache did.",
)
.by(["migration"]);

/// Reads that new could not answer while too many fell back.
pub static FALLBACKS_REFUSED: Metric<Counter, (), 1> = Metric::counter(
    "migration_fallbacks_refused_total",
    "Reads that the new cache could not answer, and legacy was not asked: too many fell back.",
)
.by(["migration"]);

/// Entries that came over as they were read.
pub static PROMOTIONS: Metric<Counter, (), 1> = Metric::counter(
    "migration_promotions_total",
    "Entries that were copied from legacy to new because they were read or filled back.",
)
.by(["migration"]);

/// What a cache did not do.
pub static ERRORS: Metric<Counter, (Side, CacheOperation), 1> = Metric::counter(
    "migration_errors_total",
    "What a cache was asked for and did not do, by cache and operation.",
)
.by(["migration"]);

/// Compared reads.
pub static SHADOW_READS: Metric<Counter, Comparison, 1> = Metric::counter(
    "migration_shadow_reads_total",
    "Reads that were compared, by what was found; a difference counts when it was seen again.",
)
.by(["migration"]);

/// Compared reads that found the queue full.
pub static SHADOW_DROPPED: Metric<Counter, (), 1> = Metric::counter(
    "migration_shadow_dropped_total",
    "Reads that were to be compared and were not: too many waited.",
)
.by(["migration"]);

/// Rollbacks.
pub static ROLLBACKS: Metric<Counter, (), 1> =
    Metric::counter("migration_rollbacks_total", "How often it was rolled back.").by(["migration"]);

/// Judged windows.
pub static WINDOWS: Metric<Counter, Finding, 1> = Metric::counter(
    "migration_windows_total",
    "Windows of measured reads that the gates judged, by what they were.",
)
.by(["migration"]);

/// Where it stands.
pub static STAGE: Metric<Gauge, Stage, 1> = Metric::gauge(
    "migration_stage",
    "1 for the stage it is in, 0 for all others.",
    Unit::Count,
)
.by(["migration"]);

/// Doubtful keys.
pub static DOUBTFUL_KEYS: Metric<Gauge, Side, 1> = Metric::gauge(
    "migration_doubtful_keys",
    "Keys that this cache may be wrong about; it is not asked for them.",
    Unit::Count,
)
.by(["migration"]);

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "cache migration",
    &[
        &LEGACY_HITS,
        &NEW_HITS,
        &MISSES,
        &FALLBACKS,
        &FALLBACKS_REFUSED,
        &PROMOTIONS,
        &ERRORS,
        &SHADOW_READS,
        &SHADOW_DROPPED,
        &ROLLBACKS,
        &WINDOWS,
        &STAGE,
        &DOUBTFUL_KEYS,
    ],
);

/// The handles of one migration.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) legacy_hits: Family<Counter, ()>,
    pub(crate) new_hits: Family<Counter, ()>,
    pub(crate) misses: Family<Counter, ()>,
    pub(crate) fallbacks: Family<Counter, ()>,
    pub(crate) fallbacks_refused: Family<Counter, ()>,
    pub(crate) promotions: Family<Counter, ()>,
    pub(crate) errors: Family<Counter, (Side, CacheOperation)>,
    pub(crate) shadow_reads: Family<Counter, Comparison>,
    pub(crate) shadow_dropped: Family<Counter, ()>,
    pub(crate) rollbacks: Family<Counter, ()>,
    pub(crate) windows: Family<Counter, Finding>,
}

impl Counters {
    pub(crate) fn bind(registry: &Registry, name: Name) -> Self {
        Self {
            legacy_hits: LEGACY_HITS.bind_in(registry, name),
            new_hits: NEW_HITS.bind_in(registry, name),
            misses: MISSES.bind_in(registry, name),
            fallbacks: FALLBACKS.bind_in(registry, name),
            fallbacks_refused: FALLBACKS_REFUSED.bind_in(registry, name),
            promotions: PROMOTIONS.bind_in(registry, name),
            errors: ERRORS.bind_in(registry, name),
            shadow_reads: SHADOW_READS.bind_in(registry, name),
            shadow_dropped: SHADOW_DROPPED.bind_in(registry, name),
            rollbacks: ROLLBACKS.bind_in(registry, name),
            windows: WINDOWS.bind_in(registry, name),
        }
    }
}
