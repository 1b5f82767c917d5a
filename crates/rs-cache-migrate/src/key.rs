use std::{hash::Hash, sync::Arc};

use rs_core::hash::stable;

/// What a cache keeps things under: something with a hash that is the same in every process and version.
///
/// std's `Hash` promises that for no type, and the same keys must be among the first 10 % everywhere.
pub trait MigrationKey: Hash + Eq + Clone + Send + Sync + 'static {
    /// The hash of its bytes, by [`rs_core::hash::stable`].
    fn stable_hash(&self) -> u64;
}

macro_rules! keys_of_bytes {
    ($($type:ty),*) => {$(
        impl MigrationKey for $type {
            #[inline]
            fn stable_hash(&self) -> u64 {
                stable(AsRef::<[u8]>::as_ref(self))
            }
        }
    )*};
}

keys_of_bytes!(String, &'static str, Vec<u8>, Box<[u8]>, &'static [u8]);

impl MigrationKey for Arc<str> {
    #[inline]
    fn stable_hash(&self) -> u64 {
        stable(self.as_bytes())
    }
}

impl MigrationKey for Box<str> {
    #[inline]
    fn stable_hash(&self) -> u64 {
        stable(self.as_bytes())
    }
}

macro_rules! keys_of_numbers {
    ($($type:ty),*) => {$(
        impl MigrationKey for $type {
            /// As 16 bytes, so that a number hashes the same whatever its width.
            #[inline]
            fn stable_hash(&self) -> u64 {
                stable(&i128::from(*self).to_le_bytes())
            }
        }
    )*};
}

keys_of_numbers!(u8, u16, u32, u64, i8, i16, i32, i64);
