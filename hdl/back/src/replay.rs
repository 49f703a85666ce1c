//! Replays the schedules of all modules of a design together: exact cycles, without simulating a single gate.
//!
//! The rules are those of `core::schedule`. Per cycle every module moves once, consumers before producers, so that an output
//! register that is emptied in a cycle can be filled in the same one. Beats enter as soon as the design takes them and
//! leave as soon as they are there. Stretches in which no module can take or give are skipped in one go.

use std::collections::VecDeque;

use nervure_core::{Design, Endpoint, Schedule, Slot, Timing};

/// When a sample passed the boundary. Cycle 0 is the first clock edge after reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SampleCycles {
    /// Cycle in which its first input beat was accepted.
    pub start: u64,
    /// Cycle in which its last output beat was accepted.
    pub finish: u64,
}

/// What a channel holds.
#[derive(Debug, Clone, Copy)]
struct Register {
    beats: u32,
    capacity: u32,
    /// A FIFO cannot be refilled in the cycle in which it was full.
    through: bool,
    /// Beats that were in it when the cycle began.
    at_start: u32,
}

impl Register {
    const fn room(&self) -> bool {
        if self.through { self.beats < self.capacity } else { self.at_start < self.capacity }
    }

    const fn ready(&self) -> bool {
        self.beats > 0 && self.at_start > 0
    }
}

/// A module in motion.
#[derive(Debug, Clone)]
struct Machine {
    timing: Timing,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    program: Vec<Slot>,
    /// Position in the program: slot and how often it ran.
    at: (usize, u32),
    /// Slots in the pipeline, oldest first: what each gives (0 for a bubble).
    pipe: VecDeque<u8>,
    prologue: u32,
}

/// A replay in progress.
#[derive(Debug, Clone)]
pub struct Replay {
    machines: Vec<Machine>,
    channels: Vec<Register>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

/// A port of the boundary.
#[derive(Debug, Clone)]
struct Port {
    channel: usize,
    /// Beats that every sample has there.
    beats: Vec<u64>,
    /// Samples that have passed, and beats of the next.
    sample: usize,
    passed: u64,
}

impl Port {
    fn waits(&self) -> bool {
        self.sample < self.beats.len()
    }

    /// Whether a beat of sample `turn`, or of one before, has yet to pass.
    fn offers(&self, turn: usize) -> bool {
        self.waits() && self.sample <= turn
    }

    /// A beat passes; of which sample.
    fn pass(&mut self) -> usize {
        let sample = self.sample;
        self.passed += 1;
        if self.passed == self.beats[sample] {
            (self.sample, self.passed) = (sample + 1, 0);
        }
        sample
    }
}

impl Replay {
    /// A design at rest, right after reset.
    ///
    /// `samples` holds, per module, the schedule of one sample after the other, all steps joined;
    /// `input_beats` and `output_beats`, per boundary port, the beats of each sample, at least one.
    pub fn new(
        design: &Design,
        samples: &[Vec<Schedule>],
        input_beats: Vec<Vec<u64>>,
        output_beats: Vec<Vec<u64>>,
    ) -> Self {
        let mut channels = Vec::new();
        let machines = design
            .modules
            .iter()
            .enumerate()
            .map(|(m, module)| {
                let ends = |to: bool| {
                    let ports = module.instance.interface();
                    let n = if to { ports.inputs.len() } else { ports.outputs.len() };
                    (0..n)
                        .map(|port| {
                            let end = Endpoint::Port { module: m, port };
                            let at = |c: &nervure_core::Channel| if to { c.to == end } else { c.from == end };
                            design.channels.iter().position(at).expect("every port has a channel")
                        })
                        .collect()
                };
                let (depth, prologue) = match module.timing {
                    Timing::Pipeline { depth, prologue } => (depth, prologue),
                    Timing::Fifo { .. } => (0, 0),
                };
                Machine {
                    timing: module.timing,
                    inputs: ends(true),
                    outputs: ends(false),
                    program: samples.iter().flat_map(|s| s[m].slots.iter().copied()).collect(),
                    at: (0, 0),
                    pipe: std::iter::repeat_n(0, depth as usize).collect(),
                    prologue,
                }
            })
            .collect();
        for c in &design.channels {
            let (capacity, through) = match c.from {
                Endpoint::Port { module, .. } => match design.modules[module].timing {
                    Timing::Fifo { capacity } => (capacity, false),
                    Timing::Pipeline { .. } => (1, true),
                },
                Endpoint::Boundary(_) => (1, true),
            };
            channels.push(Register { beats: 0, capacity, through, at_start: 0 });
        }
        let boundary = |beats: Vec<Vec<u64>>, from: bool| {
            let port = |(n, beats)| {
                let end = Endpoint::Boundary(n);
                let at = |c: &nervure_core::Channel| if from { c.from == end } else { c.to == end };
                let channel = design.channels.iter().position(at).expect("every boundary port has a channel");
                Port { channel, beats, sample: 0, passed: 0 }
            };
            beats.into_iter().enumerate().map(port).collect()
        };
        let (inputs, outputs) = (boundary(input_beats, true), boundary(output_beats, false));
        Self { machines, channels, inputs, outputs }
    }

