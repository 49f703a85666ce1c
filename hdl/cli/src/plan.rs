//! `--fit` and `--cycles`: how much hardware every layer gets.
//!
//! A layer's [`Fold`]s and the lanes of the network's inputs trade area for cycles. The search starts from the least hardware
//! and takes, again and again, the step that saves the most cycles for its share of what is free; cycles are exact, areas are
//! estimates. Deliberately absent: formats and weights, which change results.

mod queues;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use nervure_back::Options;
use nervure_core::{Area, Diagnostic, Fold, Registry, Samples, Target};
use nervure_sim::predict;
use nervure_sim::synth::Synthesis;
use serde::Serialize;

use crate::compile::Compiled;
use crate::embedded::Resources;

/// Samples that cycles are counted for.
const SAMPLES: usize = 10;
/// What is counted, in the order of [`Use`].
const NAMES: [&str; 4] = ["LUT", "FF", "kbit of block RAM", "DSP"];

/// Lookup tables, flip-flops, kilobits of block RAM, multipliers.
type Use = [f64; 4];

/// What a plan must keep to.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// What there is.
    pub(crate) room: Option<Resources>,
    /// Cycles between samples (or steps, where there are any) that are fast enough.
    pub(crate) cycles: Option<f64>,
}

/// What was chosen, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    /// Fields, as for `--set`.
    pub(crate) set: Vec<(String, String)>,
    /// One line a step.
    pub(crate) why: Vec<String>,
    /// Cycles between samples, or steps.
    pub(crate) interval_cycles: f64,
    /// Whether the goal is met, by the estimates.
    pub(crate) met: bool,
}

/// A search over the folds of one network.
pub(crate) struct Planner<'a> {
    registry: &'a Registry,
    target: &'a Target,
    options: &'a Options,
    file: &'a Path,
    set: &'a [(String, String)],
    samples: Samples,
    folds: Vec<(String, Vec<usize>)>,
    /// Measured over estimated areas, once a synthesis has told.
    scale: Use,
    seen: BTreeMap<Vec<usize>, Option<Point>>,
}

/// What a choice costs and brings.
#[derive(Debug, Clone, Copy)]
struct Point {
    used: Use,
    interval: f64,
}

impl<'a> Planner<'a> {
    /// `set`: what the person has decided, and is not searched. Errors: those of reading the network.
    pub(crate) fn new(
        registry: &'a Registry,
        target: &'a Target,
        options: &'a Options,
        file: &'a Path,
        set: &'a [(String, String)],
        samples: &Samples,
    ) -> Result<Self, Diagnostic> {
        let network = nervure_front::load(file, registry, set)?;
        let inputs = network.inputs.iter().map(|i| {
            let fold = Fold::dividing("lanes", i.tensor.len(), 1);
            (format!("inputs.{}.{}", i.name, fold.field), fold.values)
        });
        let layers = network.nodes.iter().flat_map(|n| {
            let folds = n.instance.folds().into_iter();
            folds.map(|f| (format!("layers.{}.{}", n.name, f.field), f.values))
        });
        let free = |(field, values): &(String, Vec<usize>)| {
            values.len() > 1 && !set.iter().any(|(key, _)| key == field)
        };
        Ok(Self {
            registry,
            target,
            options,
            file,
            set,
            samples: samples.take(SAMPLES),
            folds: inputs.chain(layers).filter(free).collect(),
            scale: [1.0; 4],
            seen: BTreeMap::new(),
        })
    }

    /// Takes what Yosys made of a plan: estimates that were too low are raised.
    pub(crate) fn learn(&mut self, plan: &Plan, measured: &Synthesis) {
        let at: Vec<usize> = (self.folds.iter())
            .map(|(field, values)| {
                let value = plan.set.iter().find(|(key, _)| key == field).map(|(_, v)| v.as_str());
                values.iter().position(|v| Some(v.to_string().as_str()) == value).unwrap_or(0)
            })
            .collect();
        let Some(point) = self.point(&at) else { return };
        let measured = [
            measured.lut as f64,
            measured.ff as f64,
            measured.bram * self.target.block_ram_bits as f64 / 1024.0,
            measured.dsp as f64,
        ];
        for ((scale, estimated), measured) in self.scale.iter_mut().zip(point.used).zip(measured) {
            if estimated > 0.0 && measured > estimated {
                *scale *= measured / estimated;
            }
        }
        self.seen.clear();
    }

