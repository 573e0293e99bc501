//! The cellular modem on the module: keys, supply, boot, UART lines, command line, card, cell.
//!
//! Its only interface is its pins. Nothing here depends on the bench.

mod at;
mod character;
mod habits;

pub use character::TYPES;
pub use habits::Habits;

use crate::fault::ModemDefects;
use crate::uart;
use at::{Afterwards, CommandLine, Situation};
use bench_plan::{DutFamily, Model, ModemDialect, ModemLine, ModemWiring};
use character::{Character, Sim};
use dut_protocol::Port;
use std::collections::VecDeque;
use virtual_nrf52840::Ports;

const MS: u64 = 1_000_000;
/// Below this the modem's own supervision resets it (SARA-R4, SARA-R5: 3.0 V; EG91: 3.3 V less its margin).
const BROWN_OUT_VOLTS: f64 = 3.0;
/// Below this it has lost its supply.
const CUT_VOLTS: f64 = 2.5;
/// Between a command and its answer.
const THINKS_MS: u64 = 8;
/// VBUS is detected above this.
const USB_DETECT_VOLTS: f64 = 4.0;
/// Interval between the unsolicited lines of a chatty modem, and how long it goes on.
const CHATTER_MS: u64 = 370;
const CHATTER_ENDS_MS: u64 = 40_000;
/// A modem that sends in pieces: bytes of a piece, and the time from one to the next.
const PIECE: usize = 5;
const PIECE_MS: u64 = 12;
/// What a line that changes its level reads as.
const NOISE: [u8; 4] = [0x00, 0xff, 0x00, 0xfc];
/// Most of what is heard before the first answer.
const MOST_EARLY: usize = 64;
/// The transmitter's burst during a network request.
const BURST_MS: u64 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Off,
    /// Since the accepted press.
    On {
        since_ns: u64,
    },
    Stopping {
        off_at_ns: u64,
    },
}

/// The modem as seen by the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ModemLoad {
    /// At 3.8 V.
    pub amps: f64,
    /// The card has its supply.
    pub sim_on: bool,
    /// Its USB pulls D+ up.
    pub usb_attached: bool,
    /// Ring indicator: `None` while the modem is off.
    pub ri_high: Option<bool>,
}

pub struct VirtualModem {
    wiring: ModemWiring,
    who: Character,
    defects: ModemDefects,
    power: Power,
    power_key_since_ns: Option<u64>,
    /// The press was accepted: the next press must follow a release.
    press_taken: bool,
    reset_since_ns: Option<u64>,
    buffer_on: bool,
    rts_low: bool,
    supply_volts: f64,
    usb_volts: f64,
    line: CommandLine,
    baud: u32,
    /// The rate after the bytes to send.
    next_baud: Option<u32>,
    /// Bytes to send, each not before its time.
    sending: VecDeque<(u64, u8)>,
    free_at_ns: u64,
    booted: bool,
    announced_sim: bool,
    noise_sent: bool,
    /// When the card and the radio began to start.
    card_since_ns: u64,
    radio_since_ns: u64,
    /// Unsolicited lines said so far.
    chatter_said: u64,
    /// Heard before the first answer.
    early: Vec<(u8, u32)>,
    cuts_while_on: u32,
    /// Time up to which the modem is simulated.
    seen_ns: u64,
}

impl VirtualModem {
    /// `None` for a module whose family lists no modem. Habits that are not ordered are drawn with the seed.
    pub fn new(dut: &DutFamily, model: &Model, seed: u64, defects: ModemDefects) -> Option<Self> {
        let wiring = dut.modem.clone()?;
        let habits = if defects.habits.is_empty() { Habits::draw(seed) } else { Habits::of(&defects.habits) };
        let who = Character::new(dut, &TYPES, model, seed, &defects, habits)?;
        Some(Self {
            line: CommandLine::new(who.dialect, &who.habits),
            baud: who.stored_baud,
            next_baud: None,
            wiring,
            who,
            defects,
            power: Power::Off,
            power_key_since_ns: None,
            press_taken: false,
            reset_since_ns: None,
            buffer_on: false,
            rts_low: false,
            supply_volts: 0.0,
            usb_volts: 0.0,
            sending: VecDeque::new(),
            free_at_ns: 0,
            booted: false,
            announced_sim: false,
            noise_sent: false,
            card_since_ns: 0,
            radio_since_ns: 0,
            chatter_said: 0,
            early: Vec::new(),
            cuts_while_on: 0,
            seen_ns: 0,
        })
    }

    /// How often the modem lost its supply while it was not off.
    pub fn cuts_while_on(&self) -> u32 {
        self.cuts_while_on
    }

    // ---- inputs ----

