//! The only definition of a number format, of rounding, of overflow and of requantization.
//!
//! Golden models, the kernel interpreter and the emitted Verilog all follow this module; nothing else rounds.

mod format;
mod requant;
mod round;

pub use format::{Overflow, QType};
pub use requant::{Multiplier, Requant, Shift};
pub use round::Rounding;

/// Bits of the shortest two's-complement field that holds every value of `lo..=hi`; signed when `lo < 0`.
pub fn bits_for(lo: i128, hi: i128) -> u32 {
    if lo >= 0 {
        (128 - hi.leading_zeros()).max(1)
    } else {
        let bits = |v: i128| 129 - (if v < 0 { !v } else { v }).leading_zeros();
        bits(lo).max(bits(hi))
    }
}

/// Greatest common divisor; `gcd(0, n)` is `n`.
pub const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Bits of a counter that counts `n` things from zero; at least 1.
pub fn counter_bits(n: usize) -> usize {
    (usize::BITS - n.saturating_sub(1).leading_zeros()).max(1) as usize
}
