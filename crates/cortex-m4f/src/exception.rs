//! Exceptions: pending, priorities, entry and return, faults (chapter B1.5).

use crate::bus::{Bus, Fault};
use crate::core::Core;
use crate::debug::Halted;
use crate::state::{FPCA, SPSEL, Sleep};
use crate::system::{
    BFARVALID, BFSR_IBUSERR, BFSR_LSPERR, BFSR_PRECISERR, BFSR_STKERR, BFSR_UNSTKERR, DIV_0_TRP_STATUS, FORCED,
    HFSR_DEBUGEVT, INVPC, INVSTATE, MMARVALID, MMFSR_DACCVIOL, MMFSR_IACCVIOL, MMFSR_MLSPERR, MMFSR_MSTKERR,
    MMFSR_MUNSTKERR, NOCP, SCR_SEVONPEND, SCR_SLEEPONEXIT, UNALIGNED, UNDEFINSTR, VECTTBL,
};

pub(crate) const NMI: u16 = 2;
pub(crate) const HARD_FAULT: u16 = 3;
pub(crate) const MEM_MANAGE: u16 = 4;
pub(crate) const BUS_FAULT: u16 = 5;
pub(crate) const USAGE_FAULT: u16 = 6;
pub(crate) const SVCALL: u16 = 11;
pub(crate) const DEBUG_MONITOR: u16 = 12;
pub(crate) const PENDSV: u16 = 14;
pub(crate) const SYSTICK: u16 = 15;
/// The exception of interrupt 0.
pub(crate) const FIRST_INTERRUPT: u16 = 16;

/// Cycles of entry and return without the words of the frame, and of a tail-chain.
const ENTRY_CYCLES: u64 = 12;
const RETURN_CYCLES: u64 = 10;
const TAIL_CHAIN_CYCLES: u64 = 6;

/// Bit of a stacked xPSR: the frame was moved by a word to be aligned.
const REALIGNED: u32 = 1 << 9;
/// EXC_RETURN bits: no floating-point frame; to thread mode; from the process stack.
const BASIC: u32 = 1 << 4;
const TO_THREAD: u32 = 1 << 3;
const FROM_PROCESS_STACK: u32 = 1 << 2;

/// Why an instruction cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    Undefined,
    InvalidState,
    InvalidPc,
    NoCoprocessor,
    Unaligned,
    DivideByZero,
    /// The bus refused the instruction, or a load or store.
    BusFetch,
    BusData,
    /// The MPU or the address map refused it.
    MpuFetch,
    MpuData,
    /// The lazy stacking of the floating-point registers failed.
    BusLazy,
    MpuLazy,
    /// BKPT without a debugger.
    Breakpoint,
    /// SVC at a priority that SVCall cannot interrupt.
    Supervisor,
}

impl Core {
    // ---- pending exceptions ----

    /// An exception enters the pending state.
    pub(crate) fn pend(&mut self, exception: u16) {
        let bit = 1 << exception;
        if self.state.system.pending & bit == 0 {
            self.state.system.pending |= bit;
            self.state.event |= self.state.system.scr & SCR_SEVONPEND != 0;
        }
        self.state.raise();
    }

    /// Lines pend their interrupts while these are not active.
    pub(crate) fn latch_lines(&mut self) {
        let system = &mut self.state.system;
        let new = u128::from(self.state.lines) << FIRST_INTERRUPT & !system.active & !system.pending;
        if new != 0 {
            system.pending |= new;
            self.state.event |= system.scr & SCR_SEVONPEND != 0;
        }
    }

    /// The exception to enter now, if one has a higher priority than the current execution.
    pub(crate) fn takeable(&self) -> Option<u16> {
        let system = &self.state.system;
        let mut candidates = system.pending & system.enabled();
        if self.state.debug.masks_interrupts() {
            candidates &= (1 << PENDSV) - 1;
        }
        let (exception, priority) = system.most_urgent(candidates)?;
        (system.group(priority) < self.execution_priority()).then_some(exception)
    }

    /// Whether an exception would be entered if PRIMASK were clear, which ends WFI.
    pub(crate) fn would_be_taken_unmasked(&self) -> bool {
        let system = &self.state.system;
        let Some((_, priority)) = system.most_urgent(system.pending & system.enabled()) else { return false };
        system.group(priority) < self.priority_with(false)
    }

    pub(crate) fn execution_priority(&self) -> i16 {
        self.priority_with(self.state.primask)
    }

    fn priority_with(&self, primask: bool) -> i16 {
        let (state, system) = (&self.state, &self.state.system);
        let mut priority = system.active_priority();
        if state.basepri != 0 {
            priority = priority.min(system.group(state.basepri.into()));
        }
        if primask {
            priority = priority.min(0);
        }
        if state.faultmask {
            priority = priority.min(-1);
        }
        priority
    }

