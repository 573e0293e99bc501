//! QSPI: the external flash over up to four data lines, with EasyDMA. Execution in place and deep power-down are not
//! modelled.
//!
//! Whole commands go to the board ([`FlashCommand`]); the bits only take time. Before every task, ACTIVATE included,
//! the peripheral reads the flash's status register until WIP is clear: without a flash, READY never comes.

use super::{Common, Peripheral};
use crate::board::{FlashCommand, FlashPorts};
use crate::fabric::Fabric;
use crate::ports::ALL_PORTS;
use crate::time::{MICROSECOND, NEVER, PCLK16M, Time};

mod event {
    pub const READY: u8 = 0;
    pub const ALL: u32 = 1;
}

const NAME: &str = "QSPI";
/// Read status register, write enable, and the three sizes of erase: the same on all flash chips that QSPI supports.
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const ERASE_OPCODES: [u8; 3] = [0x20, 0xD8, 0xC7];
const WRITE_IN_PROGRESS: u8 = 1;
/// The silicon reads the status register without pause; this is often enough.
const POLL_PERIOD: Time = 10 * MICROSECOND;
/// One period of 32 MHz; SCKFREQ divides it.
const CLOCK_UNIT: Time = 250;
/// Bytes of CINSTRDAT0 and CINSTRDAT1.
const CUSTOM_BYTES: usize = 8;
const COUNT_MASK: u32 = 0x3_FFFF;

/// An opcode with the lines it uses for address and data, and its dummy clocks.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    opcode: u8,
    address_lines: u8,
    data_lines: u8,
    dummy_clocks: u32,
}

const fn transfer(opcode: u8, address_lines: u8, data_lines: u8, dummy_clocks: u32) -> Transfer {
    Transfer { opcode, address_lines, data_lines, dummy_clocks }
}

/// By IFCONFIG0.READOC: FASTREAD, READ2O, READ2IO, READ4O, READ4IO.
const READS: [Transfer; 5] = [
    transfer(0x0B, 1, 1, 8),
    transfer(0x3B, 1, 2, 8),
    transfer(0xBB, 2, 2, 4),
    transfer(0x6B, 1, 4, 8),
    transfer(0xEB, 4, 4, 6),
];
/// By IFCONFIG0.WRITEOC: PP, PP2O, PP4O, PP4IO.
const WRITES: [Transfer; 4] =
    [transfer(0x02, 1, 1, 0), transfer(0xA2, 1, 2, 0), transfer(0x32, 1, 4, 0), transfer(0x38, 4, 4, 0)];

/// Remaining work of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Activate,
    Read,
    /// Bytes already written.
    Write(u32),
    Erase,
    Custom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the flash to be idle.
    Polling,
    /// The bits of the command are on the wire.
    Sending,
}

#[derive(Debug, Clone)]
pub(crate) struct Qspi {
    common: Common,
    enable: bool,
    active: bool,
    /// SRC (flash), DST (RAM), CNT.
    read: [u32; 3],
    /// DST (flash), SRC (RAM), CNT.
    write: [u32; 3],
    erase_address: u32,
    erase_length: u32,
    /// SCK, CSN, not used, IO0 to IO3.
    psel: [u32; 7],
    xip_offset: u32,
    ifconfig0: u32,
    ifconfig1: u32,
    dpm_duration: u32,
    address_config: u32,
    custom_config: u32,
    custom_data: [u8; CUSTOM_BYTES],
    timing: u32,
    /// The status register of the flash, as last read.
    flash_status: u8,
    work: Option<(Work, Phase)>,
    step_at: Time,
}

impl Qspi {
    pub fn new() -> Qspi {
        Qspi {
            common: Common::new(0x29, NAME, event::ALL, 0),
            enable: false,
            active: false,
            read: [0; 3],
            write: [0; 3],
            erase_address: 0,
            erase_length: 0,
            psel: [u32::MAX; 7],
            xip_offset: 0,
            ifconfig0: 0,
            ifconfig1: 0x0004_0480,
            dpm_duration: u32::MAX,
            address_config: 0xB7,
            custom_config: 0x2000,
            custom_data: [0; CUSTOM_BYTES],
            timing: 0x200,
            flash_status: 0,
            work: None,
            step_at: NEVER,
        }
    }

