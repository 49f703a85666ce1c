//! Dense layers of spiking neurons on an event-driven core, folded over lanes.
//!
//! Deliberately absent: what a neuron does with its current. The neuron is another block, named in the parameters; its
//! kernel becomes part of every lane.

mod hardware;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::{Diagnostic, Instance, QType, Rate, Runner, Schedule, Target, Tensor, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

use crate::shared::neuron::Neuron;
use crate::shared::{area, divisor, matrix, sum_range};

/// See the README.
pub(crate) struct Spiking;

/// Parameters of `engine/spiking`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes in. Filled in from the layer before.
    input: TensorType,
    /// Spikes a beat. Filled in from the layer before.
    input_lanes: usize,
    /// Weights, `[out, in]`.
    weights: Tensor,
    /// Format of a weight; signed.
    weight_format: QType,
    /// Neurons computed at once; divides the number of neurons.
    lanes: usize,
    /// The neuron: its `block`, and that block's parameters.
    neuron: Neuron,
}

/// State of the golden model.
pub(crate) struct State {
    /// Synapses in the narrowest integers that hold every current.
    synapses: Synapses,
    /// The same, as the neuron takes it.
    wide: Vec<i64>,
    neuron: Box<dyn Runner>,
}

/// Weights, one row per input, and the current of each neuron in this step.
enum Synapses {
    /// Where no current can leave 16 bits.
    Narrow(Vec<i16>, Vec<i16>),
    /// Otherwise.
    Wide(Vec<i32>, Vec<i32>),
}

/// Adds up the rows of the inputs that spike; the currents are left in `current` and in `wide`.
fn integrate<T>(rows: &[T], current: &mut [T], x: &[i64], wide: &mut [i64])
where
    T: Copy + Default + std::ops::AddAssign + Into<i64>,
{
    current.fill(T::default());
    for (row, _) in rows.chunks_exact(current.len()).zip(x).filter(|(_, spike)| **spike != 0) {
        current.iter_mut().zip(row).for_each(|(c, w)| *c += *w);
    }
    wide.iter_mut().zip(current).for_each(|(wide, c)| *wide = (*c).into());
}

impl Params {
    fn neurons(&self) -> usize {
        self.weights.shape[0]
    }

    fn groups(&self) -> usize {
        self.neurons() / self.lanes
    }

    /// Format of the synaptic current: holds every partial sum of a step, whatever spikes arrive.
    fn current(&self) -> QType {
        let (lo, hi) = sum_range(&self.weights, None, 0, 1);
        QType::holding(lo.min(-1), hi, self.weight_format.frac)
    }

    /// The neuron as a block of its own, one for the whole layer.
    fn neuron(&self) -> Result<Arc<dyn Instance>, Diagnostic> {
        self.neuron.instance(&TensorType::step(&[self.neurons()], self.current()), self.lanes)
    }
}