    // ---- reset ----

    pub(crate) fn reset_sequence<B: Bus>(&mut self, bus: &mut B) {
        let vectors = self.state.system.vtor;
        let stack = self.vector(bus, vectors).unwrap_or(0);
        let start = self.vector(bus, vectors.wrapping_add(4)).unwrap_or(0);
        let state = &mut self.state;
        state.resetting = false;
        state.r[13] = stack & !3;
        state.r[14] = u32::MAX;
        (state.pc, state.thumb) = (start & !1, start & 1 != 0);
        state.r[15] = state.pc.wrapping_add(4);
        state.steps += 1;
        state.cycles += 2;
        state.raise();
    }

    /// A word of the vector table, regardless of the MPU.
    fn vector<B: Bus>(&mut self, bus: &mut B, address: u32) -> Option<u32> {
        self.read_plain(bus, address, 4)
    }

    // ---- entry ----

    /// Stacks a frame and enters the handler. `back`: return address of the handler.
    pub(crate) fn enter<B: Bus>(&mut self, bus: &mut B, exception: u16, back: u32) {
        let with_fpu = self.state.control & FPCA != 0 && self.state.system.fpu_is_enabled(self.state.privileged());
        let realign = (self.state.system.aligns_stack() || with_fpu) && self.state.r[13] & 4 != 0;
        let size = if with_fpu { 0x68 } else { 0x20 };
        let sp = self.state.r[13].wrapping_sub(size + if realign { 4 } else { 0 });
        let state = &self.state;
        let xpsr = state.xpsr() & !REALIGNED | if realign { REALIGNED } else { 0 };
        let frame = [state.r[0], state.r[1], state.r[2], state.r[3], state.r[12], state.r[14], back, xpsr];
        let privileged = state.privileged();
        self.state.r[13] = sp;
        let mut failed = None;
        for (n, word) in frame.iter().enumerate() {
            if let Err(trap) = self.store_as(bus, sp.wrapping_add(4 * n as u32), 4, *word, privileged) {
                failed = failed.or(Some(trap));
            }
        }
        if with_fpu && let Err(trap) = self.stack_fpu(bus, sp.wrapping_add(0x20), privileged) {
            failed = failed.or(Some(trap));
        }
        let mode = match (self.state.in_handler(), self.state.on_process_stack) {
            (true, _) => 0,
            (false, false) => TO_THREAD,
            (false, true) => TO_THREAD | FROM_PROCESS_STACK,
        };
        self.state.r[14] = 0xFFFF_FFE1 | mode | if with_fpu { 0 } else { BASIC };
        self.state.cycles += ENTRY_CYCLES;
        let exception = match failed {
            Some(trap) => self.derived(trap, exception, MMFSR_MSTKERR, BFSR_STKERR),
            None => Some(exception),
        };
        match exception {
            Some(exception) => self.take(bus, exception),
            None => self.lock_up(),
        }
    }

    /// Stacking for `wanted` failed: returns the exception to enter; the other one stays pending. `None`: lockup.
    fn derived(&mut self, trap: Trap, wanted: u16, mpu: u32, bus: u32) -> Option<u16> {
        let (fault, status) = if trap == Trap::MpuData { (MEM_MANAGE, mpu) } else { (BUS_FAULT, bus) };
        let system = &mut self.state.system;
        system.cfsr |= status;
        if wanted == HARD_FAULT || wanted == NMI {
            // Even HardFault's stacking failed: it is entered without a frame, or not at all.
            return Some(wanted);
        }
        let outranks = system.enabled() & 1 << fault != 0 && system.priority(fault) < system.priority(wanted);
        let escalates = system.enabled() & 1 << fault == 0;
        if escalates {
            system.hfsr |= FORCED;
            system.pending |= 1 << wanted;
            return Some(HARD_FAULT);
        }
        if outranks {
            system.pending |= 1 << wanted;
            return Some(fault);
        }
        system.pending |= 1 << fault;
        Some(wanted)
    }

