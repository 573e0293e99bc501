//! TIMER: counter on the 16 MHz clock, or of COUNT tasks.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::time::{NEVER, Time};

const COMPARE: u8 = 16;

#[derive(Debug, Clone)]
pub(crate) struct Timer {
    common: Common,
    compare_count: usize,
    mode: u32,
    bitmode: u32,
    prescaler: u32,
    cc: [u32; 6],
    running: bool,
    /// Counter value at `base_tick` of the 16 MHz clock.
    base_count: u32,
    base_tick: u64,
}

impl Timer {
    /// TIMER0 to 2 have four compare registers, TIMER3 and 4 six.
    pub fn new(id: u8, name: &'static str, compare_count: usize) -> Timer {
        let compares = (1 << compare_count) - 1;
        Timer {
            common: Common::new(id, name, compares << COMPARE, compares | compares << 8),
            compare_count,
            mode: 0,
            bitmode: 0,
            prescaler: 4,
            cc: [0; 6],
            running: false,
            base_count: 0,
            base_tick: 0,
        }
    }

    fn mask(&self) -> u32 {
        match self.bitmode {
            0 => 0xFFFF,
            1 => 0xFF,
            2 => 0xFF_FFFF,
            _ => 0xFFFF_FFFF,
        }
    }

    /// Ticks of the 16 MHz clock per count.
    fn divider(&self) -> u64 {
        1 << self.prescaler.min(9)
    }

    fn restart_from(&mut self, fabric: &Fabric, count: u32) {
        self.base_count = count;
        self.base_tick = fabric.hfclk.ticks(fabric.now);
    }

    /// Counts since `base_tick`.
    fn counted(&self, fabric: &Fabric) -> u64 {
        fabric.hfclk.ticks(fabric.now).saturating_sub(self.base_tick) / self.divider()
    }

    fn counts_time(&self) -> bool {
        self.running && self.mode == 0
    }

    fn count(&self, fabric: &Fabric) -> u32 {
        if !self.counts_time() {
            return self.base_count & self.mask();
        }
        self.base_count.wrapping_add(self.counted(fabric) as u32) & self.mask()
    }

    /// Fixes the count so far before a change of something it depends on.
    fn settle(&mut self, fabric: &Fabric) {
        if self.counts_time() {
            let counted = self.counted(fabric);
            self.base_count = self.base_count.wrapping_add(counted as u32) & self.mask();
            self.base_tick += counted * self.divider();
        }
    }

    /// Whether the compare event has an effect; if not, it needs no deadline.
    fn noticed(&self, fabric: &Fabric, n: usize) -> bool {
        let event = COMPARE + n as u8;
        self.common.events & 1 << event == 0
            || self.common.has_short(n as u8)
            || self.common.has_short(n as u8 + 8)
            || fabric.is_listened(self.common.id, event)
    }

    fn compare(&mut self, fabric: &mut Fabric, n: usize) {
        self.common.raise(fabric, COMPARE + n as u8);
        if self.common.has_short(n as u8) {
            self.restart_from(fabric, 0);
        }
        if self.common.has_short(n as u8 + 8) {
            self.settle(fabric);
            self.running = false;
        }
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => {
                if !self.running {
                    self.restart_from(fabric, self.base_count);
                    self.running = true;
                }
            }
            0x004 => {
                self.settle(fabric);
                self.running = false;
            }
            0x008 => {
                if self.running && self.mode != 0 {
                    self.base_count = self.base_count.wrapping_add(1) & self.mask();
                    for n in 0..self.compare_count {
                        if self.base_count == self.cc[n] & self.mask() {
                            self.compare(fabric, n);
                        }
                    }
                }
            }
            0x00C => self.restart_from(fabric, 0),
            // SHUTDOWN, deprecated: stop and clear.
            0x010 => {
                self.running = false;
                self.base_count = 0;
            }
            _ => match index(offset, 0x040, 4, self.compare_count as u32) {
                Some(n) => self.cc[n] = self.count(fabric),
                None => return false,
            },
        }
        true
    }
}

impl Peripheral for Timer {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if let Some(n) = index(offset, 0x540, 4, self.compare_count as u32) {
            return Some(self.cc[n]);
        }
        match offset {
            0x504 => Some(self.mode),
            0x508 => Some(self.bitmode),
            0x510 => Some(self.prescaler),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some(n) = index(offset, 0x540, 4, self.compare_count as u32) {
            self.cc[n] = value;
            return true;
        }
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        self.settle(fabric);
        match offset {
            0x504 => {
                self.mode = value & 3;
                self.restart_from(fabric, self.base_count);
            }
            0x508 => self.bitmode = value & 3,
            0x510 => self.prescaler = value & 0xF,
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, fabric: &Fabric) -> Time {
        if !self.counts_time() {
            return NEVER;
        }
        let mask = self.mask();
        let done = self.counted(fabric);
        let count = self.count(fabric);
        let next = (0..self.compare_count)
            .filter(|&n| self.noticed(fabric, n))
            .map(|n| 1 + u64::from(self.cc[n].wrapping_sub(count).wrapping_sub(1) & mask))
            .min();
        next.and_then(|ahead| fabric.hfclk.time_of(self.base_tick + (done + ahead) * self.divider())).unwrap_or(NEVER)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        let count = self.count(fabric);
        for n in 0..self.compare_count {
            if self.cc[n] & self.mask() == count && self.noticed(fabric, n) {
                self.compare(fabric, n);
            }
        }
    }
}
