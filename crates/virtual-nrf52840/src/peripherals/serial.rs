//! SPIM and TWIM: masters that clock bit by bit through the ports. Masters that share an id on the chip (SPIM0 with
//! TWIM0, SPIM1 with TWIM1) are one block with one set of registers here; ENABLE selects the master. Their register
//! maps agree wherever they overlap.

use super::{Common, Peripheral, spim, twim};
use crate::BusDefects;
use crate::fabric::Fabric;
use crate::ports::{ALL_PORTS, PORT_COUNT};
use crate::time::{NEVER, Time};

/// Events of both masters: STOPPED, ENDRX, END, ENDTX, ERROR, SUSPENDED, STARTED/RXSTARTED, TXSTARTED, LASTRX, LASTTX.
const EVENTS_SPIM: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 19;
const EVENTS_TWIM: u32 = 1 << 1 | 1 << 9 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 24;
const SHORTS_SPIM: u32 = 1 << 17;
const SHORTS_TWIM: u32 = 0x1F80;
const DISCONNECTED: u32 = 1 << 31;
const MAXCNT_MASK: u32 = 0xFFFF;
/// Reset values of IFTIMING.RXDELAY and IFTIMING.CSNDUR.
const IFTIMING_RESET: u32 = 2;

/// Master selected by ENABLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Off,
    Spim,
    Twim,
}

/// Output of the block to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Level(bool),
    /// An open-drain line in its open state.
    Released,
}

/// EasyDMA registers of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buffer {
    pub pointer: u32,
    pub size: u32,
    pub amount: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Serial {
    pub(super) common: Common,
    has_twim: bool,
    /// SPIM3: 16 and 32 Mbit/s, and additional registers.
    is_fast: bool,
    role: Role,
    enable: u32,
    /// SCK, MOSI, MISO, CSN; or SCL, SDA.
    psel: [u32; 4],
    pub(super) frequency: u32,
    pub(super) rx: Buffer,
    pub(super) tx: Buffer,
    pub(super) config: u32,
    pub(super) over_read: u8,
    pub(super) address: u8,
    pub(super) error_source: u32,
    /// RXDELAY and CSNDUR.
    timing: [u32; 2],
    spim_dead: bool,
    twim_dead: bool,
    unreached_ports: u64,
    pub(super) spim: spim::Engine,
    pub(super) twim: twim::Engine,
}

impl Serial {
    fn new(id: u8, name: &'static str, has_twim: bool, is_fast: bool) -> Serial {
        let (events, shorts) = if has_twim { (EVENTS_TWIM, SHORTS_TWIM) } else { (0, 0) };
        Serial {
            common: Common::new(id, name, EVENTS_SPIM | events, SHORTS_SPIM | shorts),
            has_twim,
            is_fast,
            role: Role::Off,
            enable: 0,
            psel: [u32::MAX; 4],
            frequency: 0x0400_0000,
            rx: Buffer::default(),
            tx: Buffer::default(),
            config: 0,
            over_read: 0,
            address: 0,
            error_source: 0,
            timing: [IFTIMING_RESET; 2],
            spim_dead: false,
            twim_dead: false,
            unreached_ports: 0,
            spim: spim::Engine::new(),
            twim: twim::Engine::new(),
        }
    }

    /// All four of the chip.
    pub fn all(defects: &BusDefects) -> [Serial; 4] {
        let mut all = [
            Serial::new(0x03, "SPIM0/TWIM0", true, false),
            Serial::new(0x04, "SPIM1/TWIM1", true, false),
            Serial::new(0x23, "SPIM2", false, false),
            Serial::new(0x2F, "SPIM3", false, true),
        ];
        for (serial, dead) in all.iter_mut().zip(defects.spim_dead) {
            serial.spim_dead = dead;
            serial.unreached_ports = defects.unreached_ports;
        }
        for (serial, dead) in all.iter_mut().zip(defects.twim_dead) {
            serial.twim_dead = dead;
        }
        all
    }

    fn reaches(&self, port: usize) -> bool {
        self.unreached_ports >> port & 1 == 0
    }

    /// The port of a signal, in the order of the PSEL registers.
    pub(super) fn port(&self, signal: usize) -> Option<usize> {
        let port = (self.psel[signal] & 0x3F) as usize;
        (self.psel[signal] & DISCONNECTED == 0 && port < PORT_COUNT).then_some(port)
    }

    /// Level that the block reads at a signal's port; low without a port or if its input buffer is off.
    pub(super) fn sees(&self, fabric: &Fabric, signal: usize, levels: u64) -> bool {
        self.port(signal).is_some_and(|port| match self.reaches(port) {
            true => levels & 1 << port != 0 && fabric.ports.states[port].input_connected,
            false => true,
        })
    }

    /// Marks the port of a signal as changed.
    pub(super) fn dirty(&self, fabric: &mut Fabric, signal: usize) {
        if let Some(port) = self.port(signal) {
            fabric.dirty_ports |= 1 << port;
        }
    }

    pub fn drives(&self, port: usize) -> Option<Output> {
        match self.role {
            _ if !self.reaches(port) => None,
            Role::Off => None,
            Role::Spim => self.spim_drives(port),
            Role::Twim => self.twim_drives(port),
        }
    }

