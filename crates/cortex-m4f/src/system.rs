//! The private peripheral bus as firmware sees it: system control, NVIC, SysTick, identification, DWT, ITM.

use crate::bus::Bus;
use crate::core::{Config, Core};
use crate::debug;
use crate::exception::{
    BUS_FAULT, DEBUG_MONITOR, FIRST_INTERRUPT, HARD_FAULT, MEM_MANAGE, NMI, PENDSV, SVCALL, SYSTICK, USAGE_FAULT,
};
use crate::fpu;
use crate::mpu::Mpu;

// CFSR.
pub(crate) const MMFSR_IACCVIOL: u32 = 1;
pub(crate) const MMFSR_DACCVIOL: u32 = 1 << 1;
pub(crate) const MMFSR_MUNSTKERR: u32 = 1 << 3;
pub(crate) const MMFSR_MSTKERR: u32 = 1 << 4;
pub(crate) const MMFSR_MLSPERR: u32 = 1 << 5;
pub(crate) const MMARVALID: u32 = 1 << 7;
pub(crate) const BFSR_IBUSERR: u32 = 1 << 8;
pub(crate) const BFSR_PRECISERR: u32 = 1 << 9;
pub(crate) const BFSR_UNSTKERR: u32 = 1 << 11;
pub(crate) const BFSR_STKERR: u32 = 1 << 12;
pub(crate) const BFSR_LSPERR: u32 = 1 << 13;
pub(crate) const BFARVALID: u32 = 1 << 15;
pub(crate) const UNDEFINSTR: u32 = 1 << 16;
pub(crate) const INVSTATE: u32 = 1 << 17;
pub(crate) const INVPC: u32 = 1 << 18;
pub(crate) const NOCP: u32 = 1 << 19;
pub(crate) const UNALIGNED: u32 = 1 << 24;
pub(crate) const DIV_0_TRP_STATUS: u32 = 1 << 25;
// HFSR.
pub(crate) const VECTTBL: u32 = 1 << 1;
pub(crate) const FORCED: u32 = 1 << 30;
pub(crate) const HFSR_DEBUGEVT: u32 = 1 << 31;
// SCR.
pub(crate) const SCR_SLEEPONEXIT: u32 = 1 << 1;
pub(crate) const SCR_SEVONPEND: u32 = 1 << 4;
// CCR.
const NONBASETHRDENA: u32 = 1;
const USERSETMPEND: u32 = 1 << 1;
const UNALIGN_TRP: u32 = 1 << 3;
const DIV_0_TRP: u32 = 1 << 4;
const STKALIGN: u32 = 1 << 9;

const AIRCR_KEY: u32 = 0x05FA;
const SYSRESETREQ: u32 = 1 << 2;
const VECTRESET: u32 = 1;
const VECTCLRACTIVE: u32 = 1 << 1;

/// DWT_CTRL.CYCCNTENA.
const CYCCNTENA: u32 = 1;

/// No SysTick is due.
const NEVER: u64 = u64::MAX;

/// Exceptions and their settings, SysTick, and the registers that only keep a value.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub config: Config,
    /// Bit n is exception n.
    pub pending: u128,
    pub active: u128,
    interrupts_enabled: u64,
    /// Priorities of exceptions 4 and up.
    priorities: [u8; 80],
    pub vtor: u32,
    prigroup: u8,
    pub scr: u32,
    ccr: u32,
    /// SHCSR: the enables of the three configurable faults, as bits 16 to 18.
    fault_enables: u32,
    pub cfsr: u32,
    pub hfsr: u32,
    pub mmfar: u32,
    pub bfar: u32,
    cpacr: u32,
    pub fpccr: u32,
    pub fpcar: u32,
    pub fpdscr: u32,
    pub mpu: Mpu,
    actlr: u32,
    systick: SysTick,
    /// DWT_CTRL, and the cycle at which the counter was zero.
    dwt_control: u32,
    cyccnt_zero: u64,
    cyccnt_stopped: u32,
    /// Registers without an effect that were reported: ITM, TPIU, comparators.
    stored: Vec<(u32, u32)>,
}

