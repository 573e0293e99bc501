//! The emulated chip and everything around it, moving through virtual time together.

use crate::circuit::{POWER_OFF_VOLTS, POWER_ON_VOLTS, RESET_PORT};
use crate::nfc::ForTag;
use crate::rig::Rig;
use crate::swd::SwdLines;
use crate::uart;
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource, Operation};
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use virtual_nrf52840::{Chip, UsbAnswer};

/// VBUS detection of the chip (nRF52840 product specification, USBREG).
const USB_DETECT_VOLTS: f64 = 4.0;
/// Interval at which the chip's supply current is sampled.
const CURRENT_LOOK_NS: u64 = 1_000_000;
/// Start and stop condition with their hold times, in bits.
const START_STOP_BITS: u64 = 2;
/// Eight bits and the acknowledge.
const BITS_PER_I2C_BYTE: u64 = 9;

pub struct World {
    pub chip: Chip,
    pub rig: Rig,
    pub swd: SwdLines,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    i2c_bit_ns: u64,
    chip_is_dead: bool,
    /// State of the circuit at the last check of power and reset.
    seen_revision: Option<u64>,
    seen_levels: u64,
    seen_modem: Option<(u64, u64)>,
    reset_asserted: bool,
    current_seen_ns: u64,
    /// Stalls of the controller's program: start and duration in nanoseconds, in order.
    stalls: VecDeque<(u64, u64)>,
}

/// Names a timer until it fires.
pub type TimerId = (u64, u64);

impl World {
    pub fn new(chip: Chip, rig: Rig, swd: SwdLines, i2c_hz: u32, chip_is_dead: bool) -> Self {
        Self {
            chip,
            rig,
            swd,
            timers: BTreeMap::new(),
            next_timer: 0,
            i2c_bit_ns: 1_000_000_000 / u64::from(i2c_hz.max(1)),
            chip_is_dead,
            seen_revision: None,
            seen_levels: 0,
            seen_modem: None,
            reset_asserted: false,
            current_seen_ns: 0,
            stalls: VecDeque::new(),
        }
    }

    pub fn now_ns(&self) -> u64 {
        self.chip.now_ns()
    }

    /// Lets time pass until `until_ns`. With `watch`, returns earlier when a byte arrives for a waiting controller.
    pub fn advance(&mut self, until_ns: u64, watch: bool) {
        loop {
            let now = self.now_ns();
            self.rig.handle_due(now);
            self.look_at_modem(now);
            self.deliver_bytes();
            self.deliver_packets();
            self.deliver_nfc();
            self.supervise();
            self.rig.look_at_edges(self.chip.ports(), now);
            let waited_for = watch && self.rig.take_woken();
            if now >= until_ns || waited_for {
                break;
            }
            let next = self.rig.next_event_ns().unwrap_or(u64::MAX).clamp(now + 1, until_ns);
            self.rig.clear_stop();
            self.chip.run_until(next, &mut self.rig);
            self.look_at_current();
            self.rig.circuit.settle_ports(self.chip.now_ns());
        }
        self.fire_timers();
    }

    fn look_at_current(&mut self) {
        let now = self.now_ns();
        if !self.chip_is_dead && now >= self.current_seen_ns + CURRENT_LOOK_NS {
            self.current_seen_ns = now;
            self.rig.circuit.set_activity(self.chip.activity());
            self.rig.circuit.set_usb_pull_up(self.chip.usb_pull_up());
        }
    }

    /// Passes the modem's outputs to the chip as levels and bytes.
    fn look_at_modem(&mut self, now: u64) {
        let lines = |rig: &Rig| rig.modem.as_ref().map(|modem| modem.levels(now));
        let before = self.seen_modem;
        self.rig.look_at_modem(now);
        self.seen_modem = lines(&self.rig);
        if self.seen_modem != before && !self.chip_is_dead {
            self.chip.inputs_changed(&mut self.rig);
        }
    }

    fn deliver_bytes(&mut self) {
        while let Some(arrived) = self.rig.take_byte_for_chip() {
            if let Some(baud) = self.chip.uart_rx_baud(arrived.uart) {
                let heard = uart::receive(arrived.byte, arrived.baud, baud);
                self.chip.uart_rx_byte(arrived.uart, heard.byte, heard.framing_error);
            }
        }
    }

    fn deliver_packets(&mut self) {
        while let Some(packet) = self.rig.take_packet_for_chip(self.chip.now_ns()) {
            self.chip.radio_hears(&packet);
        }
    }

    fn deliver_nfc(&mut self) {
        while let Some(noticed) = self.rig.take_for_tag() {
            match noticed {
                ForTag::Field(present) => self.chip.nfc_field(present),
                ForTag::Frame(frame) => self.chip.nfc_frame(&frame),
            }
        }
    }

