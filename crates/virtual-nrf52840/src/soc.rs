//! The chip except the CPU and the memories it reads directly.

use std::ops::Range;

use crate::board;
use crate::debug::AccessLock;
use crate::diagnostic::{Access, Problem};
use crate::fabric::{Fabric, RAM_BASE, RAM_SIZE, ResetCause};
use crate::identity::{BusDefects, ChipIdentity, Tolerances};
use crate::memory::Memory;
use crate::observe::Watcher;
use crate::peripherals::clock_power::ClockPower;
use crate::peripherals::egu::Egu;
use crate::peripherals::gpio::Gpio;
use crate::peripherals::gpiote::Gpiote;
use crate::peripherals::nfct::Nfct;
use crate::peripherals::nvmc::Nvmc;
use crate::peripherals::ppi::Ppi;
use crate::peripherals::pwm::Pwm;
use crate::peripherals::qspi::Qspi;
use crate::peripherals::radio::Radio;
use crate::peripherals::rng_temp::{Rng, Temp};
use crate::peripherals::rtc::Rtc;
use crate::peripherals::saadc::Saadc;
use crate::peripherals::serial::{Output, Serial};
use crate::peripherals::storage::{Storage, block_name, is_plain};
use crate::peripherals::timer::Timer;
use crate::peripherals::uarte::Uarte;
use crate::peripherals::usbd::Usbd;
use crate::peripherals::wdt::Wdt;
use crate::peripherals::{Peripheral, TRIGGER, info, silicon};
use crate::ports::{ALL_PORTS, PORT_COUNT, PortState, Ports};
use crate::random::Random;
use crate::time::{MICROSECOND, NEVER, Time};

/// Peripheral ids are 0 to 63.
const SLOTS: usize = 64;
/// An empty or broken chip locks up right after every reset. The pause, which silicon does not have, limits the
/// simulation cost.
const LOCKUP_PAUSE: Time = 1000 * MICROSECOND;
/// Tasks triggered in one instant beyond which the model reports a storm.
const STORM: usize = 2_000;

#[derive(Debug, Clone)]
pub(crate) struct Soc {
    pub watcher: Watcher,
    pub fabric: Fabric,
    pub identity: ChipIdentity,
    pub powered: bool,
    pub in_system_off: bool,
    /// Reset pin that UICR.PSELRESET selected at the last reset.
    pub reset_port: Option<usize>,
    /// Whether UICR.NFCPINS assigned P0.09 and P0.10 to the antenna at the last reset.
    nfc_pins: bool,
    /// A reader's carrier is strong enough at the antenna's pads.
    nfc_carrier: bool,
    /// In System OFF: a field wakes the chip.
    nfc_wakes: bool,
    pub access: AccessLock,
    /// The board has not yet received the newest state of the ports.
    board_outdated: bool,
    pub clock: ClockPower,
    pub uarte: [Uarte; 2],
    pub gpiote: Gpiote,
    saadc: Saadc,
    timers: [Timer; 5],
    rtcs: [Rtc; 3],
    pwms: [Pwm; 4],
    serials: [Serial; 4],
    temp: Temp,
    pub rng: Rng,
    wdt: Wdt,
    egus: [Egu; 6],
    ppi: Ppi,
    qspi: Qspi,
    pub radio: Radio,
    pub usbd: Usbd,
    pub nfct: Nfct,
    pub gpio: Gpio,
    pub nvmc: Nvmc,
    /// Position in flash of the last loaded image.
    pub image: Range<u32>,
    storage: Storage,
    deadlines: [Time; SLOTS],
    /// The earliest deadline.
    pub next: Time,
    /// Interrupt lines, bit n for interrupt n.
    pub irq: u64,
}

