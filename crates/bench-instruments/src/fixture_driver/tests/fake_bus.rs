//! The chips of a small fixture at register level, with a record of all writes.

use crate::{Clock, ManualClock};
use bench_plan::*;
use bench_run::{BenchTime, Contact};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const U1: u8 = 0x20;
pub const U2: u8 = 0x21;
pub const ADC: u8 = 0x48;
pub const DAC: u8 = 0x60;
pub const MONITOR_3V3: u8 = 0x40;
pub const MONITOR_VCC: u8 = 0x41;

const IODIR: u8 = 0x00;
const GPIO: u8 = 0x12;
const OLAT: u8 = 0x14;

pub const SERIES_OHMS: f64 = 10_000.0;
pub const MUX_OHMS: f64 = 5.0;
pub const REFERENCE_VOLTS: f64 = 3.3;

/// Nails 20..=27 on U1, 30..=37 on U2; supply contacts 10 (3V3), 2 (VCC), ground contact 1.
pub fn fixture() -> Fixture {
    let io = |chip, bit| IoBit { chip, bit };
    let chip = |id: &str, kind, address| Chip { id: id.to_owned(), kind, address };
    let shunt = ChipKind::Ina226 { shunt_ohms: 0.1 };
    let rail = |name: &str, volts, bit, monitor| Rail {
        name: name.to_owned(),
        volts,
        enable: io(0, bit),
        discharge: io(0, bit + 1),
        discharge_ohms: 100.0,
        monitor,
        current_limit_amps: 1.0,
        rise_time: Duration::from_millis(5),
        series_ohms: 0.1,
        pin: name.to_owned(),
        load_ohms: None,
        optional: false,
    };
    let mut nails = BTreeMap::new();
    let mut add = |contact: u8, wiring, mux| {
        let contact = Contact(contact);
        nails.insert(contact, Nail { contact, wiring, mux });
    };
    for n in 0..8 {
        add(20 + n, NailWiring::Io { io: io(0, n), series_ohms: 1e3 }, Some((0, n)));
        add(30 + n, NailWiring::Io { io: io(1, n), series_ohms: 1e3 }, Some((1, n)));
    }
    add(10, NailWiring::Rail { rail: 0, feed: io(0, 12), feed_ohms: 0.05 }, Some((0, 15)));
    add(2, NailWiring::Rail { rail: 1, feed: io(0, 13), feed_ohms: 0.05 }, None);
    add(1, NailWiring::Ground { feed: io(0, 14), feed_ohms: 0.05 }, None);
    Fixture {
        base: None,
        instructions: None,
        board: None,
        name: "test".to_owned(),
        title: "test".to_owned(),
        bed: Some(Bed {
            i2c_hz: 400_000,
            controller: Controller {
                board: "none".to_owned(),
                i2c_bus: 1,
                i2c_sda: 2,
                i2c_scl: 3,
                link_tx: 14,
                link_rx: 15,
                lid: None,
                emergency: None,
                start: None,
                lamps: BTreeMap::new(),
            },
            safety: Safety {
                pull_down_ohms: 10e3,
                watchdog: Watchdog { kick: 17, timeout: Duration::from_secs(1) },
                off_within: Duration::from_secs(2),
                lid_cuts_rails: false,
                notes: String::new(),
            },
            measure_bus: MeasureBus {
                edges_gpio: None,
                sense: AnalogChannel { chip: 2, channel: 0 },
                source_sense: AnalogChannel { chip: 2, channel: 1 },
                source: AnalogChannel { chip: 3, channel: 2 },
                source_series_ohms: SERIES_OHMS,
                unpowered_volts: 0.25,
                source_enable: io(1, 14),
                mux_ohms: MUX_OHMS,
                address: [io(1, 8), io(1, 9), io(1, 10), io(1, 11)],
                banks: vec![io(1, 12), io(1, 13)],
            },
            link_relay: io(0, 15),
        }),
        desk: None,
        probe: None,
        nfc: None,
        pairs: Vec::new(),
        unwired: BTreeMap::new(),
        joined: BTreeMap::new(),
        revision: "A".to_owned(),
        families: vec!["b4xx".to_owned()],
        chips: vec![
            chip("U1", ChipKind::Mcp23017, U1),
            chip("U2", ChipKind::Mcp23017, U2),
            chip("U3", ChipKind::Ads1115, ADC),
            chip("U4", ChipKind::Mcp4728 { reference_volts: REFERENCE_VOLTS }, DAC),
            chip("U5", shunt, MONITOR_3V3),
            chip("U6", shunt, MONITOR_VCC),
        ],
        link: LinkWiring { device: String::new(), dut_rx: Contact(38), dut_tx: Contact(36), series_ohms: 100.0 },
        usb: Some(UsbWiring { switch: io(1, 15) }),
        ble: None,
        nail_volts: 3.3,
        rails: vec![rail("3V3", 3.3, 8, 4), rail("VCC", 3.8, 10, 5)],
        nails,
        peers: vec![peer()],
    }
}

