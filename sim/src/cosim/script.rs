//! What is written and read over a register bus to load other weights, and what must come of it.

use anyhow::{Context, Result, ensure};
use nervure_core::{Bank, Bus, Design};

const CONTROL: u32 = 4;
const STATUS: u32 = 8;
const COMMIT: u32 = 0xc;
const CHECK: u32 = 0x10;
const CRC: u32 = 0x14;
/// An address where there is nothing.
const NOTHING: u32 = 0xffc;
const IDLE: u32 = 1;
const PENDING: u32 = 2;
const CHECKING: u32 = 4;
/// What the register at address 0 reads as.
const ID: u32 = 0x4e45_5256;

const WRITE: u32 = 0;
const READ: u32 = 1;
const POLL: u32 = 2;
/// Tries what must be refused, or what is there before anything was written.
const EARLY: u32 = 16;
/// Before this the other weights are not in use.
const FROM: u32 = 32;
/// After this they are.
const TO: u32 = 64;
/// Samples begin at full speed meanwhile.
const FAST: u32 = 128;

/// One access: kind and flags, address, data, mask (of bytes for a write, of bits for what is read), whether it is refused.
type Access = [u32; 5];

/// Accesses that make the weights of a design those of another one.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) list: Vec<Access>,
}

impl Script {
    fn write(&mut self, flags: u32, address: u32, data: u32) {
        self.list.push([WRITE | flags, address, data, 15, 0]);
    }

    fn read(&mut self, flags: u32, address: u32, data: u32) {
        self.list.push([READ | flags, address, data, u32::MAX, 0]);
    }

    fn poll(&mut self, flags: u32, bits: u32, value: u32) {
        self.list.push([POLL | flags, STATUS, value, bits, 0]);
    }

    fn refused(&mut self, kind: u32, address: u32, data: u32) {
        self.list.push([kind | EARLY, address, data, if kind == WRITE { 15 } else { 0 }, 1]);
    }

    /// Accesses that try what must be refused or be as at the start.
    pub(super) fn early(&self) -> u64 {
        self.list.iter().filter(|a| a[0] & EARLY != 0).count() as u64
    }

    /// As the simulation reads it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.list.iter().flatten().flat_map(|w| w.to_le_bytes()).collect()
    }

    /// Writes words, each in two halves with the other one wrong, where a write has a mask for bytes.
    fn load(&mut self, words: &[[u32; 2]], bus: Bus) {
        for &[address, data] in words {
            match bus {
                Bus::AxiLite => {
                    self.list.push([WRITE, address, data ^ 0xffff_0000, 3, 0]);
                    self.list.push([WRITE, address, data ^ 0xffff, 12, 0]);
                }
                Bus::I2c => self.write(0, address, data),
            }
        }
    }

    /// A checksum of the words that wait or, `active`, of those in use.
    fn check(&mut self, active: u32, crc: u32) {
        // One byte: over two wires the next would come while the checksum is made.
        self.list.push([WRITE, CHECK, active, 1, 0]);
        self.poll(0, CHECKING, 0);
        self.read(0, CRC, crc);
    }
}

/// Pairs of address and data that make the memories and stores of a design those of `other`, the same design with other
/// weights.
///
/// Errors: the designs have different ones.
pub fn writes(design: &Design, other: &Design) -> Result<Vec<[u32; 2]>> {
    let (banks, others) = (design.banks(), other.banks());
    ensure!(banks == others && !banks.is_empty(), "the designs differ in what the register bus reaches");
    ensure!(others.iter().all(|b| words(other, b).is_ok()), "an address beyond 32 bits");
    Ok(others.iter().flat_map(|bank| words(other, bank).unwrap_or_default()).collect())
}

/// Addresses and words of a bank.
fn words(design: &Design, bank: &Bank) -> Result<Vec<[u32; 2]>> {
    columns(design, bank, design.held(bank).width.div_ceil(32))
}

