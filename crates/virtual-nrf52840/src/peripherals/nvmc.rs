//! NVMC, flash and UICR.

use super::index;
use crate::fabric::{FLASH_PAGE, FLASH_SIZE, Fabric};
use crate::identity::Tolerances;
use crate::memory::Memory;
use crate::time::{MICROSECOND, Time};

const WRITE_ENABLE: u32 = 1;
const ERASE_ENABLE: u32 = 2;
/// Words from 0x1000_1000.
const UICR_WORDS: usize = 1024;
const ERASED: u32 = 0xFFFF_FFFF;
/// Regions of the access control lists.
const REGIONS: usize = 8;
/// PERM: neither writing nor erasing; no reading.
const NO_WRITE: u32 = 1 << 1;
const NO_READ: u32 = 1 << 2;

/// ADDR, SIZE, PERM of a region, each of which can be written once.
#[derive(Debug, Clone, Copy, Default)]
struct Protection([Option<u32>; 3]);

impl Protection {
    /// Whether the region forbids writing `length` bytes from `address`.
    fn forbids(&self, address: u32, length: u32) -> bool {
        let [start, size, permissions] = self.0.map(Option::unwrap_or_default);
        let at_page = start.is_multiple_of(FLASH_PAGE);
        let overlaps = address < start.saturating_add(size) && start < address.saturating_add(length);
        permissions & NO_WRITE != 0 && at_page && overlaps
    }
}

/// Flash and UICR, which survive power-off.
#[derive(Debug, Clone)]
pub(crate) struct Nvmc {
    pub flash: Memory,
    pub uicr: Vec<u32>,
    config: u32,
    partial_config: u32,
    icache_config: u32,
    busy_until: Time,
    write_us: u32,
    erase_page_us: u32,
    erase_all_us: u32,
    acl: [Protection; REGIONS],
    /// First address of a page whose bits cannot be written.
    bad_page: Option<u32>,
}

impl Nvmc {
    pub fn new(tolerances: &Tolerances) -> Nvmc {
        let mut nvmc = Nvmc {
            flash: Memory::new(FLASH_SIZE),
            uicr: vec![ERASED; UICR_WORDS],
            config: 0,
            partial_config: 10,
            icache_config: 0,
            busy_until: 0,
            write_us: tolerances.flash_write_us,
            erase_page_us: tolerances.flash_erase_page_us,
            erase_all_us: tolerances.flash_erase_all_us,
            acl: [Protection::default(); REGIONS],
            bad_page: tolerances.flash_bad_page.map(|address| address & !(FLASH_PAGE - 1)),
        };
        nvmc.fill_flash(0, FLASH_SIZE);
        nvmc
    }

    pub fn reset(&mut self) {
        (self.config, self.icache_config, self.busy_until) = (0, 0, 0);
        self.acl = [Protection::default(); REGIONS];
    }

    /// Whether the CPU's writes to flash addresses go to the flash.
    pub fn writes_enabled(&self) -> bool {
        self.config == WRITE_ENABLE
    }

    fn fill_flash(&mut self, offset: u32, length: u32) {
        // Cannot fail: callers align and limit both to the flash.
        let _ = self.flash.fill(offset, length, 0xFF);
    }

    /// The CPU cannot fetch from flash that is being written or erased.
    fn busy(&mut self, fabric: &mut Fabric, us: u32) {
        self.busy_until = fabric.now.max(self.busy_until) + Time::from(us) * MICROSECOND;
        fabric.stall_until = self.busy_until;
    }

    /// A word written by the CPU; bits can only go from 1 to 0. `false`: writing is not enabled.
    pub fn write_flash(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if !self.writes_enabled() || !offset.is_multiple_of(4) || offset >= FLASH_SIZE || self.is_protected(offset, 4) {
            return false;
        }
        if fabric.supply_fails {
            return true;
        }
        self.busy(fabric, self.write_us);
        if self.bad_page == Some(offset & !(FLASH_PAGE - 1)) {
            return true;
        }
        let mut old = [0; 4];
        // Cannot fail: the offset was just checked.
        let _ = self.flash.read_at(offset, &mut old);
        let new = u32::from_le_bytes(old) & value;
        let _ = self.flash.write_at(offset, &new.to_le_bytes());
        true
    }

    pub fn read_uicr(&self, offset: u32) -> u32 {
        self.uicr.get(offset as usize / 4).copied().unwrap_or(ERASED)
    }

    /// A word written by the CPU. `false`: writing is not enabled.
    pub fn write_uicr(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if !self.writes_enabled() || !offset.is_multiple_of(4) {
            return false;
        }
        if fabric.supply_fails {
            return true;
        }
        if let Some(word) = self.uicr.get_mut(offset as usize / 4) {
            *word &= value;
        }
        self.busy(fabric, self.write_us);
        true
    }

