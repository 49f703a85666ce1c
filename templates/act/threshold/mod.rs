//! How many thresholds an element has reached: any function that never falls, with few levels. Deliberately absent: functions
//! that fall (`act/table` has those).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Threshold;

/// Parameters of `act/threshold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Integers that must be reached, ascending: `[thresholds]`, or `[columns, thresholds]`, a column being an index along the
    /// last axis. At most 255.
    thresholds: Tensor,
    /// Format of the result.
    output: QType,
    /// The result where no threshold is reached.
    #[serde(default)]
    lowest: i64,
}

impl Params {
    /// Most thresholds of an element.
    const MOST: usize = 255;

    /// Number of thresholds.
    fn count(&self) -> usize {
        self.thresholds.shape.last().copied().unwrap_or(0)
    }

    /// Thresholds of a column.
    fn column(&self, column: usize) -> &[i64] {
        let rows = self.thresholds.data.len() / self.count();
        &self.thresholds.data[column % rows * self.count()..][..self.count()]
    }

    /// A threshold beyond the input's format says the same as one just beyond it.
    fn within(&self, threshold: i64) -> i64 {
        threshold.clamp(self.input.format.min(), self.input.format.max() + 1)
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = k.input("x", self.input.format);
        let (columns, rows) = (self.input.columns(), self.input.len() / self.input.columns());
        let reached = (0..self.count()).map(|n| {
            let list: Vec<i64> = (0..columns).map(|c| self.within(self.column(c)[n])).collect();
            x.ge(k.param(&format!("threshold_{n}"), self.input.format.frac, list.repeat(rows)))
        });
        let count = k.popcount(&reached.collect::<Vec<_>>());
        let y = count + k.constant(self.lowest, 0);
        k.output_as("y", self.output, y.read_as(self.output.frac).named("level"));
        k.finish()
    }
}

impl Block for Threshold {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/threshold";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let ternary = Params {
            input: TensorType::frame(&[2, 3], QType::signed(8)),
            input_lanes: 3,
            thresholds: Tensor::new(&[3, 2], vec![-9, 14, 0, 0, -200, 127]),
            output: QType::signed(2),
            lowest: -1,
        };
        let all = Params {
            input: TensorType::step(&[4], QType { bits: 6, frac: 3, signed: false }),
            input_lanes: 1,
            thresholds: Tensor::vector(vec![1, 2, 5, 9, 20, 21, 40]),
            output: QType { bits: 3, frac: 1, signed: false },
            lowest: 0,
        };
        vec![ternary, all]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.columns() > 64 || input.format.bits > 24 {
            return None;
        }
        let (count, columns) = (rng.random_range(1..8), input.columns());
        let (lo, hi) = (input.format.min() - 3, input.format.max() + 3);
        let row = |rng: &mut Rng| {
            let mut row: Vec<i64> = (0..count).map(|_| rng.random_range(lo..=hi)).collect();
            row.sort_unstable();
            row
        };
        let many = rng.random::<bool>();
        let shape = if many { vec![columns, count] } else { vec![count] };
        let rows = if many { columns } else { 1 };
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 4, rng),
            thresholds: Tensor::new(&shape, (0..rows).flat_map(|_| row(rng)).collect()),
            output: QType::signed(5),
            lowest: rng.random_range(-8..8),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let (shape, columns) = (&p.thresholds.shape, p.input.columns());
        let fits = match shape[..] {
            [n] => n > 0,
            [rows, n] => rows == columns && n > 0,
            _ => false,
        };
        if !fits || p.count() > Params::MOST {
            let message =
                format!("`thresholds` has shape {shape:?}, expected [1 to 255] or [{columns}, 1 to 255]");
            let help = "give the same thresholds to all, or one row for each column";
            return Err(Diagnostic::new("E0205", message, help).at("thresholds"));
        }
        if let Some(row) = p.thresholds.rows().position(|r| r.windows(2).any(|w| w[0] > w[1])) {
            let message = format!("the thresholds of row {row} do not ascend");
            return Err(Diagnostic::new("E0201", message, "sort every row").at("thresholds"));
        }
        let (lo, hi) = (p.lowest, p.lowest.saturating_add(p.count() as i64));
        if !p.output.contains(lo) || !p.output.contains(hi) {
            let message = format!("the levels are {lo} to {hi}, and `output` is {}", p.output);
            return Err(Diagnostic::new("E0203", message, "widen the format").at("output"));
        }
        let y = p.input.with_format(p.output);
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let columns = p.input.columns();
        for (i, (y, &x)) in y[0].iter_mut().zip(x[0]).enumerate() {
            *y = p.lowest + p.column(i % columns).partition_point(|t| *t <= x) as i64;
        }
    }

    fn body(p: &Params) -> Body {
        Body::Kernel(p.kernel())
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let kernel = p.kernel();
        let param: usize = kernel.params.iter().map(|c| c.port.format.bits as usize).sum();
        let stages = kernel.stages(t, t.budget_ps(t.clock_mhz)).count as usize;
        let between = (stages - 1) * p.input.format.bits as usize;
        let registers = p.input_lanes * (p.output.bits as usize + between) + stages + 8;
        kernel.area(t) * p.input_lanes + area(p.input_lanes * param + 4, registers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_where_it_is_met() {
        let p = Threshold::examples().remove(0);
        let mut y = [0; 6];
        Threshold::step(&p, &mut (), &[&[-10, -1, -128, 14, 0, 127]], &mut [&mut y]);
        // Column 1 has the same threshold twice, column 2 one that everything reaches.
        assert_eq!(y, [-1, -1, 0, 1, 1, 1]);
    }
}
