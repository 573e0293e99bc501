//! Halting debug: the debugger's registers in the private peripheral bus, and their effect on the run loop (chapter
//! C1).

use crate::instruction::Instruction;

/// Debug halting control and status.
pub const DHCSR: u32 = 0xE000_EDF0;
const DCRSR: u32 = 0xE000_EDF4;
const DCRDR: u32 = 0xE000_EDF8;
const DEMCR: u32 = 0xE000_EDFC;
const DFSR: u32 = 0xE000_ED30;
const FP_CTRL: u32 = 0xE000_2000;
const FP_REMAP: u32 = 0xE000_2004;
const FP_COMP: u32 = 0xE000_2008;

/// Writes to DHCSR without it are ignored.
const DEBUG_KEY: u32 = 0xA05F;
/// Six comparators for instructions, two for literals, revision 1.
const FP_KINDS: u32 = 0x260;
const COMPARATORS: usize = 8;
const INSTRUCTION_COMPARATORS: usize = 6;
const VC_CORERESET: u32 = 1;
const DEMCR_KEPT: u32 = 0x010F_07F1;

/// DFSR: why the core halted.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Halted {
    /// A request of the debugger, or a step.
    Request = 1,
    /// BKPT or a comparator.
    Breakpoint = 2,
    /// A vector that is caught: reset or a fault.
    Vector = 8,
}

/// Settings of the debugger, and debug state of the core.
#[derive(Debug, Clone, Default)]
pub(crate) struct Debug {
    enabled: bool,
    halted: bool,
    /// The next instruction is the last before it halts again.
    stepping: bool,
    mask_interrupts: bool,
    was_reset: bool,
    /// The core was halted, and has executed nothing since: a sleep has ended.
    wakes: bool,
    demcr: u32,
    dfsr: u32,
    pub transfer: u32,
    comparing: bool,
    comparators: [u32; COMPARATORS],
}

/// Whether a write there moves a register between core and debugger.
pub(crate) fn is_transfer(address: u32) -> bool {
    address == DCRSR
}

impl Debug {
    /// The same as the corresponding writes of a debugger.
    pub fn set_breakpoint(&mut self, address: u32) {
        let half = if address & 2 == 0 { 0b01 } else { 0b10 };
        (self.enabled, self.comparing) = (true, true);
        self.comparators[0] = half << 30 | address & 0x1FFF_FFFC | 1;
    }

    /// Whether a debugger may halt the core, so that instructions must be checked before execution.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    #[inline]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Whether the next instruction is the first after a halt.
    pub fn wakes(&mut self) -> bool {
        std::mem::take(&mut self.wakes)
    }

    pub fn is_stepping(&self) -> bool {
        self.stepping
    }

    /// Whether PendSV, SysTick and interrupts have to wait.
    pub fn masks_interrupts(&self) -> bool {
        self.enabled && self.mask_interrupts
    }

    pub fn halt(&mut self, why: Halted) {
        (self.halted, self.stepping, self.wakes) = (true, false, true);
        self.note(why);
    }

    /// Keeps the reason in DFSR, which is cleared by writing ones.
    pub fn note(&mut self, why: Halted) {
        self.dfsr |= why as u32;
    }

    pub fn clear_reasons(&mut self, ones: u32) {
        self.dfsr &= !ones;
    }

    /// After any reset but power-on, which takes everything.
    pub fn core_was_reset(&mut self) {
        (self.was_reset, self.stepping, self.halted) = (true, false, false);
    }

    /// Whether the core halts between the reset sequence and the first instruction.
    pub fn catches_reset(&self) -> bool {
        self.enabled && self.demcr & VC_CORERESET != 0
    }

    /// Whether it halts before the first instruction of this exception's handler.
    pub fn catches(&self, exception: u16, cfsr: u32) -> bool {
        use crate::exception::{BUS_FAULT, HARD_FAULT, MEM_MANAGE, USAGE_FAULT};
        use crate::system::{INVPC, INVSTATE, NOCP, UNDEFINSTR};
        let bits = match exception {
            MEM_MANAGE => 1 << 4,
            BUS_FAULT => 1 << 8,
            HARD_FAULT => 1 << 10,
            USAGE_FAULT if cfsr & NOCP != 0 => 1 << 5,
            USAGE_FAULT if cfsr & (UNDEFINSTR | INVSTATE | INVPC) != 0 => 1 << 7,
            USAGE_FAULT => 1 << 6,
            _ => 0,
        };
        self.enabled && self.demcr & bits != 0
    }