    /// Whether the block waits for a line that something outside holds low.
    pub fn watches_inputs(&self) -> bool {
        self.role == Role::Twim && self.twim.is_waiting()
    }

    pub fn sense(&mut self, fabric: &mut Fabric, levels: u64) {
        if self.watches_inputs() {
            self.twim_sense(fabric, levels);
        }
    }

    fn set_enable(&mut self, fabric: &mut Fabric, value: u32) {
        self.enable = value & 0xF;
        let role = match self.enable {
            7 => Role::Spim,
            6 if self.has_twim => Role::Twim,
            other => {
                if other != 0 {
                    fabric.not_supported(self.common.name, "ENABLE of anything but the SPI or TWI master with EasyDMA");
                }
                Role::Off
            }
        };
        if role != self.role {
            self.role = role;
            (self.spim, self.twim) = (spim::Engine::new(), twim::Engine::new());
        }
    }

    fn set_frequency(&mut self, fabric: &mut Fabric, value: u32) {
        self.frequency = value;
        let supported = match value {
            0x0A00_0000 | 0x1400_0000 => self.is_fast,
            _ => spim::half_period(value).is_some() || self.has_twim && twim::quarter_period(value).is_some(),
        };
        if !supported {
            fabric.not_supported(self.common.name, "this FREQUENCY");
        }
    }

    fn write_fast(&mut self, fabric: &mut Fabric, offset: u32, value: u32) {
        let reset = match offset {
            0x514 | 0x56C => DISCONNECTED,
            0x560 | 0x564 => IFTIMING_RESET,
            _ => 0,
        };
        match offset {
            0x514 => self.psel[3] = value,
            0x560 | 0x564 => self.timing[(offset as usize - 0x560) / 4] = value,
            _ => {}
        }
        let is_reset = if reset == DISCONNECTED { value & DISCONNECTED != 0 } else { value == reset };
        if !is_reset {
            fabric.not_supported(self.common.name, "what CSN, DCX and IFTIMING do");
        }
    }
}

impl Peripheral for Serial {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        match offset {
            0x4C4 if self.has_twim => Some(self.error_source),
            0x500 => Some(self.enable),
            0x508 | 0x50C | 0x510 => Some(self.psel[(offset as usize - 0x508) / 4]),
            0x524 => Some(self.frequency),
            0x534 => Some(self.rx.pointer),
            0x538 => Some(self.rx.size),
            0x53C => Some(self.rx.amount),
            0x540 | 0x550 => Some(0),
            0x544 => Some(self.tx.pointer),
            0x548 => Some(self.tx.size),
            0x54C => Some(self.tx.amount),
            0x554 => Some(self.config),
            0x588 if self.has_twim => Some(u32::from(self.address)),
            0x5C0 => Some(u32::from(self.over_read)),
            0x514 if self.is_fast => Some(self.psel[3]),
            0x560 | 0x564 if self.is_fast => Some(self.timing[(offset as usize - 0x560) / 4]),
            0x56C if self.is_fast => Some(u32::MAX),
            0x400 | 0x568 | 0x570 if self.is_fast => Some(0),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        match offset {
            0x000..=0x0FC => {
                return value & 1 == 0
                    || match self.role {
                        Role::Spim if self.spim_dead => true,
                        Role::Twim if self.twim_dead => true,
                        Role::Spim => self.spim_task(fabric, offset),
                        Role::Twim => self.twim_task(fabric, offset),
                        // A disabled block ignores its tasks.
                        Role::Off => matches!(offset, 0x000 | 0x008 | 0x010 | 0x014 | 0x01C | 0x020),
                    };
            }
            0x4C4 if self.has_twim => self.error_source &= !value,
            0x500 => self.set_enable(fabric, value),
            0x508 | 0x50C | 0x510 => self.psel[(offset as usize - 0x508) / 4] = value,
            0x524 => self.set_frequency(fabric, value),
            0x534 => self.rx.pointer = value,
            0x538 => self.rx.size = value & MAXCNT_MASK,
            0x540 | 0x550 => {
                if value != 0 {
                    fabric.not_supported(self.common.name, "the array list of EasyDMA (LIST)");
                }
            }
            0x544 => self.tx.pointer = value,
            0x548 => self.tx.size = value & MAXCNT_MASK,
            0x554 => self.config = value & 7,
            0x588 if self.has_twim => self.address = (value & 0x7F) as u8,
            0x5C0 => self.over_read = value as u8,
            0x400 if self.is_fast => {}
            0x514 | 0x560 | 0x564 | 0x568 | 0x56C | 0x570 if self.is_fast => self.write_fast(fabric, offset, value),
            _ => return self.common.write(offset, value),
        }
        if matches!(offset, 0x500..=0x514 | 0x554) {
            fabric.dirty_ports = ALL_PORTS;
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        match self.role {
            Role::Off => NEVER,
            Role::Spim => self.spim.next_at,
            Role::Twim => self.twim.next_at,
        }
    }

    fn act(&mut self, fabric: &mut Fabric) {
        match self.role {
            Role::Off => {}
            Role::Spim => self.spim_act(fabric),
            Role::Twim => self.twim_act(fabric),
        }
    }
}
