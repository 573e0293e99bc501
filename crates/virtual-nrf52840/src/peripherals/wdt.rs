//! WDT: resets the chip unless every enabled reload register is written in time.

use super::{Common, Peripheral, index};
use crate::fabric::{Fabric, ResetCause};
use crate::time::{NEVER, Time};

const TIMEOUT: u8 = 0;
const RELOAD: u32 = 0x6E52_4635;
/// With the interrupt enabled the reset comes this many ticks after TIMEOUT.
const RESET_DELAY_TICKS: u64 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Wdt {
    common: Common,
    running: bool,
    /// TASKS_START while not running: requests the 32.768 kHz clock.
    pub wants_lfclk: bool,
    requests: u32,
    reload_value: u32,
    reload_enable: u32,
    config: u32,
    /// LFCLK tick at which the counter reaches zero.
    expires_at_tick: u64,
    timed_out: bool,
}

impl Wdt {
    pub fn new() -> Wdt {
        Wdt {
            common: Common::new(0x10, "WDT", 1 << TIMEOUT, 0),
            running: false,
            wants_lfclk: false,
            requests: 1,
            reload_value: u32::MAX,
            reload_enable: 1,
            config: 1,
            expires_at_tick: 0,
            timed_out: false,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running
    }

    fn reload(&mut self, fabric: &Fabric) {
        self.expires_at_tick = fabric.lfclk.ticks(fabric.now) + u64::from(self.reload_value.max(0xF)) + 1;
        self.requests = self.reload_enable;
    }
}

impl Peripheral for Wdt {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if index(offset, 0x600, 4, 8).is_some() {
            return Some(0);
        }
        match offset {
            0x400 => Some(u32::from(self.running)),
            0x404 => Some(self.requests),
            0x504 => Some(self.reload_value),
            0x508 => Some(self.reload_enable),
            0x50C => Some(self.config),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if let Some(n) = index(offset, 0x600, 4, 8) {
            if value == RELOAD && self.running {
                self.requests &= !(1 << n);
                if self.requests & self.reload_enable == 0 {
                    self.reload(fabric);
                }
            }
            return true;
        }
        match offset {
            0x000 => {
                if value & 1 != 0 && !self.running {
                    self.running = true;
                    self.wants_lfclk = true;
                    self.reload(fabric);
                }
            }
            // Configuration is locked once started.
            0x504 | 0x508 | 0x50C if self.running => {}
            0x504 => self.reload_value = value,
            0x508 => {
                self.reload_enable = value & 0xFF;
                self.requests = self.reload_enable;
            }
            0x50C => {
                self.config = value & 9;
                if value & 1 == 0 {
                    fabric.not_supported("WDT", "pausing while the CPU sleeps (CONFIG.SLEEP)");
                }
            }
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, fabric: &Fabric) -> Time {
        if !self.running {
            return NEVER;
        }
        fabric.lfclk.time_of(self.expires_at_tick).unwrap_or(NEVER)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        if !self.timed_out {
            self.common.raise(fabric, TIMEOUT);
            if self.common.inten & 1 << TIMEOUT != 0 {
                self.timed_out = true;
                self.expires_at_tick += RESET_DELAY_TICKS;
                return;
            }
        }
        self.running = false;
        fabric.reset = Some(ResetCause::Watchdog);
    }
}