#[derive(Debug, Clone)]
struct SysTick {
    control: u32,
    reload: u32,
    counted_to_zero: bool,
    /// While counting: the cycle at which the counter next reaches zero.
    zero_at: u64,
    /// While stopped: its value.
    value: u32,
}

impl System {
    pub fn new(config: Config) -> System {
        System {
            config,
            pending: 0,
            active: 0,
            interrupts_enabled: 0,
            priorities: [0; 80],
            vtor: 0,
            prigroup: 0,
            scr: 0,
            ccr: STKALIGN,
            fault_enables: 0,
            cfsr: 0,
            hfsr: 0,
            mmfar: 0,
            bfar: 0,
            cpacr: 0,
            fpccr: fpu::ASPEN | fpu::LSPEN,
            fpcar: 0,
            fpdscr: 0,
            mpu: Mpu::default(),
            actlr: 0,
            systick: SysTick { control: 0, reload: 0, counted_to_zero: false, zero_at: NEVER, value: 0 },
            dwt_control: 0x4000_0000,
            cyccnt_zero: 0,
            cyccnt_stopped: 0,
            stored: Vec::new(),
        }
    }

    pub fn aligns_stack(&self) -> bool {
        self.ccr & STKALIGN != 0
    }

    pub fn lets_threads_nest(&self) -> bool {
        self.ccr & NONBASETHRDENA != 0
    }

    pub fn traps_division_by_zero(&self) -> bool {
        self.ccr & DIV_0_TRP != 0
    }

    pub fn traps_unaligned(&self) -> bool {
        self.ccr & UNALIGN_TRP != 0
    }

    pub fn fpu_is_enabled(&self, privileged: bool) -> bool {
        match self.cpacr >> 20 & 3 {
            1 => privileged,
            3 => true,
            _ => false,
        }
    }

    // ---- priorities ----

    /// Exceptions that are entered when pending.
    pub fn enabled(&self) -> u128 {
        const ALWAYS: u128 = 1 << NMI | 1 << HARD_FAULT | 1 << SVCALL | 1 << PENDSV | 1 << SYSTICK;
        let faults = u128::from(self.fault_enables >> 16 & 7) << MEM_MANAGE;
        ALWAYS | faults | u128::from(self.interrupts_enabled) << FIRST_INTERRUPT
    }

    pub fn priority(&self, exception: u16) -> i16 {
        match exception {
            NMI => -2,
            HARD_FAULT => -1,
            _ => self.priorities.get(usize::from(exception)).copied().unwrap_or(0).into(),
        }
    }

    /// The part of a priority that decides whether it interrupts.
    pub fn group(&self, priority: i16) -> i16 {
        if priority < 0 { priority } else { priority & (0xFF << (self.prigroup + 1)) & 0xFF }
    }

    /// The most urgent of these, and its priority.
    pub fn most_urgent(&self, mut exceptions: u128) -> Option<(u16, i16)> {
        let mut best: Option<(u16, i16)> = None;
        while exceptions != 0 {
            let exception = exceptions.trailing_zeros() as u16;
            exceptions &= exceptions - 1;
            let priority = self.priority(exception);
            if best.is_none_or(|(_, other)| priority < other) {
                best = Some((exception, priority));
            }
        }
        best
    }

    /// 256 in thread mode without active exceptions.
    pub fn active_priority(&self) -> i16 {
        let mut active = self.active;
        let mut urgent = 256;
        while active != 0 {
            let exception = active.trailing_zeros() as u16;
            active &= active - 1;
            urgent = urgent.min(self.group(self.priority(exception)));
        }
        urgent
    }

    /// The bits of a priority that exist.
    pub fn priority_mask(&self) -> u8 {
        (0xFFu16 << (8 - self.config.priority_bits.min(8))) as u8
    }

