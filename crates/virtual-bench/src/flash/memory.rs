//! Contents, registers and commands of the flash chip, independent of its lines.

use std::collections::BTreeMap;

pub const OTP_BYTES: usize = 512;
pub const SECTOR: u32 = 4096;
const BLOCK: u32 = 65_536;
const PAGE: u32 = 256;

const WRITE_STATUS: u8 = 0x01;
const PROGRAM: u8 = 0x02;
const READ: u8 = 0x03;
const WRITE_DISABLE: u8 = 0x04;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const FAST_READ: u8 = 0x0B;
const ERASE_SECTOR: u8 = 0x20;
/// GigaDevice: write and read status register 2; quad page program with the address on one line.
const WRITE_STATUS_2: u8 = 0x31;
const QUAD_PROGRAM: u8 = 0x32;
const READ_STATUS_2: u8 = 0x35;
/// Macronix: quad page program with the address on four lines.
const QUAD_IO_PROGRAM: u8 = 0x38;
const READ_ID: u8 = 0x9F;
const ENTER_SECURED: u8 = 0xB1;
const EXIT_SECURED: u8 = 0xC1;
const ERASE_CHIP: u8 = 0xC7;
const ERASE_BLOCK: u8 = 0xD8;

const GIGADEVICE: u8 = 0xC8;
const WRITE_IN_PROGRESS: u8 = 1 << 0;
const WRITE_ENABLED: u8 = 1 << 1;
/// Quad enable: bit 6 of the status register (Macronix), bit 1 of status register 2 (GigaDevice).
const QUAD_ENABLE: u8 = 1 << 6;
const QUAD_ENABLE_2: u8 = 1 << 1;
/// Bits of the status register that can be written: block protection and quad enable.
const STATUS_WRITABLE: u8 = 0xFC;

/// Position in a bad sector, and bits that stay 0 there.
const BAD_BITS: [(usize, u8); 3] = [(0x0A3, 0xFB), (0x0A4, 0xBF), (0xC11, 0xFE)];

/// How long the chip is busy, nanoseconds: typical values of the data sheets.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    sector_erase: u64,
    block_erase: u64,
    chip_erase: u64,
    page_program: u64,
    status_write: u64,
}

impl Times {
    /// By JEDEC id: MX25R6435F (in its low-power mode), else MX25L3233F.
    pub const fn of(id: [u8; 3]) -> Self {
        const MS: u64 = 1_000_000;
        match id {
            [0xC2, 0x28, _] => Self {
                sector_erase: 58 * MS,
                block_erase: 650 * MS,
                chip_erase: 80_000 * MS,
                page_program: 3_200_000,
                status_write: 30 * MS,
            },
            _ => Self {
                sector_erase: 25 * MS,
                block_erase: 250 * MS,
                chip_erase: 13_000 * MS,
                page_program: 330_000,
                status_write: 10 * MS,
            },
        }
    }
}

#[derive(Debug, Clone)]
pub struct Memory {
    id: [u8; 3],
    otp: [u8; OTP_BYTES],
    /// By number; a missing sector is erased.
    sectors: BTreeMap<u32, Vec<u8>>,
    bad_sector: Option<u32>,
    times: Times,
    status: u8,
    status_2: u8,
    write_enabled: bool,
    secured: bool,
    busy_until_ns: u64,
}

/// Address bytes that follow an opcode.
pub fn address_bytes(opcode: u8) -> usize {
    match opcode {
        PROGRAM | READ | FAST_READ | ERASE_SECTOR | ERASE_BLOCK => 3,
        _ => 0,
    }
}

impl Memory {
    pub fn new(id: [u8; 3], otp: [u8; OTP_BYTES], times: Times, bad_address: Option<u32>) -> Self {
        let mut memory = Self {
            id,
            otp,
            sectors: BTreeMap::new(),
            bad_sector: None,
            times,
            status: 0,
            status_2: 0,
            write_enabled: false,
            secured: false,
            busy_until_ns: 0,
        };
        memory.bad_sector = bad_address.map(|address| address % memory.bytes() / SECTOR);
        memory
    }

    /// The third byte of the id is the logarithm of the size.
    fn bytes(&self) -> u32 {
        1 << self.id[2].clamp(16, 24)
    }

    /// Writes the first two and the last three sectors, as on a used module.
    pub fn fill_some_sectors(&mut self, mut byte: impl FnMut() -> u8) {
        let last = self.bytes() / SECTOR - 1;
        for sector in [0, 1, last - 2, last - 1, last] {
            self.sectors.insert(sector, (0..SECTOR).map(|_| byte()).collect());
        }
    }

    pub fn power_off(&mut self) {
        (self.secured, self.write_enabled, self.busy_until_ns) = (false, false, 0);
    }