    /// The search.
    pub(crate) fn plan(&mut self, goal: &Goal) -> Plan {
        let mut at = vec![0; self.folds.len()];
        let mut why = Vec::new();
        let Some(mut point) = self.first(&mut at) else {
            why.push("no folding of this network can be built".to_owned());
            return Plan { set: Vec::new(), why, interval_cycles: f64::INFINITY, met: false };
        };
        let count = |n: f64| format!("{n:.0}");
        why.push(format!("the least hardware: {} cycles, {}", count(point.interval), words(point.used)));
        let fast = |p: Point| goal.cycles.is_some_and(|c| p.interval <= c);
        while !fast(point) {
            let Some((next, better)) = self.step(&at, point, goal) else {
                why.push(self.end(&at, point, goal));
                break;
            };
            let changed = (0..at.len()).filter(|i| at[*i] != next[*i]).map(|i| {
                let (field, values) = &self.folds[i];
                format!("{field} {} to {}", values[at[i]], values[next[i]])
            });
            let changed = changed.collect::<Vec<_>>().join(", ");
            why.push(format!(
                "{changed}: {} to {} cycles, {}",
                count(point.interval),
                count(better.interval),
                words(better.used)
            ));
            (at, point) = (next, better);
        }
        if fast(point) {
            (at, point) = self.trim(at, point, &fast);
            why.push(format!("fast enough: {} cycles, {}", count(point.interval), words(point.used)));
        }
        let mut set = Vec::new();
        if !fast(point)
            && let Some(queues) = self.queues(&at, point, goal)
        {
            why.insert(why.len() - 1, queues.why);
            (set, point) = (queues.set, queues.point);
        }
        let short = shortage(point.used, goal);
        if let Some(short) = &short {
            why.push(format!("it does not fit: {short}"));
        }
        set.splice(0..0, self.chosen(&at, &[]).split_off(self.set.len()));
        Plan {
            set,
            why,
            interval_cycles: point.interval,
            met: short.is_none() && (goal.cycles.is_none() || fast(point)),
        }
    }

    /// The least hardware that can be built: some networks need more than one lane somewhere.
    fn first(&mut self, at: &mut [usize]) -> Option<Point> {
        if let Some(point) = self.point(at) {
            return Some(point);
        }
        for i in 0..at.len() {
            for n in 1..self.folds[i].1.len() {
                let mut other = at.to_vec();
                other[i] = n;
                if let Some(point) = self.point(&other) {
                    at.copy_from_slice(&other);
                    return Some(point);
                }
            }
        }
        None
    }

    /// The best step from here that fits: of one fold by one or by a doubling, else of two folds.
    fn step(&mut self, at: &[usize], from: Point, goal: &Goal) -> Option<(Vec<usize>, Point)> {
        let raised = |i: usize, values: &[usize], at: &[usize]| {
            let double = values.iter().position(|v| *v >= 2 * values[at[i]]);
            let mut steps = vec![at[i] + 1];
            steps.extend(double);
            steps.retain(|n| *n < values.len());
            steps.dedup();
            steps
        };
        let mut single = Vec::new();
        for i in 0..at.len() {
            for n in raised(i, &self.folds[i].1, at) {
                let mut next = at.to_vec();
                next[i] = n;
                single.push(next);
            }
        }
        let found = self.best(&single, from, goal);
        if found.is_some() {
            return found;
        }
        let mut double = Vec::new();
        for (n, a) in single.iter().enumerate() {
            for b in &single[n + 1..] {
                let both: Vec<usize> = a.iter().zip(b).map(|(a, b)| *a.max(b)).collect();
                double.push(both);
            }
        }
        self.best(&double, from, goal)
    }

    fn best(&mut self, choices: &[Vec<usize>], from: Point, goal: &Goal) -> Option<(Vec<usize>, Point)> {
        let mut best: Option<(f64, Vec<usize>, Point)> = None;
        for choice in choices {
            let Some(point) = self.point(choice) else { continue };
            // What does not fit may grow nothing that is short.
            let fits = shortage(point.used, goal).is_none();
            if !fits || point.interval >= from.interval * 0.999 {
                continue;
            }
            let score = (from.interval / point.interval).ln() / (price(from, point, goal) + 1e-3);
            if best.as_ref().is_none_or(|(s, ..)| score > *s) {
                best = Some((score, choice.clone(), point));
            }
        }
        best.map(|(_, choice, point)| (choice, point))
    }

