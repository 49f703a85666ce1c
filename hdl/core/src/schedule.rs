//! Exact time: what a module's control does, cycle by cycle, in a form that Rust can replay.
//!
//! A module is a pipeline of `depth` stages fed by a sequence of slots. In a cycle in which the pipeline is enabled, the
//! next slot enters when the beats it takes are there; a slot that has passed `depth` stages writes the beats it gives
//! into the output registers. The pipeline is enabled unless the slot at its end must give and an output register is
//! still full. A beat written in one cycle can be taken in the next. `back` replays this for whole designs; the
//! conformance tests hold it against the RTL.

/// How a module moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// A pipeline fed by slots.
    Pipeline {
        /// Cycles between a slot's entry and its gift; 0 when it gives in the cycle it enters.
        depth: u32,
        /// Cycles after reset before the first slot may enter.
        prologue: u32,
    },
    /// A queue: takes while fewer than `capacity` beats are inside, gives from the cycle after.
    Fifo {
        /// Beats it holds.
        capacity: u32,
    },
}

/// `repeat` equal actions of a module's control, one a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Bit n: takes a beat from input n.
    pub take: u8,
    /// Bit n: gives a beat to output n.
    pub give: u8,
    /// How often, at least once.
    pub repeat: u32,
}

/// The slots of one or more time steps, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Run-length coded.
    pub slots: Vec<Slot>,
}

impl Schedule {
    fn push(&mut self, take: u8, give: u8, repeat: usize) {
        let repeat = repeat as u32;
        if let Some(last) = self.slots.last_mut()
            && (last.take, last.give) == (take, give)
        {
            last.repeat += repeat;
        } else if repeat > 0 {
            self.slots.push(Slot { take, give, repeat });
        }
    }

    /// Takes `n` beats from input 0.
    pub fn take(&mut self, n: usize) {
        self.push(1, 0, n);
    }

    /// Works for `n` cycles.
    pub fn busy(&mut self, n: usize) {
        self.push(0, 0, n);
    }

    /// Gives `n` beats to output 0.
    pub fn give(&mut self, n: usize) {
        self.push(0, 1, n);
    }

    /// Takes from input 0 and gives to the outputs in `outputs` (bit mask), `n` times.
    pub fn pass(&mut self, outputs: u8, n: usize) {
        self.pass_from(1, outputs, n);
    }

    /// Takes from the inputs in `inputs` and gives to the outputs in `outputs` (bit masks), `n` times.
    pub fn pass_from(&mut self, inputs: u8, outputs: u8, n: usize) {
        self.push(inputs, outputs, n);
    }
}
