//! Kolmogorov-Arnold layers: a function of its own on every edge, as a table, and a sum for every output. Deliberately absent:
//! splines (whoever trains evaluates them; here are integers), and a common function of all edges (`act/table` has that).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;

/// See the README.
pub(crate) struct Kan;

/// Parameters of `dense/kan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, read as a vector, at most 12 bits an element. Filled in from the layer before.
    input: TensorType,
    /// The functions, `[out, in, 2^bits]`: one entry per integer of the input's format, from its smallest up.
    entries: Tensor,
    /// Format of an entry, at most 32 bits.
    entry_format: QType,
    /// What each sum starts from, `[out]`, in LSB of an entry; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Format of the sum; unless given, the shortest that holds every sum that these functions can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
}

/// The function of an edge, moved so that its smallest value is 0.
struct Edge<'a> {
    from: usize,
    entries: &'a [i64],
    least: i64,
    span: i64,
}

impl Params {
    /// Widest argument.
    const MAX_BITS: u8 = 12;
    /// Most edges of a layer: a kernel counts its tables in 16 bits.
    const MAX_EDGES: usize = 1 << 15;
    /// Most entries of all tables of a layer.
    const MAX_ENTRIES: usize = 1 << 22;

    fn outputs(&self) -> usize {
        self.entries.shape[0]
    }

    fn bias(&self, output: usize) -> i64 {
        self.bias.as_ref().map_or(0, |b| b.data[output])
    }

    /// The functions that lead into one output.
    fn edges(&self, output: usize) -> impl Iterator<Item = Edge<'_>> {
        let inputs = self.input.len();
        self.entries.rows().skip(output * inputs).take(inputs).enumerate().map(|(from, entries)| {
            let least = entries.iter().copied().min().expect("a table has entries");
            let most = entries.iter().copied().max().expect("a table has entries");
            Edge { from, entries, least, span: most - least }
        })
    }

    fn sum(&self) -> Result<QType, Diagnostic> {
        let frac = self.entry_format.frac;
        let (mut lo, mut hi) = (0, 0);
        for output in 0..self.outputs() {
            let least =
                self.edges(output).fold(self.bias(output).into(), |s: i128, e| s + i128::from(e.least));
            lo = lo.min(least);
            hi = hi.max(self.edges(output).fold(least, |s, e| s + i128::from(e.span)));
        }
        // An entry has the fraction of the sum: a weight of 1.
        flat::accumulator(self.entry_format, QType::unsigned(1), (lo, hi), self.accumulator)
            .map_err(
                |d| if d.path == ["weights"] { Diagnostic { path: vec!["entries".into()], ..d } } else { d },
            )
            .map(|q| QType { frac, ..q })
    }

    /// The sum of one output. What the functions have in common with a constant, and the bias, go into the widest table, so
    /// that neither costs an adder.
    fn total<'k>(&self, k: &'k Builder, x: &[Expr<'k>], output: usize) -> Expr<'k> {
        let frac = self.entry_format.frac;
        let mut edges: Vec<Edge<'_>> = self.edges(output).collect();
        let start = edges.iter().map(|e| e.least).sum::<i64>() + self.bias(output);
        edges.retain(|e| e.span > 0);
        edges.sort_by_key(|e| e.span);
        let Some(last) = edges.len().checked_sub(1) else { return k.constant(start, frac) };
        let looked_up = edges.iter().enumerate().map(|(n, e)| {
            let moved = if n == last { start - e.least } else { -e.least };
            k.table(x[e.from], frac, e.entries.iter().map(|y| y + moved).collect())
        });
        k.reduce(looked_up.collect(), |a, b| a + b)
    }

    fn kernel(&self) -> Kernel {
        let (k, sum) = (Builder::new(), self.sum().expect("the interface was checked"));
        let x = flat::inputs(&k, "x", &self.input);
        flat::outputs(&k, "y", sum, (0..self.outputs()).map(|o| self.total(&k, &x, o)));
        k.finish()
    }
}

fn random(outputs: usize, inputs: usize, bits: u8, format: QType, rng: &mut Rng) -> Tensor {
    let shape = [outputs, inputs, 1 << bits];
    let entry = |_| rng.random_range(format.min()..=format.max());
    Tensor::new(&shape, (0..outputs * inputs << bits).map(entry).collect())
}

