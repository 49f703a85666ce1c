//! The [`Block`] trait: everything that is known of one layer, neuron, engine or stream element.

use std::fmt::Debug;
use std::ops::{Add, Mul};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::diag::Diagnostic;
use crate::kernel::{Kernel, Store};
use crate::num::counter_bits;
use crate::schedule::{Schedule, Timing};
use crate::target::Target;
use crate::tensor::{Packed, PackedMut, Rate, TensorType};

/// The seeded generator that random tests draw from.
pub type Rng = rand::rngs::SmallRng;

/// A kind of hardware, and what it computes. Implemented once, in the block's own folder.
///
/// No method that says something has a default body: a forgotten cost is a compile error, not a zero. [`Block::step`] is the definition, written
/// from the paper's equation; [`Block::body`] is the hardware. Tests hold one against the other for every block.
///
/// Parameters that follow from the layer before need not be written in a network: a field `input` (a [`TensorType`]) and a
/// field `input_lanes` are filled in with what that layer delivers, a field `inputs` (a list of [`TensorType`]) with what all
/// layers deliver that are read.
pub trait Block: Sized + Sync + Send + 'static {
    /// What a network sets. `#[serde(deny_unknown_fields)]`, every field documented.
    type Params: Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Sync + Send;
    /// What lives from one time step to the next, and scratch space that `step` would otherwise allocate.
    type State: Send;
    /// Folder name under `templates/`, such as `neuron/lif`.
    const NAME: &'static str;
    /// The folder's README.
    const README: &'static str;

    /// At most four points that every test visits.
    fn examples() -> Vec<Self::Params>;
    /// Random parameters for an input of type `input`, or nothing when the block cannot take it.
    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Self::Params>;
    /// Streams with all widths. Errors: a diagnostic for every parameter set that cannot be built.
    fn interface(p: &Self::Params) -> Result<Interface, Diagnostic>;
    /// A state with its memory allocated; [`Block::reset`] is called before the first step.
    fn state(p: &Self::Params) -> Self::State;
    /// The start of a sample. Allocates nothing.
    fn reset(p: &Self::Params, s: &mut Self::State);
    /// The definition: one frame, or one time step. Allocates nothing.
    ///
    /// Where an output passes once a frame and the input once a step, it is written every step and counts on the last.
    fn step(p: &Self::Params, s: &mut Self::State, x: &[&[i64]], y: &mut [&mut [i64]]);
    /// `steps` times [`Block::step`] from the only input to the only output, in forms that are quicker to work with, where the
    /// block knows them; otherwise nothing happens, and the answer is false, as it always will be. Tensors of steps lie one
    /// behind the other; of an output once a frame there is one. The one method with a default: leaving it out changes no
    /// result.
    fn step_packed(_: &Self::Params, _: &mut Self::State, _: usize, _: Packed, _: PackedMut) -> bool {
        false
    }
    /// The parameters that trade area for cycles and change no result. By default there is none, and nobody searches.
    fn folds(_: &Self::Params) -> Vec<Fold> {
        Vec::new()
    }
    /// The hardware.
    fn body(p: &Self::Params) -> Body;
    /// The slots of the hardware's control in a step that meets state `s` with inputs `x`; `last` marks the last step of a
    /// sample. Called before [`Block::step`].
    fn schedule(p: &Self::Params, s: &Self::State, x: &[&[i64]], last: bool, out: &mut Schedule);
    /// Estimated area.
    fn cost(p: &Self::Params, t: &Target) -> Area;
}

/// A parameter that trades area for cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Its field.
    pub field: &'static str,
    /// What it may be: little hardware first.
    pub values: Vec<usize>,
}

impl Fold {
    /// Any divisor of `whole` that is a multiple of `unit`.
    pub fn dividing(field: &'static str, whole: usize, unit: usize) -> Self {
        let values = (1..=whole).filter(|n| whole.is_multiple_of(*n) && n.is_multiple_of(unit)).collect();
        Self { field, values }
    }
}

/// A stream of tensors: `lanes` elements a beat, element 0 in the lowest bits. `lanes` divides the number of elements. Or a
/// stream of address-events: one event a beat, its address below a bit that is zero; a beat with that bit set ends a step.
///
/// `tlast` marks the last beat of a sample (for a stream with one tensor a step: of its last step).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Name: `s_axis_NAME_tdata`.
    pub name: String,
    /// What passes.
    pub tensor: TensorType,
    /// Elements a beat; 1 for events.
    pub lanes: usize,
    /// Whether events pass instead of elements: the block says that it knows them.
    pub events: bool,
}

impl Stream {
    /// A stream of elements. One of `tensor`s that pass as events is refused by [`Interface::check`].
    pub fn new(name: &str, tensor: TensorType, lanes: usize) -> Self {
        Self { name: name.into(), tensor, lanes, events: false }
    }

    /// A stream of whatever `tensor` passes as: for what moves beats and does not look into them.
    pub fn any(name: &str, tensor: TensorType, lanes: usize) -> Self {
        let events = tensor.rate == Rate::Event;
        Self { name: name.into(), tensor, lanes, events }
    }

    /// Beats a tensor; of events, those that are there in any case: the end of the step.
    pub fn beats(&self) -> usize {
        if self.events { 1 } else { self.tensor.len() / self.lanes }
    }

    /// Beats in which `values`, one tensor, pass.
    pub fn beats_of(&self, values: &[i64]) -> usize {
        let events = if self.events { values.iter().sum::<i64>() as usize } else { 0 };
        self.beats() + events
    }

    /// Bits of an address.
    pub fn address_bits(&self) -> usize {
        counter_bits(self.tensor.len())
    }

    /// Bits a beat.
    pub fn width(&self) -> usize {
        if self.events { self.address_bits() + 1 } else { self.lanes * self.tensor.format.bits as usize }
    }
}