    /// ExceptionTaken (B1.5.6): handler mode, the vector.
    fn take<B: Bus>(&mut self, bus: &mut B, exception: u16) {
        let bit = 1 << exception;
        let state = &mut self.state;
        state.exception = exception;
        state.it = 0;
        state.control &= !FPCA;
        state.select_stack();
        // CONTROL.SPSEL reads 0 in handler mode; the return value keeps the mode.
        state.control &= !SPSEL;
        state.system.active |= bit;
        state.system.pending &= !bit;
        (state.exclusive, state.event) = (false, true);
        state.asleep = None;
        let address = state.system.vtor.wrapping_add(4 * u32::from(exception));
        match self.vector(bus, address) {
            Some(handler) => (self.state.pc, self.state.thumb) = (handler & !1, handler & 1 != 0),
            None => self.vector_fails(bus, exception),
        }
        if self.state.debug.catches(exception, self.state.system.cfsr) {
            self.state.debug.halt(Halted::Vector);
        }
        self.state.raise();
    }

    fn vector_fails<B: Bus>(&mut self, bus: &mut B, exception: u16) {
        self.state.system.hfsr |= VECTTBL;
        if matches!(exception, HARD_FAULT | NMI) {
            return self.lock_up();
        }
        self.state.system.active |= 1 << HARD_FAULT;
        self.report(bus, HARD_FAULT, None, self.state.pc);
        self.state.exception = HARD_FAULT;
        let address = self.state.system.vtor.wrapping_add(4 * u32::from(HARD_FAULT));
        match self.vector(bus, address) {
            Some(handler) => (self.state.pc, self.state.thumb) = (handler & !1, handler & 1 != 0),
            None => self.lock_up(),
        }
    }

    pub(crate) fn lock_up(&mut self) {
        self.state.locked_up = true;
        self.state.pc = 0xFFFF_FFFE;
        self.state.raise();
    }

    // ---- return ----

    /// A load or branch put `value` into the program counter in handler mode.
    pub(crate) fn exception_return<B: Bus>(&mut self, bus: &mut B, value: u32) -> Result<(), Trap> {
        let returning = self.state.exception;
        let with_fpu = value & BASIC == 0;
        let nested = self.state.system.active.count_ones() > 1;
        let is_legal = match value & 0xF {
            0x1 => nested,
            0x9 | 0xD => !nested || self.state.system.lets_threads_nest(),
            _ => false,
        };
        if self.state.system.active & 1 << returning == 0 || value | 0x1F != u32::MAX || !is_legal {
            return Err(Trap::InvalidPc);
        }
        if with_fpu && !self.state.system.fpu_is_enabled(true) {
            return Err(Trap::NoCoprocessor);
        }
        self.state.system.active &= !(1 << returning);
        if returning != NMI {
            self.state.faultmask = false;
        }
        self.latch_lines();
        if let Some(next) = self.takeable() {
            self.state.r[14] = value;
            self.state.cycles += TAIL_CHAIN_CYCLES;
            self.take(bus, next);
            return Ok(());
        }
        self.unstack(bus, value)
    }

    fn unstack<B: Bus>(&mut self, bus: &mut B, value: u32) -> Result<(), Trap> {
        let with_fpu = value & BASIC == 0;
        let (to_thread, from_process) = (value & TO_THREAD != 0, value & FROM_PROCESS_STACK != 0);
        // The frame is read with the privileges of the code it returns to.
        let privileged = !to_thread || self.state.control & crate::state::NPRIV == 0;
        let sp = if from_process { self.state.process_stack() } else { self.state.main_stack() };
        let mut frame = [0; 8];
        let mut failed = None;
        for (n, word) in frame.iter_mut().enumerate() {
            match self.load_as(bus, sp.wrapping_add(4 * n as u32), 4, privileged) {
                Ok(read) => *word = read,
                Err(trap) => failed = failed.or(Some(trap)),
            }
        }
        if with_fpu && let Err(trap) = self.unstack_fpu(bus, sp.wrapping_add(0x20), privileged) {
            failed = failed.or(Some(trap));
        }
        self.state.cycles += RETURN_CYCLES;
        if let Some(trap) = failed {
            return self.unstacking_failed(bus, trap, value);
        }
        let realigned = frame[7] & REALIGNED != 0 && (self.state.system.aligns_stack() || with_fpu);
        let size = if with_fpu { 0x68 } else { 0x20 } + if realigned { 4 } else { 0 };
        let state = &mut self.state;
        if from_process {
            state.set_process_stack(sp.wrapping_add(size));
        } else {
            state.set_main_stack(sp.wrapping_add(size));
        }
        state.r[..4].copy_from_slice(&frame[..4]);
        (state.r[12], state.r[14], state.pc) = (frame[4], frame[5], frame[6] & !1);
        state.set_xpsr(frame[7]);
        if to_thread != (state.exception == 0) {
            // The frame does not match the return value.
            self.state.pc = frame[6] & !1;
            self.take_fault(bus, Trap::InvalidPc, self.state.pc);
            return Ok(());
        }
        state.control = state.control & !(SPSEL | FPCA) | if from_process { SPSEL } else { 0 };
        state.control |= if with_fpu { FPCA } else { 0 };
        state.select_stack();
        (state.exclusive, state.event) = (false, true);
        if to_thread && state.system.scr & SCR_SLEEPONEXIT != 0 {
            state.asleep = Some(Sleep::Interrupt);
        }
        state.raise();
        Ok(())
    }

