use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use anyhow::{Context, Result};

/// How many keys an instance remembers: far more than are under way at any time.
const REMEMBERED: usize = 1_000_000;

/// Key, order, and who wrote it.
const RECORD: usize = 24;

/// What was charged, in a file that all instances of the payment service share.
///
/// It stands for the bank's database: it outlives any instance, and its order is everybody's. Whoever charges
/// appends a record, the kernel says in which order, and the first record of a key is the charge. So two
/// instances that are asked for the same charge at the same time agree who made it, without a lock, and one
/// that is killed after it wrote has charged.
pub(crate) struct Ledger {
    file: File,
    read_up_to: u64,
    writer: u64,
    known: HashSet<u64>,
    oldest: VecDeque<u64>,
}

/// Whether money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charged {
    Now,
    Before,
}

impl Ledger {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path);
        let file = file.with_context(|| format!("cannot open the ledger {}", path.display()))?;
        Ok(Self {
            file,
            read_up_to: 0,
            writer: fastrand::u64(..),
            known: HashSet::new(),
            oldest: VecDeque::new(),
        })
    }

    /// Charges an order once for each key.
    pub(crate) fn charge(&mut self, key: u64, order: u64) -> io::Result<Charged> {
        self.catch_up(key)?;
        if self.known.contains(&key) {
            return Ok(Charged::Before);
        }
        let mut record = [0; RECORD];
        for (bytes, number) in record.chunks_mut(8).zip([key, order, self.writer]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        self.file.write_all(&record)?;
        Ok(match self.catch_up(key)? {
            Some(first) if first == self.writer => Charged::Now,
            _ => Charged::Before,
        })
    }

    /// Reads what was written since. Who wrote the first record of this key, if it is among that.
    fn catch_up(&mut self, asked: u64) -> io::Result<Option<u64>> {
        let mut first = None;
        let mut bytes = [0; RECORD * 64];
        loop {
            let read = self.file.read_at(&mut bytes, self.read_up_to)?;
            let whole = read - read % RECORD;
            if whole == 0 {
                return Ok(first);
            }
            for record in bytes[..whole].chunks_exact(RECORD) {
                let [key, _, writer] = numbers(record);
                if self.known.insert(key) {
                    self.remember(key);
                    if key == asked {
                        first = Some(writer);
                    }
                }
            }
            self.read_up_to += whole as u64;
        }
    }

    fn remember(&mut self, key: u64) {
        self.oldest.push_back(key);
        if self.oldest.len() > REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// How often each order was charged, according to the file: once for each key.
    pub(crate) fn audit(path: &Path) -> Result<HashMap<u64, u32>> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut keys = HashSet::new();
        let mut charges = HashMap::new();
        for record in bytes.chunks_exact(RECORD) {
            let [key, order, _] = numbers(record);
            if keys.insert(key) {
                *charges.entry(order).or_default() += 1;
            }
        }
        Ok(charges)
    }
}

fn numbers(record: &[u8]) -> [u64; 3] {
    let mut numbers = [0; 3];
    for (number, bytes) in numbers.iter_mut().zip(record.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        *number = u64::from_le_bytes(eight);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::{Charged, Ledger};

    #[test]
    fn instances_agree_and_restarts_remember() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let (mut one, mut two) = (Ledger::open(&path).unwrap(), Ledger::open(&path).unwrap());
        assert_eq!(one.charge(1, 10).unwrap(), Charged::Now);
        assert_eq!(two.charge(1, 10).unwrap(), Charged::Before);
        assert_eq!(two.charge(2, 20).unwrap(), Charged::Now);
        let mut restarted = Ledger::open(&path).unwrap();
        assert_eq!(restarted.charge(2, 20).unwrap(), Charged::Before);
        // Another key for the same order is another charge, and the audit sees it.
        assert_eq!(restarted.charge(3, 20).unwrap(), Charged::Now);
        let charges = Ledger::audit(&path).unwrap();
        assert_eq!((charges[&10], charges[&20]), (1, 2));
    }

    #[test]
    fn many_at_once_charge_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let now: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut ledger = Ledger::open(&path).unwrap();
                        let charged = (0..500).map(|key| ledger.charge(key, key).unwrap());
                        charged.filter(|charged| *charged == Charged::Now).count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(now, 500);
        assert_eq!(Ledger::audit(&path).unwrap().len(), 500);
    }
}