/// A block's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Streams in.
    pub inputs: Vec<Stream>,
    /// Streams out.
    pub outputs: Vec<Stream>,
}

impl Interface {
    /// One stream `x` in and one stream `y` out.
    pub fn one_to_one(x: TensorType, x_lanes: usize, y: TensorType, y_lanes: usize) -> Self {
        Self { inputs: vec![Stream::new("x", x, x_lanes)], outputs: vec![Stream::new("y", y, y_lanes)] }
    }

    /// Errors: what [`TensorType::check`] says of a stream; `E0202` for lanes that do not divide it; `E0203` for events where
    /// the block knows elements only.
    pub fn check(&self) -> Result<(), Diagnostic> {
        for s in self.inputs.iter().chain(&self.outputs) {
            s.tensor.check().map_err(|d| d.at(s.name.clone()))?;
            if s.tensor.rate == Rate::Event && !s.events {
                let message = format!("`{}` is {}, expected its elements", s.name, s.tensor);
                let help = "turn the events into elements first, once, and let every reader read those";
                return Err(Diagnostic::new("E0203", message, help).at("input"));
            }
            if s.events && s.lanes != 1 {
                let message = format!("`{}` has {} lanes, and events pass one a beat", s.name, s.lanes);
                return Err(Diagnostic::new("E0202", message, "leave the lanes out").at("lanes"));
            }
            crate::diag::divides("lanes", s.lanes, "the elements of the tensor", s.tensor.len())?;
        }
        Ok(())
    }
}

/// A memory of a template: constant or, over the design's register bus, written at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Name in the template's context and in the file name.
    pub name: String,
    /// Bits a word.
    pub width: usize,
    /// Words in hexadecimal, most significant digit first.
    pub words: Vec<String>,
    /// For a memory that is written at run time, what a word holds, in one line for the register map. The back end makes a module
    /// of it, which the template instantiates.
    pub run_time: Option<String>,
    /// Whether it is written beside the words in use, which what was written replaces all at once; otherwise it is written while
    /// no sample is in the design.
    pub buffered: bool,
}

impl Memory {
    /// A constant memory.
    pub fn constant(name: &str, width: usize, words: Vec<String>) -> Self {
        Self { name: name.into(), width, words, run_time: None, buffered: false }
    }

    /// Packs rows of integers, `bits` bits each, first element lowest.
    pub fn pack<'a>(name: &str, bits: usize, rows: impl Iterator<Item = &'a [i64]>) -> Self {
        let mut width = 0;
        let words = rows
            .map(|row| {
                width = row.len() * bits;
                hex(row, bits)
            })
            .collect();
        Self::constant(name, width, words)
    }
}

/// The low `bits` bits of each value, first value lowest, as hexadecimal digits.
pub fn hex(values: &[i64], bits: usize) -> String {
    let mut digits = vec![0u8; (values.len() * bits).div_ceil(4)];
    for (i, &v) in values.iter().enumerate() {
        for b in 0..bits {
            let at = i * bits + b;
            digits[at / 4] |= (((v >> b) & 1) as u8) << (at % 4);
        }
    }
    digits.iter().rev().map(|d| char::from_digit((*d).into(), 16).expect("a hexadecimal digit")).collect()
}

/// Structure: a Tera template, and what it prints.
#[derive(Debug, Clone)]
pub struct Template {
    /// The template's text.
    pub text: &'static str,
    /// Names and numbers for it; all arithmetic is done.
    pub context: serde_json::Value,
    /// Constant memories, by name under `mem` in the context.
    pub memories: Vec<Memory>,
    /// Combinational kernels that it instantiates, by name under `kernel` in the context.
    pub kernels: Vec<(&'static str, Kernel)>,
    /// How its control moves.
    pub timing: Timing,
}

/// The hardware of a block.
#[derive(Debug, Clone)]
pub enum Body {
    /// One step of one element; the back end adds lanes, state memory and pipeline.
    Kernel(Kernel),
    /// A whole tensor at once, without state: the kernel's inputs are all elements of the input streams in order, its outputs
    /// all elements of the output streams. Every stream passes in one beat; the back end adds the pipeline and what holds the
    /// kernel's stores, and makes one module of neighbours.
    Flat(Kernel),
    /// Structure.
    Template(Box<Template>),
}

impl Body {
    /// The memories that the register bus writes, with their number among the memories of a template or the stores of a
    /// flat kernel.
    pub fn run_time(&self) -> Vec<(usize, Memory)> {
        match self {
            Self::Template(t) => {
                let written = |(_, m): &(usize, &Memory)| m.run_time.is_some();
                t.memories.iter().enumerate().filter(written).map(|(n, m)| (n, m.clone())).collect()
            }
            Self::Flat(kernel) => kernel.stores.iter().map(Store::memory).enumerate().collect(),
            Self::Kernel(_) => Vec::new(),
        }
    }
}

/// Size on a target, in the units of its synthesis report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Area {
    /// Lookup tables.
    pub lut: u32,
    /// Flip-flops.
    pub ff: u32,
    /// Block RAMs.
    pub bram: u32,
    /// Hard multipliers.
    pub dsp: u32,
}

impl Add for Area {
    type Output = Self;

    fn add(self, o: Self) -> Self {
        Self { lut: self.lut + o.lut, ff: self.ff + o.ff, bram: self.bram + o.bram, dsp: self.dsp + o.dsp }
    }
}

impl Mul<usize> for Area {
    type Output = Self;

    fn mul(self, n: usize) -> Self {
        let n = n as u32;
        Self { lut: self.lut * n, ff: self.ff * n, bram: self.bram * n, dsp: self.dsp * n }
    }
}