impl Block for Spiking {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "engine/spiking";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let mut rng: Rng = rand::SeedableRng::seed_from_u64(1);
        let lif = |threshold: i64, reset: &str| Neuron {
            block: "neuron/lif".into(),
            params: json!({"membrane": "s8", "threshold": threshold, "compare": "gt", "reset": reset,
                "leak": {"shift": 3}, "overflow": "saturate"})
            .as_object()
            .expect("an object")
            .clone(),
        };
        let small = Params {
            input: TensorType::step(&[12], QType::unsigned(1)),
            input_lanes: 4,
            weights: matrix(6, 12, -7, 7, &mut rng),
            weight_format: QType::signed(4),
            lanes: 2,
            neuron: lif(9, "zero"),
        };
        let serial = Params { input_lanes: 1, lanes: 1, neuron: lif(12, "subtract"), ..small.clone() };
        let mut parallel = Params { input_lanes: 12, lanes: 6, ..small.clone() };
        parallel.neuron.block = "neuron/if".into();
        parallel.neuron.params.remove("leak");
        vec![small, serial, parallel]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.rate != Rate::Step || input.format != QType::unsigned(1) || input.len() > 4096 {
            return None;
        }
        let neurons = rng.random_range(1..25);
        let bits = rng.random_range(2..7);
        let weight_format = QType::signed(bits);
        let weights = matrix(neurons, input.len(), weight_format.min(), weight_format.max(), rng);
        let lanes = divisor(neurons, 16, rng);
        let (lo, hi) = sum_range(&weights, None, 0, 1);
        let current = TensorType::step(&[neurons], QType::holding(lo.min(-1), hi, 0));
        let registry = crate::registry();
        let neurons: Vec<_> = registry.blocks().filter(|b| b.name().starts_with("neuron/")).collect();
        let block = neurons[rng.random_range(0..neurons.len())];
        let mut params = block.sample(&current, rng)?.params().as_object()?.clone();
        params.remove("input");
        params.remove("input_lanes");
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 32, rng),
            weights,
            weight_format,
            lanes,
            neuron: Neuron { block: block.name().into(), params },
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        if p.input.rate != Rate::Step || p.input.format != QType::unsigned(1) {
            return Err(Diagnostic::new(
                "E0203",
                format!("the input is {}, expected spikes: u1, once a step", p.input),
                "give the network input `format: u1` and `rate: step`, or put a spiking layer before this one",
            )
            .at("input"));
        }
        if p.weights.shape.len() != 2 || p.weights.data.is_empty() {
            let (shape, n) = (&p.weights.shape, p.input.len());
            return Err(Diagnostic::new(
                "E0205",
                format!("`weights` has shape {shape:?}, expected [neurons, {n}]"),
                "give a matrix with one row per neuron",
            )
            .at("weights"));
        }
        diag::in_range("weight_format", p.weight_format.bits as usize, 2..17)?;
        if !p.weight_format.signed {
            let format = p.weight_format;
            return Err(Diagnostic::new(
                "E0203",
                format!("`weight_format` is {format}, which has no sign"),
                "use a signed format, such as s4",
            )
            .at("weight_format"));
        }
        p.weights.check("weights", &[p.neurons(), p.input.len()], p.weight_format)?;
        diag::divides("lanes", p.lanes, "the number of neurons", p.neurons())?;
        if p.current().bits > 31 {
            return Err(Diagnostic::new(
                "E0207",
                format!("the synaptic current needs {} bits; at most 31", p.current().bits),
                "use fewer inputs or narrower weights",
            )
            .at("weights"));
        }
        let neuron = p.neuron().map_err(|d| d.at("neuron"))?;
        let y = neuron.interface().outputs[0].tensor.clone();
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes))
    }

    fn state(p: &Params) -> State {
        let (neurons, inputs) = (p.neurons(), p.input.len());
        let row_major = (0..inputs * neurons).map(|at| p.weights.data[at % neurons * inputs + at / neurons]);
        let synapses = if p.current().bits <= 16 {
            Synapses::Narrow(row_major.map(|w| w as i16).collect(), vec![0; neurons])
        } else {
            Synapses::Wide(row_major.map(|w| w as i32).collect(), vec![0; neurons])
        };
        let neuron = p.neuron().expect("the interface was checked").runner();
        State { synapses, wide: vec![0; neurons], neuron }
    }

    fn reset(_: &Params, s: &mut State) {
        s.neuron.reset();
    }

    fn step(_: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        match &mut s.synapses {
            Synapses::Narrow(rows, current) => integrate(rows, current, x[0], &mut s.wide),
            Synapses::Wide(rows, current) => integrate(rows, current, x[0], &mut s.wide),
        }
        s.neuron.step(&[&s.wide], y);
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &Self::State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        let beats = p.input.len() / p.input_lanes;
        for (beat, spikes) in x[0].chunks(p.input_lanes).enumerate() {
            let busy = spikes.iter().filter(|s| **s != 0).count() * p.groups();
            out.take(1);
            // The next beat is taken in the last cycle of this one, except after the last.
            out.busy(if beat + 1 == beats { busy } else { busy.saturating_sub(1) });
        }
        out.give(p.groups());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Template(body) = Self::body(p) else { unreachable!("an engine is a template") };
        let word: usize = body.memories.iter().map(|m| m.width).sum();
        let rows = body.memories[0].words.len();
        let membrane = hardware::lane(p).state_bits();
        let lane = body.kernels[0].1.area(t);
        let control = area(60 + 3 * p.input_lanes, 30 + 2 * p.input_lanes + p.lanes);
        let memory = if p.groups() <= t.lut_ram_words {
            area((p.lanes * membrane * p.groups().div_ceil(32) * 2).div_ceil(3), 0)
        } else {
            Area {
                bram: (p.lanes * membrane * p.groups()).div_ceil(t.block_ram_bits) as u32,
                ..Area::default()
            }
        };
        let weights = if rows <= t.lut_ram_words {
            area(word * rows.div_ceil(64), word)
        } else {
            Area { bram: (word * rows).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
        };
        lane * p.lanes + control + memory + weights
    }
}
