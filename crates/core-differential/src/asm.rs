//! A small assembler: the few instructions of the runtime, and how code grows halfword by halfword.

/// Code that is placed at a known address.
#[derive(Debug, Clone, Default)]
pub struct Asm {
    base: u32,
    pub halves: Vec<u16>,
}

/// Condition of a branch.
pub const EQ: u32 = 0;
pub const NE: u32 = 1;
pub const HS: u32 = 2;
pub const SP: u32 = 13;
pub const LR: u32 = 14;

/// A branch whose target is not known yet.
#[must_use]
pub struct Hole {
    at: usize,
    condition: Option<u32>,
}

impl Asm {
    pub fn new(base: u32) -> Asm {
        Asm { base, halves: Vec::new() }
    }

    pub fn here(&self) -> u32 {
        self.base + 2 * self.halves.len() as u32
    }

    pub fn narrow(&mut self, half: u32) {
        self.halves.push(half as u16);
    }

    pub fn wide(&mut self, [first, second]: [u32; 2]) {
        self.halves.extend([first as u16, second as u16]);
    }

    /// Loads a whole word, without any flag.
    pub fn set(&mut self, register: u32, value: u32) {
        self.wide(movw(register, value & 0xFFFF));
        self.wide(movt(register, value >> 16));
    }

    pub fn ldr(&mut self, register: u32, base: u32, offset: u32) {
        self.wide([0xF8D0 | base, register << 12 | offset]);
    }

    pub fn str(&mut self, register: u32, base: u32, offset: u32) {
        self.wide([0xF8C0 | base, register << 12 | offset]);
    }

    /// `LDMIA base, {list}`, with write-back if that is wanted.
    pub fn ldm(&mut self, base: u32, write_back: bool, list: u32) {
        self.wide([0xE890 | u32::from(write_back) << 5 | base, list]);
    }

    pub fn stm(&mut self, base: u32, list: u32) {
        self.wide([0xE8A0 | base, list]);
    }

    pub fn mrs(&mut self, register: u32, special: u32) {
        self.wide(mrs(register, special));
    }

    pub fn msr(&mut self, special: u32, register: u32) {
        self.wide(msr(special, 2, register));
    }

    /// Branches to a known address, here or before.
    pub fn branch(&mut self, condition: Option<u32>, target: u32) {
        let offset = target.wrapping_sub(self.here() + 4);
        self.wide(branch(condition, offset));
    }

    pub fn branch_ahead(&mut self, condition: Option<u32>) -> Hole {
        let at = self.halves.len();
        self.wide([0, 0]);
        Hole { at, condition }
    }

    /// Lets a branch end here.
    pub fn land(&mut self, hole: Hole) {
        let offset = 2 * (self.halves.len() - hole.at) as u32 - 4;
        let [first, second] = branch(hole.condition, offset);
        self.halves[hole.at..hole.at + 2].copy_from_slice(&[first as u16, second as u16]);
    }
}

fn immediate(opcode: u32, register: u32, value: u32) -> [u32; 2] {
    [opcode | (value >> 11 & 1) << 10 | value >> 12, (value >> 8 & 7) << 12 | register << 8 | value & 0xFF]
}

pub fn movw(register: u32, value: u32) -> [u32; 2] {
    immediate(0xF240, register, value)
}

pub fn movt(register: u32, value: u32) -> [u32; 2] {
    immediate(0xF2C0, register, value)
}

pub fn mrs(register: u32, special: u32) -> [u32; 2] {
    [0xF3EF, 0x8000 | register << 8 | special]
}

/// `mask` chooses the parts of APSR; it is 2 for every other register.
pub fn msr(special: u32, mask: u32, register: u32) -> [u32; 2] {
    [0xF380 | register, 0x8000 | mask << 10 | special]
}

/// B.W with an offset from the instruction's address + 4.
pub fn branch(condition: Option<u32>, offset: u32) -> [u32; 2] {
    let sign = offset >> 31;
    let low = offset >> 1 & 0x7FF;
    match condition {
        Some(condition) => {
            let (j1, j2) = (offset >> 18 & 1, offset >> 19 & 1);
            [0xF000 | sign << 10 | condition << 6 | offset >> 12 & 0x3F, 0x8000 | j1 << 13 | j2 << 11 | low]
        }
        None => long_branch(0x9000, offset),
    }
}

/// BL with an offset from the instruction's address + 4.
pub fn branch_with_link(offset: u32) -> [u32; 2] {
    long_branch(0xD000, offset)
}

fn long_branch(opcode: u32, offset: u32) -> [u32; 2] {
    let sign = offset >> 31;
    // J1 and J2 are the next two bits, inverted if the offset is not negative.
    let (j1, j2) = (offset >> 23 & 1 ^ sign ^ 1, offset >> 22 & 1 ^ sign ^ 1);
    [0xF000 | sign << 10 | offset >> 12 & 0x3FF, opcode | j1 << 13 | j2 << 11 | offset >> 1 & 0x7FF]
}

/// Whether this halfword is the first of a 32-bit instruction.
pub fn is_wide(first: u16) -> bool {
    first >> 11 >= 0b11101
}
