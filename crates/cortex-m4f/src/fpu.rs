//! The floating-point unit: its registers, its instructions, and the lazy stacking of them.

use crate::bus::Bus;
use crate::core::Core;
use crate::exception::Trap;
use crate::execute::must_be_aligned;
use crate::float::{FpuState, Rounding};
use crate::instruction::{Fp, FpData, FpUnary};
use crate::state::FPCA;

/// FPSCR's bits that can be written.
pub(crate) const WRITABLE: u32 = 0xF7C0_009F;
const DEFAULTS: u32 = 0x07C0_0000;

// FPCCR.
pub(crate) const ASPEN: u32 = 1 << 31;
pub(crate) const LSPEN: u32 = 1 << 30;
const MONRDY: u32 = 1 << 8;
const BFRDY: u32 = 1 << 6;
const MMRDY: u32 = 1 << 5;
const HFRDY: u32 = 1 << 4;
const THREAD: u32 = 1 << 3;
const USER: u32 = 1 << 1;
const LSPACT: u32 = 1;

#[derive(Debug, Clone, Default)]
pub(crate) struct Fpu {
    pub s: [u32; 32],
    pub fpscr: u32,
}

impl Fpu {
    fn unit(&self) -> FpuState {
        let rounding = match self.fpscr >> 22 & 3 {
            0 => Rounding::Nearest,
            1 => Rounding::Up,
            2 => Rounding::Down,
            _ => Rounding::TowardZero,
        };
        let [alternative_half, default_nan, flush] = [26, 25, 24].map(|bit| self.fpscr >> bit & 1 != 0);
        FpuState { rounding, flush, default_nan, alternative_half, flags: 0 }
    }

    fn s(&self, number: u8) -> u32 {
        self.s[usize::from(number & 31)]
    }

    fn set_s(&mut self, number: u8, value: u32) {
        self.s[usize::from(number & 31)] = value;
    }

    /// Runs an operation with the unit's modes and keeps its flags.
    fn compute<R>(&mut self, operation: impl FnOnce(&mut FpuState) -> R) -> R {
        let mut unit = self.unit();
        let result = operation(&mut unit);
        self.fpscr |= unit.flags;
        result
    }
}

fn negated(value: u32) -> u32 {
    value ^ 1 << 31
}

