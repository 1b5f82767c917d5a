//! A hash that is the same in every process, on every machine and in every version (FNV-1a).
//!
//! Decisions that replicas must take alike are derived from it, so it may never change.

/// The hash of some bytes.
#[must_use]
pub const fn stable(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash ^= bytes[at] as u64;
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    spread(hash)
}

/// Spreads the bits of a number, so that near numbers come out far apart (SplitMix64's finisher).
#[must_use]
pub const fn spread(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
