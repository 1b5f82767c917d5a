use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// So many entries are weighed; their average stands for all.
const SAMPLE: usize = 1000;

type Weigh<K, V> = Arc<dyn Fn(&K, &V) -> usize + Send + Sync>;

/// What an entry owns outside of its place in the map, if somebody has said how to tell.
pub(super) struct Weigher<K, V>(OnceLock<Weigh<K, V>>);

impl<K, V> Weigher<K, V> {
    pub(super) const fn none() -> Self {
        Self(OnceLock::new())
    }

    /// The first that is given counts.
    pub(super) fn set(&self, weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static) {
        let _ = self.0.set(Arc::new(weigh));
    }

    /// What an entry owns on average, by some of them; `None` if nobody can tell. A hash map's order is by chance,
    /// so the first ones are as good as any.
    pub(super) fn average<T>(
        &self,
        entries: impl Iterator<Item = T>,
        weight: impl Fn(&dyn Fn(&K, &V) -> usize, T) -> usize,
    ) -> Option<f64> {
        let weigh = &**self.0.get()?;
        let weights = entries.take(SAMPLE).map(|entry| weight(weigh, entry));
        let (count, sum) = weights.fold((0_u32, 0.0), |(count, sum), weight| {
            (count + 1, sum + weight as f64)
        });
        Some(sum / f64::from(count.max(1)))
    }
}

impl<K, V> fmt::Debug for Weigher<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Weigher")
            .field(&self.0.get().is_some())
            .finish()
    }
}
