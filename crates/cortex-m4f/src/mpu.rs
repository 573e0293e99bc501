//! The memory protection unit of ARMv7-M (B3.5), with eight regions.

const REGIONS: usize = 8;

/// MPU_CTRL.
const ENABLE: u32 = 1;
const HFNMIENA: u32 = 2;
const PRIVDEFENA: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Execute,
}

#[derive(Debug, Clone, Copy, Default)]
struct Region {
    base: u32,
    attributes: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mpu {
    control: u32,
    selected: u8,
    regions: [Region; REGIONS],
}

impl Mpu {
    pub fn is_on(&self) -> bool {
        self.control & ENABLE != 0
    }

    /// A register by its offset from MPU_TYPE.
    pub fn read(&self, offset: u32) -> Option<u32> {
        let region = &self.regions[usize::from(self.selected)];
        Some(match offset {
            0x00 => (REGIONS as u32) << 8,
            0x04 => self.control,
            0x08 => self.selected.into(),
            0x0C | 0x14 | 0x1C | 0x24 => region.base | u32::from(self.selected),
            0x10 | 0x18 | 0x20 | 0x28 => region.attributes,
            _ => return None,
        })
    }

    pub fn write(&mut self, offset: u32, value: u32) -> bool {
        const VALID: u32 = 1 << 4;
        match offset {
            0x00 => {}
            0x04 => self.control = value & 7,
            0x08 => self.selected = value as u8 % REGIONS as u8,
            0x0C | 0x14 | 0x1C | 0x24 => {
                if value & VALID != 0 {
                    self.selected = (value & 15) as u8 % REGIONS as u8;
                }
                self.regions[usize::from(self.selected)].base = value & !0x1F;
            }
            0x10 | 0x18 | 0x20 | 0x28 => {
                self.regions[usize::from(self.selected)].attributes = value & 0x173F_FF3F;
            }
            _ => return false,
        }
        true
    }

    /// Whether the byte may be accessed. `urgent`: in HardFault, NMI or with FAULTMASK.
    pub fn permits(&self, address: u32, access: Access, privileged: bool, urgent: bool) -> bool {
        if !self.is_on() || urgent && self.control & HFNMIENA == 0 {
            return true;
        }
        match self.regions.iter().rev().find(|region| region.covers(address)) {
            Some(region) => region.permits(access, privileged),
            None => privileged && self.control & PRIVDEFENA != 0,
        }
    }
}

impl Region {
    fn covers(&self, address: u32) -> bool {
        let bits = (self.attributes >> 1 & 0x1F) + 1;
        if self.attributes & 1 == 0 || bits < 5 {
            return false;
        }
        let mask = if bits >= 32 { 0 } else { u32::MAX << bits };
        if (address ^ self.base) & mask != 0 {
            return false;
        }
        let eighth = if bits >= 8 { address >> (bits - 3) & 7 } else { 0 };
        bits < 8 || self.attributes >> 8 >> eighth & 1 == 0
    }

    fn permits(&self, access: Access, privileged: bool) -> bool {
        let may_write = access != Access::Write;
        let data = match self.attributes >> 24 & 7 {
            1 => privileged,
            2 => privileged || may_write,
            3 => true,
            5 => privileged && may_write,
            6 | 7 => may_write,
            _ => false,
        };
        data && (access != Access::Execute || self.attributes >> 28 & 1 == 0)
    }
}