    /// Supply voltages at the contacts.
    pub fn supplied(&mut self, volts: f64, usb_volts: f64) {
        (self.supply_volts, self.usb_volts) = (volts, usb_volts);
        if volts < CUT_VOLTS && self.power != Power::Off {
            self.cuts_while_on += 1;
            self.switch_off();
        }
    }

    /// Levels of the microcontroller's ports.
    pub fn look_at(&mut self, ports: &Ports, now_ns: u64) {
        let driven = |port: Port| ports.states[usize::from(port.index())].driven.map(|driver| driver.level);
        // Pull resistors on the board keep the lines at rest while the microcontroller does not drive them.
        let active = |line: ModemLine| ports.powered && driven(line.port) == Some(line.active_high);
        let pressed = active(self.wiring.power);
        match (pressed, self.power_key_since_ns) {
            (true, None) => self.power_key_since_ns = Some(now_ns),
            (false, Some(_)) => (self.power_key_since_ns, self.press_taken) = (None, false),
            _ => {}
        }
        let reset = active(self.wiring.reset);
        match (reset, self.reset_since_ns) {
            (true, None) => self.reset_since_ns = Some(now_ns),
            (false, Some(since)) => {
                self.reset_since_ns = None;
                self.reset_released(now_ns - since, now_ns);
            }
            _ => {}
        }
        self.buffer_on = self.wiring.buffer.is_none_or(active);
        let rts = if self.defects.flow_swapped { self.wiring.cts } else { self.wiring.rts };
        self.rts_low = ports.powered && driven(rts) == Some(false) && !self.defects.rts_dead;
    }

    fn reset_released(&mut self, held_ns: u64, now_ns: u64) {
        // SARA-R4: ten seconds switch off; the others restart.
        let long_enough = match self.who.dialect {
            ModemDialect::SaraR4 => held_ns >= 10_000 * MS,
            ModemDialect::SaraR5 => held_ns >= 100 * MS,
            ModemDialect::Quectel => (150 * MS..=460 * MS).contains(&held_ns),
        };
        if self.power == Power::Off || !long_enough {
            return;
        }
        let emergency = self.power_key_since_ns.is_some() || held_ns >= 10_000 * MS;
        self.switch_off();
        if !emergency {
            self.switch_on(now_ns);
        }
    }

    /// A byte from the microcontroller's TX.
    pub fn byte(&mut self, byte: u8, baud: u32, now_ns: u64) {
        if !self.answers(now_ns) || self.defects.tx_dead || self.is_deaf(now_ns) {
            if self.who.habits.late && self.buffer_on && self.early.len() < MOST_EARLY && !self.booted {
                self.early.push((byte, baud));
            }
            return;
        }
        let heard = uart::receive(byte, baud, self.baud);
        if heard.framing_error {
            return;
        }
        let situation = self.situation(now_ns);
        let mut out = Vec::new();
        let afterwards = self.line.take(heard.byte, &self.who, situation, &mut out);
        let not_before = if heard.byte == b'\r' { now_ns + THINKS_MS * MS } else { now_ns };
        self.say(&out, not_before);
        match afterwards {
            Afterwards::Nothing => {}
            Afterwards::SwitchOff => self.begin_off(now_ns),
            Afterwards::SetBaud(baud) => {
                self.who.stored_baud = baud;
                // The answer is still sent at the old rate.
                self.next_baud = Some(baud);
            }
            Afterwards::FullFunction { card } => {
                self.radio_since_ns = now_ns;
                if card {
                    self.card_since_ns = now_ns;
                }
            }
            Afterwards::Restart => {
                self.switch_off();
                self.switch_on(now_ns);
            }
        }
    }

    // ---- time ----

    /// Time of the next internal event.
    pub fn next_event_ns(&self) -> Option<u64> {
        let key = self.key_due_ns();
        let state = match self.power {
            Power::Off => None,
            Power::Stopping { off_at_ns } => Some(off_at_ns),
            Power::On { since_ns } => self.moments(since_ns).into_iter().filter(|at| *at > self.seen_ns).min(),
        };
        key.into_iter().chain(state).chain(self.next_byte_ns()).min()
    }

    /// When the byte at the front will have arrived.
    fn next_byte_ns(&self) -> Option<u64> {
        let (not_before, _) = self.sending.front()?;
        let may_send = !self.line.obeys_rts || self.rts_low;
        may_send.then(|| (*not_before).max(self.free_at_ns) + uart::byte_ns(self.baud))
    }

    /// Time at which a pressed key will have been pressed long enough.
    fn key_due_ns(&self) -> Option<u64> {
        let since = self.power_key_since_ns.filter(|_| !self.press_taken)?;
        let needed = if self.power == Power::Off { self.who.on_press_ms.0 } else { self.who.off_press_ms };
        Some(since + needed * MS)
    }