    /// Level at which the peripheral holds a port between commands; the data lines are released.
    pub fn drives(&self, port: usize) -> Option<bool> {
        let ports = self.ports();
        let mode_3 = self.ifconfig1 >> 25 & 1 != 0;
        match port {
            _ if !self.enable => None,
            port if ports.select == Some(port) => Some(true),
            port if ports.clock == Some(port) => Some(mode_3),
            _ => None,
        }
    }

    fn ports(&self) -> FlashPorts {
        let port = |n: usize| (self.psel[n] >> 31 == 0).then_some((self.psel[n] & 0x3F) as usize);
        FlashPorts { clock: port(0), select: port(1), data: [port(3), port(4), port(5), port(6)] }
    }

    /// Passes one command to the board; returns `answer` bytes.
    fn command(
        &self,
        fabric: &mut Fabric,
        how: Transfer,
        address: Option<u32>,
        write: &[u8],
        answer: usize,
    ) -> Vec<u8> {
        let lio = |bit: u32| self.custom_config >> bit & 1 != 0;
        let command = FlashCommand {
            ports: self.ports(),
            opcode: how.opcode,
            address,
            address_lines: how.address_lines,
            data_lines: how.data_lines,
            write,
            idle_levels: [lio(12), lio(13)],
        };
        let mut read = vec![0xFF; answer];
        fabric.board(|board, _, at_ns| board.flash_command(&command, &mut read, at_ns));
        read
    }

    fn short(&self, fabric: &mut Fabric, opcode: u8, answer: usize) -> Vec<u8> {
        self.command(fabric, transfer(opcode, 1, 1, 0), None, &[], answer)
    }

    /// Duration of a command on the wire, with the pause after it.
    fn duration(&self, how: Transfer, has_address: bool, bytes: u32) -> Time {
        let address_bits = if self.ifconfig0 >> 6 & 1 != 0 { 32 } else { 24 };
        let address = if has_address { address_bits / u32::from(how.address_lines) } else { 0 };
        let clocks = 8 + address + how.dummy_clocks + bytes * 8 / u32::from(how.data_lines);
        Time::from(clocks) * CLOCK_UNIT * Time::from((self.ifconfig1 >> 28) + 1) + self.pause()
    }

    /// IFCONFIG1.SCKDELAY: shortest time that chip select stays high.
    fn pause(&self) -> Time {
        Time::from(self.ifconfig1 & 0xFF) * PCLK16M
    }

    fn page_bytes(&self) -> u32 {
        if self.ifconfig0 >> 12 & 1 != 0 { 512 } else { 256 }
    }

    /// Bytes of the write that begins at `done`: up to the end of the page.
    fn piece(&self, done: u32) -> u32 {
        let into_page = self.write[0].wrapping_add(done) % self.page_bytes();
        (self.page_bytes() - into_page).min(self.write[2].saturating_sub(done))
    }

    fn read_transfer(&self) -> Transfer {
        READS[(self.ifconfig0 as usize & 7).min(READS.len() - 1)]
    }

    fn write_transfer(&self) -> Transfer {
        WRITES[(self.ifconfig0 as usize >> 3 & 7).min(WRITES.len() - 1)]
    }

