//! A table of counts by 64-bit key: open addressing, nothing is ever taken out.

/// Counts by key; keys are never zero.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    keys: Vec<u64>,
    counts: Vec<u32>,
    used: usize,
}

impl Table {
    /// Room for `n` keys before it grows.
    pub(crate) fn new(n: usize) -> Self {
        let size = (n * 2).next_power_of_two().max(64);
        Self { keys: vec![0; size], counts: vec![0; size], used: 0 }
    }

    fn slot(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        // Fibonacci hashing (Knuth, volume 3, 6.4).
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize & mask;
        while self.keys[at] != key && self.keys[at] != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// The count of `key`.
    pub(crate) fn get(&self, key: u64) -> u32 {
        self.counts[self.slot(key)]
    }

    /// The count of `key`, to be changed.
    pub(crate) fn entry(&mut self, key: u64) -> &mut u32 {
        let mut at = self.slot(key);
        if self.keys[at] == 0 {
            if self.used * 2 >= self.keys.len() {
                self.grow();
                at = self.slot(key);
            }
            self.keys[at] = key;
            self.used += 1;
        }
        &mut self.counts[at]
    }

    fn grow(&mut self) {
        let old = std::mem::replace(self, Self::new(self.keys.len()));
        for (key, count) in old.keys.into_iter().zip(old.counts).filter(|(key, _)| *key != 0) {
            *self.entry(key) = count;
        }
    }
}