impl Core {
    #[inline(never)]
    pub(crate) fn floating_point<B: Bus>(&mut self, bus: &mut B, op: Fp) -> Result<(), Trap> {
        if !self.state.system.fpu_is_enabled(self.state.privileged()) {
            return Err(Trap::NoCoprocessor);
        }
        if op == Fp::Undefined {
            return Err(Trap::Undefined);
        }
        self.claim_fpu(bus)?;
        let fpu = &mut self.state.fpu;
        match op {
            Fp::Data { op, d, n, m } => {
                let (a, n, m) = (fpu.s(d), fpu.s(n), fpu.s(m));
                let value = fpu.compute(|unit| data(unit, op, a, n, m));
                fpu.set_s(d, value);
                self.state.cycles += match op {
                    FpData::Div => 13,
                    FpData::Add | FpData::Sub | FpData::Mul | FpData::Nmul => 0,
                    _ => 2,
                };
            }
            Fp::Unary { op, d, m } => {
                let a = fpu.s(m);
                let value = match op {
                    FpUnary::Mov => a,
                    FpUnary::Abs => a & !(1 << 31),
                    FpUnary::Neg => negated(a),
                    FpUnary::Sqrt => {
                        self.state.cycles += 13;
                        fpu.compute(|unit| unit.square_root(a))
                    }
                };
                fpu.set_s(d, value);
            }
            Fp::MovImm { d, imm } => fpu.set_s(d, imm),
            Fp::Compare { d, m, zero, signal_quiet } => {
                let (a, b) = (fpu.s(d), if zero { 0 } else { fpu.s(m) });
                let nzcv = fpu.compute(|unit| unit.compare(a, b, signal_quiet));
                fpu.fpscr = fpu.fpscr & !(15 << 28) | nzcv << 28;
            }
            Fp::ToInt { d, m, signed, toward_zero } => {
                let a = fpu.s(m);
                let value = fpu.compute(|unit| {
                    let rounding = if toward_zero { Rounding::TowardZero } else { unit.rounding };
                    unit.fixed_of(a, 32, 0, signed, rounding)
                });
                fpu.set_s(d, value);
            }
            Fp::FromInt { d, m, signed } => {
                let a = fpu.s(m);
                let value = fpu.compute(|unit| unit.float_of_fixed(a, 32, 0, signed));
                fpu.set_s(d, value);
            }
            Fp::ToFixed { d, signed, bits, fraction } => {
                let a = fpu.s(d);
                let value = fpu.compute(|unit| unit.fixed_of(a, bits, fraction, signed, Rounding::TowardZero));
                fpu.set_s(d, value);
            }
            Fp::FromFixed { d, signed, bits, fraction } => {
                let a = fpu.s(d);
                let value = fpu.compute(|unit| {
                    unit.rounding = Rounding::Nearest;
                    unit.float_of_fixed(a, bits, fraction, signed)
                });
                fpu.set_s(d, value);
            }
            Fp::ToHalf { d, m, top } => {
                let (a, old) = (fpu.s(m), fpu.s(d));
                let half = u32::from(fpu.compute(|unit| unit.half_of(a)));
                fpu.set_s(d, if top { old & 0xFFFF | half << 16 } else { old & 0xFFFF_0000 | half });
            }
            Fp::FromHalf { d, m, top } => {
                let a = fpu.s(m);
                let value = fpu.compute(|unit| unit.float_of_half((if top { a >> 16 } else { a }) as u16));
                fpu.set_s(d, value);
            }
            Fp::FromCore { n, t } => self.state.fpu.set_s(n, self.r(t)),
            Fp::ToCore { n, t } => self.set_r(t, self.state.fpu.s(n)),
            Fp::FromCore2 { m, t, t2 } => {
                self.state.fpu.set_s(m, self.r(t));
                self.state.fpu.set_s(m + 1, self.r(t2));
                self.state.cycles += 1;
            }
            Fp::ToCore2 { m, t, t2 } => {
                self.set_r(t, self.state.fpu.s(m));
                self.set_r(t2, self.state.fpu.s(m + 1));
                self.state.cycles += 1;
            }
            Fp::WriteStatus { t } => self.state.fpu.fpscr = self.r(t) & WRITABLE,
            Fp::ReadStatus { t: 15 } => self.state.flags.set_nzcv(self.state.fpu.fpscr >> 28),
            Fp::ReadStatus { t } => self.set_r(t, self.state.fpu.fpscr),
            Fp::Load { d, n, count, offset } => {
                let base = if n == 15 { self.r(15) & !3 } else { self.r(n) };
                self.load_fpu(bus, d, base.wrapping_add_signed(offset), count)?;
            }
            Fp::Store { d, n, count, offset } => {
                let base = if n == 15 { self.r(15) & !3 } else { self.r(n) };
                self.store_fpu(bus, d, base.wrapping_add_signed(offset), count)?;
            }
            Fp::LoadMany { d, n, count, down, writeback } => {
                let (start, end) = self.block(n, count, down);
                self.load_fpu(bus, d, start, count)?;
                if writeback {
                    self.set_r(n, end);
                }
            }
            Fp::StoreMany { d, n, count, down, writeback } => {
                let (start, end) = self.block(n, count, down);
                self.store_fpu(bus, d, start, count)?;
                if writeback {
                    self.set_r(n, end);
                }
            }
            Fp::Undefined => {}
        }
        Ok(())
    }

    /// Start address of `count` words from or below register n, and the new value of n.
    fn block(&self, n: u8, count: u8, down: bool) -> (u32, u32) {
        let (base, size) = (self.r(n), 4 * u32::from(count));
        let moved = if down { base.wrapping_sub(size) } else { base.wrapping_add(size) };
        (if down { moved } else { base }, moved)
    }

    fn load_fpu<B: Bus>(&mut self, bus: &mut B, d: u8, address: u32, count: u8) -> Result<(), Trap> {
        must_be_aligned(address, 4)?;
        let mut values = [0; 32];
        for n in 0..count.min(32) {
            values[usize::from(n)] = self.load(bus, address.wrapping_add(4 * u32::from(n)), 4)?;
        }
        for n in 0..count.min(32) {
            self.state.fpu.set_s(d + n, values[usize::from(n)]);
        }
        Ok(())
    }

    fn store_fpu<B: Bus>(&mut self, bus: &mut B, d: u8, address: u32, count: u8) -> Result<(), Trap> {
        must_be_aligned(address, 4)?;
        for n in 0..count.min(32) {
            self.store(bus, address.wrapping_add(4 * u32::from(n)), 4, self.state.fpu.s(d + n))?;
        }
        Ok(())
    }

    // ---- lazy stacking (B1.5.7) ----

