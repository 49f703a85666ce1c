//! Neurons that are silenced: what the mask may be, what it takes away, and what silence costs.

use std::borrow::Cow;

use nervure_core::kernel::Kernel;
use nervure_core::{Diagnostic, QType, Tensor};

use super::Params;

/// Errors: `E0205` for a mask without one element for each neuron, `E0206` for an element that is not 0 or 1.
pub(super) fn check(p: &Params) -> Result<(), Diagnostic> {
    let Some(mask) = &p.mask else { return Ok(()) };
    mask.check("mask", &[p.neurons()], QType::unsigned(1)).map_err(|mut d| {
        d.help =
            "give each neuron a 1 or, where it is never to spike, a 0; `nervure mask` writes masks".into();
        d
    })
}

/// The same layer without the synapses and biases of silenced neurons: they do not matter, and so they make nothing wider.
pub(super) fn without_silenced(p: &Params) -> Cow<'_, Params> {
    let Some(mask) = &p.mask else { return Cow::Borrowed(p) };
    let mut p = Cow::Borrowed(p);
    let rows = |t: &mut Tensor| {
        let columns = t.data.len() / t.shape[0].max(1);
        let zero = |(row, kept): (&mut [i64], &i64)| row.iter_mut().for_each(|w| *w *= kept);
        t.data.chunks_mut(columns.max(1)).zip(&mask.data).for_each(zero);
    };
    let own = p.to_mut();
    rows(&mut own.weights);
    [&mut own.recurrent, &mut own.bias, &mut own.recurrent_bias].into_iter().flatten().for_each(rows);
    p
}

/// Which neurons must be held back, because they would speak even without any current; nothing where there is none: then a
/// mask costs no hardware.
pub(super) fn gate(p: &Params, neuron: &Kernel) -> Option<Vec<i64>> {
    let mask = p.mask.as_ref()?;
    let reset: Vec<i64> = neuron.states.iter().map(|s| s.reset).collect();
    let speaks = |n: usize| {
        // Weights may come back.
        if p.run_time_weights {
            return true;
        }
        let step = neuron.eval(n, &[0], &reset);
        step.next != reset || step.outputs.iter().any(|y| *y != 0)
    };
    let any = (0..p.neurons()).any(|n| mask.data[n] == 0 && speaks(n));
    any.then(|| mask.data.clone())
}