    fn begin(&mut self, fabric: &mut Fabric, work: Work) {
        if !self.enable || !self.active && work != Work::Activate {
            fabric.not_supported(NAME, "a task or custom instruction before ACTIVATE");
            return;
        }
        if self.work.is_some() {
            fabric.not_supported(NAME, "a task or custom instruction while another runs");
            return;
        }
        let aligned = match work {
            Work::Read => self.read.iter().all(|value| value % 4 == 0),
            Work::Write(_) => self.write.iter().all(|value| value % 4 == 0),
            _ => true,
        };
        if !aligned {
            fabric.not_supported(NAME, "a transfer whose addresses or length are not multiples of four");
            let drop_rest = |values: &mut [u32; 3]| values.iter_mut().for_each(|value| *value &= !3);
            drop_rest(&mut self.read);
            drop_rest(&mut self.write);
        }
        let waits = work != Work::Custom || self.custom_config >> 14 & 1 != 0;
        if waits {
            self.work = Some((work, Phase::Polling));
            self.step_at = fabric.now + self.duration(transfer(READ_STATUS, 1, 1, 0), false, 1);
        } else {
            self.send(fabric, work);
        }
    }

    /// Sends the command; its effect comes at the end.
    fn send(&mut self, fabric: &mut Fabric, work: Work) {
        let write_enable = self.duration(transfer(WRITE_ENABLE, 1, 1, 0), false, 0);
        let duration = match work {
            Work::Activate => PCLK16M,
            Work::Read => self.duration(self.read_transfer(), true, self.read[2]),
            Work::Write(done) => write_enable + self.duration(self.write_transfer(), true, self.piece(done)),
            Work::Erase => write_enable + self.duration(transfer(0, 1, 1, 0), self.erase_length < 2, 0),
            Work::Custom => write_enable + self.duration(transfer(0, 1, 1, 0), false, self.custom_bytes() as u32),
        };
        self.work = Some((work, Phase::Sending));
        self.step_at = fabric.now + duration;
    }

    /// CINSTRCONF.LENGTH counts the opcode.
    fn custom_bytes(&self) -> usize {
        (self.custom_config as usize >> 8 & 0xF).saturating_sub(1).min(CUSTOM_BYTES)
    }

    fn finish(&mut self, fabric: &mut Fabric, work: Work) {
        match work {
            Work::Activate => self.active = true,
            Work::Read => {
                let [source, target, count] = self.read;
                let bytes = self.command(fabric, self.read_transfer(), Some(source), &[], count as usize);
                fabric.dma_write(NAME, target, &bytes);
            }
            Work::Write(done) => {
                let piece = self.piece(done);
                let [target, source, count] = self.write;
                let from = source.wrapping_add(done);
                let bytes: Option<Vec<u8>> = (0..piece).map(|n| fabric.dma_read(NAME, from.wrapping_add(n))).collect();
                if let Some(bytes) = bytes {
                    self.short(fabric, WRITE_ENABLE, 0);
                    self.command(fabric, self.write_transfer(), Some(target.wrapping_add(done)), &bytes, 0);
                }
                if piece > 0 && done + piece < count {
                    self.work = Some((Work::Write(done + piece), Phase::Polling));
                    self.step_at = fabric.now + POLL_PERIOD;
                    return;
                }
            }
            Work::Erase => {
                self.short(fabric, WRITE_ENABLE, 0);
                let address = (self.erase_length < 2).then_some(self.erase_address);
                let opcode = ERASE_OPCODES[self.erase_length.min(2) as usize];
                self.command(fabric, transfer(opcode, 1, 1, 0), address, &[], 0);
            }
            Work::Custom => {
                if self.custom_config >> 15 & 1 != 0 {
                    self.short(fabric, WRITE_ENABLE, 0);
                }
                let bytes = self.custom_bytes();
                let how = transfer(self.custom_config as u8, 1, 1, 0);
                let answer = self.command(fabric, how, None, &self.custom_data[..bytes], bytes);
                self.custom_data[..bytes].copy_from_slice(&answer);
            }
        }
        (self.work, self.step_at) = (None, NEVER);
        self.common.raise(fabric, event::READY);
    }