impl Block for Kan {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "dense/kan";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let mut rng: Rng = rand::SeedableRng::seed_from_u64(5);
        // Squares, a line, a constant, and a function that two outputs share.
        let square = (-4..4).map(|x| x * x);
        let line = (-4..4).map(|x| 3 * x);
        let (constant, step) = ([-7; 8], [0, 0, 0, 0, 5, 5, 5, 5]);
        let rows = [square.clone().collect::<Vec<i64>>(), line.collect(), square.collect(), step.to_vec()];
        let rows = [rows.concat(), [constant.to_vec(), step.to_vec()].concat()].concat();
        let shapes = Params {
            input: TensorType::frame(&[2], QType { bits: 3, frac: 1, signed: true }),
            entries: Tensor::new(&[3, 2, 8], rows),
            entry_format: QType { bits: 7, frac: 2, signed: true },
            bias: None,
            accumulator: None,
        };
        let entry_format = QType::signed(5);
        let any = Params {
            input: TensorType::step(&[2, 2], QType::unsigned(4)),
            entries: random(2, 4, 4, entry_format, &mut rng),
            entry_format,
            bias: Some(Tensor::vector(vec![-100, 9])),
            accumulator: Some(QType::signed(10)),
        };
        let nothing = Params {
            input: TensorType::frame(&[3], QType::unsigned(1)),
            entries: Tensor::new(&[2, 3, 2], vec![4, 4, -1, -1, 0, 0, 0, 1, 1, 0, 0, 3]),
            entry_format: QType::signed(4),
            bias: Some(Tensor::vector(vec![2, -2])),
            accumulator: None,
        };
        vec![shapes, any, nothing]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.format.bits > 6 || input.len() > 16 {
            return None;
        }
        let entry_format =
            QType { bits: rng.random_range(2..9), frac: rng.random_range(0..4), signed: rng.random() };
        let outputs = rng.random_range(1..5);
        let entries = random(outputs, input.len(), input.format.bits, entry_format, rng);
        let bias = (0..outputs).map(|_| rng.random_range(-300..300)).collect();
        let bias = rng.random::<bool>().then(|| Tensor::vector(bias));
        Some(Params { input: input.clone(), entries, entry_format, bias, accumulator: None })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let bits = p.input.format.bits;
        if bits > Params::MAX_BITS {
            let message = format!("the input has {bits} bits, at most {} can be looked up", Params::MAX_BITS);
            return Err(Diagnostic::new("E0203", message, "put an `act/quant` in front").at("input"));
        }
        let (inputs, shape) = (p.input.len(), &p.entries.shape);
        if shape.len() != 3 || shape[0] == 0 || shape[1..] != [inputs, 1 << bits] {
            let message = format!("`entries` has shape {shape:?}, expected [out, {inputs}, {}]", 1 << bits);
            let help =
                "give a table for every output and every input, one entry per integer of the input's format";
            return Err(Diagnostic::new("E0205", message, help).at("entries"));
        }
        if p.outputs() * inputs > Params::MAX_EDGES || p.entries.data.len() > Params::MAX_ENTRIES {
            let message = format!("{} edges of {} entries in one layer", p.outputs() * inputs, 1 << bits);
            let help = format!(
                "at most {} edges and {} entries; make the layer smaller or its input narrower",
                Params::MAX_EDGES,
                Params::MAX_ENTRIES
            );
            return Err(Diagnostic::new("E0204", message, help).at("entries"));
        }
        nervure_core::diag::in_range("entry_format", p.entry_format.bits.into(), 1..33)?;
        p.entries.check("entries", shape, p.entry_format)?;
        if let Some(bias) = &p.bias {
            bias.check("bias", &[p.outputs()], QType::signed(QType::MAX_BITS))?;
        }
        let y = TensorType { shape: vec![p.outputs()], format: p.sum()?, rate: p.input.rate };
        flat::check(&y, "entries")?;
        Ok(Interface::one_to_one(p.input.clone(), inputs, y, p.outputs()))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let (inputs, size) = (p.input.len(), 1 << p.input.format.bits);
        for (o, y) in y[0].iter_mut().enumerate() {
            *y = p.bias.as_ref().map_or(0, |b| b.data[o]);
            for (i, &x) in x[0].iter().enumerate() {
                let at = (x - p.input.format.min()) as usize;
                *y += p.entries.data[(o * inputs + i) * size + at];
            }
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
