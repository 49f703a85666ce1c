//! A matrix as a product, factor by factor: common parts of two rows become a new input, those of two columns a new output.
//!
//! The matrix `M` starts as the question. A *row part* takes `c * 2^s` from row `a` and `± c * 2^t` from row `b` (`c` any
//! row of integers): one adder makes the new input `x_a * 2^s ± x_b * 2^t`, whose row is `c`. A *column part* does the same
//! to columns: a new output `c`, which two columns then add, at the cost of one term more. Every step takes the part that
//! saves most digits. All steps can be undone in any order that respects what was built on what, so that the search can
//! take some back and choose anew.
//!
//! Digits common to two rows are the classical common sub-expression; a whole column taken from another is the edge of a
//! spanning tree of differences. Both are special cases here.
//!
//! Source: Hosangadi, Fallah, Kastner, ASAP 2004 (two-term patterns); Gustafsson, Ohlsson, Wanhammar, Asilomar 2004, and
//! Aksoy et al., IEEE Trans. CAD 27(6), 2008 (differences of columns); Sun et al., arXiv 2507.04535 (both in turn). Choosing
//! integers in place of digits, and rows and columns together, is ours.

use crate::digits::weight;
use crate::gains::{Count, DISTANCES, GainTable, Gains, Relation, above, change, most};
use crate::random::Random;

/// Rows or columns: an index into pairs of fields.
pub(crate) const ROWS: usize = 0;
pub(crate) const COLUMNS: usize = 1;

/// A common part of two lines that became a line of its own.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// [`ROWS`] or [`COLUMNS`].
    pub(crate) side: usize,
    /// The new line, and those that held it.
    pub(crate) line: usize,
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) relation: Relation,
    /// Its entries other than zero.
    entries: Vec<(usize, i64)>,
    /// Depth of a new input; levels of a new output.
    level: u32,
}

/// Lines of one side.
#[derive(Debug)]
struct Side<T> {
    /// Lines that can be, and words of a bit set of positions.
    capacity: usize,
    words: usize,
    /// `entries[line * other capacity + position]`.
    entries: Vec<i64>,
    /// Positions with entries other than zero.
    filled: Vec<u64>,
    /// Digits that parts save, for each pair of lines.
    gains: Vec<Gains<T>>,
    /// The bucket in which the pair is.
    top: Vec<T>,
    used: Vec<bool>,
}

/// The product in the making.
#[derive(Debug)]
pub(crate) struct Factor<T> {
    sides: [Side<T>; 2],
    /// Depth of each row's input.
    depth: Vec<u32>,
    /// Levels that each column may have, and what its terms take of `2^levels`.
    pub(crate) levels: Vec<u32>,
    slots: Vec<u64>,
    /// In the order in which they were made.
    pub(crate) parts: Vec<Part>,
    digits: i64,
    table: GainTable,
    buckets: Vec<Vec<(u8, u16, u16)>>,
    pub(crate) work: u64,
}

const fn pair(a: usize, b: usize) -> usize {
    if a < b { b * (b - 1) / 2 + a } else { a * (a - 1) / 2 + b }
}

impl<T: Count> Factor<T> {
    /// The matrix as it stands; `weights[i][j]` is the weight of input `i` in output `j`.
    pub(crate) fn new(weights: &[Vec<i64>], levels: u32, spare: [usize; 2]) -> Self {
        let (rows, columns) = (weights.len(), weights.first().map_or(0, Vec::len));
        let capacity = [rows + spare[0], columns + spare[1]];
        let side = |n: usize, used: usize| {
            let (lines, positions) = (capacity[n], capacity[1 - n]);
            let words = positions.div_ceil(64);
            Side {
                capacity: positions,
                words,
                entries: vec![0; lines * positions],
                filled: vec![0; lines * words],
                gains: vec![[[T::default(); DISTANCES]; 2]; lines * (lines - 1) / 2],
                top: vec![T::default(); lines * (lines - 1) / 2],
                used: (0..lines).map(|l| l < used).collect(),
            }
        };
        let bits = weights.iter().flatten().map(|w| 64 - w.unsigned_abs().leading_zeros()).max().unwrap_or(0);
        let mut factor = Self {
            sides: [side(0, rows), side(1, columns)],
            depth: vec![0; capacity[0]],
            levels: vec![levels; capacity[1]],
            slots: vec![0; capacity[1]],
            parts: Vec::new(),
            digits: 0,
            table: GainTable::new(bits),
            buckets: Vec::new(),
            work: 0,
        };
        for (i, row) in weights.iter().enumerate() {
            for (j, w) in row.iter().enumerate() {
                factor.set(i, j, *w);
            }
        }
        factor
    }

    /// Digits and parts: adders are this less the number of outputs that are not zero.
    pub(crate) fn cost(&self) -> i64 {
        self.digits + self.parts.len() as i64
    }

