//! How deep the queues between layers must be so that none waits for another that is as fast on the whole. Deliberately absent:
//! queues without which a network would stand still; those are part of it.

use super::{Goal, Planner, Point, shortage, words};

/// Queues that were chosen, and what they bring.
pub(super) struct Queues {
    /// Fields, as for `--set`.
    pub(super) set: Vec<(String, String)>,
    pub(super) point: Point,
    /// A line for the summary.
    pub(super) why: String,
}

/// A queue in front of a layer: its field, and its depth.
type Queue = (String, usize);

impl Planner<'_> {
    /// The shallowest queues with which the layers go as fast as with queues of a whole tensor each; nothing where that is no
    /// faster than without, or does not fit.
    pub(super) fn queues(&self, at: &[usize], without: Point, goal: &Goal) -> Option<Queues> {
        let mut queues = self.deepest(at)?;
        let interval = |q: &[Queue]| self.evaluate(at, &fields(q)).map_or(f64::INFINITY, |p| p.interval);
        let best = interval(&queues);
        if best >= without.interval * 0.999 {
            return None;
        }
        for n in 0..queues.len() {
            let deepest = queues[n].1;
            let depths = std::iter::once(0).chain((1..).map(|e| 1 << e)).take_while(|d| *d < deepest);
            for depth in depths.chain([deepest]) {
                queues[n].1 = depth;
                if interval(&queues) <= best {
                    break;
                }
            }
        }
        queues.retain(|(_, depth)| *depth > 0);
        let set = fields(&queues);
        let point = self.evaluate(at, &set)?;
        let shown: Vec<String> = set.iter().map(|(field, depth)| format!("{field} {depth}")).collect();
        let why = format!(
            "{}: {:.0} to {:.0} cycles, {}",
            shown.join(", "),
            without.interval,
            point.interval,
            words(point.used)
        );
        shortage(point.used, goal).is_none().then_some(Queues { set, point, why })
    }

    /// A queue of a whole tensor in front of every layer that has none and may get one.
    fn deepest(&self, at: &[usize]) -> Option<Vec<Queue>> {
        let network = nervure_front::load(self.file, self.registry, &self.chosen(at, &[])).ok()?;
        let queues = network.nodes.iter().filter(|n| n.fifo == 0).map(|n| {
            let beats = n.instance.interface().inputs.iter().map(nervure_core::Stream::beats).max();
            (format!("layers.{}.fifo", n.name), beats.unwrap_or(1).clamp(2, MOST))
        });
        Some(queues.filter(|(field, _)| !self.set.iter().any(|(key, _)| key == field)).collect())
    }
}

/// Deepest queue that is tried, beats.
const MOST: usize = 4096;

fn fields(queues: &[Queue]) -> Vec<(String, String)> {
    queues.iter().filter(|(_, d)| *d > 0).map(|(field, depth)| (field.clone(), depth.to_string())).collect()
}