    /// Takes back what is not needed.
    fn trim(
        &mut self,
        mut at: Vec<usize>,
        mut point: Point,
        fast: &impl Fn(Point) -> bool,
    ) -> (Vec<usize>, Point) {
        for i in 0..at.len() {
            while at[i] > 0 {
                let mut less = at.clone();
                less[i] -= 1;
                match self.point(&less) {
                    Some(p) if fast(p) && p.used[0] <= point.used[0] => (at, point) = (less, p),
                    _ => break,
                }
            }
        }
        (at, point)
    }

    /// Why nothing more is done.
    fn end(&mut self, at: &[usize], from: Point, goal: &Goal) -> String {
        let open = Goal { room: None, cycles: None };
        match self.step(at, from, &open) {
            Some((_, point)) => match shortage(point.used, goal) {
                Some(short) => format!("the next step would not fit: {short}"),
                None => "nothing more that fits makes it faster".to_owned(),
            },
            None => "no folding makes it faster".to_owned(),
        }
    }

    fn point(&mut self, at: &[usize]) -> Option<Point> {
        if let Some(known) = self.seen.get(at) {
            return *known;
        }
        let point = self.evaluate(at, &[]);
        self.seen.insert(at.to_vec(), point);
        point
    }

    /// What the person has decided, the folds, and what is set besides.
    fn chosen(&self, at: &[usize], besides: &[(String, String)]) -> Vec<(String, String)> {
        let folds = self.folds.iter().zip(at).map(|((field, v), i)| (field.clone(), v[*i].to_string()));
        self.set.iter().cloned().chain(folds).chain(besides.iter().cloned()).collect()
    }

    /// Nothing for what cannot be built, or deadlocks.
    fn evaluate(&self, at: &[usize], besides: &[(String, String)]) -> Option<Point> {
        let network = nervure_front::load(self.file, self.registry, &self.chosen(at, besides)).ok()?;
        let compiled = Compiled::new(network, self.registry, self.target, self.options).ok()?;
        let prediction = predict(&compiled.optimised, &compiled.design, &self.samples).ok()?;
        let (first, last) = (prediction.cycles.first()?, prediction.cycles.last()?);
        let between = match prediction.cycles.len() {
            1 => first.count() as f64,
            n => (last.finish - first.finish) as f64 / (n - 1) as f64,
        };
        let area = compiled.design.modules.iter().map(|m| m.area(self.target));
        let area = area.fold(Area::default(), |sum, a| sum + a);
        let kbit = f64::from(area.bram) * self.target.block_ram_bits as f64 / 1024.0;
        let mut used = [f64::from(area.lut), f64::from(area.ff), kbit, f64::from(area.dsp)];
        used.iter_mut().zip(self.scale).for_each(|(n, scale)| *n *= scale);
        Some(Point { used, interval: between / self.samples.steps.max(1) as f64 })
    }
}

fn room(goal: &Goal) -> Option<Use> {
    goal.room.as_ref().map(|r| [r.lut as f64, r.ff as f64, r.bram_kbit as f64, r.dsp as f64])
}

/// What is short, in words.
fn shortage(used: Use, goal: &Goal) -> Option<String> {
    let room = room(goal)?;
    let short = (0..4).find(|i| used[*i] > room[*i])?;
    Some(format!("{:.0} {} needed, {:.0} there", used[short], NAMES[short], room[short]))
}

/// The share of what is free that a step takes, of the scarcest; without a limit, lookup tables in thousands.
fn price(from: Point, to: Point, goal: &Goal) -> f64 {
    let more = |i: usize| (to.used[i] - from.used[i]).max(0.0);
    match room(goal) {
        Some(room) => (0..4).map(|i| more(i) / (room[i] - from.used[i]).max(1.0)).fold(0.0, f64::max),
        None => (more(0) + more(1) / 4.0 + 30.0 * more(2) / 36.0 + 100.0 * more(3)) / 1000.0,
    }
}

fn words(used: Use) -> String {
    let some = (0..4).filter(|i| used[*i] > 0.0).map(|i| format!("{:.0} {}", used[i], NAMES[i]));
    some.collect::<Vec<_>>().join(", ")
}