    /// Lines of `side` that there are room for.
    pub(crate) fn lines(&self, side: usize) -> usize {
        self.sides[side].used.len()
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> i64 {
        self.sides[ROWS].entries[row * self.sides[ROWS].capacity + column]
    }

    /// Positions of `line` with entries other than zero.
    pub(crate) fn filled(&self, side: usize, line: usize) -> Vec<usize> {
        let s = &self.sides[side];
        let mut list = Vec::new();
        for w in 0..s.words {
            let mut rest = s.filled[line * s.words + w];
            while rest != 0 {
                list.push(w * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
        list
    }

    fn set_line(&mut self, side: usize, line: usize, position: usize, value: i64) {
        if side == ROWS { self.set(line, position, value) } else { self.set(position, line, value) }
    }

    fn set(&mut self, row: usize, column: usize, value: i64) {
        let old = self.at(row, column);
        if old == value {
            return;
        }
        for (side, line, position) in [(ROWS, row, column), (COLUMNS, column, row)] {
            let s = &mut self.sides[side];
            s.entries[line * s.capacity + position] = value;
            let (word, bit) = (line * s.words + position / 64, 1u64 << (position % 64));
            s.filled[word] = if value == 0 { s.filled[word] & !bit } else { s.filled[word] | bit };
        }
        let (before, after) = (i64::from(weight(old)), i64::from(weight(value)));
        self.digits += after - before;
        self.slots[column] = self.slots[column].wrapping_add_signed((after - before) << self.depth[row]);
        self.regain(ROWS, row, column, old, value);
        self.regain(COLUMNS, column, row, old, value);
    }

    /// Brings the gains of `line` with all others up to date after its entry at `position` changed.
    fn regain(&mut self, side: usize, line: usize, position: usize, old: i64, new: i64) {
        let [rows, columns] = &mut self.sides;
        let (own, cross) = if side == ROWS { (rows, &*columns) } else { (columns, &*rows) };
        let values = &cross.entries[position * cross.capacity..][..cross.capacity];
        for w in 0..cross.words {
            let mut rest = cross.filled[position * cross.words + w];
            while rest != 0 {
                let other = w * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if other == line {
                    continue;
                }
                self.work += 1;
                let theirs = values[other];
                let at = pair(line, other);
                let ordered = |mine: i64| if line < other { (mine, theirs) } else { (theirs, mine) };
                let gains = &mut own.gains[at];
                if old != 0 {
                    let (a, b) = ordered(old);
                    change(gains, self.table.of(a, b), T::less);
                }
                if new != 0 {
                    let (a, b) = ordered(new);
                    change(gains, self.table.of(a, b), T::more);
                    if above(gains, own.top[at].max(T::of(1))) {
                        let most = most(gains);
                        own.top[at] = most;
                        let (a, b) = (line.min(other), line.max(other));
                        let most = usize::from(most.into());
                        if self.buckets.len() <= most {
                            self.buckets.resize(most + 1, Vec::new());
                        }
                        self.buckets[most].push((side as u8, a as u16, b as u16));
                    }
                }
            }
        }
    }

    /// Takes parts as long as one saves more than it costs: of `look` that save most, the one that leaves most to others.
    pub(crate) fn reduce(&mut self, look: usize, random: &mut Random) {
        while let Some(mut part) = self.choose(random) {
            let most = self.buckets.len();
            for _ in 1..look {
                let Some(other) = self.choose(random).filter(|_| self.buckets.len() == most) else { break };
                if self.burden(&other) < self.burden(&part) {
                    part = other;
                }
            }
            self.apply(part);
        }
    }

    /// How much others could have used of a part: long numbers, and lines of many.
    fn burden(&self, part: &Part) -> u32 {
        let bits = part.entries.iter().map(|(_, c)| 64 - c.unsigned_abs().leading_zeros()).sum::<u32>();
        let s = &self.sides[part.side];
        let filled =
            |line: usize| s.filled[line * s.words..][..s.words].iter().map(|w| w.count_ones()).sum::<u32>();
        4 * bits + filled(part.a) + filled(part.b)
    }

    fn choose(&mut self, random: &mut Random) -> Option<Part> {
        while self.buckets.len() > 2 {
            let n = self.buckets.len() - 1;
            while !self.buckets[n].is_empty() {
                let at = random.below(self.buckets[n].len());
                let (side, a, b) = self.buckets[n].swap_remove(at);
                let index = pair(a.into(), b.into());
                let top = most(&self.sides[side as usize].gains[index]);
                let mut saved = usize::from(top.into());
                if saved >= n {
                    let found = self.best_part(side.into(), a.into(), b.into(), random);
                    saved = found.as_ref().map_or(0, |(_, saved)| *saved as usize);
                    if saved >= n {
                        // It stays where it is: after this part there may be another.
                        self.buckets[n].push((side, a, b));
                        return found.map(|(part, _)| part);
                    }
                }
                // Levels may have made it less.
                self.sides[side as usize].top[index] = T::of(saved);
                if saved >= 2 {
                    self.buckets[saved].push((side, a, b));
                }
            }
            self.buckets.pop();
        }
        None
    }

    /// The part of lines `a < b` that saves most, within the levels.
    fn best_part(&mut self, side: usize, a: usize, b: usize, random: &mut Random) -> Option<(Part, i16)> {
        let line = self.sides[side].used.iter().position(|u| !u)?;
        let gains = &self.sides[side].gains[pair(a, b)];
        let top = most(gains);
        if top.into() < 2 {
            return None;
        }
        let all = || gains.iter().flatten().enumerate().filter(|(_, g)| **g == top).map(|(n, _)| n);
        let n = all().nth(random.below(all().count()))?;
        let relation = Relation::new(n / DISTANCES, n % DISTANCES);
        let (mut entries, mut saved) = (Vec::new(), 0);
        let s = &self.sides[side];
        let deeper = 1 + self.depth.get(a).max(self.depth.get(b)).copied().unwrap_or(0);
        let (mut slots, mut freed) = (0u64, [0i64; 2]);
        for w in 0..s.words {
            let mut rest = s.filled[a * s.words + w] & s.filled[b * s.words + w];
            while rest != 0 {
                let x = w * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let (va, vb) = (s.entries[a * s.capacity + x], s.entries[b * s.capacity + x]);
                let (c, gain) = relation.part(va, vb);
                if gain <= 0 {
                    continue;
                }
                let (ra, rb) = relation.rest(va, vb, c);
                let less = |v: i64, r: i64| i64::from(weight(v)) - i64::from(weight(r));
                if side == ROWS {
                    let grown = (i64::from(weight(c)) << deeper)
                        - (less(va, ra) << self.depth[a])
                        - (less(vb, rb) << self.depth[b]);
                    if self.slots[x].wrapping_add_signed(grown) > 1 << self.levels[x] {
                        continue;
                    }
                } else {
                    slots += u64::from(weight(c)) << self.depth[x];
                    freed[0] += less(va, ra) << self.depth[x];
                    freed[1] += less(vb, rb) << self.depth[x];
                }
                entries.push((x, c));
                saved += gain;
            }
        }
        let mut level = deeper;
        if side == COLUMNS {
            level = slots.next_power_of_two().trailing_zeros();
            for (column, freed) in [a, b].into_iter().zip(freed) {
                let slots = self.slots[column].wrapping_add_signed(-freed) + (1 << level);
                if slots > 1 << self.levels[column] {
                    return None;
                }
            }
        }
        (saved >= 2).then_some((Part { side, line, a, b, relation, entries, level }, saved))
    }

    fn apply(&mut self, part: Part) {
        self.sides[part.side].used[part.line] = true;
        self.terms(&part, 1);
        let stride = self.sides[part.side].capacity;
        for (x, c) in &part.entries {
            let value = |line: usize| self.sides[part.side].entries[line * stride + x];
            let (ra, rb) = part.relation.rest(value(part.a), value(part.b), *c);
            self.set_line(part.side, part.a, *x, ra);
            self.set_line(part.side, part.b, *x, rb);
            self.set_line(part.side, part.line, *x, *c);
        }
        self.parts.push(part);
    }

    /// What a part is besides its entries: the depth of its input, or levels and terms of its output.
    fn terms(&mut self, part: &Part, by: i64) {
        if part.side == ROWS {
            self.depth[part.line] = part.level;
        } else {
            self.levels[part.line] = part.level;
            for column in [part.a, part.b] {
                self.slots[column] = self.slots[column].wrapping_add_signed(by << part.level);
            }
        }
    }

    /// Takes back part number `n`, on which nothing was built.
    fn undo(&mut self, n: usize) -> Part {
        let mut part = self.parts.remove(n);
        part.entries.clear();
        for x in self.filled(part.side, part.line) {
            let stride = self.sides[part.side].capacity;
            let value = |line: usize| self.sides[part.side].entries[line * stride + x];
            let (a, b, c) = (value(part.a), value(part.b), value(part.line));
            let (a, b) = part.relation.whole(a, b, c);
            part.entries.push((x, c));
            self.set_line(part.side, part.line, x, 0);
            self.set_line(part.side, part.a, x, a);
            self.set_line(part.side, part.b, x, b);
        }
        self.terms(&part, -1);
        self.sides[part.side].used[part.line] = false;
        part
    }

    /// Takes some parts back and chooses anew; keeps the result unless it costs more than `limit`.
    pub(crate) fn retry(&mut self, count: usize, limit: i64, random: &mut Random) {
        // However little there is to do: an attempt is work.
        self.work += 16;
        let mut out = vec![false; self.parts.len()];
        for _ in 0..count.min(out.len()) {
            out[random.below(self.parts.len())] = true;
        }
        // And what was built on these.
        let mut gone = [0, 1].map(|side| vec![false; self.lines(side)]);
        for (part, out) in self.parts.iter().zip(&mut out) {
            let gone = &mut gone[part.side];
            *out |= gone[part.a] || gone[part.b];
            gone[part.line] |= *out;
        }
        let mut taken = Vec::new();
        for n in (0..out.len()).rev().filter(|n| out[*n]) {
            taken.push(self.undo(n));
        }
        let kept = self.parts.len();
        self.reduce(1, random);
        if self.cost() <= limit {
            return;
        }
        for n in (kept..self.parts.len()).rev() {
            self.undo(n);
        }
        for part in taken.into_iter().rev() {
            self.apply(part);
        }
    }
}