    // ---- SysTick and the cycle counter ----

    /// The cycle at which SysTick next reaches zero.
    #[inline]
    pub fn next_tick(&self) -> u64 {
        self.systick.zero_at
    }

    /// Handles SysTick's zero by `now`. Returns whether that is an exception.
    pub fn tick(&mut self, now: u64) -> bool {
        let period = u64::from(self.systick.reload) + 1;
        self.systick.counted_to_zero = true;
        if self.systick.reload == 0 {
            self.systick.zero_at = NEVER;
        } else {
            let missed = now.saturating_sub(self.systick.zero_at) / period;
            self.systick.zero_at += (missed + 1) * period;
        }
        self.systick.control & 2 != 0
    }

    fn systick_value(&self, now: u64) -> u32 {
        if self.systick.control & 1 == 0 || self.systick.zero_at == NEVER {
            return self.systick.value;
        }
        let ahead = self.systick.zero_at.saturating_sub(now);
        // One more than the reload value is the cycle in which the counter shows zero.
        if ahead > u64::from(self.systick.reload) { 0 } else { ahead as u32 }
    }

    fn write_systick_control(&mut self, value: u32, now: u64) {
        let (was_on, on) = (self.systick.control & 1 != 0, value & 1 != 0);
        if was_on && !on {
            self.systick.value = self.systick_value(now);
            self.systick.zero_at = NEVER;
        }
        self.systick.control = value & 7;
        if on && !was_on {
            self.start_systick(now);
        }
    }

    fn start_systick(&mut self, now: u64) {
        let (value, reload) = (u64::from(self.systick.value), u64::from(self.systick.reload));
        self.systick.zero_at = match (value, reload) {
            (0, 0) => NEVER,
            (0, reload) => now + reload + 1,
            (value, _) => now + value,
        };
    }

    fn cyccnt(&self, now: u64) -> u32 {
        if self.dwt_control & CYCCNTENA != 0 { now.wrapping_sub(self.cyccnt_zero) as u32 } else { self.cyccnt_stopped }
    }

    fn set_cyccnt(&mut self, value: u32, now: u64) {
        (self.cyccnt_zero, self.cyccnt_stopped) = (now.wrapping_sub(value.into()), value);
    }

    fn store(&mut self, address: u32, value: u32) {
        match self.stored.iter_mut().find(|(at, _)| *at == address) {
            Some((_, old)) => *old = value,
            None => self.stored.push((address, value)),
        }
    }
}

/// The words of one register array: which 32 interrupts, and a mask of those that exist.
fn interrupt_bits(interrupts: u8, word: u32) -> u64 {
    let all = if interrupts >= 64 { u64::MAX } else { (1 << interrupts) - 1 };
    let shift = 32 * word;
    if shift >= 64 { 0 } else { all & 0xFFFF_FFFF << shift }
}

/// Constant registers of the system control space: instruction set, memory model, floating point, identification.
fn constant(address: u32) -> Option<u32> {
    Some(match address {
        0xE000_ED00 => 0x410F_C241,
        // ID_PFR0 to ID_ISAR4.
        0xE000_ED40 => 0x0000_0030,
        0xE000_ED44 => 0x0000_0200,
        0xE000_ED48 => 0x0010_0000,
        0xE000_ED50 => 0x0010_0030,
        0xE000_ED54 | 0xE000_ED5C | 0xE000_ED4C => 0,
        0xE000_ED58 => 0x0100_0000,
        0xE000_ED60 => 0x0114_1110,
        0xE000_ED64 => 0x0211_2000,
        0xE000_ED68 => 0x2123_2231,
        0xE000_ED6C => 0x0111_1131,
        0xE000_ED70 => 0x0131_0132,
        0xE000_EF40 => 0x1011_0021,
        0xE000_EF44 => 0x1100_0011,
        0xE000_EF48 => 0,
        _ => return identification(address),
    })
}

