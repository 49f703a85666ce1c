//! What a kernel costs on a target: delay and area of each operation. Estimates; the recorded truth is Yosys'.

use super::{Kernel, Op, Stages, Value};
use crate::block::Area;
use crate::num::Rounding;
use crate::target::Target;

impl Kernel {
    /// Delay of `value`'s operation, picoseconds.
    pub fn delay_ps(&self, value: &Value, t: &Target) -> u32 {
        let bits = value.range.bits();
        let width = |id: super::ValueId| self.value(id).range.bits();
        match value.op {
            Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..) | Op::Const => 0,
            Op::Shl(..) | Op::Wrap(_) => 0,
            Op::Shr(_, _, Rounding::Floor) | Op::Complement(_) => 0,
            Op::Add(a, b) if self.side_by_side(a, b).is_some() => 0,
            Op::Add(..) | Op::AddCarry(..) | Op::Sub(..) | Op::Shr(..) => t.adder_ps(bits),
            Op::Mul(a, b) if t.multiplier_bits[0] > 0 => {
                let passes =
                    width(a).div_ceil(t.multiplier_bits[0]) * width(b).div_ceil(t.multiplier_bits[1]);
                t.multiplier_ps + (passes - 1) * t.adder_ps(bits)
            }
            Op::Mul(a, b) => width(a).min(width(b)).div_ceil(2) * t.adder_ps(bits),
            Op::Compare(_, a, b) => t.adder_ps(width(a).max(width(b)) / 2),
            Op::Bit(..) | Op::Not(_) | Op::Select(..) => t.lut_ps,
            Op::Clamp(_) => 2 * t.lut_ps,
            Op::Table(a, _) => t.lut_ps * (1 + width(a).saturating_sub(t.lut_inputs)),
        }
    }

    /// Estimated area of one copy, registers between pipeline stages not counted.
    pub fn area(&self, t: &Target) -> Area {
        self.values.iter().fold(Area::default(), |sum, v| sum + self.value_area(v, t))
    }

    /// Estimated area of a flat kernel as a module, scheduled for the target's own clock.
    pub fn flat_area(&self, t: &Target) -> Area {
        self.module_area(t, &self.flat_stages(t, t.budget_ps(t.clock_mhz), u32::MAX))
    }

    /// Estimated area of a flat kernel as a module: the logic, the registers between its stages, of its outputs and of its
    /// stores (each word twice), and the handshake.
    pub fn module_area(&self, t: &Target, stages: &Stages) -> Area {
        let outputs: u32 = self.outputs.iter().map(|(p, _)| u32::from(p.format.bits)).sum();
        let held: usize = self.stores.iter().map(|s| s.words.len() * s.format.bits as usize).sum();
        let registers = stages.register_bits(self) as u32 + outputs + 2 * stages.count + 2 * held as u32;
        self.area(t) + Area { lut: 4, ff: registers, ..Area::default() }
    }

    fn value_area(&self, value: &Value, t: &Target) -> Area {
        let bits = value.range.bits();
        let width = |id: super::ValueId| self.value(id).range.bits();
        let constant = |id: super::ValueId| self.value(id).op == Op::Const;
        let lut = match value.op {
            Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..) | Op::Const => 0,
            Op::Shl(..) | Op::Wrap(_) => 0,
            Op::Shr(_, _, Rounding::Floor) | Op::Not(_) | Op::Complement(_) => 0,
            Op::Add(a, b) if self.side_by_side(a, b).is_some() => 0,
            Op::Add(..) | Op::AddCarry(..) | Op::Sub(..) | Op::Shr(..) => bits,
            Op::Mul(a, b) => {
                let (wide, narrow) = (width(a).max(width(b)), width(a).min(width(b)));
                if constant(a) || constant(b) {
                    bits * narrow.div_ceil(3)
                } else if t.multiplier_bits[0] > 0 {
                    let dsp = wide.div_ceil(t.multiplier_bits[0]) * narrow.div_ceil(t.multiplier_bits[1]);
                    return Area { dsp, ..Area::default() };
                } else {
                    wide * narrow
                }
            }
            Op::Compare(_, a, b) => {
                let w = width(a).max(width(b));
                if constant(a) || constant(b) { w.div_ceil(3) } else { w.div_ceil(2) }
            }
            Op::Bit(..) => 1,
            Op::Select(_, a, b) => {
                if constant(a) || constant(b) {
                    bits.div_ceil(2)
                } else {
                    bits
                }
            }
            Op::Clamp(a) => bits + (width(a) - bits).div_ceil(3),
            Op::Table(a, _) => bits << width(a).saturating_sub(t.lut_inputs),
        };
        Area { lut, ..Area::default() }
    }
}
