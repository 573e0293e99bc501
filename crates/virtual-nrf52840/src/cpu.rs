//! The CPU behind a small trait of ours, so that the core can be replaced. This file and
//! [`crate::bus`] are the only ones that know `rsemu`'s core and bus.

use std::sync::Arc;

use rsemu::core::device::{Device, ResetKind};
use rsemu::core::space::{AddressSpace, MemAttrs};
use rsemu::core::state::{MachineShape, Migrations, StateReader, StateWriter};
use rsemu::core::value::Width;
use rsemu::cpu::arm::v7m::{ArmV7m, CLASS, Config};

/// What the run loop needs from an ARMv7E-M core.
pub trait Cpu {
    /// Executes a reset sequence, an exception entry or an instruction; returns its cycles.
    fn step(&mut self) -> u64;
    /// The same, of a core that sleeps and is woken by its debugger: executes the next instruction.
    fn step_awake(&mut self) -> u64;
    /// In WFI or WFE.
    fn is_asleep(&self) -> bool;
    /// In lockup: only a reset helps.
    fn is_locked_up(&self) -> bool;
    /// AIRCR.SYSRESETREQ was written.
    fn reset_requested(&self) -> bool;
    /// Power-on state; the next step is the reset sequence.
    fn reset(&mut self);
    /// Drives an interrupt line.
    fn set_irq(&mut self, number: u8, asserted: bool);
    /// Address of the next instruction.
    fn pc(&self) -> u32;
    /// Address of the load or store that was just executed (a guess from the instructions before
    /// the next one; wrong only if that load was a jump).
    fn previous_pc(&self) -> u32;
    /// Number of the active exception, 0 in thread mode.
    fn exception(&self) -> u16;
    /// CFSR, HFSR and BFAR (or MMFAR, if only that is valid).
    fn fault_status(&self) -> (u32, u32, u32);
    /// The return address in the exception frame on the current stack.
    fn stacked_pc(&self) -> u32;
    /// Registers r0 to r15 and xPSR.
    fn registers(&self) -> [u32; 17];
    /// The first halfword of the next instruction, without side effects.
    fn opcode(&self) -> u16;
    /// A core register by its number in DCRSR.REGSEL; 0 for one that does not exist.
    fn read_register(&self, number: u8) -> u32;
    /// Sets a core register by its number in DCRSR.REGSEL.
    fn write_register(&mut self, number: u8, value: u32);
    /// A word of the private peripheral bus as a debugger reads it; what does not exist reads 0.
    fn read_system(&self, address: u32) -> u32;
    /// Writes a word of the private peripheral bus.
    fn write_system(&mut self, address: u32, value: u32);
    /// The whole state as bytes.
    fn save(&self) -> Vec<u8>;
    /// Back to a saved state. `false` if the bytes are not from [`Cpu::save`].
    fn load(&mut self, state: &[u8]) -> bool;
}

const NAME: &str = "cpu";

/// The bits of xPSR that hold ITSTATE.
const IT_STATE: u32 = 0x0600_FC00;

/// The core of `rsemu`, as a Cortex-M4F with three priority bits and without bit-banding, which
/// the nRF52840 does not have.
pub struct RsemuCpu {
    core: ArmV7m,
    space: Arc<AddressSpace>,
}

impl RsemuCpu {
    pub fn new(space: Arc<AddressSpace>) -> RsemuCpu {
        let core = ArmV7m::new(Config::CORTEX_M4F.with_bit_band(false).with_priority_bits(3));
        core.attach_space(Arc::clone(&space));
        RsemuCpu { core, space }
    }

    /// rsemu 0.0.7 leaves ITSTATE out of the xPSR it stacks on exception entry (ARM DDI 0403, B1.5.6 has it in), so
    /// an interrupt in an IT block would make the rest of the block unconditional after its return. This puts it back,
    /// if the step just taken was an entry.
    fn keep_if_then(&self, if_then: u32) {
        const STACKED_XPSR: u32 = 28;
        const ON_PROCESS_STACK: u32 = 4;
        let handler = self.core.current_exception().0;
        let vector = self.core.with_sys(|sys| sys.vtor).wrapping_add(4 * u32::from(handler));
        let entered = handler != 0 && self.core.xpsr() & IT_STATE == 0 && self.core.pc() == self.peek(vector) & !1;
        if !entered {
            return;
        }
        let frame = if self.core.reg(14) & ON_PROCESS_STACK != 0 { self.core.psp() } else { self.core.msp() };
        let at = frame.wrapping_add(STACKED_XPSR);
        let stacked = self.peek(at) | if_then;
        // The core has just written the same word; if that failed, it has taken a fault of its own.
        let _ = self.space.write(u64::from(at), Width::U32, u64::from(stacked), MemAttrs::DEBUG);
    }

    fn peek(&self, address: u32) -> u32 {
        self.space.read(u64::from(address), Width::U32, MemAttrs::DEBUG).map_or(0, |word| word as u32)
    }
}

impl Cpu for RsemuCpu {
    fn step(&mut self) -> u64 {
        let if_then = self.core.xpsr() & IT_STATE;
        let cycles = self.core.step();
        if if_then != 0 {
            self.keep_if_then(if_then);
        }
        cycles
    }

