//! The readers of foreign networks against files that nobody should have written: whatever the bytes, there is a network
//! or a diagnostic, soon, and never a panic. Seeded: a failure names its seed.

use std::path::Path;
use std::time::{Duration, Instant};

use nervure_core::Diagnostic;
use nervure_core::block::Rng;
use nervure_front::nir::{read, read_lava};
use nervure_tests::hdf5::{Tree, full, graph, group, integer, list, nir, node, text};
use nervure_tests::rng;
use rand::RngExt;

/// Inputs of each test; there are six.
const INPUTS: u64 = 20_000;
/// An input takes a fraction of a millisecond; a machine under load may be slower, but nothing takes this long.
const LONGEST: Duration = Duration::from_secs(10);

/// What became of the inputs.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    /// The container is not sound.
    file: u64,
    /// The container is sound, and what it holds is not.
    network: u64,
}

/// Reads what `make` makes of each seed. `make` tells whether it is lava-dl's.
fn run(salt: u64, make: impl Fn(&mut Rng) -> (bool, Vec<u8>)) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..INPUTS {
        let (lava, bytes) = make(&mut rng(salt << 32 | seed));
        let begun = Instant::now();
        let result = if lava { read_lava(&bytes, "f").map(|_| ()) } else { read(&bytes, "f").map(|_| ()) };
        assert!(begun.elapsed() < LONGEST, "seed {seed} took {:?}", begun.elapsed());
        match result {
            Ok(()) => tally.read += 1,
            Err(d) => {
                sound(&d, seed);
                *(if d.code == "E0120" { &mut tally.file } else { &mut tally.network }) += 1;
            }
        }
    }
    println!("{tally:?}");
    tally
}

/// The diagnostic says what is wrong, where, and what to do.
fn sound(d: &Diagnostic, seed: u64) {
    assert!(d.message.contains("`f`") && d.message.len() > 10 && d.help.len() > 5, "seed {seed}: {d:?}");
    assert!(!d.message.chars().chain(d.help.chars()).any(char::is_control), "seed {seed}: {d:?}");
    assert!(d.message.len() < 2000 && d.help.len() < 20_000, "seed {seed}: a message as long as a file");
    assert!(!d.message.contains("it cannot be decoded"), "seed {seed}: a panic of the library");
}

/// Fixtures, small ones more often, and whether they are lava-dl's.
fn fixtures() -> Vec<(bool, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nir");
    let names =
        ["tiny.nir", "tiny_gzip.nir", "tiny_v110.nir", "tiny.nir", "tiny_gzip.nir", "nested.nir", "lava.net"];
    let file = |name: &str| std::fs::read(folder.join(name)).expect("the fixtures are part of the project");
    names.map(|name| (name == "lava.net", file(name))).into()
}

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

/// Words that break what counts with them.
const WORDS: [u64; 14] =
    [0, 1, 2, 7, 8, 255, 65_535, 1 << 24, 1 << 32, 1 << 40, 1 << 61, i64::MAX as u64, u64::MAX - 1, u64::MAX];

#[test]
fn files_that_are_cut_short() {
    let files = fixtures();
    let tally = run(1, |rng| {
        let (lava, mut bytes) = pick(rng, &files).clone();
        // Half of them near the end, where little is missing; some get back their length, in zeros.
        let whole = bytes.len();
        let keep = if rng.random() { rng.random_range(0..whole) } else { whole - rng.random_range(0..400) };
        bytes.truncate(keep);
        if rng.random() {
            bytes.resize(whole, 0);
        }
        (lava, bytes)
    });
    assert!(tally.read > 100 && tally.file > 1000 && tally.network > 100, "{tally:?}");
}

#[test]
fn flipped_bits() {
    let files = fixtures();
    let tally = run(2, |rng| {
        let (lava, mut bytes) = pick(rng, &files).clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        (lava, bytes)
    });
    assert!(tally.read > 1000 && tally.file > 1000 && tally.network > 100, "{tally:?}");
}

#[test]
fn spliced_bytes() {
    let files = fixtures();
    let tally = run(3, |rng| {
        let (lava, mut bytes) = pick(rng, &files).clone();
        let (_, other) = pick(rng, &files);
        for _ in 0..rng.random_range(1..4) {
            let n = 8 * rng.random_range(1..40);
            let (to, from) = (rng.random_range(0..bytes.len() - n), rng.random_range(0..other.len() - n));
            // Mostly aligned, as everything in such a file is.
            let (to, from) = if rng.random_range(0..4) > 0 { (to / 8 * 8, from / 8 * 8) } else { (to, from) };
            bytes[to..to + n].copy_from_slice(&other[from..from + n]);
        }
        (lava, bytes)
    });
    assert!(tally.read > 1000 && tally.file > 1000 && tally.network > 100, "{tally:?}");
}

