//! Maps made larger by repeating each position. Deliberately absent: interpolation (`conv/transposed_unrolled` has weights for it).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;

/// See the README.
pub(crate) struct Upsample;

/// Parameters of `seq/upsample`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A map, `[height, width, channels]` or `[length, channels]`. Filled in from the layer before.
    input: TensorType,
    /// How often each position is repeated, one per axis.
    factor: Vec<usize>,
}

impl Params {
    /// Extents and factors down and across; a map of one axis has height 1.
    fn axes(&self) -> [(usize, usize); 2] {
        let of = |n: usize| (self.input.shape[n], self.factor[n]);
        if self.factor.len() == 1 { [(1, 1), of(0)] } else { [of(0), of(1)] }
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = flat::inputs(&k, "x", &self.input);
        let [(_, down), (width, across)] = self.axes();
        let channels = self.input.columns();
        let mut y = Vec::new();
        for row in x.chunks(width * channels) {
            let wide: Vec<_> = row.chunks(channels).flat_map(|position| position.repeat(across)).collect();
            y.extend(wide.repeat(down));
        }
        flat::outputs(&k, "y", self.input.format, y);
        k.finish()
    }
}

impl Block for Upsample {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/upsample";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let format = nervure_core::QType { bits: 3, frac: 1, signed: true };
        let map = Params { input: TensorType::frame(&[2, 3, 2], format), factor: vec![3, 2] };
        let line = Params { input: TensorType::step(&[3, 1], format), factor: vec![4] };
        vec![map, line]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let rank = input.shape.len() - 1;
        let factor = (0..rank).map(|_| rng.random_range(1..4)).collect();
        let fits = (1..=2).contains(&rank) && input.len() <= 24;
        fits.then(|| Params { input: input.clone(), factor })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let rank = p.factor.len();
        if !(1..=2).contains(&rank) || p.input.shape.len() != rank + 1 {
            let message = format!("`factor` has {rank} entries, and the input is {}", p.input);
            let help = "a map is [length, channels] with one factor, or [height, width, channels] with two";
            return Err(Diagnostic::new("E0204", message, help).at("factor"));
        }
        p.factor.iter().try_for_each(|f| diag::in_range("factor", *f, 1..257))?;
        let shape = p.input.shape.iter().zip(p.factor.iter().chain(&[1])).map(|(n, f)| n * f).collect();
        let y = TensorType { shape, ..p.input.clone() };
        flat::check(&y, "factor")?;
        let lanes = y.len();
        Ok(Interface::one_to_one(p.input.clone(), p.input.len(), y, lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let [(_, down), (width, across)] = p.axes();
        let channels = p.input.columns();
        for (at, y) in y[0].iter_mut().enumerate() {
            let (c, column, row) =
                (at % channels, at / channels % (width * across), at / channels / (width * across));
            *y = x[0][(row / down * width + column / across) * channels + c];
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