impl Soc {
    pub fn new(identity: ChipIdentity) -> Soc {
        let tolerances = identity.tolerances.clone();
        let fabric = Fabric {
            now: 0,
            ram: Memory::new(RAM_SIZE),
            dma_log: None,
            fired: Vec::new(),
            touched: 0,
            dirty_ports: 0,
            sense_dirty: false,
            ports: Ports::default(),
            lfclk: Default::default(),
            hfclk: Default::default(),
            listened: Vec::new(),
            diagnostics: Default::default(),
            stop: false,
            reset: None,
            usb_power: false,
            supply_fails: false,
            system_off: false,
            stall_until: 0,
            polls_until: 0,
        };
        Soc {
            watcher: Watcher::default(),
            fabric,
            powered: false,
            in_system_off: false,
            reset_port: None,
            nfc_pins: false,
            nfc_carrier: false,
            nfc_wakes: false,
            access: AccessLock::default(),
            board_outdated: false,
            clock: ClockPower::new(&tolerances),
            uarte: new_uartes(&tolerances.buses),
            gpiote: Gpiote::new(&tolerances),
            saadc: Saadc::new(&tolerances),
            timers: new_timers(),
            rtcs: new_rtcs(),
            pwms: new_pwms(&tolerances),
            serials: Serial::all(&tolerances.buses),
            temp: Temp::new(),
            rng: Rng::new(identity.seed ^ 0x0A11),
            wdt: Wdt::new(),
            egus: new_egus(),
            ppi: Ppi::new(),
            qspi: Qspi::new(),
            radio: Radio::new(tolerances.radio_dead),
            usbd: Usbd::new(),
            nfct: Nfct::new(false, tolerances.nfc_deaf),
            gpio: Gpio::new(),
            nvmc: Nvmc::new(&tolerances),
            image: 0..0,
            storage: Storage::default(),
            deadlines: [NEVER; SLOTS],
            next: NEVER,
            irq: 0,
            identity,
        }
    }

    /// Puts the peripherals into their reset state, as `cause` does according to the reset table
    /// of the product specification.
    pub fn reset(&mut self, cause: ResetCause) {
        let keeps_watchdog = matches!(cause, ResetCause::Software | ResetCause::Lockup);
        self.reset_peripherals();
        if !cause.is_wake() {
            self.gpio = Gpio::new();
        }
        self.clock.reset(&mut self.fabric, cause);
        if !keeps_watchdog {
            self.wdt = Wdt::new();
        } else if self.wdt.is_running() {
            self.clock.force_lfclk(&mut self.fabric);
        }
        self.in_system_off = false;
        self.reset_port = self.nvmc.reset_port();
        self.nfc_pins = self.nvmc.nfc_pins();
        self.access.reset(&self.nvmc, &self.identity, cause);
        self.set_nfc_carrier(self.nfc_carrier);
        if cause == ResetCause::Lockup {
            self.fabric.stall_until = self.fabric.now + LOCKUP_PAUSE;
        }
        self.settle();
    }

    fn reset_peripherals(&mut self) {
        let tolerances = &self.identity.tolerances;
        self.uarte = new_uartes(&tolerances.buses);
        self.gpiote = Gpiote::new(tolerances);
        self.saadc = Saadc::new(tolerances);
        self.timers = new_timers();
        self.rtcs = new_rtcs();
        self.pwms = new_pwms(tolerances);
        self.serials = Serial::all(&tolerances.buses);
        self.temp = Temp::new();
        self.rng.reset();
        self.egus = new_egus();
        self.ppi = Ppi::new();
        self.qspi = Qspi::new();
        self.radio = Radio::new(tolerances.radio_dead);
        self.usbd = Usbd::new();
        self.nfct = Nfct::new(self.nfc_carrier && self.nfc_pins, tolerances.nfc_deaf);
        self.nvmc.reset();
        self.storage.reset();
        let fabric = &mut self.fabric;
        fabric.fired.clear();
        fabric.listened.clear();
        (fabric.reset, fabric.system_off) = (None, false);
        (fabric.stall_until, fabric.polls_until) = (0, 0);
        fabric.touched = u64::MAX;
        (fabric.dirty_ports, fabric.sense_dirty) = (ALL_PORTS, true);
    }