    /// Executes what is due; returns the bytes that have just arrived at the microcontroller's RX, with their rate.
    pub fn handle_due(&mut self, now_ns: u64) -> Vec<(u8, u32)> {
        if self.key_due_ns().is_some_and(|due| due <= now_ns) {
            self.press_taken = true;
            match self.power {
                Power::Off => self.switch_on(now_ns),
                Power::On { .. } => self.begin_off(now_ns),
                Power::Stopping { .. } => {}
            }
        }
        if let Power::Stopping { off_at_ns } = self.power
            && now_ns >= off_at_ns
        {
            self.switch_off();
        }
        if let Power::On { since_ns } = self.power {
            self.boot(since_ns, now_ns);
        }
        self.seen_ns = now_ns;
        let mut arrived = Vec::new();
        while let Some(at) = self.next_byte_ns()
            && at <= now_ns
            && let Some((_, byte)) = self.sending.pop_front()
        {
            self.free_at_ns = at;
            if self.buffer_on && !self.defects.rx_dead {
                arrived.push((byte, self.baud));
            }
            if self.sending.is_empty()
                && let Some(baud) = self.next_baud.take()
            {
                self.baud = baud;
            }
        }
        arrived
    }

    fn boot(&mut self, since_ns: u64, now_ns: u64) {
        let quectel = self.who.dialect == ModemDialect::Quectel;
        if !self.booted && now_ns >= self.ready_at(since_ns) {
            self.booted = true;
            if quectel {
                self.say(format!("\r\nRDY\r\n\r\n+CFUN: {}\r\n", self.line.function).as_bytes(), now_ns);
            }
            for (byte, baud) in std::mem::take(&mut self.early) {
                self.byte(byte, baud, now_ns);
            }
        }
        if self.who.habits.noise && !self.noise_sent && now_ns >= since_ns + self.who.sense_ms * MS {
            self.noise_sent = true;
            self.say(&NOISE, now_ns);
        }
        while self.chatter_at(since_ns).is_some_and(|at| at <= now_ns) {
            self.chatter_said += 1;
            let line = self.line.chatter();
            self.say(line.as_bytes(), now_ns);
        }
        if self.booted && !self.announced_sim && self.line.function != 0 && now_ns >= self.card_ready_at() {
            self.announced_sim = true;
            if quectel {
                let card: &[u8] = match self.who.sim {
                    Sim::Fitted { .. } => b"\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n",
                    Sim::Absent => b"\r\n+CPIN: NOT INSERTED\r\n",
                    Sim::Dead => b"\r\n+CPIN: NOT READY\r\n",
                };
                self.say(card, now_ns);
            }
        }
        // The transmitter's current peaks during a network request; with a bad joint the modem then loses its supply.
        if self.is_bursting(now_ns) && self.supply_volts - self.who.burst_amps * self.who.supply_ohms < BROWN_OUT_VOLTS
        {
            self.switch_off();
            self.switch_on(now_ns);
        }
    }

    /// Times at which a modem that stays on changes its visible state.
    fn moments(&self, since_ns: u64) -> [u64; 8] {
        let (ready, hears) = (self.ready_at(since_ns), self.hears_at());
        [
            since_ns + self.who.sense_ms * MS,
            ready,
            self.card_ready_at(),
            hears,
            hears + self.who.habits.deaf_ms * MS,
            hears + BURST_MS * MS,
            hears + self.who.attach_ms * MS,
            self.chatter_at(since_ns).unwrap_or(ready),
        ]
    }

    /// When a chatty modem says the next unsolicited line.
    fn chatter_at(&self, since_ns: u64) -> Option<u64> {
        let after_ms = CHATTER_MS * (self.chatter_said + 1);
        (self.who.habits.chatty && after_ms < CHATTER_ENDS_MS).then(|| self.ready_at(since_ns) + after_ms * MS)
    }

    fn card_ready_at(&self) -> u64 {
        self.card_since_ns + self.who.sim_ms * MS
    }

    fn ready_at(&self, since_ns: u64) -> u64 {
        since_ns + self.who.ready_ms * MS
    }
    fn hears_at(&self) -> u64 {
        self.radio_since_ns + self.who.search_ms * MS
    }
    /// It enters the network and hears no command.
    fn is_deaf(&self, now_ns: u64) -> bool {
        let begin = self.hears_at();
        self.line.function == 1 && (begin..begin + self.who.habits.deaf_ms * MS).contains(&now_ns)
    }
    fn is_bursting(&self, now_ns: u64) -> bool {
        let begin = self.hears_at();
        let asks = self.line.function == 1 && matches!(self.who.sim, Sim::Fitted { .. }) && self.hears_a_cell();
        asks && (begin..begin + BURST_MS * MS).contains(&now_ns)
    }
    /// Sensitivity limit of receivers.
    fn hears_a_cell(&self) -> bool {
        self.who.rsrp_dbm > -128.0
    }