    /// Runs all samples one right behind the other and returns when each passed.
    ///
    /// Errors: the cycle in which nothing can move any more (a deadlock), when there is one.
    pub fn run(self) -> Result<Vec<SampleCycles>, u64> {
        self.go(false)
    }

    /// The same, but a sample is on offer only from the cycle after the whole answer to the one before was taken: what is
    /// outside needs that answer to make it. A time step counts as a sample where `new` was given the beats of each.
    ///
    /// Errors: as [`Replay::run`].
    pub fn run_in_turns(self) -> Result<Vec<SampleCycles>, u64> {
        self.go(true)
    }

    fn go(mut self, in_turns: bool) -> Result<Vec<SampleCycles>, u64> {
        let count = self.outputs.first().map_or(0, |o| o.beats.len());
        let mut cycles = vec![SampleCycles { start: u64::MAX, finish: 0 }; count];
        let mut cycle = 0u64;
        while self.outputs.iter().any(Port::waits) {
            let turn = self.offer(in_turns);
            self.channels.iter_mut().for_each(|c| c.at_start = c.beats);
            let mut moved = false;
            for port in &mut self.outputs {
                let c = &mut self.channels[port.channel];
                if c.ready() {
                    c.beats -= 1;
                    let sample = &mut cycles[port.pass()];
                    sample.finish = sample.finish.max(cycle);
                    moved = true;
                }
            }
            for m in (0..self.machines.len()).rev() {
                moved |= self.machines[m].advance(&mut self.channels);
            }
            for port in self.inputs.iter_mut().filter(|p| p.offers(turn)) {
                if self.channels[port.channel].beats == 0 {
                    let sample = &mut cycles[port.pass()];
                    sample.start = sample.start.min(cycle);
                }
            }
            cycle += 1;
            if !moved {
                return Err(cycle);
            }
            self.offer(in_turns);
            cycle += self.skip();
        }
        Ok(cycles)
    }

    /// A boundary input always has its next beat on offer, up to and with the sample that is returned.
    fn offer(&mut self, in_turns: bool) -> usize {
        let answered = self.outputs.iter().map(|o| o.sample).min();
        let turn = answered.filter(|_| in_turns).unwrap_or(usize::MAX);
        for port in &self.inputs {
            self.channels[port.channel].beats = u32::from(port.offers(turn));
        }
        turn
    }