    /// A reader's carrier appears at the antenna's pads or disappears. No effect if the pads are GPIO.
    pub fn set_nfc_carrier(&mut self, present: bool) {
        self.nfc_carrier = present;
        self.nfct.set_field(&mut self.fabric, present && self.nfc_pins);
        if self.in_system_off && self.nfc_wakes && present && self.nfc_pins {
            self.fabric.reset = Some(ResetCause::WakeByField);
        }
    }

    /// Power is off: ports are released, nothing happens.
    pub fn power_off(&mut self) {
        self.powered = false;
        self.reset(ResetCause::PowerOn);
    }

    /// SYSTEMOFF: only a port with SENSE or the reset pin ends it.
    pub fn enter_system_off(&mut self) {
        self.nfc_wakes = self.nfct.senses();
        self.reset_peripherals();
        for (offset, length) in self.clock.unretained_ram() {
            self.scramble_ram(offset, length);
        }
        // Stops the oscillators, running or starting.
        self.clock.stop(&mut self.fabric);
        self.wdt = Wdt::new();
        self.in_system_off = true;
        self.settle();
        if self.gpio.detects() {
            self.fabric.reset = Some(ResetCause::WakeFromOff);
        }
        self.set_nfc_carrier(self.nfc_carrier);
    }

    /// Replaces the contents of RAM by garbage, as after a loss of supply.
    fn scramble_ram(&mut self, offset: u32, length: u32) {
        let mut garbage = vec![0; length as usize];
        Random::new(self.identity.seed ^ self.fabric.now ^ u64::from(offset) << 32).fill(&mut garbage);
        // Fails only outside of RAM, where nothing is lost.
        let _ = self.fabric.ram.write_at(offset, &garbage);
    }

    /// A defect that takes effect at every reset except power-on, which loses all RAM anyway.
    pub fn lose_retained_ram(&mut self) {
        if let Some(lost) = self.identity.tolerances.retained_ram_lost.clone() {
            let start = lost.start.clamp(RAM_BASE, RAM_BASE + RAM_SIZE);
            let end = lost.end.clamp(start, RAM_BASE + RAM_SIZE);
            self.scramble_ram(start - RAM_BASE, end - start);
        }
    }

    fn slot(&mut self, id: u8) -> Option<(&mut dyn Peripheral, &mut Fabric)> {
        let peripheral: &mut dyn Peripheral = match id {
            0x00 => &mut self.clock,
            0x01 => &mut self.radio,
            0x02 => &mut self.uarte[0],
            0x03 => &mut self.serials[0],
            0x04 => &mut self.serials[1],
            0x05 => &mut self.nfct,
            0x06 => &mut self.gpiote,
            0x07 => &mut self.saadc,
            0x08 => &mut self.timers[0],
            0x09 => &mut self.timers[1],
            0x0A => &mut self.timers[2],
            0x0B => &mut self.rtcs[0],
            0x0C => &mut self.temp,
            0x0D => &mut self.rng,
            0x10 => &mut self.wdt,
            0x11 => &mut self.rtcs[1],
            0x14..=0x19 => &mut self.egus[usize::from(id) - 0x14],
            0x1A => &mut self.timers[3],
            0x1B => &mut self.timers[4],
            0x1C => &mut self.pwms[0],
            0x21 => &mut self.pwms[1],
            0x22 => &mut self.pwms[2],
            0x23 => &mut self.serials[2],
            0x24 => &mut self.rtcs[2],
            0x27 => &mut self.usbd,
            0x28 => &mut self.uarte[1],
            0x29 => &mut self.qspi,
            0x2D => &mut self.pwms[3],
            0x2F => &mut self.serials[3],
            _ => return None,
        };
        Some((peripheral, &mut self.fabric))
    }

    /// Executes everything that is due.
    pub fn catch_up(&mut self, now: Time) {
        while self.next <= now {
            let at = self.next;
            self.fabric.now = at;
            for id in 0..SLOTS {
                if self.deadlines[id] == at
                    && let Some((peripheral, fabric)) = self.slot(id as u8)
                {
                    peripheral.act(fabric);
                    fabric.touch(id as u8);
                }
            }
            self.settle();
        }
        self.fabric.now = self.fabric.now.max(now);
    }

