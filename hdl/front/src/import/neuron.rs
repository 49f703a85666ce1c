//! The neurons of a file, with a time step: decay factors, gains, thresholds.

use nervure_core::Diagnostic;

use super::fold::scale_rows;
use super::model::{Neuron, Synapse, at, shortened};
use super::semantics::{Decay, IfGain, Kind, Reset};
use super::translate::Reading;
use crate::nir::{Array, Primitive};

/// A read-out without memory: the output is the weighted sum.
pub(crate) fn linear(reading: &Reading<'_>) -> Result<Neuron, Diagnostic> {
    Ok(Neuron {
        semantics: reading.semantics(Kind::Lif)?,
        decay: vec![0.0],
        current_decay: None,
        bias: vec![0.0],
        threshold: None,
        reset_value: vec![0.0],
    })
}

/// What a primitive says, each list of one element or one per neuron.
struct Constants {
    kind: Kind,
    tau_mem: Option<Vec<f64>>,
    tau_syn: Option<Vec<f64>>,
    r: Vec<f64>,
    w_in: Vec<f64>,
    v_leak: Vec<f64>,
    threshold: Option<Vec<f64>>,
    v_reset: Vec<f64>,
}

fn constants(p: &Primitive) -> Constants {
    let list = |a: &Array| shortened(a.data.clone());
    let base = Constants {
        kind: Kind::Lif,
        tau_mem: None,
        tau_syn: None,
        r: vec![1.0],
        w_in: vec![1.0],
        v_leak: vec![0.0],
        threshold: None,
        v_reset: vec![0.0],
    };
    match p {
        Primitive::I { r } => Constants { kind: Kind::If, r: list(r), ..base },
        Primitive::If { r, v_threshold, v_reset } => Constants {
            kind: Kind::If,
            r: list(r),
            threshold: Some(list(v_threshold)),
            v_reset: list(v_reset),
            ..base
        },
        Primitive::Li { tau, r, v_leak } => {
            Constants { tau_mem: Some(list(tau)), r: list(r), v_leak: list(v_leak), ..base }
        }
        Primitive::Lif { tau, r, v_leak, v_threshold, v_reset } => Constants {
            tau_mem: Some(list(tau)),
            r: list(r),
            v_leak: list(v_leak),
            threshold: Some(list(v_threshold)),
            v_reset: list(v_reset),
            ..base
        },
        Primitive::CubaLi { tau_syn, tau_mem, r, v_leak, w_in } => Constants {
            kind: Kind::CubaLif,
            tau_mem: Some(list(tau_mem)),
            tau_syn: Some(list(tau_syn)),
            r: list(r),
            w_in: list(w_in),
            v_leak: list(v_leak),
            ..base
        },
        Primitive::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in } => Constants {
            kind: Kind::CubaLif,
            tau_mem: Some(list(tau_mem)),
            tau_syn: Some(list(tau_syn)),
            r: list(r),
            w_in: list(w_in),
            v_leak: list(v_leak),
            threshold: Some(list(v_threshold)),
            v_reset: list(v_reset),
        },
        Primitive::Threshold { threshold } => Constants { threshold: Some(list(threshold)), ..base },
        other => unreachable!("{} is not a neuron", other.type_name()),
    }
}

/// `f` of several lists, element by element; one element where all lists have one.
fn combine<const N: usize>(lists: [&[f64]; N], f: impl Fn([f64; N]) -> f64) -> Vec<f64> {
    let n = lists.iter().map(|l| l.len()).max().unwrap_or(1);
    shortened((0..n).map(|i| f(lists.map(|l| at(l, i)))).collect())
}

