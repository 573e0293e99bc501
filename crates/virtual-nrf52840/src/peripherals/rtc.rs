//! RTC: 24-bit counter on the 32.768 kHz clock.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::time::{NEVER, Time};

const TICK: u8 = 0;
const OVERFLOW: u8 = 1;
const COMPARE: u8 = 16;
const COUNTER_MASK: u64 = 0xFF_FFFF;

#[derive(Debug, Clone)]
pub(crate) struct Rtc {
    common: Common,
    compare_count: usize,
    evten: u32,
    prescaler: u32,
    cc: [u32; 4],
    running: bool,
    /// Counter value at `base_tick` of the LFCLK.
    base_count: u64,
    base_tick: u64,
}

impl Rtc {
    /// RTC0 has three compare registers, the others four.
    pub fn new(id: u8, name: &'static str, compare_count: usize) -> Rtc {
        let compares = ((1 << compare_count) - 1) << COMPARE;
        Rtc {
            common: Common::new(id, name, compares | 1 << TICK | 1 << OVERFLOW, 0),
            compare_count,
            evten: 0,
            prescaler: 0,
            cc: [0; 4],
            running: false,
            base_count: 0,
            base_tick: 0,
        }
    }

    /// Counter without wrapping at 24 bits.
    fn count(&self, fabric: &Fabric) -> u64 {
        if !self.running {
            return self.base_count;
        }
        self.base_count + fabric.lfclk.ticks(fabric.now).saturating_sub(self.base_tick) / u64::from(self.prescaler + 1)
    }

    fn set_count(&mut self, fabric: &Fabric, count: u64) {
        self.base_count = count;
        self.base_tick = fabric.lfclk.ticks(fabric.now);
    }

    /// Events are generated only if an interrupt or event routing uses them.
    fn enabled(&self, event: u8) -> bool {
        (self.evten | self.common.inten) & 1 << event != 0
    }

    /// The count of the next event of this kind.
    fn next_count(&self, now: u64, event: u8) -> u64 {
        let ahead = |target: u64| now + 1 + (target.wrapping_sub(now + 1) & COUNTER_MASK);
        match event {
            TICK => now + 1,
            OVERFLOW => ahead(0),
            compare => ahead(u64::from(self.cc[usize::from(compare - COMPARE)])),
        }
    }

    fn kinds(&self) -> impl Iterator<Item = u8> + use<> {
        [TICK, OVERFLOW].into_iter().chain(COMPARE..COMPARE + self.compare_count as u8)
    }
}

impl Peripheral for Rtc {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if let Some(n) = index(offset, 0x540, 4, self.compare_count as u32) {
            return Some(self.cc[n]);
        }
        match offset {
            0x340 | 0x344 | 0x348 => Some(self.evten),
            0x504 => Some((self.count(fabric) & COUNTER_MASK) as u32),
            0x508 => Some(self.prescaler),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some(n) = index(offset, 0x540, 4, self.compare_count as u32) {
            self.cc[n] = value & COUNTER_MASK as u32;
            return true;
        }
        let start = value & 1 != 0;
        match offset {
            0x000 if start && !self.running => {
                self.base_tick = fabric.lfclk.ticks(fabric.now);
                self.running = true;
            }
            0x004 if start => {
                self.base_count = self.count(fabric) & COUNTER_MASK;
                self.running = false;
            }
            0x008 if start => self.set_count(fabric, 0),
            0x00C if start => self.set_count(fabric, 0xFF_FFF0),
            0x000..=0x00C => {}
            0x340 => self.evten = value,
            0x344 => self.evten |= value,
            0x348 => self.evten &= !value,
            // Writable only while stopped.
            0x508 => {
                if !self.running {
                    self.prescaler = value & 0xFFF;
                }
            }
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, fabric: &Fabric) -> Time {
        if !self.running || !fabric.lfclk.is_running() {
            return NEVER;
        }
        let now = self.count(fabric);
        let next = self.kinds().filter(|&event| self.enabled(event)).map(|event| self.next_count(now, event)).min();
        let Some(next) = next else { return NEVER };
        let tick = self.base_tick + (next - self.base_count) * u64::from(self.prescaler + 1);
        fabric.lfclk.time_of(tick).unwrap_or(NEVER)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        let count = self.count(fabric);
        let Some(before) = count.checked_sub(1) else { return };
        for event in self.kinds() {
            if self.enabled(event) && self.next_count(before, event) == count {
                self.common.raise(fabric, event);
            }
        }
    }
}