    fn situation(&self, now_ns: u64) -> Situation {
        let Power::On { since_ns } = self.power else {
            return Situation {
                starts: false,
                sim_ready: false,
                hears: false,
                registered: false,
                rsrp_dbm: self.who.rsrp_dbm,
            };
        };
        let hears = now_ns >= self.hears_at() && self.line.function == 1 && self.hears_a_cell();
        let has_card = matches!(self.who.sim, Sim::Fitted { .. });
        Situation {
            starts: now_ns < self.ready_at(since_ns) + self.who.habits.refuses_ms * MS,
            sim_ready: now_ns >= self.card_ready_at(),
            hears,
            registered: hears && has_card && now_ns >= self.hears_at() + self.who.attach_ms * MS,
            rsrp_dbm: self.who.rsrp_dbm,
        }
    }

    fn say(&mut self, bytes: &[u8], not_before_ns: u64) {
        let pause = if self.who.habits.pieces { PIECE_MS * MS } else { 0 };
        for (n, piece) in bytes.chunks(PIECE).enumerate() {
            let at = not_before_ns + pause * n as u64;
            self.sending.extend(piece.iter().map(|byte| (at, *byte)));
        }
    }

    fn answers(&self, now_ns: u64) -> bool {
        matches!(self.power, Power::On { since_ns } if self.buffer_on && now_ns >= self.ready_at(since_ns))
    }

    fn switch_on(&mut self, now_ns: u64) {
        if self.supply_volts < BROWN_OUT_VOLTS || self.defects.dead {
            return;
        }
        self.power = Power::On { since_ns: now_ns };
        self.seen_ns = now_ns;
        self.line = CommandLine::new(self.who.dialect, &self.who.habits);
        self.baud = self.who.stored_baud;
        self.next_baud = None;
        self.sending.clear();
        self.early.clear();
        (self.booted, self.announced_sim, self.noise_sent, self.chatter_said) = (false, false, false, 0);
        (self.card_since_ns, self.radio_since_ns) = (self.ready_at(now_ns), self.ready_at(now_ns));
    }

    fn begin_off(&mut self, now_ns: u64) {
        if !self.defects.never_off && matches!(self.power, Power::On { .. }) {
            self.power = Power::Stopping { off_at_ns: now_ns + self.who.off_ms * MS };
        }
    }

    fn switch_off(&mut self) {
        self.power = Power::Off;
        self.sending.clear();
    }

    // ---- outputs ----

    /// Ports that the modem drives, and their levels.
    pub fn levels(&self, now_ns: u64) -> (u64, u64) {
        let (mut driven, mut high) = (0, 0);
        let mut drive = |port: Port, level: bool| {
            driven |= 1 << port.index();
            high |= u64::from(level) << port.index();
        };
        let is_on = match self.power {
            Power::Off => false,
            Power::Stopping { .. } => true,
            Power::On { since_ns } => now_ns >= since_ns + self.who.sense_ms * MS,
        };
        // V_INT stays supplied through the level translator.
        let reads_on = is_on || self.wiring.buffer.is_some() && self.buffer_on && self.supply_volts > BROWN_OUT_VOLTS;
        let sense = self.wiring.sense;
        if reads_on || !self.wiring.sense_pull_up {
            drive(sense.port, reads_on == sense.active_high);
        }
        if is_on && self.buffer_on {
            let ready = self.answers(now_ns);
            if !self.defects.rx_dead {
                drive(self.wiring.rx, true);
            }
            let cts = if self.defects.flow_swapped { self.wiring.rts } else { self.wiring.cts };
            if !self.defects.cts_dead {
                drive(cts, !ready);
            }
        }
        (driven, high)
    }

    pub fn load(&self, now_ns: u64) -> ModemLoad {
        match self.power {
            Power::Off => ModemLoad::default(),
            Power::Stopping { .. } => ModemLoad { amps: self.who.boot_amps, ..ModemLoad::default() },
            Power::On { since_ns } => {
                let ready = now_ns >= self.ready_at(since_ns);
                let searching = ready && now_ns < self.hears_at() && self.line.function == 1;
                ModemLoad {
                    amps: match () {
                        () if self.is_bursting(now_ns) => self.who.burst_amps,
                        () if !ready || searching => self.who.boot_amps,
                        () => self.who.idle_amps,
                    },
                    sim_on: ready && self.line.function != 0 && matches!(self.who.sim, Sim::Fitted { .. }),
                    usb_attached: ready && self.usb_volts > USB_DETECT_VOLTS && !self.defects.usb_dead,
                    ri_high: Some(true),
                }
            }
        }
    }
}
