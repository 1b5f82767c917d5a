use super::Results;

/// How the last so many calls ended: two bits each.
#[derive(Debug, Clone)]
pub(crate) struct CountWindow {
    size: u32,
    filled: u32,
    /// Where the next result goes; the oldest stands there once the window is full.
    next: u32,
    failed: Bits,
    slow: Bits,
    results: Results,
}

impl CountWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            size,
            filled: 0,
            next: 0,
            failed: Bits::new(size),
            slow: Bits::new(size),
            results: Results::default(),
        }
    }

    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    pub(crate) const fn results(&self) -> Results {
        self.results
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
            let oldest = self.next;
            *self.count(self.failed.get(oldest), self.slow.get(oldest)) -= 1;
        } else {
            self.filled += 1;
        }
        self.failed.set(self.next, failed);
        self.slow.set(self.next, slow);
        *self.count(failed, slow) += 1;
        self.next = (self.next + 1) % self.size;
    }

    const fn count(&mut self, failed: bool, slow: bool) -> &mut u64 {
        match (failed, slow) {
            (false, false) => &mut self.results.fine,
            (false, true) => &mut self.results.slow,
            (true, false) => &mut self.results.failed,
            (true, true) => &mut self.results.slow_failed,
        }
    }

    /// The results of another, oldest first, as many as fit.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.clear();
        let oldest = other.next + other.size - other.filled;
        for step in other.filled.saturating_sub(self.size)..other.filled {
            let place = (oldest + step) % other.size;
            self.push_one(other.failed.get(place), other.slow.get(place));
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
