//! Files that would take all time, memory or stack of a reader that believes them.

use std::time::{Duration, Instant};

use nervure_core::Diagnostic;

use super::*;

/// Where `what` begins, from `start` on.
fn find(bytes: &[u8], what: &[u8], start: usize) -> usize {
    start + bytes[start..].windows(what.len()).position(|w| w == what).expect("the fixture has it")
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Puts the address `to` wherever `from` stands.
fn put_everywhere(bytes: &mut [u8], from: u64, to: u64) {
    for at in 0..bytes.len() / 8 {
        if bytes[at * 8..at * 8 + 8] == from.to_le_bytes() {
            put(bytes, at * 8, to);
        }
    }
}

/// `E0120` or the like within seconds, and no panic on the way.
fn refused(bytes: &[u8]) -> Diagnostic {
    let begun = Instant::now();
    let d = read(bytes, "x.nir").expect_err("nobody can read this");
    assert!(!d.message.contains("it cannot be decoded"), "a panic: {d}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?} for {d}", begun.elapsed());
    d
}

#[test]
fn a_tree_of_too_many_ways_comes_to_an_end() {
    // Sixty nodes, each with the next one as its left and as its right child: 2^60 ways to the leaf that is the true tree.
    let mut bytes = fixture("tiny.nir");
    let at = find(&bytes, b"TREE", 0);
    let leaf = bytes[at..at + 64].to_vec();
    let begin = bytes.len() as u64;
    for level in 0..60u64 {
        let mut node = b"TREE\0\x01\x02\0".to_vec();
        let next = begin + 64 * (level + 1);
        for word in [u64::MAX, u64::MAX, 0, next, 0, next, 0] {
            node.extend(word.to_le_bytes());
        }
        bytes.extend(node);
    }
    bytes.extend(leaf);
    put_everywhere(&mut bytes, at as u64, begin);
    let d = refused(&bytes);
    assert!(d.code == "E0120" && d.message.contains("without end"), "{d}");
}

#[test]
fn a_graph_that_contains_itself_comes_to_an_end() {
    // Each address of the file is exchanged for that of a group near its begin: one of the outer graphs comes to lie in
    // itself.
    let bytes = fixture("nested.nir");
    let word = |at: usize| u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().expect("eight bytes"));
    let is_object = |at: u64| {
        at >= 96 && at < bytes.len() as u64 && at.is_multiple_of(8) && bytes[at as usize..][..2] == [1, 0]
    };
    let places: Vec<usize> = (0..bytes.len() / 8).filter(|at| is_object(word(*at))).collect();
    let mut objects: Vec<u64> = places.iter().map(|at| word(*at)).filter(|at| *at < 8192).collect();
    objects.sort_unstable();
    objects.dedup();
    let mut endless = 0;
    for (object, place) in objects.iter().flat_map(|o| places.iter().map(move |p| (*o, *p))) {
        let mut changed = bytes.clone();
        put(&mut changed, place * 8, object);
        if let Err(d) = read(&changed, "x.nir") {
            assert!(!d.message.contains("it cannot be decoded"), "a panic: {d}");
            endless += usize::from(d.code == "E0110" && d.message.contains("nested 17 deep"));
        }
    }
    assert!(endless > 0, "no address led to a graph in itself");
}

#[test]
fn a_description_of_a_type_as_deep_as_can_be_does_not_fill_the_stack() {
    // The type of the first array of 32-bit floats is continued at the end of the file: a sequence of sequences of ...
    let mut bytes = fixture("tiny.nir");
    let at = find(&bytes, &[3, 0, 24, 0, 1, 0, 0, 0, 0x11], 0);
    let end = bytes.len() as u64;
    let levels = 8180;
    let mut body = [0x19, 0, 0, 0, 16, 0, 0, 0].repeat(levels);
    body.extend([0x10, 8, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0]);
    bytes[at] = 0x10;
    bytes[at + 4] = 0;
    put(&mut bytes, at + 8, end);
    put(&mut bytes, at + 16, body.len() as u64 + 8);
    bytes.extend([3, 0]);
    bytes.extend((body.len() as u16).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    let d = refused(&bytes);
    assert!(d.code == "E0124" && d.message.contains("neither numbers nor text"), "{d}");
}

#[test]
fn what_a_file_declares_and_does_not_hold_is_not_allocated() {
    // The extents of the weights, `[2, 3]`, as a dataspace declares them.
    let extents: Vec<u8> = [2u64, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
    for name in ["tiny.nir", "tiny_gzip.nir"] {
        let bytes = fixture(name);
        let at = find(&bytes, &extents, 0);
        for (high, code) in [(1u64 << 40, "E0110"), (u64::MAX, "E0110"), (1 << 24, "E0120"), (0, "E0204")] {
            let mut changed = bytes.clone();
            put(&mut changed, at, high);
            assert_eq!(refused(&changed).code, code, "{name}: {high}");
        }
    }
}
