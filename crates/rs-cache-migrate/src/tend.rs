//! What a migration does when nobody calls it.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{
    CacheAdapter, MigrationKey, Side, Stage, event, inner::Inner, metrics::CacheOperation,
};

/// So often doubtful keys are looked after.
const EVERY: Duration = Duration::from_secs(1);
/// So many at a time.
const AT_ONCE: usize = 64;

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) async fn run(&self) {
        let mut waiting = self.shadow.receiver.lock().await;
        // A cache that hangs must not keep the pilot from judging.
        tokio::join!(
            self.fly(),
            self.compare_and_tend(&mut waiting),
            self.stay_in_fleet()
        );
    }

    async fn compare_and_tend(&self, waiting: &mut mpsc::Receiver<K>) {
        let _wanted = self.shadow.run();
        let mut next = self.home.around.clock().now() + EVERY;
        loop {
            tokio::select! {
                Some(key) = waiting.recv() => drop(self.compare(&key).await),
                () = self.home.around.clock().sleep_until(next) => {
                    self.tend().await;
                    next = self.home.around.clock().now() + EVERY;
                }
            }
        }
    }

    /// Waits for the last step to settle, and removes what is doubtful.
    pub(crate) async fn tend(&self) {
        self.settle().await;
        for side in [Side::Legacy, Side::New] {
            if self.doubts.are_none() {
                return;
            }
            match (side, self.word().stage()) {
                // Nobody reads it, and before the next try all is forgotten.
                (Side::New, Stage::Off) => {}
                (Side::Legacy, Stage::Complete) => {
                    if self.word().is_settled() {
                        self.doubts.forget(side);
                    }
                }
                _ if self.doubts.is_void(side) => self.start_afresh(side).await,
                _ => self.remove_doubtful(side).await,
            }
        }
    }

    async fn remove_doubtful(&self, side: Side) {
        for key in self.doubts.some(side, AT_ONCE) {
            let _order = self.order.lock(&key).await;
            // A change may have resolved it meanwhile, and must not be undone.
            if self.doubts.holds(side, &key) && self.remove(side, &key).await.is_err() {
                // The next ones would fail as well.
                return;
            }
        }
    }

    async fn remove(&self, side: Side, key: &K) -> Result<(), crate::CacheError> {
        let done = match side {
            Side::Legacy => self.on(side, self.legacy.delete(key)).await,
            Side::New => self.on(side, self.new.delete(key)).await,
        };
        match done {
            Ok(()) => self.doubts.resolve(side, key),
            Err(_) => self.counters.errors[(side, CacheOperation::Delete)].increment(),
        }
        done
    }

    /// Too many were doubtful to know them all. Nothing changes meanwhile.
    async fn start_afresh(&self, side: Side) {
        let _all = self.order.lock_all().await;
        let cleared = match side {
            Side::Legacy => self.legacy.clear().await,
            Side::New => self.new.clear().await,
        };
        if cleared.is_ok() {
            self.doubts.forget(side);
            if side == Side::Legacy {
                self.home.record(|| event::CLEARED.signal(self.name()));
            }
        }
    }
}
