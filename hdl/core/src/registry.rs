//! The type-erased twin of [`Block`], and the list of all blocks.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;

use crate::block::{Area, Block, Body, Fold, Interface, Rng};
use crate::diag::Diagnostic;
use crate::schedule::Schedule;
use crate::target::Target;
use crate::tensor::{Packed, PackedMut, Rate, TensorType};

/// A block without its types: what a registry holds.
pub trait AnyBlock: Sync + Send {
    /// [`Block::NAME`].
    fn name(&self) -> &'static str;
    /// [`Block::README`].
    fn readme(&self) -> &'static str;
    /// JSON Schema of the parameters.
    fn schema(&self) -> Value;
    /// [`Block::examples`], instantiated.
    fn examples(&self) -> Vec<Arc<dyn Instance>>;
    /// [`Block::sample`], instantiated.
    fn sample(&self, input: &TensorType, rng: &mut Rng) -> Option<Arc<dyn Instance>>;
    /// A block with parameters. Errors: `E0301` for parameters of the wrong type or name; what [`Block::interface`] says.
    fn instantiate(&self, params: Value) -> Result<Arc<dyn Instance>, Diagnostic>;
}

/// A block with parameters.
pub trait Instance: Debug + Sync + Send {
    /// [`Block::NAME`].
    fn block(&self) -> &'static str;
    /// The parameters.
    fn params(&self) -> Value;
    /// [`Block::interface`].
    fn interface(&self) -> &Interface;
    /// [`Block::folds`].
    fn folds(&self) -> Vec<Fold>;
    /// [`Block::body`].
    fn body(&self) -> Body;
    /// [`Block::cost`].
    fn cost(&self, t: &Target) -> Area;
    /// The golden model of one instance, reset.
    fn runner(&self) -> Box<dyn Runner>;
}

/// A golden model in execution.
pub trait Runner: Send {
    /// [`Block::reset`].
    fn reset(&mut self);
    /// [`Block::schedule`] of the step that comes next.
    fn schedule(&self, x: &[&[i64]], last: bool, out: &mut Schedule);
    /// [`Block::step`].
    fn step(&mut self, x: &[&[i64]], y: &mut [&mut [i64]]);
    /// [`Block::step_packed`].
    fn step_packed(&mut self, steps: usize, x: Packed, y: PackedMut) -> bool;
}

struct Erased<B>(PhantomData<fn() -> B>);

struct Concrete<B: Block> {
    params: Arc<B::Params>,
    interface: Interface,
}

struct Running<B: Block> {
    params: Arc<B::Params>,
    state: B::State,
}

/// The type-erased form of block `B`.
pub fn erase<B: Block>() -> Box<dyn AnyBlock> {
    Box::new(Erased::<B>(PhantomData))
}

fn concrete<B: Block>(params: B::Params) -> Result<Arc<dyn Instance>, Diagnostic> {
    let interface = B::interface(&params)?;
    interface.check()?;
    Ok(Arc::new(Concrete::<B> { params: Arc::new(params), interface }))
}

impl<B: Block> AnyBlock for Erased<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }

    fn readme(&self) -> &'static str {
        B::README
    }

    fn schema(&self) -> Value {
        schemars::schema_for!(B::Params).to_value()
    }

    fn examples(&self) -> Vec<Arc<dyn Instance>> {
        let build =
            |p| concrete::<B>(p).unwrap_or_else(|d| panic!("an example of {} is invalid: {d}", B::NAME));
        B::examples().into_iter().map(build).collect()
    }

    fn sample(&self, input: &TensorType, rng: &mut Rng) -> Option<Arc<dyn Instance>> {
        let p = B::sample(input, rng)?;
        // Blocks that know elements only need not say so here as well.
        if input.rate == Rate::Event {
            return concrete::<B>(p).ok();
        }
        Some(concrete::<B>(p).unwrap_or_else(|d| panic!("a sample of {} is invalid: {d}", B::NAME)))
    }

    fn instantiate(&self, params: Value) -> Result<Arc<dyn Instance>, Diagnostic> {
        let params: B::Params = serde_path_to_error::deserialize(params).map_err(|e| {
            let mut d = Diagnostic::new(
                "E0301",
                e.inner().to_string(),
                format!("`nervure blocks {}` lists the parameters and their types", B::NAME),
            );
            d.path = e.path().iter().map(ToString::to_string).filter(|s| s != "?").collect();
            d
        })?;
        concrete::<B>(params)
    }
}

impl<B: Block> Debug for Concrete<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", B::NAME, self.params)
    }
}

impl<B: Block> Instance for Concrete<B> {
    fn block(&self) -> &'static str {
        B::NAME
    }

    fn params(&self) -> Value {
        serde_json::to_value(&*self.params).expect("parameters are plain data")
    }

    fn interface(&self) -> &Interface {
        &self.interface
    }

    fn folds(&self) -> Vec<Fold> {
        B::folds(&self.params)
    }

    fn body(&self) -> Body {
        B::body(&self.params)
    }

    fn cost(&self, t: &Target) -> Area {
        B::cost(&self.params, t)
    }

    fn runner(&self) -> Box<dyn Runner> {
        let mut state = B::state(&self.params);
        B::reset(&self.params, &mut state);
        Box::new(Running::<B> { params: self.params.clone(), state })
    }
}

impl<B: Block> Runner for Running<B> {
    fn reset(&mut self) {
        B::reset(&self.params, &mut self.state);
    }

    fn schedule(&self, x: &[&[i64]], last: bool, out: &mut Schedule) {
        B::schedule(&self.params, &self.state, x, last, out);
    }

    fn step(&mut self, x: &[&[i64]], y: &mut [&mut [i64]]) {
        B::step(&self.params, &mut self.state, x, y);
    }

    fn step_packed(&mut self, steps: usize, x: Packed, y: PackedMut) -> bool {
        B::step_packed(&self.params, &mut self.state, steps, x, y)
    }
}

/// All blocks and all targets, in order of their names, and the shared templates.
pub struct Registry {
    blocks: Vec<Box<dyn AnyBlock>>,
    /// Technology families, in order of their names.
    pub targets: Vec<Target>,
    /// Templates that back ends share: name and text.
    pub shared: Vec<(&'static str, &'static str)>,
}

impl Registry {
    /// A registry of these blocks and targets.
    pub fn new(
        mut blocks: Vec<Box<dyn AnyBlock>>,
        mut targets: Vec<Target>,
        shared: Vec<(&'static str, &'static str)>,
    ) -> Self {
        blocks.sort_by_key(|b| b.name());
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        Self { blocks, targets, shared }
    }

    /// Every block.
    pub fn blocks(&self) -> impl Iterator<Item = &dyn AnyBlock> {
        self.blocks.iter().map(AsRef::as_ref)
    }

    /// The block called `name`. Errors: `E0302`.
    pub fn get(&self, name: &str) -> Result<&dyn AnyBlock, Diagnostic> {
        self.blocks().find(|b| b.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.blocks().map(AnyBlock::name).collect();
            Diagnostic::new(
                "E0302",
                format!("there is no block `{}`", name.escape_debug()),
                format!("the blocks are {}", known.join(", ")),
            )
            .at("block")
        })
    }

    /// The target called `name`. Errors: `E0303`.
    pub fn target(&self, name: &str) -> Result<&Target, Diagnostic> {
        self.targets.iter().find(|t| t.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.targets.iter().map(|t| t.name.as_str()).collect();
            let help = format!("the targets are {}", known.join(", "));
            Diagnostic::new("E0303", format!("there is no target `{}`", name.escape_debug()), help)
        })
    }
}
