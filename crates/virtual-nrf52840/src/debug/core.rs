//! Halting debug of the core: the registers that a debugger sees in the private peripheral bus, and what they make the run
//! loop do (ARMv7-M architecture reference, chapter C1).

use crate::cpu::Cpu;

pub(super) const DFSR: u32 = 0xE000_ED30;
pub(crate) const DHCSR: u32 = 0xE000_EDF0;
const DCRSR: u32 = 0xE000_EDF4;
const DCRDR: u32 = 0xE000_EDF8;
const DEMCR: u32 = 0xE000_EDFC;
const FP_CTRL: u32 = 0xE000_2000;
const FP_COMP: u32 = 0xE000_2008;

/// Writes to DHCSR without it are ignored.
const DEBUG_KEY: u32 = 0xA05F;
/// Six comparators for instructions, two for literals, revision 1.
const FP_KINDS: u32 = 0x260;
const COMPARATORS: usize = 8;
const INSTRUCTION_COMPARATORS: usize = 6;
const TRCENA: u32 = 1 << 24;
const VC_CORERESET: u32 = 1;
/// Of DEMCR: TRCENA is the core's own, the rest only kept here.
const DEMCR_KEPT: u32 = 0x010F_07F1 & !TRCENA;
const REGISTER_WRITE: u32 = 1 << 16;
/// The opcode of BKPT, without its number.
const BKPT: u16 = 0xBE00;

/// DFSR: why the core halted.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum Halted {
    /// A request of the debugger, or a step.
    Request = 1,
    /// BKPT or a comparator.
    Breakpoint = 2,
    /// A vector that is caught: the reset.
    Vector = 8,
}

/// What the debugger set up, and where the core is.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreDebug {
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
    transfer: u32,
    comparing: bool,
    comparators: [u32; COMPARATORS],
    /// CTRL-AP holds the core in reset.
    pub held: bool,
}

impl CoreDebug {
    /// Whether instructions have to be looked at before they are executed.
    pub fn watches(&self) -> bool {
        self.enabled
    }

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

    /// Whether no interrupt may be taken now.
    pub fn masks_interrupts(&self) -> bool {
        self.enabled && self.mask_interrupts
    }

    pub fn halt(&mut self, why: Halted) {
        (self.halted, self.stepping, self.wakes) = (true, false, true);
        self.dfsr |= why as u32;
    }

    /// After any reset but power-on, which takes everything: whether the core halts before its first instruction.
    pub fn core_was_reset(&mut self) -> bool {
        (self.was_reset, self.stepping, self.halted) = (true, false, false);
        self.enabled && self.demcr & VC_CORERESET != 0
    }

    /// Whether the core halts instead of executing `opcode` at `pc`.
    pub fn stops_at(&self, pc: u32, opcode: u16) -> bool {
        opcode & 0xFF00 == BKPT || self.comparing && self.matches(pc)
    }

    /// Revision 1 of the comparators: a word address and which half of it.
    fn matches(&self, pc: u32) -> bool {
        self.comparators.iter().take(INSTRUCTION_COMPARATORS).any(|comparator| {
            let half = match comparator >> 30 {
                0b01 => pc & 2 == 0,
                0b10 => pc & 2 != 0,
                0b11 => true,
                // Remaps instructions: not modelled, and not used for breakpoints.
                _ => false,
            };
            comparator & 1 != 0 && comparator & 0x1FFF_FFFC == pc & !3 && half
        })
    }

    /// A register of the debug blocks; `None`: not one of these.
    pub fn read(&mut self, address: u32, cpu: &impl Cpu) -> Option<u32> {
        Some(match address {
            DFSR => self.dfsr,
            DHCSR => self.status(cpu),
            DCRSR => 0,
            DCRDR => self.transfer,
            DEMCR => self.demcr | cpu.read_system(DEMCR) & TRCENA,
            FP_CTRL => FP_KINDS | u32::from(self.comparing),
            _ => *self.comparators.get(comparator(address)?)?,
        })
    }

    /// `false`: not a register of these.
    pub fn write(&mut self, address: u32, value: u32, cpu: &mut impl Cpu) -> bool {
        match address {
            DFSR => self.dfsr &= !value,
            DHCSR if value >> 16 == DEBUG_KEY => self.control(value),
            DHCSR => {}
            DCRSR if self.halted && value & REGISTER_WRITE != 0 => {
                cpu.write_register(value as u8 & 0x7F, self.transfer)
            }
            DCRSR if self.halted => self.transfer = cpu.read_register(value as u8 & 0x7F),
            DCRSR => {}
            DCRDR => self.transfer = value,
            DEMCR => {
                self.demcr = value & DEMCR_KEPT;
                cpu.write_system(DEMCR, value);
            }
            FP_CTRL if value & 2 != 0 => self.comparing = value & 1 != 0,
            FP_CTRL => {}
            _ => match comparator(address).and_then(|n| self.comparators.get_mut(n)) {
                Some(comparator) => *comparator = value,
                None => return false,
            },
        }
        true
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

    /// DHCSR. C_HALT reads 1 whatever halted the core: debuggers read, modify and write it.
    fn status(&mut self, cpu: &impl Cpu) -> u32 {
        let runs = !self.halted;
        let bits = [
            (0, self.enabled),
            (1, self.halted),
            (2, self.stepping),
            (3, self.mask_interrupts),
            // S_REGRDY: a transfer takes no time.
            (16, true),
            (17, self.halted),
            (18, runs && cpu.is_asleep()),
            (19, runs && cpu.is_locked_up()),
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
