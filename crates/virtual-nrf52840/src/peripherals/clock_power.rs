//! CLOCK and POWER, which share the block at 0x4000_0000.

use super::{Common, Peripheral, index};
use crate::fabric::{Fabric, ResetCause};
use crate::identity::Tolerances;
use crate::tick_clock::{HF_MILLIHERTZ, LF_MILLIHERTZ, off_by};
use crate::time::{MICROSECOND, NEVER, SECOND, Time};

mod event {
    pub const HFCLKSTARTED: u8 = 0;
    pub const LFCLKSTARTED: u8 = 1;
    pub const POFWARN: u8 = 2;
    pub const DONE: u8 = 3;
    pub const CTTO: u8 = 4;
    pub const USBDETECTED: u8 = 7;
    pub const USBREMOVED: u8 = 8;
    pub const USBPWRRDY: u8 = 9;
    pub const CTSTARTED: u8 = 10;
    pub const CTSTOPPED: u8 = 11;
    /// Neither SLEEPENTER nor SLEEPEXIT.
    pub const ALL: u32 = 0x0F9F;
}

const LFRC_STARTUP: Time = 600 * MICROSECOND;
/// Time of a calibration of the RC oscillator.
const CALIBRATION: Time = 16_000 * MICROSECOND;
/// From VBUS to a usable USB regulator.
const USB_REGULATOR_STARTUP: Time = 1_000 * MICROSECOND;
const SOURCE_RC: u32 = 0;
const SOURCE_CRYSTAL: u32 = 1;
const RAM_BLOCKS: usize = 9;
/// Changes of the supply are not reported, so the power-fail comparator polls it this often.
const SUPPLY_CHECK: Time = 100 * MICROSECOND;
/// Hysteresis of the power-fail comparator.
const SUPPLY_HYSTERESIS_VOLTS: f64 = 0.05;

#[derive(Debug, Clone)]
pub(crate) struct ClockPower {
    common: Common,
    tolerances: Tolerances,
    hfxo_requested: bool,
    hfxo_running: bool,
    hfxo_ready_at: Time,
    lf_requested: bool,
    lf_source: u32,
    /// LFCLKSRCCOPY: the source when LFCLKSTART was triggered.
    lf_source_started: u32,
    /// The source that runs now.
    lf_running: Option<u32>,
    lf_ready_at: Time,
    calibrated_at: Time,
    calibration_timer_at: Time,
    ctiv: u32,
    hfxo_debounce: u32,
    trace_config: u32,
    lfrc_mode: u32,

    reset_reasons: u32,
    gpregret: [u32; 2],
    pofcon: u32,
    supply_checked_at: Time,
    dcdcen: [u32; 2],
    ram_power: [u32; RAM_BLOCKS],
    approtect: [u32; 2],
    vbus: bool,
    usb_ready_at: Time,
    usb_ready: bool,
}

/// The value of APPROTECT.DISABLE that has an effect.
const SW_DISABLE: u32 = 0x5A;

impl ClockPower {
    pub fn new(tolerances: &Tolerances) -> ClockPower {
        ClockPower {
            common: Common::new(0, "CLOCK/POWER", event::ALL, 0),
            tolerances: tolerances.clone(),
            hfxo_requested: false,
            hfxo_running: false,
            hfxo_ready_at: NEVER,
            lf_requested: false,
            lf_source: SOURCE_RC,
            lf_source_started: SOURCE_RC,
            lf_running: None,
            lf_ready_at: NEVER,
            calibrated_at: NEVER,
            calibration_timer_at: NEVER,
            ctiv: 0,
            hfxo_debounce: 0x10,
            trace_config: 0,
            lfrc_mode: 0,
            reset_reasons: 0,
            gpregret: [0; 2],
            pofcon: 0,
            supply_checked_at: NEVER,
            dcdcen: [0; 2],
            ram_power: [0xFFFF; RAM_BLOCKS],
            approtect: [0; 2],
            vbus: false,
            usb_ready_at: NEVER,
            usb_ready: false,
        }
    }

    /// APPROTECT.DISABLE: the firmware leaves the access port open.
    pub fn leaves_access_port_open(&self) -> bool {
        self.approtect[1] == SW_DISABLE
    }

