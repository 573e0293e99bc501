//! The address map the CPU sees.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsemu::core::error::BusError;
use rsemu::core::space::{
    AddressSpace, DispatchPolicy, MappingId, MemAttrs, MemOps, MemResult, Perms, Region, UnassignedPolicy,
};
use rsemu::core::value::Width;

use crate::fabric::{FLASH_SIZE, RAM_BASE, RAM_SIZE};
use crate::soc::Soc;

/// RAM or flash, shared between the CPU's bus and the peripherals.
pub(crate) use rsemu::core::space::RamStore as Memory;

/// RAM again, for code (instruction bus).
const CODE_RAM_BASE: u64 = 0x0080_0000;
const INFO_BASE: u32 = 0x1000_0000;
const APB_BASE: u32 = 0x4000_0000;
/// Undocumented registers that errata workarounds of the USB device write.
const USB_TRIM_BASE: u32 = 0x4006_E000;
const GPIO_BASE: u32 = 0x5000_0000;
const CRYPTOCELL_BASE: u32 = 0x5002_A000;
/// Vendor constants read by old errata checks.
const PART_INFO_BASE: u32 = 0xF000_0000;

/// What the run loop and the register accesses tell each other without a lock.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// The time, as the run loop counts it.
    pub now: AtomicU64,
    /// The run loop should look at the peripherals before the next instruction.
    pub attention: AtomicBool,
}

/// The peripherals, shared between the run loop and the CPU's bus.
#[derive(Debug, Clone)]
pub(crate) struct SharedSoc {
    soc: Arc<Mutex<Soc>>,
    pub signals: Arc<Signals>,
}

impl SharedSoc {
    pub fn new(soc: Soc) -> SharedSoc {
        SharedSoc { soc: Arc::new(Mutex::new(soc)), signals: Arc::default() }
    }