/// On the one bit that is free.
fn peer() -> Peer {
    let lines = I2cLines { sda: Contact(20), scl: Contact(21) };
    Peer {
        id: "eeprom".to_owned(),
        part: PeerPart::I2cEeprom { address: 0x50, pull_up_ohms: 4.7e3, lines },
        select: IoBit { chip: 1, bit: 15 },
        switch_ohms: 2.0,
    }
}

/// What the measure bus sees at a contact: a voltage behind a resistance.
#[derive(Clone, Copy)]
pub struct Node {
    pub volts: f64,
    pub ohms: f64,
}

pub struct FakeBus {
    clock: ManualClock,
    /// Registers by address: expanders byte by byte, the others in their own way.
    expanders: BTreeMap<u8, [u8; 0x16]>,
    pub dead: BTreeSet<u8>,
    /// The next transfers to an address that fail, by count.
    pub failing: BTreeMap<u8, u32>,
    pub wrong_id: bool,
    /// Every write to an expander, and the state after it.
    pub log: Vec<(u8, u8, State)>,
    pub nodes: BTreeMap<u8, Node>,
    pub dac_volts: f64,
    pub dac_scale: f64,
    pub transfers: usize,
    adc_config: u16,
    adc_ready: BenchTime,
    adc_code: i16,
    monitor_ready: BenchTime,
    pub shunt_volts: f64,
    pointer: BTreeMap<u8, u8>,
    /// Levels at the nails of U1 and U2 when they are not driven.
    pub outside: BTreeMap<u8, u16>,
}

/// Latches and directions of U1 and U2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    pub latch: [u16; 2],
    pub input: [u16; 2],
}

impl State {
    /// Driven high.
    pub fn high(&self, bit: IoBit) -> bool {
        self.driven(bit) && self.latch[bit.chip] >> bit.bit & 1 == 1
    }
    pub fn driven(&self, bit: IoBit) -> bool {
        self.input[bit.chip] >> bit.bit & 1 == 0
    }
}

impl FakeBus {
    pub fn new(clock: &ManualClock) -> Self {
        let mut registers = [0; 0x16];
        registers[0..2].fill(0xFF);
        Self {
            clock: clock.clone(),
            expanders: BTreeMap::from([(U1, registers), (U2, registers)]),
            dead: BTreeSet::new(),
            failing: BTreeMap::new(),
            wrong_id: false,
            log: Vec::new(),
            nodes: BTreeMap::new(),
            dac_volts: 0.0,
            dac_scale: 1.0,
            transfers: 0,
            adc_config: 0x8583,
            adc_ready: BenchTime::ZERO,
            adc_code: 0,
            monitor_ready: BenchTime::ZERO,
            shunt_volts: 0.0,
            pointer: BTreeMap::new(),
            outside: BTreeMap::new(),
        }
    }

    pub fn state(&self) -> State {
        let word = |chip: u8, register: u8| {
            let registers = &self.expanders[&chip];
            u16::from_le_bytes([registers[usize::from(register)], registers[usize::from(register) + 1]])
        };
        State { latch: [word(U1, OLAT), word(U2, OLAT)], input: [word(U1, IODIR), word(U2, IODIR)] }
    }

    /// The state that a crashed program may leave: everything is a high output.
    pub fn leave_everything_on(&mut self) {
        for registers in self.expanders.values_mut() {
            registers[0..2].fill(0);
            registers[0x14..0x16].fill(0xFF);
        }
    }

    /// Acts like the RESET input of an expander.
    pub fn reset(&mut self, address: u8) {
        let mut registers = [0; 0x16];
        registers[0..2].fill(0xFF);
        self.expanders.insert(address, registers);
    }

    /// Writes as another program on the bus does, such as the guard.
    pub fn set_latch(&mut self, address: u8, latch: u16) {
        if let Some(registers) = self.expanders.get_mut(&address) {
            registers[0x14..0x16].copy_from_slice(&latch.to_le_bytes());
        }
    }

    fn bus_volts(&self, source_side: bool) -> f64 {
        let fixture = fixture();
        let (state, wiring) = (self.state(), &fixture.bed.as_ref().unwrap().measure_bus);
        let source = self.dac_volts * self.dac_scale;
        if source_side {
            return source;
        }
        let closed: Vec<u8> = (0u8..2).filter(|bank| state.high(wiring.banks[usize::from(*bank)])).collect();
        let channel = (0..4).fold(0, |channel, n| channel | u8::from(state.high(wiring.address[n])) << n);
        let pushed = state.high(wiring.source_enable);
        let joined = closed.first().and_then(|bank| {
            fixture.nails.values().find(|nail| nail.mux == Some((*bank, channel))).map(|nail| nail.contact.0)
        });
        let open = Node { volts: 0.0, ohms: 1e9 };
        let node = joined.map_or(open, |contact| self.nodes.get(&contact).copied().unwrap_or(open));
        let resistance = node.ohms + MUX_OHMS;
        if pushed { (source * resistance + node.volts * SERIES_OHMS) / (resistance + SERIES_OHMS) } else { node.volts }
    }

