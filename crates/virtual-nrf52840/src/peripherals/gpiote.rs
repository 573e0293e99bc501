//! GPIOTE: events from ports, and tasks that change ports.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::identity::Tolerances;
use crate::ports::ALL_PORTS;

const CHANNELS: usize = 8;
const PORT_EVENT: u8 = 31;
const MODE_EVENT: u32 = 1;
const MODE_TASK: u32 = 3;
const CONFIG_MASK: u32 = 0x0013_3F03;

#[derive(Debug, Clone)]
pub(crate) struct Gpiote {
    common: Common,
    config: [u32; CHANNELS],
    /// Level a channel in task mode drives.
    out: [bool; CHANNELS],
    /// Last level of a channel in event mode.
    seen: [Option<bool>; CHANNELS],
    /// A defect: these channels see nothing.
    dead: u8,
}

impl Gpiote {
    pub fn new(tolerances: &Tolerances) -> Gpiote {
        Gpiote {
            common: Common::new(6, "GPIOTE", 0xFF | 1 << PORT_EVENT, 0),
            config: [0; CHANNELS],
            out: [false; CHANNELS],
            seen: [None; CHANNELS],
            dead: tolerances.gpiote_dead,
        }
    }

    fn mode(&self, n: usize) -> u32 {
        self.config[n] & 3
    }

    fn port(&self, n: usize) -> usize {
        (self.config[n] >> 8 & 0x3F) as usize
    }

    fn polarity(&self, n: usize) -> u32 {
        self.config[n] >> 16 & 3
    }

    pub fn watches_inputs(&self) -> bool {
        (0..CHANNELS).any(|n| self.mode(n) == MODE_EVENT)
    }

    /// The level a channel in task mode drives on this port.
    pub fn drives(&self, port: usize) -> Option<bool> {
        (0..CHANNELS).find(|&n| self.mode(n) == MODE_TASK && self.port(n) == port).map(|n| self.out[n])
    }

    /// Compares the inputs of channels in event mode with their last levels.
    pub fn sense(&mut self, fabric: &mut Fabric, levels: u64) {
        for n in 0..CHANNELS {
            if self.mode(n) != MODE_EVENT || self.dead >> n & 1 == 1 {
                continue;
            }
            let level = levels & 1 << self.port(n) != 0;
            let Some(before) = self.seen[n].replace(level) else { continue };
            let wanted = match self.polarity(n) {
                1 => level,
                2 => !level,
                3 => true,
                _ => false,
            };
            if level != before && wanted {
                self.common.raise(fabric, n as u8);
            }
        }
    }

    /// A DETECT signal rose.
    pub fn detect(&mut self, fabric: &mut Fabric) {
        self.common.raise(fabric, PORT_EVENT);
    }

    fn drive(&mut self, fabric: &mut Fabric, n: usize, level: bool) {
        if self.mode(n) == MODE_TASK {
            self.out[n] = level;
            fabric.dirty_ports |= 1 << self.port(n);
        }
    }
}

impl Peripheral for Gpiote {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        match index(offset, 0x510, 4, CHANNELS as u32) {
            Some(n) => Some(self.config[n]),
            None => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some(n) = index(offset, 0x510, 4, CHANNELS as u32) {
            self.config[n] = value & CONFIG_MASK;
            self.out[n] = value >> 20 & 1 != 0;
            self.seen[n] = None;
            (fabric.dirty_ports, fabric.sense_dirty) = (ALL_PORTS, true);
            return true;
        }
        let start = value & 1 != 0;
        let channels = CHANNELS as u32;
        if let Some(n) = index(offset, 0x000, 4, channels) {
            let level = match self.polarity(n) {
                1 => true,
                2 => false,
                3 => !self.out[n],
                _ => self.out[n],
            };
            if start {
                self.drive(fabric, n, level);
            }
        } else if let Some(n) = index(offset, 0x030, 4, channels) {
            if start {
                self.drive(fabric, n, true);
            }
        } else if let Some(n) = index(offset, 0x060, 4, channels) {
            if start {
                self.drive(fabric, n, false);
            }
        } else {
            return self.common.write(offset, value);
        }
        true
    }
}