    /// Whether the core halts instead of executing what is at `pc`.
    pub fn stops_at(&self, pc: u32) -> bool {
        self.comparing && self.enabled && self.matches(pc)
    }

    /// The same of the instruction itself.
    pub fn stops_for(&self, instruction: Instruction) -> bool {
        self.enabled && instruction == Instruction::Breakpoint
    }

    /// Revision 1 of the comparators: a word address and which half of it.
    fn matches(&self, pc: u32) -> bool {
        self.comparators.iter().take(INSTRUCTION_COMPARATORS).any(|comparator| {
            let half = match comparator >> 30 {
                0b01 => pc & 2 == 0,
                0b10 => pc & 2 != 0,
                0b11 => true,
                // Remapping of instructions: reported as missing.
                _ => false,
            };
            comparator & 1 != 0 && comparator & 0x1FFF_FFFC == pc & !3 && half
        })
    }

    /// A register of the debug blocks; `None`: not one of these.
    pub fn read(&mut self, address: u32, asleep: bool, locked_up: bool) -> Option<u32> {
        Some(match address {
            DFSR => self.dfsr,
            DHCSR => self.status(asleep, locked_up),
            DCRSR | FP_REMAP => 0,
            DCRDR => self.transfer,
            DEMCR => self.demcr,
            FP_CTRL => FP_KINDS | u32::from(self.comparing),
            _ => *self.comparators.get(comparator(address)?)?,
        })
    }

    /// What only a debugger may write; `false`: something else.
    pub fn control_by_debugger(&mut self, address: u32, value: u32) -> bool {
        match address {
            DHCSR if value >> 16 == DEBUG_KEY => self.control(value),
            DHCSR | DCRSR => {}
            DCRDR => self.transfer = value,
            DEMCR => self.demcr = value & DEMCR_KEPT,
            _ => return false,
        }
        true
    }

    /// DEMCR as firmware writes it: the vector catches are the debugger's.
    pub fn set_monitor(&mut self, value: u32) {
        const FIRMWARE: u32 = 0x010F_0000;
        self.demcr = self.demcr & !FIRMWARE | value & FIRMWARE;
    }

    /// `false`: not a breakpoint register, or an unsupported setting.
    pub fn write_comparator(&mut self, address: u32, value: u32) -> bool {
        match address {
            FP_CTRL => {
                if value & 2 != 0 {
                    self.comparing = value & 1 != 0;
                }
                return true;
            }
            FP_REMAP => return value == 0,
            _ => {}
        }
        let Some(number) = comparator(address) else { return false };
        let Some(comparator) = self.comparators.get_mut(number) else { return false };
        *comparator = value;
        let breaks = number < INSTRUCTION_COMPARATORS && value >> 30 != 0;
        value & 1 == 0 || breaks
    }

    fn control(&mut self, value: u32) {
        let [enable, halt, step, mask] = [0, 1, 2, 3].map(|bit| value >> bit & 1 != 0);
        self.enabled = enable;
        self.mask_interrupts = enable && mask;
        if !enable {
            (self.halted, self.stepping) = (false, false);
        } else if halt && !self.halted {
            self.halt(Halted::Request);
        } else if !halt && self.halted {
            (self.halted, self.stepping) = (false, step);
        }
    }

    /// DHCSR. C_HALT reads 1 in every halt: debuggers read, modify and write it.
    fn status(&mut self, asleep: bool, locked_up: bool) -> u32 {
        let runs = !self.halted;
        let bits = [
            (0, self.enabled),
            (1, self.halted),
            (2, self.stepping),
            (3, self.mask_interrupts),
            // S_REGRDY: a transfer takes no time.
            (16, true),
            (17, self.halted),
            (18, runs && asleep),
            (19, runs && locked_up),
            (24, runs),
            (25, std::mem::take(&mut self.was_reset)),
        ];
        bits.iter().fold(0, |word, (bit, set)| word | u32::from(*set) << bit)
    }
}

fn comparator(address: u32) -> Option<usize> {
    let offset = address.checked_sub(FP_COMP)?;
    (offset.is_multiple_of(4) && (offset as usize) < 4 * COMPARATORS).then_some(offset as usize / 4)
}
