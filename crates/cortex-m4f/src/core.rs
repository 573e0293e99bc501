//! The core and its run loop.

use crate::bus::Bus;
use crate::cache::Cache;
use crate::debug::Halted;
use crate::exception::Trap;
use crate::state::{Sleep, State};
use crate::system::System;

/// Parameters that a chip's designer chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Interrupt lines, at most 64.
    pub interrupts: u8,
    /// Implemented bits of a priority.
    pub priority_bits: u8,
}

/// Why [`Core::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The number of cycles was reached.
    Limit,
    /// [`Bus::wants_attention`] returned `true` after an access.
    Bus,
    /// In WFI or WFE without a wake-up event. Run again when an interrupt line has changed.
    Asleep,
    /// AIRCR.SYSRESETREQ was written: the owner resets the system.
    ResetRequested,
    /// A fault that no handler can take: only a reset helps.
    LockedUp,
    /// A debugger has halted the core.
    Halted,
}

/// A Cortex-M4F.
#[derive(Debug)]
pub struct Core {
    pub(crate) state: State,
    cache: Cache,
}

impl Core {
    /// Creates a core after power-on: [`Core::run`] begins with the reset sequence.
    pub fn new(config: Config) -> Core {
        Core { state: State::new(System::new(config)), cache: Cache::default() }
    }

    /// Resets the core. The debugger's settings stay, except at power-on.
    pub fn reset(&mut self, power_on: bool) {
        let old = &self.state;
        let mut new = State::new(System::new(old.system.config));
        (new.cycles, new.steps, new.lines) = (old.cycles, old.steps, old.lines);
        if !power_on {
            new.debug = old.debug.clone();
            new.debug.core_was_reset();
        }
        self.state = new;
    }

    /// The whole state.
    pub fn snapshot(&self) -> State {
        self.state.clone()
    }

    /// Restores a saved state.
    pub fn restore(&mut self, state: &State) {
        self.state = state.clone();
    }

    /// Cycles executed since power-on.
    pub fn cycles(&self) -> u64 {
        self.state.cycles
    }

    /// Instructions executed, with each exception entry and reset sequence counted as one.
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    /// The next instruction.
    pub fn pc(&self) -> u32 {
        self.state.pc
    }

    /// The newest instruction.
    pub fn newest_pc(&self) -> u32 {
        self.state.r[15].wrapping_sub(4)
    }

    /// Number of the active exception, 0 in thread mode.
    pub fn exception(&self) -> u16 {
        self.state.exception
    }

    /// Whether a debugger may halt the core.
    pub fn is_debugged(&self) -> bool {
        self.state.debug.is_enabled()
    }

    /// Whether a debugger has halted the core.
    pub fn is_halted(&self) -> bool {
        self.state.debug.is_halted()
    }

    /// Whether a debugger halts the core right after its reset sequence.
    pub fn catches_reset(&self) -> bool {
        self.state.debug.catches_reset()
    }

    /// Whether the core sleeps in WFI or WFE.
    pub fn is_asleep(&self) -> bool {
        self.state.asleep.is_some()
    }

    /// Whether the core is locked up: only a reset or a debugger's step helps.
    pub fn is_locked_up(&self) -> bool {
        self.state.locked_up && !self.state.debug.is_stepping()
    }

    /// Whether firmware wrote AIRCR.SYSRESETREQ and the reset has not come yet.
    pub fn reset_is_requested(&self) -> bool {
        self.state.reset_requested
    }

    /// Drives the interrupt lines: bit n is interrupt n. An asserted line pends its interrupt whenever that is not
    /// active.
    pub fn set_lines(&mut self, lines: u64) {
        if self.state.lines != lines {
            self.state.lines = lines;
            self.state.raise();
        }
    }

    /// Registers r0 to r15 and xPSR.
    pub fn registers(&self) -> [u32; 17] {
        let mut all = [0; 17];
        all[..16].copy_from_slice(&self.state.r);
        (all[15], all[16]) = (self.state.pc, self.state.xpsr());
        all
    }

    /// A core register by its number in DCRSR.REGSEL; 0 for one that does not exist.
    pub fn register(&self, number: u8) -> u32 {
        let state = &self.state;
        match number {
            0..=14 => state.r[usize::from(number)],
            15 => state.pc,
            16 => state.xpsr(),
            17 => state.main_stack(),
            18 => state.process_stack(),
            20 => {
                let masks = u32::from(state.basepri) << 8 | u32::from(state.faultmask) << 16;
                u32::from(state.control) << 24 | masks | u32::from(state.primask)
            }
            33 => state.fpu.fpscr,
            64..=95 => state.fpu.s[usize::from(number - 64)],
            _ => 0,
        }
    }

    /// Sets a core register by its number in DCRSR.REGSEL.
    pub fn set_register(&mut self, number: u8, value: u32) {
        let state = &mut self.state;
        match number {
            13 => state.r[13] = value & !3,
            0..=14 => state.r[usize::from(number)] = value,
            15 => state.pc = value & !1,
            16 => {
                state.set_xpsr(value);
                state.select_stack();
            }
            17 => state.set_main_stack(value),
            18 => state.set_process_stack(value),
            20 => {
                (state.control, state.faultmask) = ((value >> 24 & 7) as u8, value >> 16 & 1 != 0);
                (state.basepri, state.primask) = ((value >> 8) as u8, value & 1 != 0);
                state.select_stack();
            }
            33 => state.fpu.fpscr = value & crate::fpu::WRITABLE,
            64..=95 => state.fpu.s[usize::from(number - 64)] = value,
            _ => {}
        }
        state.raise();
    }

    /// Halts the core before the instruction at `address`, as a debugger's breakpoint does.
    pub fn set_breakpoint(&mut self, address: u32) {
        self.state.debug.set_breakpoint(address);
    }