    /// Reads a register in the peripheral area. Sub-word reads return their part of the word.
    pub fn read(&mut self, address: u32) -> u32 {
        let word = address & !3;
        let (id, offset) = ((word >> 12 & 0x3F) as u8, word & 0xFFF);
        let modelled = match word >> 28 {
            5 if word >> 12 == 0x5_0000 => self.gpio.read(&mut self.fabric, offset),
            4 if id == 0x1F => self.ppi.read(offset),
            4 if id == 0x1E => self.nvmc.read(&mut self.fabric, offset),
            4 if word & 0x0FFC_0000 == 0 => {
                self.slot(id).and_then(|(peripheral, fabric)| peripheral.read(fabric, offset))
            }
            _ => None,
        };
        modelled.unwrap_or_else(|| {
            let value = self.storage.read(word);
            if !is_plain(word, None) {
                self.not_modelled(word, Access::Read, value);
            }
            value
        })
    }

    /// Writes a register in the peripheral area, with all immediate consequences.
    pub fn write(&mut self, address: u32, value: u32) {
        self.write_only(address, value);
        self.settle();
    }

    fn write_only(&mut self, address: u32, value: u32) {
        let (id, offset) = ((address >> 12 & 0x3F) as u8, address & 0xFFF);
        let modelled = match address >> 28 {
            5 if address >> 12 == 0x5_0000 => self.gpio.write(&mut self.fabric, offset, value),
            4 if id == 0x1F => {
                let before = self.ppi.clone();
                let modelled = self.ppi.write(offset, value);
                self.check_end_points(&before);
                self.fabric.listened = self.ppi.listened();
                self.fabric.touched = u64::MAX;
                modelled
            }
            4 if id == 0x1E => self.nvmc.write(&mut self.fabric, offset, value),
            4 if address & 0x0FFC_0000 == 0 => self.slot(id).is_some_and(|(peripheral, fabric)| {
                fabric.touch(id);
                let common = peripheral.common();
                if let Some((register, bits)) = common.lost_bits(offset, value) {
                    fabric.report(Problem::BitsNotModelled { peripheral: common.name, register, bits });
                }
                peripheral.write(fabric, offset, value)
            }),
            _ => false,
        };
        if !modelled {
            self.storage.write(address, value);
            if !is_plain(address, Some(value)) {
                self.not_modelled(address, Access::Write, value);
            }
        }
        if std::mem::take(&mut self.wdt.wants_lfclk) {
            self.clock.force_lfclk(&mut self.fabric);
        }
    }

    fn not_modelled(&mut self, address: u32, access: Access, value: u32) {
        let name = self.name_of(address);
        self.fabric.not_modelled(name, address, access, value);
    }