    fn stop(&mut self) {
        (self.active, self.work, self.step_at) = (false, None, NEVER);
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.begin(fabric, Work::Activate),
            0x004 => self.begin(fabric, Work::Read),
            0x008 => self.begin(fabric, Work::Write(0)),
            0x00C => self.begin(fabric, Work::Erase),
            0x010 => self.stop(),
            // Anomaly 122 (supply current after deactivation): the driver writes 1 here.
            0x054 => {}
            _ => return false,
        }
        true
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

impl Peripheral for Qspi {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        let value = match offset {
            0x500 => u32::from(self.enable),
            0x504..=0x50C => self.read[(offset as usize - 0x504) / 4],
            0x510..=0x518 => self.write[(offset as usize - 0x510) / 4],
            0x51C => self.erase_address,
            0x520 => self.erase_length,
            0x524..=0x53C => self.psel[(offset as usize - 0x524) / 4],
            0x540 => self.xip_offset,
            0x544 => self.ifconfig0,
            0x600 => self.ifconfig1,
            0x604 => {
                let ready = u32::from(self.work.is_none());
                u32::from(self.flash_status) << 24 | ready << 3 | (self.ifconfig1 >> 24 & 1) << 2
            }
            0x614 => self.dpm_duration,
            0x624 => self.address_config,
            0x634 => self.custom_config,
            0x638 => word(&self.custom_data[..4]),
            0x63C => word(&self.custom_data[4..]),
            0x640 => self.timing,
            _ => return self.common.read(offset),
        };
        Some(value)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        match offset {
            0x000..=0x0FC => return value & 1 == 0 || self.task(fabric, offset),
            0x500 => {
                self.enable = value & 1 != 0;
                if !self.enable {
                    self.stop();
                }
            }
            0x50C => self.read[2] = value & COUNT_MASK,
            0x504 | 0x508 => self.read[(offset as usize - 0x504) / 4] = value,
            0x518 => self.write[2] = value & COUNT_MASK,
            0x510 | 0x514 => self.write[(offset as usize - 0x510) / 4] = value,
            0x51C => self.erase_address = value,
            0x520 => self.erase_length = value & 3,
            0x524..=0x53C => self.psel[(offset as usize - 0x524) / 4] = value,
            0x540 => self.xip_offset = value,
            0x544 => self.ifconfig0 = value & 0x10FF,
            0x600 => {
                self.ifconfig1 = value & 0xF307_FFFF;
                if value >> 24 & 1 != 0 {
                    fabric.not_supported(NAME, "deep power-down of the flash (IFCONFIG1.DPMEN)");
                }
            }
            0x614 => self.dpm_duration = value,
            0x624 => {
                self.address_config = value & 0x0FFF_FFFF;
                if value >> 24 & 3 != 0 {
                    fabric.not_supported(NAME, "the instruction for 32-bit addresses (ADDRCONF)");
                }
            }
            0x634 => {
                self.custom_config = value & 0x3_FFFF;
                if value >> 16 & 3 != 0 {
                    fabric.not_supported(NAME, "long frame mode (CINSTRCONF.LFEN)");
                }
                self.begin(fabric, Work::Custom);
            }
            0x638 | 0x63C => {
                let first = (offset as usize - 0x638) & 4;
                self.custom_data[first..first + 4].copy_from_slice(&value.to_le_bytes());
            }
            0x640 => self.timing = value & 0x700,
            _ => return self.common.write(offset, value),
        }
        if matches!(offset, 0x500 | 0x524..=0x53C | 0x600) {
            (fabric.dirty_ports, fabric.sense_dirty) = (ALL_PORTS, true);
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.step_at
    }

    fn act(&mut self, fabric: &mut Fabric) {
        match self.work {
            None => self.step_at = NEVER,
            Some((work, Phase::Sending)) => self.finish(fabric, work),
            Some((work, Phase::Polling)) => {
                self.flash_status = self.short(fabric, READ_STATUS, 1).first().copied().unwrap_or(0xFF);
                if self.flash_status & WRITE_IN_PROGRESS != 0 {
                    self.step_at = fabric.now + POLL_PERIOD;
                } else {
                    self.send(fabric, work);
                }
            }
        }
    }
}
