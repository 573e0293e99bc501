//! The address map of the CPU and the debug port.

use cortex_m4f::{Bus, Fault};

use crate::debug::rom_table;
use crate::diagnostic::{Access, Problem};
use crate::fabric::{FLASH_SIZE, RAM_BASE, RAM_SIZE};
use crate::observe::BusAccess;
use crate::soc::Soc;
use crate::time::{CPU_CYCLE, Time};

/// RAM again, for code (instruction bus).
const CODE_RAM_BASE: u32 = 0x0080_0000;

/// Block of an address, and the offset in it.
enum MemoryRegion {
    Flash,
    Ram(u32),
    /// FICR and UICR.
    Info,
    Peripherals,
    /// Vendor constants that old errata checks read: ROM table identification.
    PartInfo,
    Nothing,
}

fn place(address: u32) -> MemoryRegion {
    match address {
        0..FLASH_SIZE => MemoryRegion::Flash,
        CODE_RAM_BASE..0x0084_0000 => MemoryRegion::Ram(address - CODE_RAM_BASE),
        0x1000_0000..0x1000_2000 => MemoryRegion::Info,
        RAM_BASE..0x2004_0000 => MemoryRegion::Ram(address - RAM_BASE),
        // The peripherals; the undocumented registers that errata workarounds of the USB device write; GPIO;
        // CRYPTOCELL.
        0x4000_0000..0x4004_0000 | 0x4006_E000..0x4006_F000 | 0x5000_0000..0x5000_1000 | 0x5002_A000..0x5002_C000 => {
            MemoryRegion::Peripherals
        }
        0xF000_0000..0xF000_1000 => MemoryRegion::PartInfo,
        _ => MemoryRegion::Nothing,
    }
}

/// Part 0x08 (nRF52840).
fn part_info(address: u32) -> u32 {
    match address & 0xFFC {
        0xFE0 => 0x08,
        0xFE8 => 0x30,
        _ => 0,
    }
}

impl Soc {
    /// Reads 1, 2 or 4 bytes at an address that is aligned, as of now; `None`: bus fault.
    pub fn read_mapped(&mut self, address: u32, bytes: u32) -> Option<u32> {
        let word = match place(address) {
            MemoryRegion::Flash => self.read_flash(address & !3),
            MemoryRegion::Ram(offset) => {
                let mut word = [0; 4];
                self.fabric.ram.read_at(offset & !3, &mut word).ok()?;
                u32::from_le_bytes(word)
            }
            MemoryRegion::Info => self.read_info(address),
            MemoryRegion::Peripherals => self.read(address),
            MemoryRegion::PartInfo => part_info(address),
            MemoryRegion::Nothing => return None,
        };
        let mask = if bytes == 4 { u32::MAX } else { (1 << (8 * bytes)) - 1 };
        Some(word >> (8 * (address & 3)) & mask)
    }

    /// Writes 1, 2 or 4 bytes at an address that is aligned, as of now; `None`: bus fault. Registers and flash take
    /// whole words only.
    pub fn write_mapped(&mut self, address: u32, bytes: u32, value: u32) -> Option<()> {
        let done = match place(address) {
            MemoryRegion::Ram(offset) => {
                let word = value.to_le_bytes();
                self.fabric.ram.write_at(offset, word.get(..bytes as usize)?).is_ok()
            }
            _ if bytes != 4 => false,
            MemoryRegion::Flash => self.write_flash(address, value),
            MemoryRegion::Info => self.write_info(address, value),
            MemoryRegion::Peripherals => {
                self.write(address, value);
                true
            }
            MemoryRegion::PartInfo | MemoryRegion::Nothing => false,
        };
        done.then_some(())
    }
}

/// The peripherals for the length of a run of the CPU.
pub(crate) struct CpuBus<'a> {
    pub soc: &'a mut Soc,
    /// Converts a cycle count of the CPU to time.
    pub time: Time,
    pub cycles: u64,
    /// The run loop must serve the peripherals before the next instruction.
    attention: bool,
}

impl<'a> CpuBus<'a> {
    pub fn new(soc: &'a mut Soc, time: Time, cycles: u64) -> CpuBus<'a> {
        CpuBus { soc, time, cycles, attention: false }
    }

    fn time_of(&self, cycle: u64) -> Time {
        self.time + cycle.saturating_sub(self.cycles) * CPU_CYCLE
    }

    /// Accesses the peripherals as of the instruction that began at cycle `at`.
    fn access<R>(&mut self, at: u64, access: impl FnOnce(&mut Soc) -> R) -> R {
        let now = self.time_of(at);
        let soc = &mut *self.soc;
        soc.catch_up(now);
        let (next, irq) = (soc.next, soc.irq);
        let result = access(soc);
        self.attention = soc.next != next || soc.irq != irq || soc.wants_attention();
        result
    }
}

impl CpuBus<'_> {
    /// With an observer, the run pauses after each instruction that accesses the bus.
    fn observe(&mut self, access: BusAccess) {
        if let Some(observer) = &mut self.soc.watcher.0 {
            observer.access(access);
            self.attention = true;
        }
    }
}

impl Bus for CpuBus<'_> {
    #[inline(always)]
    fn code(&self) -> &[u8] {
        self.soc.nvmc.flash.bytes()
    }

    fn code_generation(&self) -> u32 {
        self.soc.nvmc.flash.generation()
    }

    #[inline(always)]
    fn ram(&self) -> &[u8] {
        self.soc.fabric.ram.bytes()
    }

    #[inline(always)]
    fn ram_mut(&mut self) -> &mut [u8] {
        self.soc.fabric.ram.bytes_mut()
    }

    fn read(&mut self, address: u32, bytes: u32, at: u64) -> Option<u32> {
        let read = self.access(at, |soc| soc.read_mapped(address, bytes));
        self.observe(BusAccess { address, bytes, written: None, read });
        read
    }

    fn write(&mut self, address: u32, bytes: u32, value: u32, at: u64) -> Option<()> {
        let done = self.access(at, |soc| soc.write_mapped(address, bytes, value));
        self.observe(BusAccess { address, bytes, written: Some(value), read: None });
        done
    }

    fn fetch(&self, address: u32) -> Option<u32> {
        let MemoryRegion::Ram(offset) = place(address) else { return None };
        let mut bytes = [0; 4];
        let length = (RAM_SIZE - offset).min(4) as usize;
        self.soc.fabric.ram.read_at(offset, bytes.get_mut(..length)?).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn wants_attention(&self) -> bool {
        self.attention
    }

    fn rom_table(&self, offset: u32) -> u32 {
        rom_table(offset)
    }

    fn fault(&mut self, fault: Fault, at: u64) {
        // Expected of an empty chip, so no diagnostic.
        if self.soc.has_nothing_to_execute() {
            return;
        }
        let name = match fault.exception {
            3 => "HardFault",
            4 => "MemManage",
            5 => "BusFault",
            _ => "UsageFault",
        };
        let Fault { cfsr, hfsr, address, pc, .. } = fault;
        let problem = Problem::Fault { name, cfsr, hfsr, address, pc };
        let now = self.time_of(at);
        self.soc.fabric.diagnostics.report(now, problem);
    }

    fn missing(&mut self, block: &'static str, address: u32, written: Option<u32>, at: u64) {
        let (access, value) = match written {
            Some(value) => (Access::Write, value),
            None => (Access::Read, 0),
        };
        let problem = Problem::NotModelled { peripheral: block, address, access, value };
        let now = self.time_of(at);
        self.soc.fabric.diagnostics.report(now, problem);
        self.attention = true;
    }
}