#[test]
fn extents_addresses_and_counts() {
    let files = fixtures();
    // Places that hold a number which could be an extent, a count or an address: small and not zero.
    let places: Vec<Vec<usize>> = files
        .iter()
        .map(|(_, bytes)| {
            let word = |at: &usize| u64::from_le_bytes(bytes[*at..*at + 8].try_into().expect("eight bytes"));
            (0..bytes.len() - 8)
                .step_by(4)
                .filter(|at| (1..=bytes.len() as u64).contains(&word(at)))
                .collect()
        })
        .collect();
    let tally = run(4, |rng| {
        let n = rng.random_range(0..files.len());
        let (lava, mut bytes) = files[n].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = *pick(rng, &places[n]);
            let old = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            let other = *pick(rng, &places[n]);
            let new = match rng.random_range(0..6) {
                0 => old.wrapping_add(1),
                1 => old.wrapping_sub(1),
                2 => old << rng.random_range(1..40),
                3 => u64::from_le_bytes(bytes[other..other + 8].try_into().expect("eight bytes")),
                _ => *pick(rng, &WORDS),
            };
            let wide = if rng.random() { 8 } else { 4 };
            bytes[at..at + wide].copy_from_slice(&new.to_le_bytes()[..wide]);
        }
        (lava, bytes)
    });
    assert!(tally.read > 1000 && tally.file > 1000 && tally.network > 500, "{tally:?}");
}

/// A graph with most primitives, a nested graph and a recurrence.
fn everything() -> Tree {
    let two = || list(&[2, 2]);
    let input = || node("Input", [("shape", list(&[2]))]);
    let output = || node("Output", [("shape", list(&[2]))]);
    let lif = ["tau", "r", "v_leak", "v_threshold", "v_reset"].map(|name| (name, full(0.5, &[2])));
    let cuba = ["tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"];
    let part = graph(
        [("x", input()), ("wait", node("Delay", [("delay", full(0.1, &[2]))])), ("y", output())],
        &[("x", "wait"), ("wait", "y")],
    );
    let conv = [
        ("weight", full(1.0, &[2, 1, 3, 3])),
        ("bias", full(0.0, &[2])),
        ("stride", list(&[1, 1])),
        ("padding", text("same")),
        ("dilation", list(&[1, 1])),
        ("groups", integer(1)),
        ("input_shape", list(&[4, 4])),
    ];
    let pool = [("kernel_size", two()), ("stride", two()), ("padding", list(&[0, 0]))];
    let flat = [("start_dim", integer(0)), ("end_dim", integer(-1)), ("input_type", list(&[2, 2, 2]))];
    let nodes = [
        ("in", node("Input", [("shape", list(&[1, 4, 4]))])),
        ("conv", node("Conv2d", conv)),
        ("pool", node("AvgPool2d", pool)),
        ("flat", node("Flatten", flat)),
        ("fc", node("Affine", [("weight", full(0.5, &[2, 8])), ("bias", full(0.25, &[2]))])),
        ("lif", node("LIF", lif)),
        ("rec", node("Linear", [("weight", full(-1.0, &[2, 2]))])),
        ("part", part),
        ("cuba", node("CubaLIF", cuba.map(|name| (name, full(0.5, &[]))))),
        ("out", output()),
    ];
    let mut edges: Vec<(&str, &str)> = vec![("lif", "rec"), ("rec", "lif")];
    edges.extend(
        ["in", "conv", "pool", "flat", "fc", "lif", "part", "cuba", "out"].windows(2).map(|w| (w[0], w[1])),
    );
    nir(graph(nodes, &edges))
}

/// Three layers as lava-dl writes them.
fn layers() -> Tree {
    let cuba = [("iDecay", 4096), ("vDecay", 128), ("vThMant", 80), ("refDelay", 1), ("gradedSpike", 0)];
    let cuba = || node("CUBA", cuba.map(|(name, value)| (name, integer(value))));
    let conv = [
        ("shape", list(&[2, 4, 4])),
        ("inChannels", integer(1)),
        ("outChannels", integer(2)),
        ("kernelSize", list(&[3, 3])),
        ("stride", list(&[1, 1])),
        ("padding", list(&[1, 1])),
        ("dilation", list(&[1, 1])),
        ("groups", integer(1)),
        ("weight", full(2.0, &[2, 1, 3, 3])),
        ("neuron", cuba()),
    ];
    let dense = [
        ("shape", list(&[3])),
        ("inFeatures", integer(32)),
        ("outFeatures", integer(3)),
        ("weight", full(-4.0, &[3, 32])),
        ("bias", list(&[1, 2, 3])),
        ("neuron", cuba()),
    ];
    let input = node("input", [("shape", list(&[1, 4, 4])), ("neuron", cuba())]);
    group([("layer", group([("0", input), ("1", node("conv", conv)), ("2", node("dense", dense))]))])
}

/// Types of nodes and layers, and some that are none.
const TYPES: [&str; 26] = [
    "Affine",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "Flatten",
    "I",
    "IF",
    "Input",
    "LI",
    "LIF",
    "Linear",
    "NIRGraph",
    "Output",
    "Scale",
    "SumPool2d",
    "Threshold",
    "lif",
    "",
    "dense",
    "conv",
    "pool",
    "CUBA",
    "\n`",
];