/// Peripheral and component identification at the end of each block of the private peripheral bus: ARM's part
/// numbers for the Cortex-M4 with its floating-point unit.
fn identification(address: u32) -> Option<u32> {
    let (part, revision, class) = match address >> 12 {
        0xE_0000 => (0x001, 3, 0xE0),
        0xE_0001 => (0x002, 3, 0xE0),
        0xE_0002 => (0x003, 2, 0xE0),
        0xE_000E => (0x00C, 0, 0xE0),
        0xE_0040 => (0x9A1, 0, 0x90),
        _ => return None,
    };
    Some(match address & 0xFFF {
        0xFD0 => 4,
        0xFD4 | 0xFD8 | 0xFDC | 0xFEC => 0,
        0xFE0 => part & 0xFF,
        0xFE4 => 0xB0 | part >> 8,
        0xFE8 => revision << 4 | 0xB,
        0xFF0 => 0x0D,
        0xFF4 => class,
        0xFF8 => 0x05,
        0xFFC => 0xB1,
        _ => return None,
    })
}

/// The block that a register belongs to, for messages.
fn block(address: u32) -> &'static str {
    match address >> 12 {
        0xE_0000 => "ITM",
        0xE_0001 => "DWT",
        0xE_0002 => "FPB",
        0xE_0040 => "TPIU",
        0xE_0041 => "ETM",
        0xE_000E => "SCS",
        _ => "private peripheral bus",
    }
}

const ROM_TABLE: u32 = 0xE00F_F000;
const ITM_LOCK_STATUS: u32 = 0xE000_0FB4;

impl Core {
    /// Whether an unprivileged program may write this: only STIR, if it was allowed to.
    pub(crate) fn user_may_write(&self, address: u32) -> bool {
        address == 0xE000_EF00 && self.state.system.ccr & USERSETMPEND != 0
    }

    /// A word of the private peripheral bus; `None`: bus fault.
    pub(crate) fn read_private<B: Bus>(&mut self, bus: &mut B, address: u32) -> Option<u32> {
        if address >= ROM_TABLE {
            return Some(bus.rom_table(address - ROM_TABLE));
        }
        if let Some(value) = self.system_word(address) {
            if address == 0xE000_E010 {
                self.state.system.systick.counted_to_zero = false;
            }
            return Some(value);
        }
        // The enable registers of ITM report that a stimulus port is ready; otherwise firmware would wait forever.
        let value = match address {
            0xE000_0000..=0xE000_007C => 1,
            ITM_LOCK_STATUS => 0,
            _ => self.state.system.stored.iter().find(|(at, _)| *at == address).map_or(0, |(_, value)| *value),
        };
        bus.missing(block(address), address, None, self.state.began);
        self.look_at_bus(bus);
        Some(value)
    }

    /// The same for a debugger, whose reads have no side effects.
    pub fn read_system(&mut self, address: u32) -> u32 {
        self.system_word(address)
            .or_else(|| self.state.system.stored.iter().find(|(at, _)| *at == address).map(|(_, value)| *value))
            .unwrap_or(0)
    }