    pub fn quad_enabled(&self) -> bool {
        if self.id[0] == GIGADEVICE { self.status_2 & QUAD_ENABLE_2 != 0 } else { self.status & QUAD_ENABLE != 0 }
    }

    /// Byte number `index` that the chip sends in answer to a command.
    pub fn byte(&self, opcode: u8, address: u32, index: u32, at_ns: u64) -> u8 {
        let busy = at_ns < self.busy_until_ns;
        match opcode {
            READ_STATUS => {
                let progress = if busy { WRITE_IN_PROGRESS } else { 0 };
                let enabled = if self.write_enabled { WRITE_ENABLED } else { 0 };
                self.status | progress | enabled
            }
            READ_STATUS_2 if self.id[0] == GIGADEVICE => self.status_2,
            _ if busy => 0xFF,
            // The id repeats as long as it is clocked.
            READ_ID => self.id[index as usize % 3],
            READ | FAST_READ if self.secured => self.otp[address.wrapping_add(index) as usize % OTP_BYTES],
            READ | FAST_READ => {
                let address = address.wrapping_add(index) % self.bytes();
                self.sectors.get(&(address / SECTOR)).map_or(0xFF, |sector| sector[(address % SECTOR) as usize])
            }
            _ => 0xFF,
        }
    }

    /// Executes a complete command. `data` are the bytes after opcode and address.
    pub fn execute(&mut self, opcode: u8, address: u32, data: &[u8], at_ns: u64) {
        if at_ns < self.busy_until_ns {
            return;
        }
        let is_gigadevice = self.id[0] == GIGADEVICE;
        match opcode {
            WRITE_ENABLE => self.write_enabled = true,
            WRITE_DISABLE => self.write_enabled = false,
            ENTER_SECURED => self.secured = true,
            EXIT_SECURED => self.secured = false,
            WRITE_STATUS | WRITE_STATUS_2 | PROGRAM | QUAD_PROGRAM | QUAD_IO_PROGRAM | ERASE_SECTOR | ERASE_BLOCK
            | ERASE_CHIP
                if self.write_enabled =>
            {
                let busy_ns = match (opcode, data) {
                    (WRITE_STATUS, [status, ..]) => self.write_status(*status),
                    (WRITE_STATUS_2, [status, ..]) if is_gigadevice => {
                        self.status_2 = *status;
                        self.times.status_write
                    }
                    (PROGRAM, [_, ..]) => self.program(address, data),
                    (QUAD_PROGRAM, [_, ..]) if is_gigadevice => self.program(address, data),
                    (QUAD_IO_PROGRAM, [_, ..]) if !is_gigadevice => self.program(address, data),
                    (ERASE_SECTOR, _) => self.erase(address, SECTOR, self.times.sector_erase),
                    (ERASE_BLOCK, _) => self.erase(address, BLOCK, self.times.block_erase),
                    (ERASE_CHIP, _) => self.erase(0, self.bytes(), self.times.chip_erase),
                    // Unknown command, or a command without its data: ignored.
                    _ => return,
                };
                self.write_enabled = false;
                self.busy_until_ns = at_ns + busy_ns;
            }
            _ => {}
        }
    }

    fn write_status(&mut self, status: u8) -> u64 {
        self.status = status & STATUS_WRITABLE;
        self.times.status_write
    }

    /// Bits go from 1 to 0; the address wraps around inside its page. Block protection is not modelled.
    fn program(&mut self, address: u32, data: &[u8]) -> u64 {
        let address = address % self.bytes();
        for (n, byte) in data.iter().enumerate() {
            let at = address & !(PAGE - 1) | address.wrapping_add(n as u32) & (PAGE - 1);
            if self.secured {
                self.otp[at as usize % OTP_BYTES] &= byte;
            } else {
                let sector = self.sectors.entry(at / SECTOR).or_insert_with(|| vec![0xFF; SECTOR as usize]);
                sector[(at % SECTOR) as usize] &= byte;
            }
        }
        let share = (data.len() as u64).min(u64::from(PAGE));
        (self.times.page_program * share / u64::from(PAGE)).max(self.times.page_program / 20)
    }

    /// The one-time-programmable page cannot be erased.
    fn erase(&mut self, address: u32, length: u32, busy_ns: u64) -> u64 {
        if self.secured {
            return 0;
        }
        let first = ((address % self.bytes()) & !(length - 1)) / SECTOR;
        for sector in first..first + length / SECTOR {
            self.sectors.remove(&sector);
            if self.bad_sector == Some(sector) {
                let mut left = vec![0xFF; SECTOR as usize];
                BAD_BITS.iter().for_each(|&(at, byte)| left[at] = byte);
                self.sectors.insert(sector, left);
            }
        }
        busy_ns
    }
}