    /// rsemu wakes for a pending exception only; a masked one that is taken back afterwards does it.
    fn step_awake(&mut self) -> u64 {
        const ICSR: u32 = 0xE000_ED04;
        const PENDSVSET: u32 = 1 << 28;
        const PENDSVCLR: u32 = 1 << 27;
        let was_pending = self.read_system(ICSR) & PENDSVSET != 0;
        let masked = self.core.regs().primask;
        self.core.set_regs(rsemu::cpu::arm::v7m::Regs { primask: true, ..self.core.regs() });
        self.write_system(ICSR, PENDSVSET);
        let cycles = self.step();
        if !was_pending {
            self.write_system(ICSR, PENDSVCLR);
        }
        self.core.set_regs(rsemu::cpu::arm::v7m::Regs { primask: masked, ..self.core.regs() });
        cycles
    }

    fn is_asleep(&self) -> bool {
        self.core.is_asleep()
    }

    fn is_locked_up(&self) -> bool {
        self.core.is_locked_up()
    }

    fn reset_requested(&self) -> bool {
        self.core.reset_requested()
    }

    fn reset(&mut self) {
        Device::reset(&self.core, ResetKind::Cold);
    }

    fn set_irq(&mut self, number: u8, asserted: bool) {
        self.core.set_irq(u16::from(number), asserted);
    }

    fn pc(&self) -> u32 {
        self.core.pc()
    }

    fn previous_pc(&self) -> u32 {
        let pc = self.core.pc();
        let first_half = self.peek(pc.wrapping_sub(4)) & 0xFFFF;
        // First halfwords of the 32-bit loads and stores: single, multiple, dual, exclusive.
        let is_wide = matches!(first_half >> 8, 0xF8 | 0xF9 | 0xE8 | 0xE9);
        pc.wrapping_sub(if is_wide { 4 } else { 2 })
    }

    fn exception(&self) -> u16 {
        self.core.current_exception().0
    }

    fn fault_status(&self) -> (u32, u32, u32) {
        const BFAR_VALID: u32 = 1 << 15;
        self.core.with_sys(|sys| {
            let address = if sys.cfsr & BFAR_VALID != 0 { sys.bfar } else { sys.mmfar };
            (sys.cfsr, sys.hfsr, address)
        })
    }

    fn stacked_pc(&self) -> u32 {
        let lr = self.core.reg(14);
        let on_process_stack = lr >= 0xFFFF_FFE0 && lr & 4 != 0;
        let frame = if on_process_stack { self.core.psp() } else { self.core.msp() };
        self.peek(frame.wrapping_add(24))
    }

    fn registers(&self) -> [u32; 17] {
        let regs = self.core.regs();
        let mut all = [0; 17];
        all[..16].copy_from_slice(&regs.r);
        all[16] = regs.xpsr;
        all
    }

    fn opcode(&self) -> u16 {
        let at = u64::from(self.core.pc());
        self.space.read(at, Width::U16, MemAttrs::DEBUG).map_or(0, |half| half as u16)
    }

    fn read_register(&self, number: u8) -> u32 {
        let regs = self.core.regs();
        match number {
            0..=15 => regs.r[usize::from(number)],
            16 => regs.xpsr,
            17 => regs.msp,
            18 => regs.psp,
            20 => {
                let masks = u32::from(regs.basepri) << 8 | u32::from(regs.faultmask) << 16;
                regs.control << 24 | masks | u32::from(regs.primask)
            }
            33 => self.core.fpscr(),
            64..=95 => self.core.s(number - 64),
            _ => 0,
        }
    }

    fn write_register(&mut self, number: u8, value: u32) {
        let mut regs = self.core.regs();
        match number {
            13 => return self.core.set_reg(13, value & !3),
            0..=14 => return self.core.set_reg(number, value),
            15 => return self.core.set_pc(value & !1),
            16 => regs.xpsr = value,
            17 => regs.msp = value & !3,
            18 => regs.psp = value & !3,
            20 => {
                (regs.control, regs.faultmask) = (value >> 24 & 7, value >> 16 & 1 != 0);
                (regs.basepri, regs.primask) = ((value >> 8) as u8, value & 1 != 0);
            }
            33 => return self.core.set_fpscr(value),
            64..=95 => return self.core.set_s(number - 64, value),
            _ => return,
        }
        self.core.set_regs(regs);
    }

    fn read_system(&self, address: u32) -> u32 {
        self.core.with_sys(|sys| sys.read_word(address, true)).unwrap_or(0)
    }

    fn write_system(&mut self, address: u32, value: u32) {
        self.core.with_sys(|sys| sys.write_word(address, value));
    }

    fn save(&self) -> Vec<u8> {
        let mut shape = MachineShape::new();
        let saved = shape.add_device(NAME, CLASS.name).and_then(|_| {
            let mut writer = StateWriter::new(shape);
            Device::save(&self.core, &mut writer.chunk(NAME, CLASS.name, CLASS.version)?)?;
            writer.to_vec()
        });
        // Saving to memory has no way to fail; an empty state would be refused by `load`.
        saved.unwrap_or_default()
    }

    fn load(&mut self, state: &[u8]) -> bool {
        let Ok(reader) = StateReader::new(state) else { return false };
        let migrations = Migrations::new();
        reader
            .load(NAME, CLASS.name, CLASS.version, &migrations)
            .and_then(|chunk| Device::load(&self.core, &mut chunk.reader()))
            .is_ok()
    }
}