/// The neuron of `primitive`. Its input gain is divided out of threshold and bias where it is the same for all neurons, so
/// that weights stay as they were trained; else it is multiplied into the synapses.
pub(crate) fn neuron(
    name: &str,
    primitive: &Primitive,
    shape: &[usize],
    reading: &Reading<'_>,
    synapse: &mut Synapse,
    recurrent: &mut Option<(Vec<f64>, Vec<f64>)>,
) -> Result<Neuron, Diagnostic> {
    let c = constants(primitive);
    let semantics = reading.semantics(c.kind)?;
    let fault = |what: String, help: &str| Diagnostic::new("E0132", what, help).at(name).at("nodes");
    let dt = reading.dt;
    let n: usize = shape.iter().product();
    for list in [&c.r, &c.v_leak, &c.v_reset, &c.w_in]
        .into_iter()
        .chain(&c.tau_mem)
        .chain(&c.tau_syn)
        .chain(&c.threshold)
    {
        if list.len() != 1 && list.len() != n {
            let help = "parameters of a neuron have one element, or the shape of its layer";
            return Err(fault(format!("a parameter has {} elements for {n} neurons", list.len()), help));
        }
    }
    let factor = |tau: f64| match semantics.decay {
        Decay::Euler => 1.0 - dt / tau,
        Decay::Exp => (-dt / tau).exp(),
    };
    let decays = |tau: &[f64]| combine([tau], |[t]| factor(t));
    let slow = |tau: &Vec<f64>| tau.iter().find(|t| factor(**t) < 0.0).copied();
    if let Some(tau) = c.tau_mem.iter().chain(&c.tau_syn).find_map(slow) {
        let message = format!("a time constant of {tau} s is shorter than the step of {dt} s");
        return Err(fault(message, "name a smaller step with `--dt`, or use `--with decay=exp`"));
    }
    let (decay, mut gain) = match (&c.tau_mem, c.kind) {
        (Some(tau), _) => (decays(tau), combine([tau, &c.r], |[t, r]| dt / t * r)),
        (None, Kind::If) => {
            let step = if semantics.if_gain == IfGain::Dt { dt } else { 1.0 };
            (vec![1.0], combine([&c.r], |[r]| r * step))
        }
        (None, _) => (vec![0.0], c.r.clone()),
    };
    let leak_bias = match &c.tau_mem {
        Some(tau) => combine([tau, &c.v_leak], |[t, v]| dt / t * v),
        None => vec![0.0],
    };
    let current_decay = c.tau_syn.as_ref().map(|tau| {
        let lost = f64::from(semantics.current_decay_offset) / 4096.0;
        combine([&decays(tau)], |[d]| d - lost)
    });
    if let Some(tau) = &c.tau_syn {
        gain = combine([&gain, tau, &c.w_in], |[g, t, w]| g * (dt / t) * w);
    }
    let (mut threshold, mut bias, mut reset_value) = (c.threshold, leak_bias, c.v_reset);
    match gain[..] {
        [g] if g > 0.0 => {
            let divide = |list: &[f64]| combine([list], |[v]| v / g);
            threshold = threshold.map(|t| if is_one(g) { t } else { divide(&t) });
            bias = divide(&bias);
            reset_value = divide(&reset_value);
        }
        _ => {
            scale_rows(name, synapse, &gain)?;
            if let Some((weight, offset)) = recurrent {
                for (i, row) in weight.chunks_exact_mut(n).enumerate() {
                    row.iter_mut().for_each(|w| *w *= at(&gain, i));
                    offset[i] *= at(&gain, i);
                }
            }
        }
    }
    if let Some(t) = threshold.iter().flatten().find(|t| **t < 0.0) {
        let message = format!("a threshold is {t}: the neuron would fire at rest");
        return Err(fault(message, "use a threshold above zero"));
    }
    if semantics.reset != Reset::Value {
        reset_value = vec![0.0];
    }
    Ok(Neuron { semantics, decay, current_decay, bias, threshold, reset_value })
}

/// Whether a gain is one up to the rounding of a file's 32-bit numbers; then threshold and weights stay untouched.
fn is_one(gain: f64) -> bool {
    (gain - 1.0).abs() < 1e-6
}