/// The same with what lies between them and reads as zero: what a checksum is made of.
fn image(design: &Design) -> Result<Vec<[u32; 2]>> {
    let banks = design.banks();
    let lists = banks.iter().filter(|b| b.buffered).map(|b| columns(design, b, 1 << b.column_bits));
    Ok(lists.collect::<Result<Vec<_>>>()?.concat())
}

/// So many times 32 bits of each word of a bank.
fn columns(design: &Design, bank: &Bank, columns: usize) -> Result<Vec<[u32; 2]>> {
    let memory = design.held(bank);
    let mut list = Vec::new();
    for (row, word) in memory.words.iter().enumerate() {
        let digits: Vec<u32> = word.chars().rev().filter_map(|c| c.to_digit(16)).collect();
        for column in 0..columns {
            let part = digits.iter().skip(8 * column).take(8).enumerate();
            let data = part.fold(0, |data, (n, digit)| data | digit << (4 * n));
            let address = bank.base + ((row as u64) << (bank.column_bits + 2)) + 4 * column as u64;
            list.push([u32::try_from(address).context("an address beyond 32 bits")?, data]);
        }
    }
    Ok(list)
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc(words: &[[u32; 2]]) -> u32 {
    let bytes = words.iter().flat_map(|[_, data]| data.to_le_bytes());
    !bytes.fold(u32::MAX, |crc, byte| {
        let step = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        (0..8).fold(crc ^ u32::from(byte), step)
    })
}

/// Loads what `other` has, and looks at everything on the way.
pub(super) fn script(design: &Design, other: &Design) -> Result<Script> {
    writes(design, other)?;
    let of = |design: &Design, buffered: bool| -> Result<Vec<[u32; 2]>> {
        let banks = design.banks();
        let lists = banks.iter().filter(|b| b.buffered == buffered).map(|b| words(design, b));
        Ok(lists.collect::<Result<Vec<_>>>()?.concat())
    };
    let (memories, stores) = (of(other, false)?, of(other, true)?);
    let (before, after) = (image(design)?, image(other)?);
    let mut s = Script::default();
    // Registers, and what is refused.
    if let Some(&[address, data]) = memories.first() {
        s.refused(WRITE, address, data);
        s.refused(READ, address, 0);
    }
    s.read(EARLY, 0, ID);
    s.refused(WRITE, 0, 1);
    s.refused(READ, NOTHING, 0);
    s.read(EARLY, CONTROL, 0);
    if !stores.is_empty() {
        // What is written waits, and samples pass as before.
        s.check(1, crc(&before));
        s.load(&stores, design.bus);
        s.check(0, crc(&after));
        s.check(1, crc(&before));
        if design.bus == Bus::AxiLite {
            s.write(0, CHECK, 0);
            s.refused(WRITE, stores[0][0], !stores[0][1]);
            s.refused(READ, stores[0][0], 0);
            s.refused(WRITE, COMMIT, 1);
            s.refused(READ, CRC, 0);
            s.poll(0, CHECKING, 0);
        }
        // Over two wires some are enough: the checksum is of all.
        let some = if design.bus == Bus::I2c { 64 } else { stores.len() };
        stores.iter().take(some).for_each(|[address, data]| s.read(0, *address, *data));
    }
    let held = !memories.is_empty();
    if held {
        s.write(0, CONTROL, 1);
        s.poll(FROM | TO, IDLE, IDLE);
        s.load(&memories, design.bus);
        memories.iter().for_each(|[address, data]| s.read(0, *address, *data));
    }
    if !stores.is_empty() {
        // The pipeline is full when the commitment comes; over two wires it takes long enough itself.
        if !held && design.bus == Bus::AxiLite {
            (0..16).for_each(|_| s.read(FAST, 0, ID));
        }
        s.list.push([WRITE | if held { 0 } else { FROM | FAST }, COMMIT, 1, 1, 0]);
        s.poll(if held { 0 } else { TO }, PENDING, 0);
        s.check(1, crc(&after));
        // What was written stays.
        s.check(0, crc(&after));
    }
    if held {
        s.list.push([WRITE, CONTROL, 0, 1, 0]);
    }
    Ok(s)
}