    fn is_protected(&self, address: u32, length: u32) -> bool {
        self.acl.iter().any(|region| region.forbids(address, length))
    }

    fn may_erase(&self, fabric: &mut Fabric, address: u32, length: u32) -> bool {
        if self.config != ERASE_ENABLE || fabric.supply_fails {
            return false;
        }
        let protected = length != 0 && self.is_protected(address, length);
        if protected {
            fabric.not_supported("ACL", "the bus fault for erasing a protected region");
        }
        !protected
    }

    fn erase_page(&mut self, fabric: &mut Fabric, address: u32) {
        if self.may_erase(fabric, address & !(FLASH_PAGE - 1), FLASH_PAGE) && address < FLASH_SIZE {
            self.fill_flash(address & !(FLASH_PAGE - 1), FLASH_PAGE);
            self.busy(fabric, self.erase_page_us);
        }
    }

    fn erase_all(&mut self, fabric: &mut Fabric, also_flash: bool) {
        if self.may_erase(fabric, 0, if also_flash { FLASH_SIZE } else { 0 }) {
            if also_flash {
                self.fill_flash(0, FLASH_SIZE);
            }
            self.uicr.fill(ERASED);
            self.busy(fabric, if also_flash { self.erase_all_us } else { self.erase_page_us });
        }
    }

    /// CTRL-AP erases flash and UICR, regardless of CONFIG.
    pub fn erase_by_control_port(&mut self, fabric: &mut Fabric) {
        self.fill_flash(0, FLASH_SIZE);
        self.uicr.fill(ERASED);
        self.busy(fabric, self.erase_all_us);
    }

    pub fn is_busy(&self, now: Time) -> bool {
        now < self.busy_until
    }

    /// The start address of the CPU was never written.
    pub fn is_blank(&self) -> bool {
        let mut vectors = [0; 8];
        // Cannot fail: the range is in flash.
        let _ = self.flash.read_at(0, &mut vectors);
        vectors == [0xFF; 8]
    }

    /// Region and register of the access control lists; the fourth word of each region is not used.
    fn acl_register(offset: u32) -> Option<(usize, usize)> {
        let register = index(offset, 0x800, 4, 4 * REGIONS as u32)?;
        (register % 4 < 3).then_some((register / 4, register % 4))
    }

    pub fn read(&self, fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if let Some((region, register)) = Nvmc::acl_register(offset) {
            return Some(self.acl[region].0[register].unwrap_or_default());
        }
        match offset {
            0x400 | 0x408 => {
                fabric.polls_until = self.busy_until;
                Some(u32::from(!self.is_busy(fabric.now)))
            }
            0x504 => Some(self.config),
            0x508 | 0x50C | 0x510 | 0x514 | 0x518 | 0x544 => Some(0),
            0x51C => Some(self.partial_config),
            0x540 => Some(self.icache_config),
            0x548 | 0x54C => Some(0),
            _ => None,
        }
    }

    pub fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some((region, register)) = Nvmc::acl_register(offset) {
            let region = &mut self.acl[region];
            region.0[register].get_or_insert(value);
            if register == 2 && region.0[register].is_some_and(|permissions| permissions & NO_READ != 0) {
                fabric.not_supported("ACL", "protection against reading (PERM.READ)");
            }
            return true;
        }
        match offset {
            0x504 => self.config = value & 3,
            // ERASEPAGE and its two deprecated names.
            0x508 | 0x510 | 0x544 => self.erase_page(fabric, value),
            0x50C if value & 1 != 0 => self.erase_all(fabric, true),
            0x514 if value & 1 != 0 => self.erase_all(fabric, false),
            0x50C | 0x514 => {}
            0x518 => {
                fabric.not_supported("NVMC", "partial erase (ERASEPAGEPARTIAL)");
            }
            0x51C => self.partial_config = value & 0x7F,
            0x540 => {
                self.icache_config = value & 0x101;
                if value >> 8 & 1 != 0 {
                    fabric.not_supported("NVMC", "counting the hits of the cache (ICACHECNF.CACHEPROFEN)");
                }
            }
            0x548 | 0x54C => {}
            _ => return index(offset, 0x400, 8, 2).is_some(),
        }
        true
    }

    /// UICR.PSELRESET: the port of the reset pin, if both registers agree and select one.
    pub fn reset_port(&self) -> Option<usize> {
        let (first, second) = (self.read_uicr(0x200), self.read_uicr(0x204));
        (first == second && first & 1 << 31 == 0).then_some((first & 0x3F) as usize)
    }

    /// UICR.NFCPINS: P0.09 and P0.10 belong to the antenna.
    pub fn nfc_pins(&self) -> bool {
        self.read_uicr(0x20C) & 1 != 0
    }
}
