//! Execution of the instructions (A7.7), except the floating-point ones.

use crate::bus::Bus;
use crate::core::Core;
use crate::dsp;
use crate::exception::{SVCALL, Trap};
use crate::flags::{add_with_carry, shift_with_carry};
use crate::instruction::{Alu, Carry, DualMultiply, HalfMultiply, Hint, Index, Instruction, Shift, Width};
use crate::state::{FPCA, NPRIV, SPSEL, Sleep};

/// Bits of R13 that can be set.
const REGISTER_MASKS: [u32; 16] = {
    let mut masks = [u32::MAX; 16];
    masks[13] = !3;
    masks
};

impl Core {
    #[inline(always)]
    pub(crate) fn r(&self, number: u8) -> u32 {
        self.state.r[usize::from(number & 15)]
    }

    /// Sets a register other than the program counter.
    #[inline(always)]
    pub(crate) fn set_r(&mut self, number: u8, value: u32) {
        let number = usize::from(number & 15);
        self.state.r[number] = value & REGISTER_MASKS[number];
    }

    #[inline(always)]
    fn branch(&mut self, target: u32) {
        self.state.pc = target & !1;
        self.state.cycles += 2;
    }

    /// BXWritePC: a return from an exception if the value is one.
    #[inline(always)]
    fn branch_exchange<B: Bus>(&mut self, bus: &mut B, target: u32) -> Result<(), Trap> {
        if target >> 28 == 15 && self.state.in_handler() {
            return self.exception_return(bus, target);
        }
        if target & 1 == 0 {
            // The next instruction would be one of ARM state, and faults.
            self.state.thumb = false;
            self.state.raise();
        }
        self.branch(target);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn execute<B: Bus>(&mut self, bus: &mut B, instruction: Instruction) -> Result<(), Trap> {
        match instruction {
            Instruction::MovImm { s, d, carry, imm } => {
                self.set_r(d, imm);
                if s {
                    self.state.flags.set_nz(imm);
                    self.set_carry(carry);
                }
            }
            Instruction::MovReg { s, d, m } => {
                let value = self.r(m);
                self.set_r(d, value);
                if s {
                    self.state.flags.set_nz(value);
                }
            }
            Instruction::AddImm { s, d, n, imm } => {
                let a = self.r(n);
                let sum = if s { self.state.flags.add(a, imm) } else { a.wrapping_add(imm) };
                self.set_r(d, sum);
            }
            Instruction::SubImm { s, d, n, imm } => {
                let a = self.r(n);
                let difference = if s { self.state.flags.subtract(a, imm) } else { a.wrapping_sub(imm) };
                self.set_r(d, difference);
            }
            Instruction::AddReg { s, d, n, m } => {
                let (a, b) = (self.r(n), self.r(m));
                let sum = if s { self.state.flags.add(a, b) } else { a.wrapping_add(b) };
                self.set_r(d, sum);
            }
            Instruction::SubReg { s, d, n, m } => {
                let (a, b) = (self.r(n), self.r(m));
                let difference = if s { self.state.flags.subtract(a, b) } else { a.wrapping_sub(b) };
                self.set_r(d, difference);
            }
            Instruction::CmpImm { n, imm } => {
                self.state.flags.subtract(self.r(n), imm);
            }
            Instruction::CmpReg { n, m } => {
                self.state.flags.subtract(self.r(n), self.r(m));
            }
            Instruction::AluImm { op, s, d, n, carry, imm } => {
                let shifted_out = match carry {
                    Carry::Keep => self.state.flags.c,
                    Carry::Clear => false,
                    Carry::Set => true,
                };
                self.alu(op, s, d, self.r(n), imm, shifted_out);
            }
            Instruction::AluReg { op, s, d, n, m, shift, amount } => {
                let (b, shifted_out) = shift_with_carry(self.r(m), shift, amount.into(), self.state.flags.c);
                self.alu(op, s, d, self.r(n), b, shifted_out);
            }
            Instruction::ShiftReg { shift, s, d, n, m } => {
                let (value, carry) = shift_with_carry(self.r(n), shift, self.r(m) & 0xFF, self.state.flags.c);
                self.set_r(d, value);
                if s {
                    self.state.flags.set_nz(value);
                    self.state.flags.c = carry;
                }
            }
            Instruction::MovPc { m } => self.branch(self.r(m)),
            Instruction::AddPc { m } => self.branch(self.r(15).wrapping_add(self.r(m))),
            Instruction::Movt { d, imm } => self.set_r(d, self.r(d) & 0xFFFF | u32::from(imm) << 16),
            Instruction::Bfi { d, n, lsb, width } => {
                let mask = ones(width);
                self.set_r(d, self.r(d) & !(mask << lsb) | (self.r(n) & mask) << lsb);
            }
            Instruction::Bfc { d, lsb, width } => self.set_r(d, self.r(d) & !(ones(width) << lsb)),
            Instruction::Ubfx { d, n, lsb, width } => self.set_r(d, self.r(n) >> lsb & ones(width)),
            Instruction::Sbfx { d, n, lsb, width } => {
                let unused = 32 - u32::from(width.min(32));
                self.set_r(d, (((self.r(n) >> lsb) << unused) as i32 >> unused) as u32);
            }

            Instruction::Branch { target } => self.branch(target),
            Instruction::BranchIf { condition, target } => {
                if self.state.flags.pass(condition) {
                    self.branch(target);
                }
            }
            Instruction::BranchLink { target } => {
                self.state.r[14] = self.state.pc | 1;
                self.branch(target);
            }
            Instruction::BranchZero { n, zero, target } => {
                if (self.r(n) == 0) == zero {
                    self.branch(target);
                }
            }
            Instruction::Bx { m } => return self.branch_exchange(bus, self.r(m)),
            Instruction::Blx { m } => {
                let target = self.r(m);
                self.state.r[14] = self.state.pc | 1;
                if target & 1 == 0 {
                    self.state.thumb = false;
                    self.state.raise();
                }
                self.branch(target);
            }
            Instruction::TableBranch { n, m, half } => {
                let (base, index) = (self.r(n), self.r(m));
                let entry = match half {
                    false => self.load(bus, base.wrapping_add(index), 1)?,
                    true => self.load(bus, base.wrapping_add(index << 1), 2)?,
                };
                self.branch(self.r(15).wrapping_add(2 * entry));
            }
            Instruction::It { state } => self.state.it = state,

            Instruction::LoadWord { t, n, offset } => {
                let value = self.load(bus, self.r(n).wrapping_add(offset), 4)?;
                return self.loaded_word(bus, t, value);
            }
            Instruction::LoadByte { t, n, offset } => {
                let value = self.load(bus, self.r(n).wrapping_add(offset), 1)?;
                self.set_r(t, value);
            }
            Instruction::LoadHalf { t, n, offset } => {
                let value = self.load(bus, self.r(n).wrapping_add(offset), 2)?;
                self.set_r(t, value);
            }
            Instruction::StoreWord { t, n, offset } => {
                return self.store(bus, self.r(n).wrapping_add(offset), 4, self.r(t));
            }
            Instruction::StoreByte { t, n, offset } => {
                return self.store(bus, self.r(n).wrapping_add(offset), 1, self.r(t));
            }
            Instruction::StoreHalf { t, n, offset } => {
                return self.store(bus, self.r(n).wrapping_add(offset), 2, self.r(t));
            }
            Instruction::LoadLiteral { width, t, address } => {
                let value = self.load_width(bus, width, address)?;
                return self.loaded_word(bus, t, value);
            }
            Instruction::LoadReg { width, t, n, m, amount } => {
                let value = self.load_width(bus, width, self.r(n).wrapping_add(self.r(m) << amount))?;
                return self.loaded_word(bus, t, value);
            }
            Instruction::StoreReg { width, t, n, m, amount } => {
                return self.store_width(bus, width, self.r(n).wrapping_add(self.r(m) << amount), self.r(t));
            }
            Instruction::LoadImm { width, index, t, n, offset } => {
                let (address, base) = indexed(self.r(n), index, offset);
                let value = self.load_width(bus, width, address)?;
                if let Some(base) = base {
                    self.set_r(n, base);
                }
                return self.loaded_word(bus, t, value);
            }
            Instruction::StoreImm { width, index, t, n, offset } => {
                let (address, base) = indexed(self.r(n), index, offset);
                self.store_width(bus, width, address, self.r(t))?;
                if let Some(base) = base {
                    self.set_r(n, base);
                }
            }
            Instruction::LoadMany { n, down, writeback, list } => {
                return self.load_many(bus, n, down, writeback, list);
            }
            Instruction::StoreMany { n, down, writeback, list } => {
                return self.store_many(bus, n, down, writeback, list);
            }
            Instruction::Mul { s, d, n, m } => {
                let product = self.r(n).wrapping_mul(self.r(m));
                self.set_r(d, product);
                if s {
                    self.state.flags.set_nz(product);
                }
            }
            Instruction::Mla { d, n, m, a } => {
                self.set_r(d, self.r(n).wrapping_mul(self.r(m)).wrapping_add(self.r(a)));
            }
            Instruction::Mls { d, n, m, a } => {
                self.set_r(d, self.r(a).wrapping_sub(self.r(n).wrapping_mul(self.r(m))));
            }
            Instruction::MulLong { signed, accumulate, low, high, n, m } => {
                let product = match signed {
                    true => (i64::from(self.r(n) as i32) * i64::from(self.r(m) as i32)) as u64,
                    false => u64::from(self.r(n)) * u64::from(self.r(m)),
                };
                let sum = if accumulate { product.wrapping_add(self.pair(low, high)) } else { product };
                self.set_pair(low, high, sum);
            }
            Instruction::Extend { op, d, n, m, rotate } => {
                let base = if n == 15 { 0 } else { self.r(n) };
                self.set_r(d, dsp::extend(op, base, self.r(m).rotate_right(rotate.into())));
            }
            Instruction::Reverse { op, d, m } => self.set_r(d, dsp::reverse(op, self.r(m))),
            Instruction::Hint { op: Hint::Nop } => {}
            other => return self.execute_rare(bus, other),
        }
        Ok(())
    }

    /// The less common instructions.
    #[inline(never)]
    fn execute_rare<B: Bus>(&mut self, bus: &mut B, instruction: Instruction) -> Result<(), Trap> {
        match instruction {
            Instruction::LoadUser { width, t, n, offset } => {
                let address = self.r(n).wrapping_add(offset);
                let value = self.load_as(bus, address, width.bytes(), false)?;
                self.set_r(t, extended(width, value));
            }
            Instruction::StoreUser { width, t, n, offset } => {
                let address = self.r(n).wrapping_add(offset);
                return self.store_as(bus, address, width.bytes(), self.r(t), false);
            }
            Instruction::LoadDual { index, t, t2, n, offset } => {
                let base = if n == 15 { self.r(15) & !3 } else { self.r(n) };
                let (address, new_base) = indexed(base, index, offset);
                must_be_aligned(address, 4)?;
                let first = self.load(bus, address, 4)?;
                let second = self.load(bus, address.wrapping_add(4), 4)?;
                if let Some(base) = new_base {
                    self.set_r(n, base);
                }
                self.set_r(t, first);
                self.set_r(t2, second);
            }
            Instruction::StoreDual { index, t, t2, n, offset } => {
                let (address, new_base) = indexed(self.r(n), index, offset);
                must_be_aligned(address, 4)?;
                self.store(bus, address, 4, self.r(t))?;
                self.store(bus, address.wrapping_add(4), 4, self.r(t2))?;
                if let Some(base) = new_base {
                    self.set_r(n, base);
                }
            }
            Instruction::LoadExclusive { width, t, n, offset } => {
                let address = self.r(n).wrapping_add(offset);
                must_be_aligned(address, width.bytes())?;
                let value = self.load(bus, address, width.bytes())?;
                self.state.exclusive = true;
                self.set_r(t, value);
            }
            Instruction::StoreExclusive { width, d, t, n, offset } => {
                let address = self.r(n).wrapping_add(offset);
                must_be_aligned(address, width.bytes())?;
                let succeeds = std::mem::take(&mut self.state.exclusive);
                if succeeds {
                    self.store(bus, address, width.bytes(), self.r(t))?;
                }
                self.set_r(d, u32::from(!succeeds));
            }
            Instruction::ClearExclusive => self.state.exclusive = false,
            Instruction::Umaal { low, high, n, m } => {
                let product = u64::from(self.r(n)) * u64::from(self.r(m));
                self.set_pair(low, high, product + u64::from(self.r(low)) + u64::from(self.r(high)));
            }
            Instruction::Divide { signed, d, n, m } => {
                let (a, b) = (self.r(n), self.r(m));
                self.state.cycles += 2;
                if b == 0 && self.state.system.traps_division_by_zero() {
                    return Err(Trap::DivideByZero);
                }
                let quotient = match signed {
                    _ if b == 0 => 0,
                    true => (a as i32).wrapping_div(b as i32) as u32,
                    false => a / b,
                };
                self.set_r(d, quotient);
            }
            Instruction::HalfMultiply { op, d, n, m, a, n_top, m_top } => {
                self.half_multiply(op, [d, n, m, a], n_top, m_top);
            }
            Instruction::DualMultiply { op, d, n, m, a, x } => {
                self.state.cycles += 1;
                let (left, right) = (self.r(n), self.r(m));
                if matches!(op, DualMultiply::Smlald | DualMultiply::Smlsld) {
                    let sum = self.pair(a, d).wrapping_add(dsp::products(op, left, right, x) as u64);
                    self.set_r(a, sum as u32);
                    self.set_r(d, (sum >> 32) as u32);
                } else {
                    let (value, overflows) = dsp::dual_multiply(op, left, right, self.r(a), x);
                    self.set_r(d, value);
                    self.state.flags.q |= overflows;
                }
            }
            Instruction::Saturate { signed, d, n, bits, shift, amount } => {
                let operand = match (shift, amount) {
                    (Shift::Asr, amount) => self.r(n) as i32 >> amount.min(31),
                    (_, amount) => (self.r(n) << amount) as i32,
                };
                let (value, saturated) = dsp::saturate(operand.into(), bits, signed);
                self.set_r(d, value);
                self.state.flags.q |= saturated;
            }
            Instruction::Saturate16 { signed, d, n, bits } => {
                let (low, low_saturated) = dsp::saturate(dsp::half(self.r(n), false), bits, signed);
                let (high, high_saturated) = dsp::saturate(dsp::half(self.r(n), true), bits, signed);
                self.set_r(d, low & 0xFFFF | high << 16);
                self.state.flags.q |= low_saturated | high_saturated;
            }
            Instruction::SaturatingAdd { subtract, double, d, n, m } => {
                let mut second = i64::from(self.r(n) as i32);
                if double {
                    let (doubled, saturated) = dsp::saturate(2 * second, 32, true);
                    second = i64::from(doubled as i32);
                    self.state.flags.q |= saturated;
                }
                let first = i64::from(self.r(m) as i32);
                let exact = if subtract { first - second } else { first + second };
                let (value, saturated) = dsp::saturate(exact, 32, true);
                self.set_r(d, value);
                self.state.flags.q |= saturated;
            }
            Instruction::Parallel { lanes, op, d, n, m } => {
                let (value, ge) = dsp::parallel(lanes, op, self.r(n), self.r(m));
                self.set_r(d, value);
                if let Some(ge) = ge {
                    self.state.flags.ge = ge;
                }
            }
            Instruction::Select { d, n, m } => {
                self.set_r(d, dsp::select(self.state.flags.ge, self.r(n), self.r(m)));
            }
            Instruction::AbsoluteDifferences { d, n, m, a } => {
                let base = if a == 15 { 0 } else { self.r(a) };
                self.set_r(d, base.wrapping_add(dsp::absolute_differences(self.r(n), self.r(m))));
            }
            Instruction::Pack { top, d, n, m, amount } => {
                let (left, right) = (self.r(n), self.r(m));
                let value = match top {
                    false => left & 0xFFFF | right << amount & 0xFFFF_0000,
                    true => {
                        let shifted = right as i32 >> if amount == 0 || amount > 31 { 31 } else { amount };
                        left & 0xFFFF_0000 | shifted as u32 & 0xFFFF
                    }
                };
                self.set_r(d, value);
            }
            Instruction::Hint { op: Hint::Wfe } => {
                if !std::mem::take(&mut self.state.event) {
                    self.state.asleep = Some(Sleep::Event);
                    self.state.raise();
                }
            }
            Instruction::Hint { op: Hint::Wfi } => {
                self.state.asleep = Some(Sleep::Interrupt);
                self.state.raise();
            }
            Instruction::Hint { op: Hint::Sev } => self.state.event = true,
            Instruction::Cps { disable, primask, faultmask } => {
                if self.state.privileged() {
                    if primask {
                        self.state.primask = disable;
                    }
                    if faultmask && (!disable || self.execution_priority() > -1) {
                        self.state.faultmask = disable;
                    }
                    self.state.raise();
                }
            }
            Instruction::Mrs { d, special } => {
                let value = self.read_special(special);
                self.set_r(d, value);
            }
            Instruction::Msr { n, special, mask } => self.write_special(special, mask, self.r(n)),
            Instruction::Svc => {
                if self.execution_priority() <= self.state.system.group(self.state.system.priority(SVCALL)) {
                    return Err(Trap::Supervisor);
                }
                self.enter(bus, SVCALL, self.state.pc);
            }
            Instruction::Breakpoint => return Err(Trap::Breakpoint),
            Instruction::Fp { op } => return self.floating_point(bus, op),
            Instruction::Coprocessor { .. } => return Err(Trap::NoCoprocessor),
            _ => return Err(Trap::Undefined),
        }
        Ok(())
    }

    #[inline(always)]
    fn set_carry(&mut self, carry: Carry) {
        match carry {
            Carry::Keep => {}
            Carry::Clear => self.state.flags.c = false,
            Carry::Set => self.state.flags.c = true,
        }
    }

    #[inline(always)]
    fn alu(&mut self, op: Alu, s: bool, d: u8, a: u32, b: u32, shifted_out: bool) {
        let flags = &mut self.state.flags;
        let carry = flags.c;
        let logical = |value| (value, shifted_out, flags.v);
        let (value, c, v) = match op {
            Alu::And | Alu::Tst => logical(a & b),
            Alu::Bic => logical(a & !b),
            Alu::Orr => logical(a | b),
            Alu::Orn => logical(a | !b),
            Alu::Eor | Alu::Teq => logical(a ^ b),
            Alu::Mov => logical(b),
            Alu::Mvn => logical(!b),
            Alu::Add | Alu::Cmn => add_with_carry(a, b, false),
            Alu::Adc => add_with_carry(a, b, carry),
            Alu::Sub | Alu::Cmp => add_with_carry(a, !b, true),
            Alu::Sbc => add_with_carry(a, !b, carry),
            Alu::Rsb => add_with_carry(!a, b, true),
        };
        if s || op.only_tests() {
            flags.set_nz(value);
            (flags.c, flags.v) = (c, v);
        }
        if !op.only_tests() {
            self.set_r(d, value);
        }
    }

    fn pair(&self, low: u8, high: u8) -> u64 {
        u64::from(self.r(high)) << 32 | u64::from(self.r(low))
    }

    fn set_pair(&mut self, low: u8, high: u8, value: u64) {
        self.set_r(low, value as u32);
        self.set_r(high, (value >> 32) as u32);
        self.state.cycles += 1;
    }

    fn half_multiply(&mut self, op: HalfMultiply, [d, n, m, a]: [u8; 4], n_top: bool, m_top: bool) {
        self.state.cycles += 1;
        let factor = dsp::half(self.r(m), m_top);
        let accumulator = i64::from(self.r(a) as i32);
        let product = match op {
            HalfMultiply::Smulw | HalfMultiply::Smlaw => (i64::from(self.r(n) as i32) * factor) >> 16,
            _ => dsp::half(self.r(n), n_top) * factor,
        };
        match op {
            HalfMultiply::Smul | HalfMultiply::Smulw => self.set_r(d, product as u32),
            HalfMultiply::Smla | HalfMultiply::Smlaw => {
                let sum = product + accumulator;
                self.set_r(d, sum as u32);
                self.state.flags.q |= sum != i64::from(sum as i32);
            }
            HalfMultiply::Smlal => {
                let sum = self.pair(a, d).wrapping_add(product as u64);
                self.set_r(a, sum as u32);
                self.set_r(d, (sum >> 32) as u32);
            }
        }
    }

    // ---- loads and stores ----

    #[inline(always)]
    fn load_width<B: Bus>(&mut self, bus: &mut B, width: Width, address: u32) -> Result<u32, Trap> {
        let value = match width {
            Width::Byte | Width::SignedByte => self.load(bus, address, 1)?,
            Width::Half | Width::SignedHalf => self.load(bus, address, 2)?,
            Width::Word => self.load(bus, address, 4)?,
        };
        Ok(extended(width, value))
    }

    #[inline(always)]
    fn store_width<B: Bus>(&mut self, bus: &mut B, width: Width, address: u32, value: u32) -> Result<(), Trap> {
        match width {
            Width::Byte | Width::SignedByte => self.store(bus, address, 1, value),
            Width::Half | Width::SignedHalf => self.store(bus, address, 2, value),
            Width::Word => self.store(bus, address, 4, value),
        }
    }

    /// A word may be loaded into the program counter, which is a branch.
    #[inline(always)]
    fn loaded_word<B: Bus>(&mut self, bus: &mut B, t: u8, value: u32) -> Result<(), Trap> {
        if t == 15 {
            return self.branch_exchange(bus, value);
        }
        self.set_r(t, value);
        Ok(())
    }

    #[inline(never)]
    fn load_many<B: Bus>(&mut self, bus: &mut B, n: u8, down: bool, writeback: bool, list: u16) -> Result<(), Trap> {
        let size = 4 * list.count_ones();
        let base = self.r(n);
        let start = if down { base.wrapping_sub(size) } else { base };
        must_be_aligned(start, 4)?;
        // Registers change after all reads, so that the instruction can be repeated after a fault.
        let mut values = [0; 16];
        let (mut address, mut rest) = (start, list);
        while rest != 0 {
            let register = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            values[register] = self.load(bus, address, 4)?;
            address = address.wrapping_add(4);
        }
        if writeback {
            self.set_r(n, if down { start } else { address });
        }
        let mut rest = list & 0x7FFF;
        while rest != 0 {
            let register = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            self.set_r(register, values[usize::from(register)]);
        }
        if list >> 15 != 0 {
            return self.branch_exchange(bus, values[15]);
        }
        Ok(())
    }

    #[inline(never)]
    fn store_many<B: Bus>(&mut self, bus: &mut B, n: u8, down: bool, writeback: bool, list: u16) -> Result<(), Trap> {
        let size = 4 * list.count_ones();
        let base = self.r(n);
        let start = if down { base.wrapping_sub(size) } else { base };
        must_be_aligned(start, 4)?;
        let (mut address, mut rest) = (start, list);
        while rest != 0 {
            let register = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            self.store(bus, address, 4, self.r(register))?;
            address = address.wrapping_add(4);
        }
        if writeback {
            self.set_r(n, if down { start } else { address });
        }
        Ok(())
    }

    // ---- special registers (B5.2) ----

    fn read_special(&self, special: u8) -> u32 {
        let state = &self.state;
        let privileged = state.privileged();
        match special {
            0..=7 => {
                let ipsr = if special & 1 != 0 { u32::from(state.exception) } else { 0 };
                // EPSR reads as zero.
                ipsr | if special & 4 == 0 { state.flags.apsr() } else { 0 }
            }
            8 if privileged => state.main_stack(),
            9 if privileged => state.process_stack(),
            16 if privileged => state.primask.into(),
            17 | 18 if privileged => state.basepri.into(),
            19 if privileged => state.faultmask.into(),
            20 => state.control.into(),
            _ => 0,
        }
    }

    fn write_special(&mut self, special: u8, mask: u8, value: u32) {
        let privileged = self.state.privileged();
        let keep = self.state.system.priority_mask();
        let urgent = self.execution_priority() <= -1;
        let state = &mut self.state;
        match special {
            0..=3 => {
                if mask & 2 != 0 {
                    state.flags.set_nzcv(value >> 28);
                    state.flags.q = value >> 27 & 1 != 0;
                }
                if mask & 1 != 0 {
                    state.flags.ge = (value >> 16 & 15) as u8;
                }
                return;
            }
            _ if !privileged => return,
            8 => state.set_main_stack(value),
            9 => state.set_process_stack(value),
            16 => state.primask = value & 1 != 0,
            17 => state.basepri = value as u8 & keep,
            18 => {
                let new = value as u8 & keep;
                if new != 0 && (new < state.basepri || state.basepri == 0) {
                    state.basepri = new;
                }
            }
            19 if value & 1 == 0 || !urgent => state.faultmask = value & 1 != 0,
            20 => {
                let settable = if state.in_handler() { NPRIV | FPCA } else { NPRIV | SPSEL | FPCA };
                state.control = state.control & !settable | value as u8 & settable;
                state.select_stack();
            }
            _ => {}
        }
        state.raise();
    }
}

fn ones(width: u8) -> u32 {
    if width >= 32 { u32::MAX } else { (1 << width) - 1 }
}

#[inline(always)]
fn extended(width: Width, value: u32) -> u32 {
    match width {
        Width::SignedByte => value as i8 as u32,
        Width::SignedHalf => value as i16 as u32,
        _ => value,
    }
}

/// The address, and the new value of the base.
#[inline(always)]
fn indexed(base: u32, index: Index, offset: i32) -> (u32, Option<u32>) {
    let moved = base.wrapping_add_signed(offset);
    match index {
        Index::Offset => (moved, None),
        Index::Pre => (moved, Some(moved)),
        Index::Post => (base, Some(moved)),
    }
}

pub(crate) fn must_be_aligned(address: u32, bytes: u32) -> Result<(), Trap> {
    if address.is_multiple_of(bytes) { Ok(()) } else { Err(Trap::Unaligned) }
}
