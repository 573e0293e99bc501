//! GPIO: both ports in one model, ports numbered 0 to 47.

use super::index;
use crate::fabric::Fabric;
use crate::ports::{Driven, PORT_COUNT, PortState, Pull, Strength};

/// PIN_CNF after reset: input, input buffer disconnected.
const PIN_CNF_RESET: u32 = 0x2;
const PIN_CNF_MASK: u32 = 0x0003_070F;

#[derive(Debug, Clone)]
pub(crate) struct Gpio {
    out: u64,
    cnf: [u32; PORT_COUNT],
    latch: u64,
    /// DETECTMODE of P0 and P1: whether DETECT comes from the latch.
    detect_latched: [bool; 2],
    detect: [bool; 2],
    /// Whether any port has SENSE set, so that levels matter.
    sensing: bool,
}

/// Ports of P0 and P1 as masks over all 48.
const BANKS: [u64; 2] = [0xFFFF_FFFF, 0xFFFF_0000_0000];

impl Gpio {
    pub fn new() -> Gpio {
        Gpio {
            out: 0,
            cnf: [PIN_CNF_RESET; PORT_COUNT],
            latch: 0,
            detect_latched: [false; 2],
            detect: [false; 2],
            sensing: false,
        }
    }

    pub fn is_sensing(&self) -> bool {
        self.sensing
    }

    /// State of the port if no peripheral uses it.
    pub fn state(&self, port: usize) -> PortState {
        let is_output = self.cnf[port] & 1 != 0;
        self.state_driving(port, is_output.then_some(self.out & 1 << port != 0))
    }

    /// State of the port if its output is `level` (`None`: an input).
    pub fn state_driving(&self, port: usize, level: Option<bool>) -> PortState {
        let cnf = self.cnf[port];
        let pull = match (cnf >> 2) & 3 {
            1 => Pull::Down,
            3 => Pull::Up,
            _ => Pull::None,
        };
        let (low, high) = strengths((cnf >> 8) & 7);
        let driven = level.and_then(|level| {
            let strength = if level { high } else { low };
            strength.map(|strength| Driven { level, strength })
        });
        PortState { driven, pull, input_connected: cnf & 2 == 0, taken_by_peripheral: false }
    }

    fn connected(&self) -> u64 {
        (0..PORT_COUNT).fold(0, |mask, n| mask | u64::from(self.cnf[n] & 2 == 0) << n)
    }

    fn dir(&self) -> u64 {
        (0..PORT_COUNT).fold(0, |mask, n| mask | u64::from(self.cnf[n] & 1) << n)
    }

    fn set_dir(&mut self, bank: usize, dir: u32) {
        for bit in 0..bank_width(bank) {
            let cnf = &mut self.cnf[bank * 32 + bit];
            *cnf = *cnf & !1 | dir >> bit & 1;
        }
    }

    /// Whether a DETECT signal is high.
    pub fn detects(&self) -> bool {
        self.detect.contains(&true)
    }

    /// Compares `levels` with the sense settings. Returns whether a DETECT signal rose.
    pub fn sense(&mut self, levels: u64) -> bool {
        let mut matching = 0;
        for (n, cnf) in self.cnf.iter().enumerate() {
            let high = levels & 1 << n != 0;
            let hit = match (cnf >> 16) & 3 {
                2 => high,
                3 => !high,
                _ => false,
            };
            matching |= u64::from(hit && cnf & 2 == 0) << n;
        }
        self.latch |= matching;
        let mut rose = false;
        for (bank, ports) in BANKS.into_iter().enumerate() {
            let source = if self.detect_latched[bank] { self.latch } else { matching };
            let detect = source & ports != 0;
            rose |= detect && !self.detect[bank];
            self.detect[bank] = detect;
        }
        rose
    }

    pub fn read(&mut self, fabric: &mut Fabric, offset: u32) -> Option<u32> {
        let (bank, offset) = split(offset)?;
        let of_bank = |bits: u64| (bits >> (bank * 32)) as u32;
        if let Some(n) = index(offset, 0x700, 4, bank_width(bank) as u32) {
            return Some(self.cnf[bank * 32 + n]);
        }
        match offset {
            0x504 | 0x508 | 0x50C => Some(of_bank(self.out)),
            0x510 => Some(of_bank(fabric.levels() & self.connected())),
            0x514 | 0x518 | 0x51C => Some(of_bank(self.dir())),
            0x520 => Some(of_bank(self.latch)),
            0x524 => Some(u32::from(self.detect_latched[bank])),
            _ => None,
        }
    }

    pub fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        let Some((bank, offset)) = split(offset) else { return false };
        let shift = bank * 32;
        let wide = (u64::from(value) << shift) & BANKS[bank];
        if let Some(n) = index(offset, 0x700, 4, bank_width(bank) as u32) {
            self.cnf[shift + n] = value & PIN_CNF_MASK;
            self.sensing = self.cnf.iter().any(|cnf| cnf & 0x3_0000 != 0);
            fabric.sense_dirty = true;
            fabric.dirty_ports |= 1 << (shift + n);
            return true;
        }
        match offset {
            0x504 => self.set_out(fabric, self.out & !BANKS[bank] | wide),
            0x508 => self.set_out(fabric, self.out | wide),
            0x50C => self.set_out(fabric, self.out & !wide),
            0x514 | 0x518 | 0x51C => {
                let dir = (self.dir() >> shift) as u32;
                self.set_dir(
                    bank,
                    match offset {
                        0x514 => value,
                        0x518 => dir | value,
                        _ => dir & !value,
                    },
                );
                fabric.dirty_ports |= BANKS[bank];
            }
            0x520 => {
                self.latch &= !wide;
                // A bit that stays set or is set again causes a new edge.
                if self.detect_latched[bank] {
                    self.detect[bank] = false;
                }
                fabric.sense_dirty = true;
            }
            0x524 => {
                self.detect_latched[bank] = value & 1 != 0;
                fabric.sense_dirty = true;
            }
            _ => return false,
        }
        true
    }

    fn set_out(&mut self, fabric: &mut Fabric, out: u64) {
        fabric.dirty_ports |= self.out ^ out;
        self.out = out;
    }
}

/// Bank and offset as in the register description; P1 is 0x300 above P0.
fn split(offset: u32) -> Option<(usize, u32)> {
    match offset {
        0x504..=0x524 | 0x700..=0x77C => Some((0, offset)),
        0x804..=0x824 | 0xA00..=0xA3C => Some((1, offset - 0x300)),
        _ => None,
    }
}

fn bank_width(bank: usize) -> usize {
    if bank == 0 { 32 } else { 16 }
}

/// Strengths for low and high; `None` is the disconnected side of an open-drain or open-source output.
fn strengths(drive: u32) -> (Option<Strength>, Option<Strength>) {
    use Strength::{High, Standard};
    match drive {
        0 => (Some(Standard), Some(Standard)),
        1 => (Some(High), Some(Standard)),
        2 => (Some(Standard), Some(High)),
        3 => (Some(High), Some(High)),
        4 => (None, Some(Standard)),
        5 => (None, Some(High)),
        6 => (Some(Standard), None),
        _ => (Some(High), None),
    }
}