    fn system_word(&mut self, address: u32) -> Option<u32> {
        let now = self.state.began;
        let state = &mut self.state;
        let system = &state.system;
        let interrupts = system.config.interrupts;
        let words = |address: u32, bits: u64| {
            let word = address & 0x7F;
            if word.is_multiple_of(4) && word < 0x40 {
                Some((bits.checked_shr(8 * word).unwrap_or(0)) as u32)
            } else {
                None
            }
        };
        Some(match address {
            0xE000_E004 => u32::from(interrupts.saturating_sub(1)) / 32,
            0xE000_E008 => system.actlr,
            0xE000_E010 => system.systick.control | u32::from(system.systick.counted_to_zero) << 16,
            0xE000_E014 => system.systick.reload,
            0xE000_E018 => system.systick_value(now),
            // No reference clock, no calibration.
            0xE000_E01C => 0xC000_0000,
            0xE000_E100..=0xE000_E13F | 0xE000_E180..=0xE000_E1BF => words(address, system.interrupts_enabled)?,
            0xE000_E200..=0xE000_E23F | 0xE000_E280..=0xE000_E2BF => {
                words(address, (system.pending >> FIRST_INTERRUPT) as u64)?
            }
            0xE000_E300..=0xE000_E33F => words(address, (system.active >> FIRST_INTERRUPT) as u64)?,
            0xE000_E400..=0xE000_E4EF => {
                let first = usize::from(FIRST_INTERRUPT) + (address - 0xE000_E400) as usize;
                let bytes = [0, 1, 2, 3].map(|n| system.priorities.get(first + n).copied().unwrap_or(0));
                u32::from_le_bytes(bytes)
            }
            0xE000_ED04 => state_of_interrupts(state),
            0xE000_ED08 => system.vtor,
            0xE000_ED0C => 0xFA05_0000 | u32::from(system.prigroup) << 8,
            0xE000_ED10 => system.scr,
            0xE000_ED14 => system.ccr,
            0xE000_ED18 | 0xE000_ED1C | 0xE000_ED20 => {
                let first = 4 + (address - 0xE000_ED18) as usize;
                u32::from_le_bytes([0, 1, 2, 3].map(|n| system.priorities[first + n]))
            }
            0xE000_ED24 => handler_states(system),
            0xE000_ED28 => system.cfsr,
            0xE000_ED2C => system.hfsr,
            0xE000_ED34 => system.mmfar,
            0xE000_ED38 => system.bfar,
            0xE000_ED3C => 0,
            0xE000_ED88 => system.cpacr,
            0xE000_ED90..=0xE000_EDB8 => system.mpu.read(address - 0xE000_ED90)?,
            0xE000_EF00 => 0,
            0xE000_EF34 => system.fpccr,
            0xE000_EF38 => system.fpcar,
            0xE000_EF3C => system.fpdscr,
            0xE000_1000 => system.dwt_control,
            0xE000_1004 => system.cyccnt(now),
            // The other counters do not exist (NOPRFCNT) and stay at zero.
            0xE000_101C => state.r[15].wrapping_sub(4),
            _ => match constant(address) {
                Some(value) => value,
                None => {
                    let asleep = state.asleep.is_some();
                    let locked_up = state.locked_up;
                    return state.debug.read(address, asleep, locked_up);
                }
            },
        })
    }

    /// Writes a word of the private peripheral bus; `mask`: the bytes that are written.
    pub(crate) fn write_private<B: Bus>(&mut self, bus: &mut B, address: u32, value: u32, mask: u32) {
        if !self.write_system_bytes(address, value, mask) {
            self.state.system.store(address, value);
            bus.missing(block(address), address, Some(value), self.state.began);
            self.look_at_bus(bus);
        }
    }

    /// The same for a debugger.
    pub fn write_system(&mut self, address: u32, value: u32) {
        if debug::is_transfer(address) && self.state.debug.is_halted() {
            return self.debug_transfer(value);
        }
        if self.state.debug.control_by_debugger(address, value) {
            self.state.raise();
            return;
        }
        let _ = self.write_system_bytes(address, value, u32::MAX);
    }

    fn debug_transfer(&mut self, value: u32) {
        let number = value as u8 & 0x7F;
        if value & 1 << 16 != 0 {
            self.set_register(number, self.state.debug.transfer);
        } else {
            self.state.debug.transfer = self.register(number);
        }
    }