    /// Resets the block as `cause` requires: RESETREAS accumulates until power-on, GPREGRET survives as in the reset
    /// table of the product specification.
    pub fn reset(&mut self, fabric: &mut Fabric, cause: ResetCause) {
        let reason = match cause {
            ResetCause::PowerOn => 0,
            ResetCause::ResetPin => 1 << 0,
            ResetCause::Watchdog => 1 << 1,
            ResetCause::Software => 1 << 2,
            ResetCause::Lockup => 1 << 3,
            ResetCause::WakeFromOff => 1 << 16,
            ResetCause::WakeByField => 1 << 19,
            ResetCause::WakeByVbus => 1 << 20,
        };
        let old = std::mem::replace(self, ClockPower::new(&self.tolerances));
        if cause != ResetCause::PowerOn {
            self.reset_reasons = old.reset_reasons | reason;
            (self.vbus, self.usb_ready, self.usb_ready_at) = (old.vbus, old.usb_ready, old.usb_ready_at);
        }
        if cause.is_wake() || matches!(cause, ResetCause::Software | ResetCause::Lockup) {
            self.gpregret = old.gpregret;
        }
        fabric.supply_fails = false;
        self.run_hfclk(fabric);
        fabric.lfclk.set_source(fabric.now, None);
        fabric.lfclk_changed();
        fabric.touch(0);
        self.tell_usb(fabric);
    }

    /// Passes the state of the USB supply to the USB device.
    fn tell_usb(&self, fabric: &mut Fabric) {
        fabric.usb_power = self.usb_ready;
        fabric.touch(0x27);
    }

    /// Whether the 32 MHz crystal, the 32.768 kHz crystal and the 32.768 kHz clock (from any source) run.
    pub fn running(&self) -> (bool, bool, bool) {
        (self.hfxo_running, self.lf_running == Some(SOURCE_CRYSTAL), self.lf_running.is_some())
    }

    /// The sections of RAM, as offset and length, that are not retained in System OFF: RAM[0] to
    /// RAM[7] have two of 4 KiB each, RAM[8] has six of 32 KiB.
    pub fn unretained_ram(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        const RETENTION: u32 = 16;
        let power = self.ram_power;
        let sections =
            (0..8).flat_map(|block| (0..2).map(move |section| (block, section, (2 * block + section) * 4096, 4096)));
        let large = (0..6).map(|section| (8, section, 0x1_0000 + section * 0x8000, 0x8000));
        sections
            .chain(large)
            .filter(move |(block, section, ..)| power[*block as usize] >> (RETENTION + section) & 1 == 0)
            .map(|(_, _, offset, length)| (offset, length))
    }

    /// System OFF: every oscillator stops. RESETREAS, GPREGRET and RAM[n].POWER stay.
    pub fn stop(&mut self, fabric: &mut Fabric) {
        (self.hfxo_requested, self.hfxo_running, self.lf_requested) = (false, false, false);
        (self.hfxo_ready_at, self.lf_ready_at) = (NEVER, NEVER);
        (self.calibrated_at, self.calibration_timer_at) = (NEVER, NEVER);
        (self.supply_checked_at, fabric.supply_fails) = (NEVER, false);
        (self.common.events, self.common.inten) = (0, 0);
        self.run_hfclk(fabric);
        self.run_lfclk(fabric, None);
        fabric.touch(0);
    }

    /// The watchdog needs the 32.768 kHz clock and starts it, from the RC oscillator if nothing else runs.
    pub fn force_lfclk(&mut self, fabric: &mut Fabric) {
        if self.lf_running.is_none() {
            self.run_lfclk(fabric, Some(SOURCE_RC));
        }
    }

    /// Sets VBUS. Returns whether that is a change.
    pub fn set_vbus(&mut self, fabric: &mut Fabric, present: bool) -> bool {
        let is_news = present != self.vbus;
        if is_news {
            self.vbus = present;
            self.usb_ready = false;
            self.usb_ready_at = if present { fabric.now + USB_REGULATOR_STARTUP } else { NEVER };
            self.tell_usb(fabric);
            self.common.raise(fabric, if present { event::USBDETECTED } else { event::USBREMOVED });
        }
        is_news
    }