    /// Cycles that can be skipped because every module works by itself or waits for one that does.
    fn skip(&mut self) -> u64 {
        let mut least = u32::MAX;
        for m in &self.machines {
            match m.idle_cycles(&self.channels) {
                Some(n) => least = least.min(n),
                None => return 0,
            }
        }
        // A beat at a boundary output can always move.
        if self.outputs.iter().any(|p| self.channels[p.channel].beats > 0) || least == u32::MAX {
            return 0;
        }
        self.machines.iter_mut().for_each(|m| m.skip(least));
        least.into()
    }
}

impl Machine {
    /// One cycle; whether anything moved.
    fn advance(&mut self, channels: &mut [Register]) -> bool {
        if let Timing::Fifo { .. } = self.timing {
            let (from, to) = (self.inputs[0], self.outputs[0]);
            if channels[from].ready() && channels[to].room() {
                channels[from].beats -= 1;
                channels[to].beats += 1;
                return true;
            }
            return false;
        }
        if self.prologue > 0 {
            self.prologue -= 1;
            return true;
        }
        let slot = self.program.get(self.at.0).copied();
        let entering = slot.filter(|s| ports(s.take, &self.inputs).all(|c| channels[c].ready()));
        let leaving = match self.pipe.front() {
            Some(give) => *give,
            None => entering.map_or(0, |s| s.give),
        };
        if !ports(leaving, &self.outputs).all(|c| channels[c].room()) {
            return false;
        }
        ports(leaving, &self.outputs).for_each(|c| channels[c].beats += 1);
        let draining = self.pipe.iter().any(|g| *g != 0);
        if let Some(s) = entering {
            ports(s.take, &self.inputs).for_each(|c| channels[c].beats -= 1);
            self.step(s, 1);
        }
        if !self.pipe.is_empty() {
            self.pipe.pop_front();
            self.pipe.push_back(entering.map_or(0, |s| s.give));
        }
        entering.is_some() || draining || leaving != 0
    }

    fn step(&mut self, slot: Slot, by: u32) {
        self.at.1 += by;
        if self.at.1 == slot.repeat {
            self.at = (self.at.0 + 1, 0);
        }
    }

    /// How many cycles from now on it neither takes nor gives, whatever the others do; nothing if it may move at once.
    fn idle_cycles(&self, channels: &[Register]) -> Option<u32> {
        if let Timing::Fifo { .. } = self.timing {
            let free = channels[self.inputs[0]].beats == 0 && channels[self.outputs[0]].beats == 0;
            return free.then_some(u32::MAX);
        }
        if self.prologue > 0 {
            return Some(self.prologue);
        }
        if self.pipe.iter().any(|g| *g != 0) {
            // Blocked at its end, it stays so until the reader moves; otherwise it gives soon.
            let blocked = self.pipe.front().is_some_and(|g| {
                *g != 0 && ports(*g, &self.outputs).any(|c| channels[c].beats >= channels[c].capacity)
            });
            return blocked.then_some(u32::MAX);
        }
        match self.program.get(self.at.0) {
            None => Some(u32::MAX),
            Some(s) if s.take == 0 && s.give == 0 => Some(s.repeat - self.at.1),
            Some(s) if ports(s.take, &self.inputs).any(|c| channels[c].beats == 0) => Some(u32::MAX),
            Some(s)
                if self.pipe.is_empty() && ports(s.give, &self.outputs).any(|c| channels[c].beats > 0) =>
            {
                Some(u32::MAX)
            }
            Some(_) => None,
        }
    }

    fn skip(&mut self, cycles: u32) {
        if self.prologue > 0 {
            self.prologue -= cycles.min(self.prologue);
        } else if let Some(s) = self.program.get(self.at.0).copied()
            && s.take == 0
            && s.give == 0
            && !self.pipe.iter().any(|g| *g != 0)
        {
            self.step(s, cycles);
        }
    }
}

/// Channels of the ports in a bit mask.
fn ports(mask: u8, channels: &[usize]) -> impl Iterator<Item = usize> {
    channels.iter().enumerate().filter(move |(n, _)| mask >> n & 1 == 1).map(|(_, c)| *c)
}
