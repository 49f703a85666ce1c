//! What is known of each vector of a block: open addressing, nothing is ever taken out, eight bytes a vector.

use crate::lanes::Packed;

/// What is known of one vector.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    key: u32,
    /// Targets that this vector and one node make, times 32; and the least depth at which one adder makes it of two
    /// nodes, plus one.
    packed: u16,
    /// Its node or its target, plus one; a target is marked.
    id: u16,
}

impl Entry {
    const TARGET: u16 = 1 << 15;
    /// The deepest reach, and the most targets that can be counted.
    pub(crate) const MAX_DEPTH: u8 = 30;
    pub(crate) const MAX_WANTS: u16 = 2047;

    pub(crate) const fn wants(self) -> u16 {
        self.packed >> 5
    }

    pub(crate) const fn want(&mut self, more: bool) {
        self.packed = if more { self.packed + 32 } else { self.packed - 32 };
    }

    /// Depth at which one adder makes it.
    pub(crate) const fn reach(self) -> Option<u8> {
        (self.packed as u8 & 31).checked_sub(1)
    }

    pub(crate) const fn set_reach(&mut self, depth: u8) {
        self.packed = self.packed & !31 | (depth as u16 + 1);
    }

    pub(crate) const fn node(self) -> Option<u16> {
        if self.id & Self::TARGET == 0 { self.id.checked_sub(1) } else { None }
    }

    pub(crate) const fn target(self) -> Option<u16> {
        if self.id & Self::TARGET == 0 { None } else { Some((self.id & !Self::TARGET) - 1) }
    }

    pub(crate) const fn set_node(&mut self, n: usize) {
        self.id = n as u16 + 1;
    }

    pub(crate) const fn set_target(&mut self, t: usize) {
        self.id = (t as u16 + 1) | Self::TARGET;
    }
}

/// Entries by vector; zero is no vector here.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    entries: Vec<Entry>,
    used: usize,
}

impl Reach {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self { entries: vec![Entry::default(); 1 << 10], used: 0 }
    }

    /// Forgets everything, but not how large it became.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(Entry::default());
        self.used = 0;
    }

    fn slot(&self, key: u32) -> usize {
        let mask = self.entries.len() - 1;
        // Fibonacci hashing (Knuth, volume 3, 6.4).
        let mut at = (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.entries[at].key != key && self.entries[at].key != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// What is known of `key`.
    pub(crate) fn get(&self, key: Packed) -> Entry {
        self.entries[self.slot(key as u32)]
    }

    /// What is known of `key`, to be changed.
    pub(crate) fn entry(&mut self, key: Packed) -> &mut Entry {
        let key = key as u32;
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
        let size = self.entries.len() * 2;
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        for entry in old.into_iter().filter(|e| e.key != 0) {
            let at = self.slot(entry.key);
            self.entries[at] = entry;
        }
    }
}