    /// `false`: the write has no effect on any register.
    fn write_system_bytes(&mut self, address: u32, value: u32, mask: u32) -> bool {
        // In registers where writing 1 acts, unwritten bytes act as zeros.
        let ones = value & mask;
        let old = match address {
            0xE000_E400..=0xE000_E4EF | 0xE000_ED18..=0xE000_ED23 | 0xE000_ED10 | 0xE000_ED14 | 0xE000_ED24 => {
                self.system_word(address).unwrap_or(0)
            }
            _ => 0,
        };
        let merged = old & !mask | ones;
        let now = self.state.began;
        let config = self.state.system.config;
        let system = &mut self.state.system;
        let interrupts = |address: u32| -> (u64, u64) {
            let word = (address & 0x7F) / 4;
            let exist = interrupt_bits(config.interrupts, word);
            let bits = if word < 2 { u64::from(ones) << (32 * word) } else { 0 };
            (bits & exist, exist)
        };
        match address {
            0xE000_E004 | 0xE000_E01C | 0xE000_ED00 | 0xE000_ED3C..=0xE000_ED7C | 0xE000_E300..=0xE000_E33F => {}
            0xE000_E008 => system.actlr = value & 0x307,
            0xE000_E010 => system.write_systick_control(value, now),
            0xE000_E014 => system.systick.reload = value & 0xFF_FFFF,
            0xE000_E018 => {
                (system.systick.value, system.systick.counted_to_zero) = (0, false);
                if system.systick.control & 1 != 0 {
                    system.start_systick(now);
                }
            }
            0xE000_E100..=0xE000_E13F => system.interrupts_enabled |= interrupts(address).0,
            0xE000_E180..=0xE000_E1BF => system.interrupts_enabled &= !interrupts(address).0,
            0xE000_E200..=0xE000_E23F => {
                let mut bits = interrupts(address).0;
                while bits != 0 {
                    let number = bits.trailing_zeros() as u16;
                    bits &= bits - 1;
                    self.pend(FIRST_INTERRUPT + number);
                }
            }
            0xE000_E280..=0xE000_E2BF => system.pending &= !(u128::from(interrupts(address).0) << FIRST_INTERRUPT),
            0xE000_E400..=0xE000_E4EF => {
                let first = (address - 0xE000_E400) as usize;
                let exist = usize::from(config.interrupts).min(64);
                let keep = system.priority_mask();
                for (n, byte) in merged.to_le_bytes().into_iter().enumerate() {
                    if first + n < exist {
                        system.priorities[usize::from(FIRST_INTERRUPT) + first + n] = byte & keep;
                    }
                }
            }
            0xE000_ED04 => self.control_interrupts(ones),
            0xE000_ED08 => system.vtor = value & !0x7F,
            0xE000_ED0C if value >> 16 == AIRCR_KEY => {
                system.prigroup = (value >> 8 & 7) as u8;
                if value & VECTCLRACTIVE != 0 && self.state.debug.is_halted() {
                    self.state.system.active = 0;
                    self.state.exception = 0;
                }
                self.state.reset_requested |= value & (SYSRESETREQ | VECTRESET) != 0;
            }
            0xE000_ED0C => {}
            0xE000_ED10 => system.scr = merged & 0x16,
            0xE000_ED14 => {
                system.ccr = merged & 0x31B;
                self.update_guard();
            }
            0xE000_ED18..=0xE000_ED20 => {
                let first = 4 + (address - 0xE000_ED18) as usize;
                let keep = system.priority_mask();
                for (n, byte) in merged.to_le_bytes().into_iter().enumerate() {
                    // 7 to 10 and 13 are reserved.
                    if !matches!(first + n, 7..=10 | 13) {
                        system.priorities[first + n] = byte & keep;
                    }
                }
            }
            0xE000_ED24 => set_handler_states(system, merged),
            0xE000_ED28 => system.cfsr &= !ones,
            0xE000_ED2C => system.hfsr &= !ones,
            0xE000_ED30 => self.state.debug.clear_reasons(ones),
            0xE000_ED34 => system.mmfar = value,
            0xE000_ED38 => system.bfar = value,
            0xE000_ED88 => system.cpacr = value & 0x00F0_0000,
            0xE000_ED90..=0xE000_EDB8 => {
                let modelled = system.mpu.write(address - 0xE000_ED90, value);
                self.update_guard();
                return modelled;
            }
            0xE000_EF00 => {
                let number = value as u16 & 0x1FF;
                if number < config.interrupts.into() {
                    self.pend(FIRST_INTERRUPT + number);
                }
            }
            0xE000_EF34 => system.fpccr = value & 0xC000_017B,
            0xE000_EF38 => system.fpcar = value & !7,
            0xE000_EF3C => system.fpdscr = value & 0x07C0_0000,
            0xE000_EF40..=0xE000_EF48 => {}
            0xE000_1000 => {
                let count = system.cyccnt(now);
                system.dwt_control = 0x4000_0000 | value & CYCCNTENA;
                system.set_cyccnt(count, now);
                // The other bits enable trace packets.
                return value & !(0xF000_0000 | CYCCNTENA) == 0;
            }
            0xE000_1004 => system.set_cyccnt(value, now),
            0xE000_1008..=0xE000_1018 => {}
            0xE000_EDF0..=0xE000_EDF8 => {}
            0xE000_EDFC => self.state.debug.set_monitor(value),
            _ => return self.state.debug.write_comparator(address, value),
        }
        self.state.raise();
        true
    }

