//! The state of the core at one instant.

use crate::debug::Debug;
use crate::flags::Flags;
use crate::fpu::Fpu;
use crate::system::System;

/// CONTROL: thread mode is unprivileged; it uses the process stack; the floating-point unit is in use.
pub(crate) const NPRIV: u8 = 1;
pub(crate) const SPSEL: u8 = 2;
pub(crate) const FPCA: u8 = 4;

/// Event for which a sleeping core waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// WFI, or a return with SLEEPONEXIT.
    Interrupt,
    /// WFE.
    Event,
}

/// The whole state of a core, without the cache of decoded code.
#[derive(Debug, Clone)]
pub struct State {
    /// R0 to R15; R13 is the current stack pointer, R15 the address of the newest instruction and 4.
    pub(crate) r: [u32; 16],
    /// The next instruction.
    pub(crate) pc: u32,
    /// Cycles executed, and their number when the newest instruction began.
    pub(crate) cycles: u64,
    pub(crate) began: u64,
    /// The run loop pauses at this number of cycles; 0: after this instruction.
    pub(crate) stop_at: u64,
    /// Instructions, exception entries and reset sequences.
    pub(crate) steps: u64,
    pub(crate) flags: Flags,
    /// ITSTATE.
    pub(crate) it: u8,
    /// Memory cannot be accessed without a check: the MPU is on, or unaligned accesses are to fault.
    pub(crate) guarded: bool,
    /// The run loop must handle an event before the next instruction.
    pub(crate) attention: bool,
    /// The event comes from the bus.
    pub(crate) bus_waits: bool,
    /// EPSR.T.
    pub(crate) thumb: bool,
    /// IPSR: the exception being handled, 0 in thread mode.
    pub(crate) exception: u16,
    pub(crate) primask: bool,
    pub(crate) faultmask: bool,
    pub(crate) basepri: u8,
    pub(crate) control: u8,
    /// The inactive stack pointer, and which one it is.
    pub(crate) other_sp: u32,
    pub(crate) on_process_stack: bool,
    pub(crate) fpu: Fpu,
    pub(crate) system: System,
    pub(crate) debug: Debug,
    /// Address of the last failed data access.
    pub(crate) fault_address: u32,
    /// The local exclusive monitor: its granule is the whole memory.
    pub(crate) exclusive: bool,
    pub(crate) event: bool,
    pub(crate) asleep: Option<Sleep>,
    pub(crate) locked_up: bool,
    /// The reset sequence is next.
    pub(crate) resetting: bool,
    pub(crate) reset_requested: bool,
    /// Interrupt lines, bit n for interrupt n.
    pub(crate) lines: u64,
}

impl State {
    pub(crate) fn new(system: System) -> State {
        State {
            r: [0; 16],
            pc: 0,
            cycles: 0,
            began: 0,
            stop_at: 0,
            steps: 0,
            flags: Flags::default(),
            it: 0,
            guarded: false,
            attention: true,
            bus_waits: false,
            thumb: true,
            exception: 0,
            primask: false,
            faultmask: false,
            basepri: 0,
            control: 0,
            other_sp: 0,
            on_process_stack: false,
            fpu: Fpu::default(),
            system,
            debug: Debug::default(),
            fault_address: 0,
            exclusive: false,
            event: false,
            asleep: None,
            locked_up: false,
            resetting: true,
            reset_requested: false,
            lines: 0,
        }
    }

    /// Requests attention before the next instruction.
    #[inline]
    pub(crate) fn raise(&mut self) {
        self.attention = true;
        self.stop_at = 0;
    }

    pub(crate) fn in_handler(&self) -> bool {
        self.exception != 0
    }

    pub(crate) fn privileged(&self) -> bool {
        self.in_handler() || self.control & NPRIV == 0
    }

    /// Whether R13 should be the process stack.
    pub(crate) fn wants_process_stack(&self) -> bool {
        !self.in_handler() && self.control & SPSEL != 0
    }

    /// Sets R13 to the stack pointer of the present mode.
    pub(crate) fn select_stack(&mut self) {
        if self.wants_process_stack() != self.on_process_stack {
            std::mem::swap(&mut self.r[13], &mut self.other_sp);
            self.on_process_stack = !self.on_process_stack;
        }
    }

    pub(crate) fn main_stack(&self) -> u32 {
        if self.on_process_stack { self.other_sp } else { self.r[13] }
    }

    pub(crate) fn process_stack(&self) -> u32 {
        if self.on_process_stack { self.r[13] } else { self.other_sp }
    }

    pub(crate) fn set_main_stack(&mut self, value: u32) {
        *(if self.on_process_stack { &mut self.other_sp } else { &mut self.r[13] }) = value & !3;
    }

    pub(crate) fn set_process_stack(&mut self, value: u32) {
        *(if self.on_process_stack { &mut self.r[13] } else { &mut self.other_sp }) = value & !3;
    }

    pub(crate) fn xpsr(&self) -> u32 {
        let it = u32::from(self.it);
        let epsr = (it & 3) << 25 | (it >> 2) << 10 | u32::from(self.thumb) << 24;
        self.flags.apsr() | epsr | u32::from(self.exception)
    }

    /// Flags, ITSTATE, T and the exception number.
    pub(crate) fn set_xpsr(&mut self, xpsr: u32) {
        self.flags.set_apsr(xpsr);
        self.it = (xpsr >> 25 & 3) as u8 | ((xpsr >> 10 & 0x3F) as u8) << 2;
        self.thumb = xpsr >> 24 & 1 != 0;
        self.exception = (xpsr & 0x1FF) as u16;
    }
}
