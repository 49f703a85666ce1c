//! How well a state follows its target, in integers of its format.

use nervure_core::Plant;

use super::Recording;

/// One change of the target or of a disturbance, up to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    /// Episode.
    pub episode: usize,
    /// Step of the change.
    pub step: usize,
    /// By how much the target changed; 0 where something else did.
    pub change: i64,
    /// Steps until the state stays within the band, up to the next change; nothing where it is outside at the end.
    pub steps: Option<usize>,
    /// How far the state went past its target in the direction of the change; where that did not change, how far from it.
    pub overshoot: i64,
}

/// How well the plant was controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Sum of the squared distance over all steps.
    pub squares: u128,
    /// Steps in all.
    pub count: usize,
    /// Every change.
    pub changes: Vec<Settling>,
}

/// Judges a recording; nothing where the plant does not say by what.
pub fn track(plant: &Plant, recording: &Recording) -> Option<Tracked> {
    let tracking = plant.tracking.as_ref()?;
    let states = &recording.states[tracking.state];
    let target = |at: usize| plant.sequences[tracking.target].values[at] << tracking.shift;
    let distance = |at: usize| states[at] - target(at);
    let squares = (0..states.len()).map(|at| u128::from(distance(at).unsigned_abs()).pow(2)).sum();
    let watched: Vec<usize> = [tracking.target].into_iter().chain(tracking.disturbances.clone()).collect();
    let changed = |at: &usize| {
        let same = |n: &usize| plant.sequences[*n].values[*at] == plant.sequences[*n].values[at - 1];
        !watched.iter().all(same)
    };
    let mut changes = Vec::new();
    for episode in 0..states.len() / plant.steps {
        let (first, end) = (episode * plant.steps, (episode + 1) * plant.steps);
        let starts: Vec<usize> = (first + 1..end).filter(changed).collect();
        for (n, &start) in starts.iter().enumerate() {
            let part = start..starts.get(n + 1).copied().unwrap_or(end);
            let change = target(start) - target(start - 1);
            let outside = part.clone().rposition(|at| distance(at).abs() > tracking.band);
            let steps = outside.map_or(0, |n| n + 1);
            let past = |at| if change == 0 { distance(at).abs() } else { distance(at) * change.signum() };
            changes.push(Settling {
                episode,
                step: start - first,
                change,
                steps: (steps < part.len()).then_some(steps),
                overshoot: part.map(past).max().unwrap_or(0).max(0),
            });
        }
    }
    Some(Tracked { squares, count: states.len(), changes })
}