    /// Makes the core start from the vector table at `address` instead of 0, like a bootloader. Call before the reset
    /// sequence has run.
    pub fn set_vectors(&mut self, address: u32) {
        self.state.system.vtor = address & !0x7F;
    }

    /// Executes until the total number of cycles reaches `limit` or an event occurs. The last instruction may end some
    /// cycles later.
    pub fn run<B: Bus>(&mut self, bus: &mut B, limit: u64) -> Exit {
        self.forget_old_code(bus);
        // Memory, registers or lines may have changed since.
        self.state.attention = true;
        loop {
            self.tick();
            if std::mem::take(&mut self.state.bus_waits) {
                return Exit::Bus;
            }
            if self.state.cycles >= limit {
                return Exit::Limit;
            }
            if self.state.attention {
                let steps = self.state.steps;
                if let Some(exit) = self.attend(bus) {
                    return exit;
                }
                if self.state.steps != steps {
                    continue;
                }
            }
            self.state.stop_at = if self.state.attention { 0 } else { limit.min(self.state.system.next_tick()) };
            if self.state.debug.is_enabled() || self.state.system.mpu.is_on() {
                if let Some(exit) = self.burst::<B, true>(bus) {
                    return exit;
                }
            } else {
                self.burst::<B, false>(bus);
            }
        }
    }

    /// Decoded code memory is valid until that memory changes.
    pub(crate) fn forget_old_code<B: Bus>(&mut self, bus: &B) {
        self.cache.refresh(bus.code_generation());
    }

    /// SysTick may be due.
    fn tick(&mut self) {
        if self.state.cycles >= self.state.system.next_tick() && self.state.system.tick(self.state.cycles) {
            self.pend(crate::exception::SYSTICK);
        }
    }

    /// Handles everything except the execution of instructions.
    fn attend<B: Bus>(&mut self, bus: &mut B) -> Option<Exit> {
        if self.state.reset_requested {
            return Some(Exit::ResetRequested);
        }
        if self.state.resetting {
            self.reset_sequence(bus);
            if self.state.debug.catches_reset() {
                self.state.debug.halt(Halted::Vector);
            }
            return None;
        }
        if self.state.debug.is_halted() {
            return Some(Exit::Halted);
        }
        if self.state.locked_up {
            if self.state.debug.is_stepping() {
                self.state.debug.halt(Halted::Request);
                return Some(Exit::Halted);
            }
            return Some(Exit::LockedUp);
        }
        self.state.attention = false;
        // A debugger that has halted the core has ended its sleep.
        let wakes = self.state.debug.wakes();
        self.latch_lines();
        if let Some(exception) = self.takeable() {
            self.state.steps += 1;
            self.state.began = self.state.cycles;
            self.state.asleep = None;
            self.enter(bus, exception, self.state.pc);
            self.state.raise();
            return None;
        }
        if let Some(sleep) = self.state.asleep {
            if !wakes && !self.wakes(sleep) {
                self.state.attention = true;
                return Some(Exit::Asleep);
            }
            self.state.asleep = None;
        }
        if !self.state.thumb {
            self.state.steps += 1;
            self.state.began = self.state.cycles;
            self.state.cycles += 1;
            self.take_fault(bus, Trap::InvalidState, self.state.pc);
        }
        None
    }

    fn wakes(&mut self, sleep: Sleep) -> bool {
        match sleep {
            Sleep::Event => std::mem::take(&mut self.state.event),
            Sleep::Interrupt => self.would_be_taken_unmasked(),
        }
    }

    /// Executes instructions until an event needs attention. With `CAREFUL`, debugger and MPU check every instruction.
    #[inline(never)]
    fn burst<B: Bus, const CAREFUL: bool>(&mut self, bus: &mut B) -> Option<Exit> {
        loop {
            let pc = self.state.pc;
            if CAREFUL && self.state.debug.stops_at(pc) {
                self.state.debug.halt(Halted::Breakpoint);
                self.state.attention = true;
                return Some(Exit::Halted);
            }
            self.state.began = self.state.cycles;
            let entry = match self.cache.fetch(bus, pc) {
                Some(entry) if !CAREFUL || self.may_execute(pc, entry.size) => entry,
                fetched => {
                    self.state.r[15] = pc.wrapping_add(4);
                    self.state.cycles += 1;
                    self.state.steps += 1;
                    let trap = self.fetch_trap(pc, fetched.is_some());
                    self.take_fault(bus, trap, pc);
                    return None;
                }
            };
            let mut instruction = entry.instruction;
            if CAREFUL && self.state.debug.stops_for(instruction) {
                self.state.debug.halt(Halted::Breakpoint);
                self.state.attention = true;
                return Some(Exit::Halted);
            }
            self.state.cycles += 1;
            self.state.steps += 1;
            self.state.pc = pc.wrapping_add(entry.size);
            self.state.r[15] = pc.wrapping_add(4);
            let it = self.state.it;
            let mut passes = true;
            if it != 0 {
                self.state.it = if it & 7 == 0 { 0 } else { it & 0xE0 | it << 1 & 0x1F };
                passes = self.state.flags.pass(it >> 4);
                if entry.size == 2 {
                    instruction = instruction.without_flags();
                }
            }
            if passes && let Err(trap) = self.execute(bus, instruction) {
                (self.state.it, self.state.pc) = (it, pc);
                self.take_fault(bus, trap, pc);
            }
            if CAREFUL && self.state.debug.is_stepping() {
                self.state.debug.halt(Halted::Request);
                self.state.attention = true;
                return Some(Exit::Halted);
            }
            if self.state.cycles >= self.state.stop_at {
                return None;
            }
        }
    }
}
