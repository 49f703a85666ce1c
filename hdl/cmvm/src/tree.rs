//! Sums of many terms: cheap adders first, within the levels that are left.

use crate::draft::Draft;
use crate::{Tap, Term};

/// Terms that are looked at for the next adder, the narrowest first.
const WINDOW: usize = 6;

/// Adds up every sum of `draft` within its levels; the taps are in the order of the sums.
pub(crate) fn add_up(draft: &mut Draft) -> Vec<Tap> {
    let mut taps = vec![None; draft.sums.len()];
    for e in 0..taps.len() {
        form(draft, e, &mut taps);
    }
    taps.into_iter().map(|tap| tap.expect("every sum was formed")).collect()
}

/// The tap of sum `e`, after those of the sums that it adds.
fn form(draft: &mut Draft, e: usize, taps: &mut [Option<Tap>]) -> Tap {
    if let Some(tap) = taps[e] {
        return tap;
    }
    let sum = draft.sums[e].clone();
    let mut terms = sum.terms;
    for other in sum.others {
        terms.extend(form(draft, other.node as usize, taps).map(|t| t.moved(other.shift, other.negative)));
    }
    let tap = add_up_one(draft, terms, sum.levels);
    taps[e] = Some(tap);
    tap
}

fn add_up_one(draft: &mut Draft, mut terms: Vec<Term>, levels: u32) -> Tap {
    let slots = |draft: &Draft, t: Term| 1u64 << draft.depth(t);
    let mut used: u64 = terms.iter().map(|t| slots(draft, *t)).sum();
    let free = used.next_power_of_two().max(1 << levels);
    while terms.len() > 1 {
        // Narrow terms first: the sum of few bits is made of few bits.
        terms.sort_by_key(|t| {
            let r = draft.range(*t);
            (r.hi - r.lo, *t)
        });
        let ways = pairs(terms.len(), |p, q| {
            let (a, b) = (slots(draft, terms[p]), slots(draft, terms[q]));
            used - a - b + 2 * a.max(b) <= free
        });
        let best = ways.into_iter().min_by_key(|(p, q)| {
            let r = draft.range(terms[*p]).plus(draft.range(terms[*q]));
            (draft.span(terms[*p], terms[*q]), r.hi - r.lo, *p, *q)
        });
        let (p, q) = best.unwrap_or_else(|| lowest(draft, &terms));
        let (b, a) = (terms.remove(q), terms.remove(p));
        let sum = draft.add(a, b);
        used = used - slots(draft, a) - slots(draft, b) + slots(draft, sum);
        terms.push(sum);
    }
    terms.pop()
}

/// Pairs among the first terms that may be added.
fn pairs(n: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let n = n.min(WINDOW);
    let all = (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q)));
    all.filter(|(p, q)| fits(*p, *q)).collect()
}

/// The two terms of least depth: adding these never needs a level more.
fn lowest(draft: &Draft, terms: &[Term]) -> (usize, usize) {
    let mut order: Vec<usize> = (0..terms.len()).collect();
    order.sort_by_key(|i| (draft.depth(terms[*i]), *i));
    (order[0].min(order[1]), order[0].max(order[1]))
}