    /// The peripherals. A board that panicked in a callback leaves them usable.
    pub fn lock(&self) -> MutexGuard<'_, Soc> {
        self.soc.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the peripherals as of now, on behalf of the CPU.
    pub fn access<R>(&self, access: impl FnOnce(&mut Soc) -> R) -> R {
        let mut soc = self.lock();
        soc.catch_up(self.signals.now.load(Ordering::Relaxed));
        let (next, irq) = (soc.next, soc.irq);
        let result = access(&mut soc);
        if soc.next != next || soc.irq != irq || soc.wants_attention() {
            self.signals.attention.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// One window of the address map that is answered by the peripherals.
struct Window {
    base: u32,
    soc: SharedSoc,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window at {:#010x}", self.base)
    }
}

impl MemOps for Window {
    fn read(&self, offset: u64, bytes: &mut [u8], _attrs: MemAttrs) -> MemResult {
        let address = self.base + offset as u32;
        let lane = (address & 3) as usize;
        if lane + bytes.len() > 4 {
            return Err(BusError::BadAccess);
        }
        let word = match self.base {
            APB_BASE | USB_TRIM_BASE | GPIO_BASE | CRYPTOCELL_BASE => self.soc.access(|soc| soc.read(address)),
            INFO_BASE => self.soc.access(|soc| soc.read_info(address)),
            PART_INFO_BASE => part_info(address),
            _ => self.soc.access(|soc| soc.read_flash(address & !3)),
        };
        bytes.copy_from_slice(&word.to_le_bytes()[lane..lane + bytes.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8], _attrs: MemAttrs) -> MemResult {
        let address = self.base + offset as u32;
        // Registers and flash take whole aligned words only.
        let Ok(word) = <[u8; 4]>::try_from(bytes) else { return Err(BusError::BadAccess) };
        if !address.is_multiple_of(4) {
            return Err(BusError::BadAccess);
        }
        let value = u32::from_le_bytes(word);
        let done = match self.base {
            APB_BASE | USB_TRIM_BASE | GPIO_BASE | CRYPTOCELL_BASE => {
                self.soc.access(|soc| soc.write(address, value));
                true
            }
            INFO_BASE => self.soc.access(|soc| soc.write_info(address, value)),
            PART_INFO_BASE => false,
            _ => self.soc.access(|soc| soc.write_flash(address, value)),
        };
        if done { Ok(()) } else { Err(BusError::Protected) }
    }
}

/// ROM table identification at 0xF000_0FE0: part 0x08 (nRF52840).
fn part_info(address: u32) -> u32 {
    match address & 0xFFC {
        0xFE0 => 0x08,
        0xFE8 => 0x30,
        _ => 0,
    }
}

/// The address space and the means to make flash writable.
pub(crate) struct Bus {
    pub space: Arc<AddressSpace>,
    soc: SharedSoc,
    flash_window: Option<MappingId>,
}

impl Bus {
    pub fn new(ram: &Arc<Memory>, flash: &Arc<Memory>, soc: &SharedSoc) -> Result<Bus, rsemu::core::error::Error> {
        // One entry per 256 KiB finds RAM and flash without a search, and is quick to build again.
        let space = AddressSpace::new("nrf52840", 32)
            .with_unassigned(UnassignedPolicy::FAULT)
            .with_dispatch(DispatchPolicy::Dense { page_bits: 18, cover: 0x5004_0000 });
        {
            let mut map = space.topology();
            map.map_with_perms(Region::ram("flash", Arc::clone(flash)), 0, Perms::RX)?;
            map.map(Region::ram("RAM", Arc::clone(ram)), u64::from(RAM_BASE))?;
            map.map(Region::ram("code RAM", Arc::clone(ram)), CODE_RAM_BASE)?;
            for (name, base, length) in [
                ("FICR and UICR", INFO_BASE, 0x2000),
                ("APB", APB_BASE, 0x4_0000),
                ("USB trim", USB_TRIM_BASE, 0x1000),
                ("GPIO", GPIO_BASE, 0x1000),
                ("CRYPTOCELL", CRYPTOCELL_BASE, 0x2000),
                ("part info", PART_INFO_BASE, 0x1000),
            ] {
                map.map(window(name, base, length, soc), u64::from(base))?;
            }
        }
        Ok(Bus { space: Arc::new(space), soc: soc.clone(), flash_window: None })
    }

    /// Reads 1, 2 or 4 bytes as the AHB access port does; `None`: bus fault.
    pub fn read_sized(&self, address: u32, bytes: u32) -> Option<u32> {
        self.space.read(u64::from(address), width(bytes), MemAttrs::DEFAULT).ok().map(|word| word as u32)
    }

    /// Writes 1, 2 or 4 bytes as the AHB access port does; `None`: bus fault.
    pub fn write_sized(&self, address: u32, bytes: u32, value: u32) -> Option<()> {
        self.space.write(u64::from(address), width(bytes), u64::from(value), MemAttrs::DEFAULT).ok()
    }

    /// Reads a word as the CPU would; `None`: bus fault.
    pub fn read(&self, address: u32) -> Option<u32> {
        self.space.read(u64::from(address), Width::U32, MemAttrs::DEFAULT).ok().map(|word| word as u32)
    }

    /// Writes a word as the CPU would; `None`: bus fault.
    pub fn write(&self, address: u32, value: u32) -> Option<()> {
        self.space.write(u64::from(address), Width::U32, u64::from(value), MemAttrs::DEFAULT).ok()
    }

    /// Whether writes to flash addresses reach the NVMC; otherwise they fault. Flash is mapped as
    /// plain read-only memory most of the time because fetching through a window is slow.
    pub fn set_flash_writable(&mut self, writable: bool) {
        match (self.flash_window, writable) {
            (None, true) => {
                let region = window("flash being written", 0, u64::from(FLASH_SIZE), &self.soc);
                self.flash_window = self.space.topology().map_with_priority(region, 0, 1).ok();
            }
            (Some(id), false) => {
                // The mapping is ours and still there.
                let _ = self.space.topology().unmap(id);
                self.flash_window = None;
            }
            _ => {}
        }
    }
}

fn width(bytes: u32) -> Width {
    match bytes {
        1 => Width::U8,
        2 => Width::U16,
        _ => Width::U32,
    }
}

fn window(name: &str, base: u32, length: u64, soc: &SharedSoc) -> Region {
    Region::io(name, length, Arc::new(Window { base, soc: soc.clone() }))
}

/// RAM and flash of one chip.
pub(crate) fn memories() -> (Arc<Memory>, Arc<Memory>) {
    (Arc::new(Memory::new(u64::from(RAM_SIZE))), Arc::new(Memory::new(u64::from(FLASH_SIZE))))
}