    /// The power-fail comparator of a chip supplied at VDD.
    fn check_supply(&mut self, fabric: &mut Fabric) {
        let threshold = self.pofcon >> 1 & 0xF;
        if self.pofcon & 1 == 0 {
            (self.supply_checked_at, fabric.supply_fails) = (NEVER, false);
            return;
        }
        self.supply_checked_at = fabric.now + SUPPLY_CHECK;
        // Threshold 4 is 1.7 V, and those below are reserved.
        let least = 1.3 + 0.1 * f64::from(threshold.max(4));
        let Some(volts) = fabric.board(|board, _, _| board.vdd_volts()) else { return };
        let fails = volts < if fabric.supply_fails { least + SUPPLY_HYSTERESIS_VOLTS } else { least };
        if fails && !std::mem::replace(&mut fabric.supply_fails, fails) {
            self.common.raise(fabric, event::POFWARN);
        }
        fabric.supply_fails = fails;
    }

    /// The 16 MHz clock comes from the crystal if that runs, else from the internal oscillator.
    fn run_hfclk(&mut self, fabric: &mut Fabric) {
        let ppm = if self.hfxo_running { self.tolerances.hfxo_ppm } else { self.tolerances.hfint_ppm };
        fabric.hfclk.set_source(fabric.now, Some(off_by(HF_MILLIHERTZ, ppm)));
        fabric.hfclk_changed();
    }

    fn run_lfclk(&mut self, fabric: &mut Fabric, source: Option<u32>) {
        self.lf_running = source;
        let millihertz = source.map(|source| match source {
            SOURCE_RC => off_by(LF_MILLIHERTZ, self.tolerances.lfrc_ppm),
            SOURCE_CRYSTAL => off_by(LF_MILLIHERTZ, self.tolerances.lfxo_ppm),
            // Synthesised from the 32 MHz crystal.
            _ => off_by(LF_MILLIHERTZ, self.tolerances.hfxo_ppm),
        });
        fabric.lfclk.set_source(fabric.now, millihertz);
        fabric.lfclk_changed();
    }

    fn start_lfclk(&mut self, fabric: &mut Fabric) {
        self.lf_requested = true;
        self.lf_source_started = self.lf_source & 3;
        let us = |us: u32| Time::from(us) * MICROSECOND;
        self.lf_ready_at = match self.lf_source_started {
            SOURCE_RC => fabric.now + LFRC_STARTUP,
            SOURCE_CRYSTAL if self.tolerances.lfxo_dead => NEVER,
            SOURCE_CRYSTAL => fabric.now + us(self.tolerances.lfxo_startup_us),
            _ if self.tolerances.hfxo_dead => NEVER,
            _ => fabric.now + us(self.tolerances.hfxo_startup_us),
        };
        // Until the crystal runs, the RC oscillator supplies the clock.
        if self.lf_running.is_none() && self.lf_source_started == SOURCE_CRYSTAL {
            self.run_lfclk(fabric, Some(SOURCE_RC));
        }
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => {
                self.hfxo_requested = true;
                let startup = Time::from(self.tolerances.hfxo_startup_us) * MICROSECOND;
                self.hfxo_ready_at = match (self.hfxo_running, self.tolerances.hfxo_dead) {
                    (true, _) => fabric.now + MICROSECOND,
                    (false, false) => fabric.now + startup,
                    (false, true) => NEVER,
                };
            }
            0x004 => {
                (self.hfxo_requested, self.hfxo_running, self.hfxo_ready_at) = (false, false, NEVER);
                self.run_hfclk(fabric);
            }
            0x008 => self.start_lfclk(fabric),
            0x00C => {
                (self.lf_requested, self.lf_ready_at) = (false, NEVER);
                self.run_lfclk(fabric, None);
            }
            0x010 => self.calibrated_at = fabric.now + CALIBRATION,
            0x014 => {
                self.calibration_timer_at = fabric.now + Time::from(self.ctiv.max(1)) * SECOND / 4;
                self.common.raise(fabric, event::CTSTARTED);
            }
            0x018 => {
                self.calibration_timer_at = NEVER;
                self.common.raise(fabric, event::CTSTOPPED);
            }
            0x078 | 0x07C => {}
            _ => return false,
        }
        true
    }
}

