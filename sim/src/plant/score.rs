//! How well a state follows its target, in integers of its format.

use nervure_core::Plant;

use super::Recording;

/// One change of the target, up to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    /// Episode.
    pub episode: usize,
    /// Step in which the target changed; 0 for the first.
    pub step: usize,
    /// By how much.
    pub change: i64,
    /// Steps until the state stays within the band, up to the next change; nothing where it is outside at the end.
    pub steps: Option<usize>,
    /// How far the state went past its target, in the direction of the change.
    pub overshoot: i64,
}

/// How well the plant was controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Sum of the squared distance over all steps.
    pub squares: u128,
    /// Steps in all.
    pub count: usize,
    /// Every change of the target.
    pub changes: Vec<Settling>,
}

/// Judges a recording; nothing where the plant does not say by what.
pub fn track(plant: &Plant, recording: &Recording) -> Option<Tracked> {
    let tracking = plant.tracking?;
    let states = &recording.states[tracking.state];
    let targets = &plant.sequences[tracking.target].values;
    let distances = states.iter().zip(targets).map(|(s, t)| s - t);
    let squares = distances.map(|d| u128::from(d.unsigned_abs()).pow(2)).sum();
    let mut changes = Vec::new();
    let episodes = states.chunks(plant.steps).zip(targets.chunks(plant.steps)).enumerate();
    for (episode, (states, targets)) in episodes {
        let mut step = 0;
        while step < targets.len() {
            let target = targets[step];
            let before = if step == 0 { states[0] } else { targets[step - 1] };
            let end = targets[step..].iter().position(|t| *t != target).map_or(targets.len(), |n| step + n);
            let part = &states[step..end];
            let (change, away) = (target - before, |s: &i64| (s - target).abs() > tracking.band);
            let steps = part.iter().rposition(away).map_or(0, |n| n + 1);
            let past = part.iter().map(|s| (s - target) * change.signum()).max().unwrap_or(0);
            let steps = (steps < part.len()).then_some(steps);
            changes.push(Settling { episode, step, change, steps, overshoot: past.max(0) });
            step = end;
        }
    }
    Some(Tracked { squares, count: states.len(), changes })
}
