//! RNG (seeded, so that runs repeat) and TEMP.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::random::Random;
use crate::time::{MICROSECOND, NEVER, Time};

#[derive(Debug, Clone)]
pub(crate) struct Rng {
    common: Common,
    random: Random,
    running: bool,
    config: u32,
    value: u32,
    ready_at: Time,
}

const VALRDY: u8 = 0;
const SHORT_VALRDY_STOP: u8 = 0;

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng {
            common: Common::new(0x0D, "RNG", 1 << VALRDY, 1 << SHORT_VALRDY_STOP),
            random: Random::new(seed),
            running: false,
            config: 0,
            value: 0,
            ready_at: NEVER,
        }
    }

    /// Returns to reset values; the noise sequence continues.
    pub fn reset(&mut self) {
        *self = Rng { random: self.random.clone(), ..Rng::new(0) };
    }

    /// Time per byte: typical values of the product specification.
    fn period(&self) -> Time {
        if self.config & 1 != 0 { 120 * MICROSECOND } else { 30 * MICROSECOND }
    }
}

impl Peripheral for Rng {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        match offset {
            0x504 => Some(self.config),
            0x508 => Some(self.value),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        match offset {
            0x000 if value & 1 != 0 => {
                self.running = true;
                self.ready_at = fabric.now + self.period();
            }
            0x004 if value & 1 != 0 => (self.running, self.ready_at) = (false, NEVER),
            0x000 | 0x004 => {}
            0x504 => self.config = value & 1,
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.ready_at
    }

    fn act(&mut self, fabric: &mut Fabric) {
        self.value = (self.random.next() & 0xFF) as u32;
        self.ready_at = fabric.now + self.period();
        self.common.raise(fabric, VALRDY);
        if self.common.has_short(SHORT_VALRDY_STOP) {
            (self.running, self.ready_at) = (false, NEVER);
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Temp {
    common: Common,
    value: u32,
    ready_at: Time,
    /// A0-5, B0-5, T0-4: trim values, stored only.
    trim: [u32; 17],
}

const DATARDY: u8 = 0;
const MEASUREMENT: Time = 36 * MICROSECOND;

impl Temp {
    pub fn new() -> Temp {
        Temp { common: Common::new(0x0C, "TEMP", 1 << DATARDY, 0), value: 0, ready_at: NEVER, trim: [0; 17] }
    }

    fn trim_index(offset: u32) -> Option<usize> {
        index(offset, 0x520, 4, 6)
            .or(index(offset, 0x540, 4, 6).map(|n| n + 6))
            .or(index(offset, 0x560, 4, 5).map(|n| n + 12))
    }
}

impl Peripheral for Temp {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if let Some(n) = Temp::trim_index(offset) {
            return Some(self.trim[n]);
        }
        if offset == 0x508 { Some(self.value) } else { self.common.read(offset) }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some(n) = Temp::trim_index(offset) {
            self.trim[n] = value;
            return true;
        }
        match offset {
            0x000 if value & 1 != 0 => self.ready_at = fabric.now + MEASUREMENT,
            0x004 if value & 1 != 0 => self.ready_at = NEVER,
            0x000 | 0x004 => {}
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.ready_at
    }

    fn act(&mut self, fabric: &mut Fabric) {
        self.ready_at = NEVER;
        let celsius = fabric.board(|board, _, _| board.die_celsius()).unwrap_or(25.0);
        self.value = ((celsius * 4.0).round() as i32).cast_unsigned();
        self.common.raise(fabric, DATARDY);
    }
}
