//! All kinds of encodings in programs, in groups.

mod branch;
mod data;
mod dsp;
mod fault;
mod float;
mod memory;
mod narrow;
mod system;

use crate::asm::{movt, movw};
use crate::layout::{DATA, DATA_BYTES};
use crate::rng::Rng;

/// One kind of encoding.
#[derive(Clone, Copy)]
pub struct Kind {
    pub group: &'static str,
    pub name: &'static str,
    /// One instruction that may be in an IT block or be jumped over.
    pub plain: bool,
    emit: fn(&mut Build, u32),
    argument: u32,
}

/// The smallest part of a program that can be left out: an instruction, with those that set up its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Index into [`kinds`].
    pub kind: usize,
    pub code: Vec<u16>,
    /// Required address modulo 4, if any.
    pub align: Option<u32>,
    /// It writes an exception frame below its stack pointer.
    pub faults: bool,
    /// In an IT block.
    pub conditional: bool,
}

/// All kinds. A change of the order changes the programs of a seed.
pub fn kinds() -> Vec<Kind> {
    let mut table = Table { group: "", kinds: Vec::new() };
    narrow::add(&mut table);
    data::add(&mut table);
    dsp::add(&mut table);
    memory::add(&mut table);
    branch::add(&mut table);
    system::add(&mut table);
    float::add(&mut table);
    fault::add(&mut table);
    table.kinds
}

/// Groups and how often each is chosen.
pub const GROUPS: [(&str, u32); 15] = [
    ("narrow", 14),
    ("wide-data", 14),
    ("shift-by-register", 5),
    ("bit-field", 4),
    ("saturate", 5),
    ("parallel", 7),
    ("extend-reverse", 6),
    ("multiply", 9),
    ("divide", 3),
    ("memory", 14),
    ("branch", 7),
    ("system", 4),
    ("float", 24),
    ("float-memory", 5),
    ("fault", 1),
];

/// Collects the kinds of the modules.
struct Table {
    group: &'static str,
    kinds: Vec<Kind>,
}

impl Table {
    /// Adds a kind that can be anywhere.
    fn plain(&mut self, name: &'static str, emit: fn(&mut Build, u32), argument: u32) {
        self.kinds.push(Kind { group: self.group, name, plain: true, emit, argument });
    }

    /// Adds a kind that cannot be in an IT block or has more than one instruction.
    fn alone(&mut self, name: &'static str, emit: fn(&mut Build, u32), argument: u32) {
        self.kinds.push(Kind { group: self.group, name, plain: false, emit, argument });
    }
}

/// A unit under construction.
pub(crate) struct Build<'a> {
    pub rng: &'a mut Rng,
    all: &'a [Kind],
    /// Sets up operands; comes first.
    setup: Vec<u16>,
    body: Vec<u16>,
    align: Option<u32>,
    faults: bool,
}

/// A random unit of this kind.
pub fn unit(all: &[Kind], index: usize, rng: &mut Rng) -> Fragment {
    let mut build = Build { rng, all, setup: Vec::new(), body: Vec::new(), align: None, faults: false };
    let kind = all[index];
    let conditional = kind.plain && build.rng.chance(20);
    if conditional {
        build.if_then(kind);
    } else {
        (kind.emit)(&mut build, kind.argument);
    }
    let mut code = build.setup;
    code.extend(build.body);
    Fragment { kind: index, code, align: build.align, faults: build.faults, conditional }
}

impl Build<'_> {
    fn narrow(&mut self, half: u32) {
        self.body.push(half as u16);
    }

    fn wide(&mut self, first: u32, second: u32) {
        self.body.extend([first as u16, second as u16]);
    }

    /// Gives a register a value before the instruction.
    fn set(&mut self, register: u32, value: u32) {
        for [first, second] in [movw(register, value & 0xFFFF), movt(register, value >> 16)] {
            self.setup.extend([first as u16, second as u16]);
        }
    }

    /// r0 to r7.
    fn low(&mut self) -> u32 {
        self.rng.below(8)
    }

    /// r0 to r12, or lr.
    fn reg(&mut self) -> u32 {
        match self.rng.below(14) {
            13 => 14,
            number => number,
        }
    }

    /// Like [`Build::reg`], none of these.
    fn other(&mut self, not: &[u32]) -> u32 {
        loop {
            let register = self.reg();
            if !not.contains(&register) {
                return register;
            }
        }
    }

    /// Like [`Build::low`], none of these.
    fn other_low(&mut self, not: &[u32]) -> u32 {
        loop {
            let register = self.low();
            if !not.contains(&register) {
                return register;
            }
        }
    }

    /// An address in the data area with this many bytes after it, a multiple of `align`.
    fn address(&mut self, bytes: u32, align: u32) -> u32 {
        DATA + self.rng.below((DATA_BYTES - bytes) / align + 1) * align
    }

    fn emit_plain(&mut self) {
        let plain: Vec<&Kind> = self.all.iter().filter(|kind| kind.plain && kind.group == "narrow").collect();
        let kind = *self.rng.pick(&plain);
        (kind.emit)(self, kind.argument);
    }

    /// `kind` with up to three others in an IT block. The one that sets up operands is the first, so that none of the others
    /// can spoil them.
    fn if_then(&mut self, kind: Kind) {
        (kind.emit)(self, kind.argument);
        let others = self.rng.below(4);
        for _ in 0..others {
            self.emit_plain();
        }
        let condition = self.rng.below(15);
        let mut mask = 1 << (3 - others);
        for place in 0..others {
            // AL has no opposite.
            let bit = if condition == 14 { 0 } else { condition & 1 ^ self.rng.bit() };
            mask |= bit << (3 - place);
        }
        self.body.insert(0, (0xBF00 | condition << 4 | mask) as u16);
    }
}

/// The index of the kind that an instruction of this group and name has.
pub fn index_of(all: &[Kind], group: &str, name: &str) -> Option<usize> {
    all.iter().position(|kind| kind.group == group && kind.name == name)
}
