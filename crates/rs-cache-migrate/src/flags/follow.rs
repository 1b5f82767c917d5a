//! A migration goes by flags.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rs_core::{Mandate, Share};

use super::{FlagSource, Flags};
use crate::{
    CacheAdapter, MigrationKey, Stage, event, inner::Inner, migration::sampled,
    pilot::course::Bounds,
};

/// What the last look at the flags left.
#[derive(Debug, Default)]
struct Known {
    flags: Flags,
    /// Why they could not be read the last time.
    error: Option<String>,
    /// It was rolled back because nothing may be read from new, and not for anything graver.
    rolled_back: bool,
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) async fn follow(&self, source: impl FlagSource, every: Duration) {
        let every = every.max(Duration::from_millis(1));
        let clock = self.home.around.clock();
        let mut known = Known::default();
        loop {
            // One that hangs is away.
            let read = tokio::select! {
                read = source.read(self.name().as_str()) => read.map_err(|error| error.to_string()),
                () = clock.sleep(every.max(Duration::from_secs(1))) => Err("no answer".to_owned()),
            };
            match read {
                Ok(flags) => {
                    if flags != known.flags {
                        self.home.record(|| event::flags(self.name(), &flags));
                    }
                    (known.flags, known.error) = (flags, None);
                }
                Err(why) => {
                    if known.error.is_none() {
                        self.home.record(|| event::flags_away(self.name(), &why));
                    }
                    known.error = Some(why);
                }
            }
            self.obey(&mut known);
            clock.sleep(every).await;
        }
    }

    /// Stays within what they allow; what they said last counts while they cannot be read, but nothing goes on.
    fn obey(&self, known: &mut Known) {
        let flags = known.flags;
        let is = |flag: Option<bool>, value: bool| flag == Some(value);
        let hold = match &known.error {
            Some(why) => Some(format!("flags cannot be read: {why}")),
            None => is(flags.hold, true).then(|| "MIGRATION_HOLD is true".to_owned()),
        };
        let allowed = flags.stage.unwrap_or(Stage::Complete);
        let stage = match flags.use_new_cache {
            Some(false) => allowed.min(Stage::Shadow),
            _ => allowed,
        };
        let share = flags.percentage.unwrap_or(Share::ALL);
        self.pilot.bound(Bounds { stage, share, hold });
        self.meter.enable(!is(flags.enable_metrics, false));
        let compared = match flags.enable_shadow {
            Some(false) => 0,
            _ => sampled(self.rules.get().shadow()),
        };
        self.sampled.store(compared, Relaxed);
        self.go_back(known, stage, share);
    }

    fn go_back(&self, known: &mut Known, stage: Stage, share: Share) {
        let state = self.word().state();
        let flags = known.flags;
        let mandate = |why: &str| Mandate::new("flags", why);
        if flags.kill_switch == Some(true) {
            if state.stage != Stage::Off || !state.held {
                let _ = self.roll_back(None, "MIGRATION_KILL_SWITCH is true".to_owned());
            }
            known.rolled_back = false;
            return;
        }
        if flags.use_new_cache == Some(false) {
            if state.stage >= Stage::Live {
                let why = "MIGRATION_USE_NEW_CACHE is false".to_owned();
                known.rolled_back = self.roll_back(None, why).is_ok();
            }
            return;
        }
        if std::mem::take(&mut known.rolled_back) {
            self.release(mandate("MIGRATION_USE_NEW_CACHE is not false any more"));
            return;
        }
        self.try_settle();
        // One step at a time; the next look takes the next.
        if state.stage > stage {
            let because = mandate("MIGRATION_STAGE allows no more").into();
            let _ = self.step_back(because);
        } else if state.stage == Stage::Live && state.share > share {
            let because = mandate("MIGRATION_PERCENTAGE allows no more").into();
            // A share of nothing is no share: one step back at a time leads there.
            let _ = match share == Share::NONE {
                true => self.step_back(because),
                false => self.set_share(share, because),
            };
        }
    }
}