    fn write(&mut self, address: u8, bytes: &[u8]) {
        match address {
            U1 | U2 => {
                self.pointer.insert(address, bytes[0]);
                let registers = self.expanders.get_mut(&address).unwrap();
                for (n, byte) in bytes[1..].iter().enumerate() {
                    registers[usize::from(bytes[0]) + n] = *byte;
                }
                if bytes.len() > 1 {
                    let state = self.state();
                    self.log.push((address, bytes[0], state));
                }
            }
            DAC => {
                assert_eq!(
                    bytes[0], 0b0100_0100,
                    "a multi-write to output C that takes effect at once, not the EEPROM"
                );
                assert_eq!(bytes[1] & 0xF0, 0, "reference is the supply, powered, gain 1");
                let code = u16::from_be_bytes([bytes[1] & 0xF, bytes[2]]);
                self.dac_volts = f64::from(code) / 4096.0 * REFERENCE_VOLTS;
            }
            _ => {
                self.pointer.insert(address, bytes[0]);
                let Some(value) = bytes.get(1..3).map(|pair| u16::from_be_bytes([pair[0], pair[1]])) else { return };
                match (address, bytes[0]) {
                    (ADC, 1) => self.convert(value),
                    (MONITOR_3V3 | MONITOR_VCC, 0) => {
                        self.monitor_ready = self.clock.now() + Duration::from_micros(4 * 2 * 588);
                    }
                    other => panic!("no such register {other:?}"),
                }
            }
        }
    }

    fn convert(&mut self, config: u16) {
        self.adc_config = config;
        if config & 0x8000 == 0 || self.clock.now() < self.adc_ready {
            return;
        }
        self.adc_ready = self.clock.now() + Duration::from_micros(1_163);
        let volts = match config >> 12 & 7 {
            4 => self.bus_volts(false),
            5 => self.bus_volts(true),
            _ => f64::NAN, // not wired; reads as 0
        };
        let full_scale = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256][usize::from(config >> 9 & 7)];
        self.adc_code = (volts / full_scale * 32_768.0).round() as i16; // clips like the chip
    }

    fn read(&mut self, address: u8, into: &mut [u8]) {
        let pointer = self.pointer.get(&address).copied().unwrap_or(0);
        let now = self.clock.now();
        let word: u16 = match (address, pointer) {
            (U1 | U2, GPIO) => {
                let (state, chip) = (self.state(), usize::from(address - U1));
                let outside = self.outside.get(&address).copied().unwrap_or(0);
                let levels = state.latch[chip] & !state.input[chip] | outside & state.input[chip];
                let [a, b] = levels.to_le_bytes();
                let [c, d] = state.latch[chip].to_le_bytes();
                into.copy_from_slice(&[a, b, c, d][..into.len()]);
                return;
            }
            // Direction and latch: read back.
            (U1 | U2, 0x00 | 0x14) => {
                let (state, chip) = (self.state(), usize::from(address - U1));
                let word = if pointer == 0 { state.input[chip] } else { state.latch[chip] };
                return into.copy_from_slice(&word.to_le_bytes()[..into.len()]);
            }
            // Where the driver keeps its mark.
            (U1 | U2, 0x06) => {
                let from = usize::from(pointer);
                return into.copy_from_slice(&self.expanders[&address][from..from + into.len()]);
            }
            (DAC, _) => return into.fill(0),
            (ADC, 0) => {
                assert!(now >= self.adc_ready, "a conversion was read before it was done");
                self.adc_code as u16
            }
            (ADC, 1) => self.adc_config & 0x7FFF | if now >= self.adc_ready { 0x8000 } else { 0 },
            (MONITOR_3V3 | MONITOR_VCC, 1) => (self.shunt_volts / 2.5e-6).round() as i16 as u16,
            (MONITOR_3V3, 2) => 2640, // 3.3 V
            (MONITOR_3V3 | MONITOR_VCC, 6) => u16::from(now >= self.monitor_ready) << 3,
            (MONITOR_3V3 | MONITOR_VCC, 0xFE) => {
                if self.wrong_id {
                    0x1234
                } else {
                    0x5449
                }
            }
            other => panic!("no such register {other:?}"),
        };
        into.copy_from_slice(&word.to_be_bytes());
    }
}

impl ErrorType for FakeBus {
    type Error = ErrorKind;
}

impl I2c for FakeBus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        self.transfers += 1;
        let failing = self.failing.entry(address).or_default();
        if self.dead.contains(&address) || *failing > 0 {
            *failing = failing.saturating_sub(1);
            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        for operation in operations {
            match operation {
                Operation::Write(bytes) => self.write(address, bytes),
                Operation::Read(into) => self.read(address, into),
            }
        }
        Ok(())
    }
}
