//! What is known of each vector of a block: open addressing, nothing is ever taken out.

use crate::lanes::Packed;

/// What is known of one vector.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    key: Packed,
    /// Targets that this vector and one node make.
    pub(crate) wants: u16,
    /// Its node, plus one.
    pub(crate) node: u16,
    /// Its target, plus one.
    pub(crate) target: u16,
    /// Least depth at which one adder makes it of two nodes, plus one.
    pub(crate) reach: u8,
}

/// Entries by vector; zero is no vector here.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    entries: Vec<Entry>,
    used: usize,
}

impl Reach {
    /// Room for `n` vectors before it grows.
    pub(crate) fn new(n: usize) -> Self {
        Self { entries: vec![Entry::default(); (n * 2).next_power_of_two().max(64)], used: 0 }
    }

    fn slot(&self, key: Packed) -> usize {
        let mask = self.entries.len() - 1;
        // Fibonacci hashing (Knuth, volume 3, 6.4).
        let mut at = ((key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.entries[at].key != key && self.entries[at].key != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// What is known of `key`.
    pub(crate) fn get(&self, key: Packed) -> Entry {
        self.entries[self.slot(key)]
    }

    /// What is known of `key`, to be changed.
    pub(crate) fn entry(&mut self, key: Packed) -> &mut Entry {
        let mut at = self.slot(key);
        if self.entries[at].key == 0 {
            if self.used * 2 >= self.entries.len() {
                self.grow();
                at = self.slot(key);
            }
            self.entries[at].key = key;
            self.used += 1;
        }
        &mut self.entries[at]
    }

    fn grow(&mut self) {
        let old = std::mem::replace(self, Self::new(self.entries.len()));
        for entry in old.entries.into_iter().filter(|e| e.key != 0) {
            *self.entry(entry.key) = entry;
        }
    }
}