impl Peripheral for ClockPower {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        if let Some(n) = index(offset, 0x900, 16, RAM_BLOCKS as u32) {
            return Some(self.ram_power[n]);
        }
        let value = match offset {
            0x400 => self.reset_reasons,
            0x408 => u32::from(self.hfxo_requested),
            // Source crystal, and state running: some 64 MHz source always runs.
            0x40C => u32::from(self.hfxo_running) | 1 << 16,
            0x414 => u32::from(self.lf_requested),
            0x418 => self.lf_running.map_or(0, |source| source | 1 << 16),
            0x41C => self.lf_source_started,
            0x428 => 0xF,
            0x438 => u32::from(self.vbus) | u32::from(self.usb_ready) << 1,
            0x510 => self.pofcon,
            0x518 => self.lf_source,
            0x51C => self.gpregret[0],
            0x520 => self.gpregret[1],
            0x528 => self.hfxo_debounce,
            0x538 => self.ctiv,
            0x550 | 0x558 => self.approtect[(offset as usize - 0x550) / 8],
            0x55C => self.trace_config,
            0x578 => self.dcdcen[0],
            0x580 => self.dcdcen[1],
            0x5B4 => self.lfrc_mode,
            // Normal voltage mode: supplied at VDD.
            0x640 => 0,
            _ => return self.common.read(offset),
        };
        Some(value)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        for (action, first) in [0x900, 0x904, 0x908].into_iter().enumerate() {
            if let Some(n) = index(offset, first, 16, RAM_BLOCKS as u32) {
                let power = &mut self.ram_power[n];
                *power = [value, *power | value, *power & !value][action];
                let sections = if n == 8 { 0x3F } else { 0x3 };
                if *power & sections != sections {
                    fabric.not_supported("POWER", "RAM switched off while the CPU runs");
                }
                return true;
            }
        }
        match offset {
            0x400 => self.reset_reasons &= !value,
            0x500 => fabric.system_off |= value & 1 != 0,
            0x510 => {
                self.pofcon = value & 0xF1F;
                self.check_supply(fabric);
            }
            0x518 => self.lf_source = value & 0x3_0003,
            0x51C => self.gpregret[0] = value & 0xFF,
            0x520 => self.gpregret[1] = value & 0xFF,
            0x528 => self.hfxo_debounce = value & 0xFF,
            0x538 => self.ctiv = value & 0x7F,
            0x550 | 0x558 => self.approtect[(offset as usize - 0x550) / 8] = value,
            0x55C => {
                self.trace_config = value;
                if value >> 16 & 3 != 0 {
                    fabric.not_supported("CLOCK", "trace output (TRACECONFIG.TRACEMUX)");
                }
            }
            0x578 => self.dcdcen[0] = value & 1,
            0x580 => self.dcdcen[1] = value & 1,
            0x5B4 => self.lfrc_mode = value,
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        let clocks = self.hfxo_ready_at.min(self.lf_ready_at).min(self.calibrated_at).min(self.calibration_timer_at);
        clocks.min(self.usb_ready_at).min(self.supply_checked_at)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        let now = fabric.now;
        if self.hfxo_ready_at == now {
            (self.hfxo_ready_at, self.hfxo_running) = (NEVER, true);
            self.run_hfclk(fabric);
            self.common.raise(fabric, event::HFCLKSTARTED);
        }
        if self.lf_ready_at == now {
            self.lf_ready_at = NEVER;
            if self.lf_running != Some(self.lf_source_started) {
                self.run_lfclk(fabric, Some(self.lf_source_started));
            }
            self.common.raise(fabric, event::LFCLKSTARTED);
        }
        if self.calibrated_at == now {
            self.calibrated_at = NEVER;
            self.common.raise(fabric, event::DONE);
        }
        if self.calibration_timer_at == now {
            self.calibration_timer_at = NEVER;
            self.common.raise(fabric, event::CTTO);
        }
        if self.supply_checked_at == now {
            self.check_supply(fabric);
        }
        if self.usb_ready_at == now {
            (self.usb_ready_at, self.usb_ready) = (NEVER, true);
            self.tell_usb(fabric);
            self.common.raise(fabric, event::USBPWRRDY);
        }
    }
}