    /// The block at an address.
    fn name_of(&mut self, address: u32) -> &'static str {
        let modelled = match slot_of(address) {
            Some((id, _)) => self.slot(id).map(|(peripheral, _)| peripheral.common().name),
            None => None,
        };
        modelled.unwrap_or(block_name(address))
    }

    /// Reports invalid end points of channels that were just enabled or changed.
    fn check_end_points(&mut self, before: &Ppi) {
        for (channel, register, address) in self.ppi.new_end_points(before) {
            let modelled = match slot_of(address) {
                Some((id, offset)) if register == "EEP" => {
                    let event = offset.wrapping_sub(0x100) / 4;
                    self.slot(id).is_some_and(|(peripheral, _)| peripheral.common().has_event(event))
                }
                Some((id, offset)) => offset < 0x80 && silicon::modelled_tasks(id) >> (offset / 4) & 1 != 0,
                None => false,
            };
            if !modelled || !address.is_multiple_of(4) {
                let peripheral = self.name_of(address);
                self.fabric.report(Problem::EndPointNotModelled { peripheral, channel, register, address });
            }
        }
    }

    /// Reads FICR or UICR (address in 0x1000_0000 to 0x1000_1FFF).
    pub fn read_info(&mut self, address: u32) -> u32 {
        let word = address & !3;
        if word >= 0x1000_1000 {
            return self.nvmc.read_uicr(word & 0xFFF);
        }
        info::read_ficr(&self.identity, word & 0xFFF).unwrap_or_else(|| {
            self.fabric.not_modelled("FICR", word, Access::Read, u32::MAX);
            u32::MAX
        })
    }

    /// Writes UICR; `false`: not writable (now).
    pub fn write_info(&mut self, address: u32, value: u32) -> bool {
        let done = address >= 0x1000_1000 && self.nvmc.write_uicr(&mut self.fabric, address & 0xFFF, value);
        self.settle();
        done
    }

    pub fn read_flash(&self, address: u32) -> u32 {
        let mut word = [0xFF; 4];
        // Only called for addresses in flash.
        let _ = self.nvmc.flash.read_at(address, &mut word);
        u32::from_le_bytes(word)
    }

    /// Writes flash; `false`: not writable now.
    pub fn write_flash(&mut self, address: u32, value: u32) -> bool {
        self.nvmc.write_flash(&mut self.fabric, address, value)
    }

    /// Whether the run loop must act before the next instruction.
    pub fn wants_attention(&self) -> bool {
        let fabric = &self.fabric;
        fabric.stop
            || fabric.reset.is_some()
            || fabric.system_off
            || fabric.stall_until > fabric.now
            || fabric.polls_until > fabric.now
            || fabric.diagnostics.wants_pc()
    }

    /// Passes events to the PPI, ports to the board and inputs to the peripherals that watch them until nothing
    /// changes; then updates deadlines and interrupt lines.
    pub fn settle(&mut self) {
        let mut tasks = Vec::new();
        let mut triggered = 0;
        loop {
            let mut fired = std::mem::take(&mut self.fabric.fired);
            for (id, event) in fired.drain(..) {
                self.ppi.tasks_of(id, event, &mut tasks);
                for task in tasks.drain(..) {
                    triggered += 1;
                    self.write_only(task, TRIGGER);
                }
                if triggered > STORM {
                    let peripheral = self.slot(id).map_or("unknown peripheral", |(p, _)| p.common().name);
                    self.fabric.report(Problem::EventStorm { peripheral });
                    self.fabric.fired.clear();
                    break;
                }
            }
            if self.fabric.fired.is_empty() {
                // Keep the allocation.
                self.fabric.fired = fired;
            }
            self.settle_ports();
            if self.fabric.fired.is_empty() && self.fabric.dirty_ports == 0 {
                break;
            }
        }
        self.update_deadlines();
    }

    fn settle_ports(&mut self) {
        let dirty = std::mem::take(&mut self.fabric.dirty_ports);
        if dirty != 0 && self.update_ports(dirty) {
            self.board_outdated = true;
            self.fabric.sense_dirty = true;
        }
        if !board::is_set() {
            return;
        }
        if std::mem::take(&mut self.board_outdated) {
            self.fabric.board(|board, ports, at_ns| board.ports_changed(ports, at_ns));
        }
        if std::mem::take(&mut self.fabric.sense_dirty) {
            self.sense();
        }
    }

    fn sense(&mut self) {
        let watched = self.gpio.is_sensing()
            || self.gpiote.watches_inputs()
            || self.uarte.iter().any(Uarte::watches_inputs)
            || self.serials.iter().any(Serial::watches_inputs);
        if !self.powered || !watched {
            return;
        }
        let levels = self.fabric.levels();
        self.gpiote.sense(&mut self.fabric, levels);
        for uarte in &mut self.uarte {
            uarte.sense(&mut self.fabric, levels);
        }
        for serial in &mut self.serials {
            serial.sense(&mut self.fabric, levels);
        }
        if self.gpio.sense(levels) {
            self.gpiote.detect(&mut self.fabric);
            if self.in_system_off {
                self.fabric.reset = Some(ResetCause::WakeFromOff);
            }
        }
    }

    /// Updates the state of these ports. Returns whether anything changed.
    fn update_ports(&mut self, mut dirty: u64) -> bool {
        let mut changed = self.powered != self.fabric.ports.powered;
        if changed {
            self.fabric.ports = Ports { powered: self.powered, ..Ports::default() };
            dirty = ALL_PORTS;
        }
        while self.powered && dirty != 0 {
            let port = dirty.trailing_zeros() as usize;
            dirty &= dirty - 1;
            let state = self.port_state(port);
            if let Some(old) = self.fabric.ports.states.get_mut(port)
                && *old != state
            {
                *old = state;
                changed = true;
            }
        }
        changed
    }

    fn port_state(&self, port: usize) -> PortState {
        if port >= PORT_COUNT || self.nfc_pins && matches!(port, 9 | 10) {
            return PortState::default();
        }
        if let Some(output) = self.serials.iter().find_map(|serial| serial.drives(port)) {
            let level = match output {
                Output::Level(level) => Some(level),
                Output::Released => None,
            };
            return PortState { taken_by_peripheral: true, ..self.gpio.state_driving(port, level) };
        }
        let taken = (self.uarte.iter().find_map(|uarte| uarte.drives(port)))
            .or_else(|| self.pwms.iter().find_map(|pwm| pwm.drives(port)))
            .or_else(|| self.qspi.drives(port))
            .or_else(|| self.gpiote.drives(port));
        match taken {
            Some(level) => PortState { taken_by_peripheral: true, ..self.gpio.state_driving(port, Some(level)) },
            None => self.gpio.state(port),
        }
    }

    fn update_deadlines(&mut self) {
        let mut touched = std::mem::take(&mut self.fabric.touched);
        let mut moved = false;
        while touched != 0 {
            let id = touched.trailing_zeros() as u8;
            touched &= touched - 1;
            let powered = self.powered;
            let Some((peripheral, fabric)) = self.slot(id) else { continue };
            let deadline = if powered { peripheral.deadline(fabric) } else { NEVER };
            let irq = powered && peripheral.common().irq();
            moved |= self.deadlines[usize::from(id)] != deadline;
            self.deadlines[usize::from(id)] = deadline;
            self.irq = self.irq & !(1 << id) | u64::from(irq) << id;
        }
        if moved {
            self.next = self.deadlines.iter().copied().min().unwrap_or(NEVER);
        }
    }
}