    /// ExecuteFPCheck: completes lazy stacking and marks the context as using the unit.
    fn claim_fpu<B: Bus>(&mut self, bus: &mut B) -> Result<(), Trap> {
        if self.state.system.fpccr & LSPACT != 0 {
            self.stack_lazily(bus)?;
        }
        if self.state.system.fpccr & ASPEN != 0 && self.state.control & FPCA == 0 {
            self.state.fpu.fpscr = self.state.fpu.fpscr & !DEFAULTS | self.state.system.fpdscr & DEFAULTS;
            self.state.control |= FPCA;
        }
        Ok(())
    }

    fn stack_lazily<B: Bus>(&mut self, bus: &mut B) -> Result<(), Trap> {
        let (address, privileged) = (self.state.system.fpcar, self.state.system.fpccr & USER == 0);
        self.put_fpu(bus, address, privileged).map_err(|trap| match trap {
            Trap::MpuData => Trap::MpuLazy,
            _ => Trap::BusLazy,
        })?;
        self.state.system.fpccr &= !LSPACT;
        Ok(())
    }

    fn put_fpu<B: Bus>(&mut self, bus: &mut B, address: u32, privileged: bool) -> Result<(), Trap> {
        for n in 0..16 {
            self.store_as(bus, address.wrapping_add(4 * u32::from(n)), 4, self.state.fpu.s(n), privileged)?;
        }
        self.store_as(bus, address.wrapping_add(0x40), 4, self.state.fpu.fpscr, privileged)
    }

    /// The floating-point half of a new frame: written now or deferred.
    pub(crate) fn stack_fpu<B: Bus>(&mut self, bus: &mut B, address: u32, privileged: bool) -> Result<(), Trap> {
        if self.state.system.fpccr & LSPEN == 0 {
            return self.put_fpu(bus, address, privileged);
        }
        let priority = self.execution_priority();
        let in_thread = self.state.exception == 0;
        let system = &mut self.state.system;
        system.fpcar = address & !7;
        let ready = |exception: u16| system.enabled() >> exception & 1 != 0 && priority > system.priority(exception);
        let mut bits = LSPACT | system.fpccr & (ASPEN | LSPEN);
        bits |= if privileged { 0 } else { USER };
        bits |= if in_thread { THREAD } else { 0 };
        bits |= if priority > -1 { HFRDY } else { 0 };
        bits |= if ready(crate::exception::BUS_FAULT) { BFRDY } else { 0 };
        bits |= if ready(crate::exception::MEM_MANAGE) { MMRDY } else { 0 };
        bits |= if ready(crate::exception::DEBUG_MONITOR) { MONRDY } else { 0 };
        system.fpccr = bits;
        Ok(())
    }

    /// The floating-point half of a frame on return.
    pub(crate) fn unstack_fpu<B: Bus>(&mut self, bus: &mut B, address: u32, privileged: bool) -> Result<(), Trap> {
        if self.state.system.fpccr & LSPACT != 0 {
            // The registers have not been used since: they still hold the frame's values.
            self.state.system.fpccr &= !LSPACT;
            return Ok(());
        }
        for n in 0..16 {
            let word = self.load_as(bus, address.wrapping_add(4 * u32::from(n)), 4, privileged)?;
            self.state.fpu.set_s(n, word);
        }
        self.state.fpu.fpscr = self.load_as(bus, address.wrapping_add(0x40), 4, privileged)? & WRITABLE;
        Ok(())
    }
}

fn data(unit: &mut FpuState, op: FpData, a: u32, n: u32, m: u32) -> u32 {
    match op {
        FpData::Add => unit.add(n, m),
        FpData::Sub => unit.subtract(n, m),
        FpData::Mul => unit.multiply(n, m),
        FpData::Nmul => negated(unit.multiply(n, m)),
        FpData::Div => unit.divide(n, m),
        FpData::Mla => {
            let product = unit.multiply(n, m);
            unit.add(a, product)
        }
        FpData::Mls => {
            let product = unit.multiply(n, m);
            unit.add(a, negated(product))
        }
        FpData::Nmla => {
            let product = unit.multiply(n, m);
            unit.add(negated(a), negated(product))
        }
        FpData::Nmls => {
            let product = unit.multiply(n, m);
            unit.add(negated(a), product)
        }
        FpData::Fma => unit.multiply_add(a, n, m),
        FpData::Fms => unit.multiply_add(a, negated(n), m),
        FpData::Fnma => unit.multiply_add(negated(a), negated(n), m),
        FpData::Fnms => unit.multiply_add(negated(a), n, m),
    }
}