    fn control_interrupts(&mut self, value: u32) {
        for (bit, exception) in [(31, NMI), (28, PENDSV), (26, SYSTICK)] {
            if value >> bit & 1 != 0 {
                self.pend(exception);
            }
        }
        for (bit, exception) in [(27, PENDSV), (25, SYSTICK)] {
            if value >> bit & 1 != 0 {
                self.state.system.pending &= !(1 << exception);
            }
        }
    }

    pub(crate) fn update_guard(&mut self) {
        self.state.guarded = self.state.system.mpu.is_on() || self.state.system.traps_unaligned();
    }
}

/// ICSR.
fn state_of_interrupts(state: &crate::state::State) -> u32 {
    let system = &state.system;
    let pending = |exception: u16| u32::from(system.pending >> exception & 1 != 0);
    let next = system.most_urgent(system.pending & system.enabled()).map_or(0, |(exception, _)| u32::from(exception));
    let active_others = (system.active & !(1 << state.exception)).count_ones();
    pending(NMI) << 31
        | pending(PENDSV) << 28
        | pending(SYSTICK) << 26
        | u32::from(system.pending >> FIRST_INTERRUPT != 0) << 22
        | next << 12
        | u32::from(active_others == 0) << 11
        | u32::from(state.exception)
}

/// The bits of SHCSR and their exceptions: active, then pending.
const HANDLER_BITS: [(u32, u16); 7] =
    [(0, MEM_MANAGE), (1, BUS_FAULT), (3, USAGE_FAULT), (7, SVCALL), (8, DEBUG_MONITOR), (10, PENDSV), (11, SYSTICK)];
const PENDED_BITS: [(u32, u16); 4] = [(12, USAGE_FAULT), (13, MEM_MANAGE), (14, BUS_FAULT), (15, SVCALL)];

fn handler_states(system: &System) -> u32 {
    let mut value = system.fault_enables;
    for (bit, exception) in HANDLER_BITS {
        value |= u32::from(system.active >> exception & 1 != 0) << bit;
    }
    for (bit, exception) in PENDED_BITS {
        value |= u32::from(system.pending >> exception & 1 != 0) << bit;
    }
    value
}

fn set_handler_states(system: &mut System, value: u32) {
    system.fault_enables = value & 7 << 16;
    for (bit, exception) in HANDLER_BITS {
        system.active = system.active & !(1 << exception) | u128::from(value >> bit & 1) << exception;
    }
    for (bit, exception) in PENDED_BITS {
        system.pending = system.pending & !(1 << exception) | u128::from(value >> bit & 1) << exception;
    }
}