/// Id and offset, if the address is that of a peripheral with an id.
fn slot_of(address: u32) -> Option<(u8, u32)> {
    (0x4000_0000..0x4004_0000).contains(&address).then_some(((address >> 12 & 0x3F) as u8, address & 0xFFF))
}

fn new_uartes(defects: &BusDefects) -> [Uarte; 2] {
    [Uarte::new(0x02, "UARTE0", 0, defects), Uarte::new(0x28, "UARTE1", 1, defects)]
}

fn new_timers() -> [Timer; 5] {
    [
        Timer::new(0x08, "TIMER0", 4),
        Timer::new(0x09, "TIMER1", 4),
        Timer::new(0x0A, "TIMER2", 4),
        Timer::new(0x1A, "TIMER3", 6),
        Timer::new(0x1B, "TIMER4", 6),
    ]
}

fn new_rtcs() -> [Rtc; 3] {
    [Rtc::new(0x0B, "RTC0", 3), Rtc::new(0x11, "RTC1", 4), Rtc::new(0x24, "RTC2", 4)]
}

fn new_pwms(tolerances: &Tolerances) -> [Pwm; 4] {
    [
        Pwm::new(0x1C, "PWM0", 0, tolerances),
        Pwm::new(0x21, "PWM1", 1, tolerances),
        Pwm::new(0x22, "PWM2", 2, tolerances),
        Pwm::new(0x2D, "PWM3", 3, tolerances),
    ]
}

fn new_egus() -> [Egu; 6] {
    [
        Egu::new(0x14, "EGU0"),
        Egu::new(0x15, "EGU1"),
        Egu::new(0x16, "EGU2"),
        Egu::new(0x17, "EGU3"),
        Egu::new(0x18, "EGU4"),
        Egu::new(0x19, "EGU5"),
    ]
}