    /// A fault while reading the frame: its handler is tail-chained.
    fn unstacking_failed<B: Bus>(&mut self, bus: &mut B, trap: Trap, value: u32) -> Result<(), Trap> {
        let (fault, status) =
            if trap == Trap::MpuData { (MEM_MANAGE, MMFSR_MUNSTKERR) } else { (BUS_FAULT, BFSR_UNSTKERR) };
        self.state.system.cfsr |= status;
        self.state.r[14] = value;
        match self.escalated(fault) {
            Some(fault) => {
                self.report(bus, fault, None, self.newest_pc());
                self.take(bus, fault);
            }
            None => self.lock_up(),
        }
        Ok(())
    }

    // ---- faults ----

    /// Fault of executing at `pc`; `mapped`: memory exists there, but the MPU forbids it.
    pub(crate) fn fetch_trap(&self, pc: u32, mapped: bool) -> Trap {
        // Peripherals and the system's own space are never executed (B3.1, B3.5.1).
        let never = matches!(pc >> 29, 2 | 5 | 6 | 7);
        if mapped || never { Trap::MpuFetch } else { Trap::BusFetch }
    }

    /// The exception to take for `fault` now; `None`: none can be taken.
    fn escalated(&mut self, fault: u16) -> Option<u16> {
        let priority = self.execution_priority();
        let system = &mut self.state.system;
        if system.enabled() & 1 << fault != 0 && system.group(system.priority(fault)) < priority {
            return Some(fault);
        }
        if fault != HARD_FAULT {
            system.hfsr |= FORCED;
        }
        (priority > -1).then_some(HARD_FAULT)
    }

    /// The instruction at `pc` cannot be executed.
    #[cold]
    pub(crate) fn take_fault<B: Bus>(&mut self, bus: &mut B, trap: Trap, pc: u32) {
        let (fault, status) = match trap {
            Trap::Undefined => (USAGE_FAULT, UNDEFINSTR),
            Trap::InvalidState => (USAGE_FAULT, INVSTATE),
            Trap::InvalidPc => (USAGE_FAULT, INVPC),
            Trap::NoCoprocessor => (USAGE_FAULT, NOCP),
            Trap::Unaligned => (USAGE_FAULT, UNALIGNED),
            Trap::DivideByZero => (USAGE_FAULT, DIV_0_TRP_STATUS),
            Trap::BusFetch => (BUS_FAULT, BFSR_IBUSERR),
            Trap::BusData => (BUS_FAULT, BFSR_PRECISERR | BFARVALID),
            Trap::MpuFetch => (MEM_MANAGE, MMFSR_IACCVIOL),
            Trap::MpuData => (MEM_MANAGE, MMFSR_DACCVIOL | MMARVALID),
            Trap::BusLazy => (BUS_FAULT, BFSR_LSPERR),
            Trap::MpuLazy => (MEM_MANAGE, MMFSR_MLSPERR),
            Trap::Breakpoint => (HARD_FAULT, 0),
            Trap::Supervisor => (SVCALL, 0),
        };
        let system = &mut self.state.system;
        system.cfsr |= status;
        if trap == Trap::Breakpoint {
            system.hfsr |= HFSR_DEBUGEVT;
            self.state.debug.note(Halted::Breakpoint);
        }
        let address = match trap {
            Trap::BusData => {
                system.bfar = self.state.fault_address;
                Some(system.bfar)
            }
            Trap::MpuData => {
                system.mmfar = self.state.fault_address;
                Some(system.mmfar)
            }
            _ => None,
        };
        let taken = if trap == Trap::Supervisor {
            system.hfsr |= FORCED;
            (self.execution_priority() > -1).then_some(HARD_FAULT)
        } else {
            self.escalated(fault)
        };
        self.report(bus, taken.unwrap_or(HARD_FAULT), address, pc);
        match taken {
            Some(fault) => self.enter(bus, fault, pc),
            None => self.lock_up(),
        }
    }

    fn report<B: Bus>(&mut self, bus: &mut B, exception: u16, address: Option<u32>, pc: u32) {
        let system = &self.state.system;
        let fault = Fault { exception, cfsr: system.cfsr, hfsr: system.hfsr, address, pc };
        bus.fault(fault, self.state.began);
        self.state.raise();
    }
}
