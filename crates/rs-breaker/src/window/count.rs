use super::Results;

/// How the last so many calls ended: two bits each.
#[derive(Debug, Clone)]
pub(crate) struct CountWindow {
    size: u32,
    filled: u32,
    /// Where the next result goes; the oldest stands there once the window is full.
    next: u32,
    /// Whether it failed, and whether it was slow.
    bits: Bits,
    /// Fine, slow, failed, slowly failed.
    counts: [u32; 4],
}

impl CountWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            size,
            filled: 0,
            next: 0,
            bits: Bits::new(2 * size),
            counts: [0; 4],
        }
    }

    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn results(&self) -> Results {
        let [fine, slow, failed, slow_failed] = self.counts.map(u64::from);
        Results {
            fine,
            slow,
            failed,
            slow_failed,
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.size);
    }

    /// In the order of [`Results::mixed`].
    pub(crate) fn push(&mut self, results: Results) {
        results.mixed(self.size.into(), |failed, slow, count| {
            // More than fit push themselves out.
            for _ in 0..count.min(self.size.into()) {
                self.push_one(failed, slow);
            }
        });
    }

    fn push_one(&mut self, failed: bool, slow: bool) {
        if self.filled == self.size {
            let (failed, slow) = self.get(self.next);
            *self.count(failed, slow) -= 1;
        } else {
            self.filled += 1;
        }
        self.bits.set(2 * self.next, failed);
        self.bits.set(2 * self.next + 1, slow);
        *self.count(failed, slow) += 1;
        self.next = (self.next + 1) % self.size;
    }

    fn get(&self, place: u32) -> (bool, bool) {
        (self.bits.get(2 * place), self.bits.get(2 * place + 1))
    }

    const fn count(&mut self, failed: bool, slow: bool) -> &mut u32 {
        let [fine, slowly, badly, slowly_badly] = &mut self.counts;
        match (failed, slow) {
            (false, false) => fine,
            (false, true) => slowly,
            (true, false) => badly,
            (true, true) => slowly_badly,
        }
    }

    /// The results of another, oldest first, as many as fit.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.clear();
        let oldest = other.next + other.size - other.filled;
        for step in other.filled.saturating_sub(self.size)..other.filled {
            let place = (oldest + step) % other.size;
            let (failed, slow) = other.get(place);
            self.push_one(failed, slow);
        }
    }
}

/// So many bits.
#[derive(Debug, Clone)]
struct Bits(Box<[u64]>);

impl Bits {
    fn new(count: u32) -> Self {
        Self(vec![0; count.div_ceil(u64::BITS) as usize].into())
    }

    fn get(&self, place: u32) -> bool {
        let word = self.0.get((place / u64::BITS) as usize).copied();
        word.unwrap_or_default() >> (place % u64::BITS) & 1 == 1
    }

    fn set(&mut self, place: u32, value: bool) {
        if let Some(word) = self.0.get_mut((place / u64::BITS) as usize) {
            let bit = 1 << (place % u64::BITS);
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}
