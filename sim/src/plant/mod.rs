//! Plants in motion, and the loop of plant and golden model.
//!
//! The one place that knows what a plant does in a step. The golden loop and the loop around the hardware both ask a
//! [`Motion`], so that they can differ only where golden model and hardware do. Deliberately absent: the hardware (see
//! [`crate::cosim`]).

mod motion;
mod score;

use nervure_core::{Diagnostic, Elements, Network, Plant, Samples};

use crate::golden::Replayer;

pub use motion::Motion;
pub use score::{Settling, Tracked, track};

/// A closed loop, recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What the network was told: samples like any others, one an episode.
    pub samples: Samples,
    /// Per state of the plant: `[episodes, steps]`, each at the start of its step.
    pub states: Vec<Vec<i64>>,
}

impl Recording {
    /// The first `count` episodes.
    #[must_use]
    pub fn take(&self, count: usize) -> Self {
        let samples = self.samples.take(count);
        let len = samples.count * samples.steps;
        Self { samples, states: self.states.iter().map(|s| s[..len].to_vec()).collect() }
    }
}

/// Closes the loop of `plant` and the golden model of `network`, for the first `episodes` episodes. `progress` hears how many
/// are done.
///
/// Step by step: the plant tells the network, the network answers, the plant moves on. Errors: as [`crate::golden::run`].
pub fn close(
    network: &Network,
    plant: &Plant,
    episodes: usize,
    progress: &dyn Fn(usize),
) -> Result<Recording, Diagnostic> {
    let replayer = Replayer::new(network)?;
    let mut stepper = replayer.stepper(network);
    let (episodes, steps) = (episodes.min(plant.episodes), plant.steps);
    let mut inputs = vec![Vec::new(); network.inputs.len()];
    let mut states = vec![Vec::with_capacity(episodes * steps); plant.states.len()];
    let mut motion = Motion::new(plant, network);
    for episode in 0..episodes {
        motion.start(episode);
        stepper.reset();
        for step in 0..steps {
            states.iter_mut().zip(motion.states()).for_each(|(all, now)| all.push(*now));
            for (n, all) in inputs.iter_mut().enumerate() {
                motion.sense(n, stepper.input(n));
                all.extend_from_slice(stepper.input(n));
            }
            stepper.step(step + 1 == steps);
            motion.act(|output, element| stepper.output(output)[element]);
        }
        progress(episode + 1);
    }
    let inputs = inputs.into_iter().map(Elements::I64).collect();
    let samples = Samples { count: episodes, steps, inputs, labels: None, targets: None };
    Ok(Recording { samples, states })
}