/// Changes one thing in `tree` that the container does not mind.
fn change(rng: &mut Rng, tree: &mut Tree) {
    let paths = tree.paths();
    if paths.is_empty() {
        return;
    }
    let path = pick(rng, &paths).clone();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    match rng.random_range(0..8) {
        0 => return tree.remove(&path),
        1 => return tree.put(&format!("{path}x"), tree.clone().at(&path).clone()),
        2 => {
            let other = pick(rng, &paths).clone();
            let copy = tree.at(&other).clone();
            return if copy.paths().len() < 30 {
                *tree.at(&path) = copy;
            };
        }
        _ => {}
    }
    let floats = [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0, 1e300, 1e-300, 0.5, 3.0, 1e17];
    let integers = [0, -1, 1, 2, 3, 5, 8, 1 << 20, 1 << 24, 1 << 40, 1 << 53, i64::MAX, i64::MIN];
    let axes = |shape: &mut Vec<u64>, rng: &mut Rng| match (rng.random_range(0..4), shape.len()) {
        (0, _) => shape.insert(0, 1),
        (1, 2..) => shape.reverse(),
        (2, 2..) => {
            let last = shape.pop().unwrap_or(1);
            *shape.last_mut().expect("it has an axis left") *= last;
        }
        _ => {}
    };
    match tree.at(&path) {
        Tree::Group(members) => {
            let taken = members.keys().next().cloned();
            taken.map(|taken| members.remove(&taken));
        }
        Tree::Floats(shape, data) => match rng.random_range(0..3) {
            0 => axes(shape, rng),
            1 if shape.len() == 1 => {
                (*shape, *data) = (vec![data.len() as u64 + 1], vec![1.0; data.len() + 1]);
            }
            _ => {
                let at = rng.random_range(0..data.len());
                data[at] = *pick(rng, &floats);
            }
        },
        Tree::Integers(shape, _) if rng.random_range(0..4) == 0 => axes(shape, rng),
        Tree::Integers(_, data) => {
            let at = rng.random_range(0..data.len());
            data[at] = *pick(rng, &integers);
        }
        Tree::Texts(shape, data) if name == "edges" => {
            let names = data.clone();
            let at = rng.random_range(0..data.len());
            match rng.random_range(0..4) {
                0 => data[at] = pick(rng, &TYPES).to_string(),
                1 => {
                    data.extend([pick(rng, &names).clone(), pick(rng, &names).clone()]);
                    shape[0] += 1;
                }
                2 if data.len() > 2 => {
                    data.drain(at / 2 * 2..at / 2 * 2 + 2);
                    shape[0] -= 1;
                }
                _ => data[at].clone_from(pick(rng, &names)),
            }
        }
        Tree::Texts(_, data) => data[0] = pick(rng, &TYPES).to_string(),
    }
}

#[test]
fn networks_without_sense() {
    let (graph, layers) = (everything(), layers());
    let tally = run(5, |rng| {
        let lava = rng.random_range(0..4) == 0;
        let mut tree = if lava { layers.clone() } else { graph.clone() };
        for _ in 0..rng.random_range(0..4) {
            change(rng, &mut tree);
        }
        (lava, tree.bytes().unwrap_or_default())
    });
    assert!(tally.read > 3000 && tally.network > 8000, "{tally:?}");
}

/// Edges at random between nodes that all have the same shape: circles, ways that lead nowhere, and sound graphs.
#[test]
fn graphs_at_random() {
    let tally = run(6, |rng| {
        let count = rng.random_range(2..9);
        let mut tree = nir(graph(
            [("n0", node("Input", [("shape", list(&[2]))])), ("n1", node("Output", [("shape", list(&[2]))]))],
            &[],
        ));
        for n in 2..count {
            let new = match rng.random_range(0..4) {
                0 => node("Linear", [("weight", full(1.0, &[2, 2]))]),
                1 => node("Scale", [("scale", full(1.0, &[2]))]),
                2 => node("I", [("r", full(1.0, &[]))]),
                _ => node("Delay", [("delay", full(f64::from(rng.random_range(0..2)), &[2]))]),
            };
            tree.put(&format!("node/nodes/n{n}"), new);
        }
        let name = |n: usize| format!("n{n}");
        // A way from the input to the output through all nodes, mostly whole, and some edges more.
        let mut way: Vec<usize> = std::iter::once(0).chain(2..count).chain([1]).collect();
        if rng.random_range(0..4) == 0 {
            way.remove(rng.random_range(0..way.len()));
        }
        let mut edges: Vec<(usize, usize)> = way.windows(2).map(|w| (w[0], w[1])).collect();
        for _ in 0..rng.random_range(0..3) {
            edges.push((rng.random_range(0..count), rng.random_range(0..count)));
        }
        for (from, to) in edges {
            tree.edge("node", &name(from), &name(to));
        }
        (false, tree.bytes().unwrap_or_default())
    });
    assert!(tally.read > 3000 && tally.network > 3000, "{tally:?}");
}