    /// Power, reset and input levels of the chip follow the circuit.
    fn supervise(&mut self) {
        // Power changes the ports, and the ports change the voltages: a few rounds settle both.
        for _ in 0..4 {
            if self.seen_revision == Some(self.rig.circuit.revision()) {
                return;
            }
            self.seen_revision = Some(self.rig.circuit.revision());
            if self.chip_is_dead {
                return;
            }
            let volts = self.rig.circuit.logic_volts();
            let was_on = self.chip.is_powered();
            let on = volts > if was_on { POWER_OFF_VOLTS } else { POWER_ON_VOLTS };
            if on != was_on {
                self.chip.set_power(on);
                self.rig.circuit.set_ports(self.chip.ports());
                self.rig.circuit.settle_ports(self.chip.now_ns());
                if !on {
                    self.rig.flash.power_off();
                }
            }
            if !on {
                continue;
            }
            self.chip.set_vbus(self.rig.circuit.usb_volts() > USB_DETECT_VOLTS);
            let levels = self.rig.circuit.port_levels();
            let asserted = self.rig.circuit.wired_ports() >> RESET_PORT & 1 == 1 && levels >> RESET_PORT & 1 == 0;
            if asserted != self.reset_asserted {
                self.reset_asserted = asserted;
                self.chip.set_reset_pin(asserted);
                self.rig.circuit.set_ports(self.chip.ports());
            }
            if levels != self.seen_levels {
                self.seen_levels = levels;
                self.chip.inputs_changed(&mut self.rig);
            }
        }
    }

    // ---- USB ----

    /// Whether the host sees a full-speed device: D+ pulled up, D- not.
    pub fn usb_is_attached(&mut self) -> bool {
        self.rig.circuit.set_usb_pull_up(self.chip.usb_pull_up());
        self.rig.circuit.usb_is_attached()
    }

    /// The host resets the bus.
    pub fn usb_reset(&mut self) {
        if self.usb_is_attached() && self.rig.circuit.usb_data_passes() {
            self.chip.usb_reset();
        }
    }

    /// One transaction; unanswered when a line is interrupted.
    pub fn usb(&mut self, transaction: impl FnOnce(&mut Chip) -> UsbAnswer) -> UsbAnswer {
        if self.usb_is_attached() && self.rig.circuit.usb_data_passes() {
            transaction(&mut self.chip)
        } else {
            UsbAnswer::Silent
        }
    }

    // ---- timers ----

    pub fn set_timer(&mut self, at_ns: u64, waker: Waker) -> TimerId {
        self.next_timer += 1;
        let id = (at_ns, self.next_timer);
        self.timers.insert(id, waker);
        id
    }
    pub fn cancel_timer(&mut self, id: TimerId) {
        self.timers.remove(&id);
    }
    pub fn next_timer_ns(&self) -> Option<u64> {
        self.timers.keys().next().map(|&(at, _)| at)
    }
    fn fire_timers(&mut self) {
        let now = self.now_ns();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
        }
    }

    // ---- a controller that stops for a while ----

    /// Orders a stall. A stall ordered for the past begins at once.
    pub fn order_stall(&mut self, at_ns: u64, span_ns: u64) {
        self.stalls.push_back((at_ns, span_ns));
        self.stalls.make_contiguous().sort_unstable();
    }

    pub fn next_stall_ns(&self) -> Option<u64> {
        self.stalls.front().map(|&(at, _)| at)
    }

    /// Lets the time of a due stall pass: the world continues, the controller's program does not.
    pub fn stall_if_due(&mut self) {
        if let Some(span) = self.rig.take_stall() {
            let now = self.now_ns();
            self.order_stall(now, span);
        }
        while let Some(&(at, span)) = self.stalls.front()
            && at <= self.now_ns()
        {
            self.stalls.pop_front();
            self.advance(self.now_ns().saturating_add(span), false);
        }
    }

    // ---- I2C ----

    /// One transaction; the world continues while its bits are on the wire.
    pub fn i2c(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        self.rig.i2c_transactions += 1;
        let result = if self.rig.bus_is_low(self.now_ns()) {
            Err(ErrorKind::ArbitrationLoss)
        } else {
            self.i2c_operations(address, operations)
        };
        self.pass_bits(1);
        self.stall_if_due();
        result
    }

    fn i2c_operations(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut addressed = None;
        let mut was_reading = false;
        for operation in operations {
            let reading = matches!(operation, Operation::Read(_));
            // Operations of one direction are one transfer; a change of direction is a repeated start.
            let chip = match addressed {
                Some(chip) if reading == was_reading => chip,
                _ => {
                    self.pass_bits(BITS_PER_I2C_BYTE + START_STOP_BITS - 1);
                    let now = self.now_ns();
                    let answer = self.rig.i2c_start(address, now);
                    let chip = answer.ok_or(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address))?;
                    (addressed, was_reading) = (Some(chip), reading);
                    chip
                }
            };
            match operation {
                Operation::Read(bytes) => {
                    for byte in bytes.iter_mut() {
                        let now = self.now_ns();
                        *byte = self.rig.i2c_read(chip, now);
                        self.pass_bits(BITS_PER_I2C_BYTE);
                    }
                }
                Operation::Write(bytes) => {
                    for &byte in bytes.iter() {
                        self.pass_bits(BITS_PER_I2C_BYTE);
                        let now = self.now_ns();
                        if !self.rig.i2c_write(chip, byte, now) {
                            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn pass_bits(&mut self, bits: u64) {
        self.advance(self.now_ns() + bits * self.i2c_bit_ns, false);
    }
}
