//! A controller without drivers: accesses registers directly, so that the chip models are not tested through code that
//! was written for them.

use bench_instruments::{Clock, Link};
use bench_plan::{ChipKind, DutFamily, Fixture, IoBit, NailWiring, Source};
use bench_run::Contact;
use dut_protocol::frame::{Decoder, encode_request};
use dut_protocol::{INITIAL_BAUD, MAX_FRAME, PROTOCOL_VERSION, PortVector, Reply, Request, schema_hash};
use embedded_hal::i2c::I2c;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::{Fault, VirtualBench, VirtualConfig, VirtualI2c};

pub const FIRMWARE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/firmware/dut-firmware.elf");

fn source(path: &str) -> Source {
    let full = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    Source::new(path, std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{full}: {error}")))
}

pub fn dut(name: &str) -> DutFamily {
    DutFamily::parse(&source(&format!("fixtures/duts/{name}.toml"))).unwrap_or_else(|problem| panic!("{problem}"))
}

pub fn fixture() -> Fixture {
    let (b4xx, b5xx) = (dut("b4xx"), dut("b5xx"));
    Fixture::parse(&source("fixtures/b-series.toml"), &[&b4xx, &b5xx]).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The bench and a controller for it.
pub struct Setup {
    pub bench: VirtualBench,
    pub hands: Hands,
}

pub fn setup(model: &str, faults: &[&str], seed: u64) -> Setup {
    let family = dut(if model.starts_with("b5") { "b5xx" } else { "b4xx" });
    let fixture = fixture();
    let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{error}"))).collect();
    let firmware = std::fs::read(FIRMWARE)
        .unwrap_or_else(|error| panic!("{FIRMWARE}: {error}; build it with `cargo xtask firmware`"));
    let bench = VirtualBench::new(VirtualConfig {
        fixture: &fixture,
        dut: &family,
        model,
        firmware: Some(&firmware),
        seed,
        faults: &faults,
        bench_faults: &[],
        serial: None,
        pace: None,
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let hands = Hands {
        i2c: bench.i2c(),
        clock: bench.clock(),
        link: Rc::new(RefCell::new(bench.link())),
        decoder: Rc::default(),
        fixture: Rc::new(fixture),
        dut: Rc::new(family),
        latches: Rc::default(),
    };
    Setup { bench, hands }
}

/// Runs a test in virtual time.
pub fn run<F: Future>(setup: &Setup, test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(setup.bench.run(test)).unwrap_or_else(|error| panic!("{error}"))
}

#[derive(Clone)]
pub struct Hands {
    pub i2c: VirtualI2c,
    pub clock: Rc<dyn Clock>,
    pub link: Rc<RefCell<Box<dyn Link>>>,
    decoder: Rc<RefCell<Decoder>>,
    pub fixture: Rc<Fixture>,
    pub dut: Rc<DutFamily>,
    /// By chip: IODIR, OLAT, GPPU of both ports.
    latches: Rc<RefCell<BTreeMap<usize, [u16; 3]>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Io {
    High,
    Low,
    PullUp,
    Float,
}

impl Hands {
    pub async fn sleep_ms(&self, ms: u64) {
        self.clock.sleep(Duration::from_millis(ms)).await;
    }

    pub fn set(&mut self, bit: IoBit, io: Io) {
        let mut latches = self.latches.borrow_mut();
        let [iodir, olat, gppu] = latches.entry(bit.chip).or_insert([0xFFFF, 0, 0]);
        let mask = 1u16 << bit.bit;
        let put = |word: &mut u16, on: bool| *word = if on { *word | mask } else { *word & !mask };
        put(iodir, matches!(io, Io::PullUp | Io::Float));
        put(olat, io == Io::High);
        put(gppu, io == Io::PullUp);
        let address = self.fixture.chips[bit.chip].address;
        for (register, word) in [(0x14, *olat), (0x0C, *gppu), (0x00, *iodir)] {
            let [low, high] = word.to_le_bytes();
            self.i2c.write(address, &[register, low, high]).unwrap();
        }
    }

    pub fn switch(&mut self, bit: IoBit, on: bool) {
        self.set(bit, if on { Io::High } else { Io::Low });
    }

    pub fn nail(&mut self, contact: u8, io: Io) {
        let NailWiring::Io { io: bit, .. } = self.fixture.nails[&Contact(contact)].wiring else {
            panic!("contact {contact} has no such nail")
        };
        self.set(bit, io);
    }

    pub fn read_nail(&mut self, contact: u8) -> bool {
        let NailWiring::Io { io: bit, .. } = self.fixture.nails[&Contact(contact)].wiring else {
            panic!("contact {contact} has no such nail")
        };
        let mut bytes = [0; 2];
        self.i2c.write_read(self.fixture.chips[bit.chip].address, &[0x12], &mut bytes).unwrap();
        u16::from_le_bytes(bytes) >> bit.bit & 1 == 1
    }

    pub fn loopback(&mut self, on: bool) {
        self.switch(self.fixture.bed.as_ref().unwrap().link_relay, !on);
    }

    pub fn feeds(&mut self, closed: bool) {
        let fixture = Rc::clone(&self.fixture);
        for nail in fixture.nails.values() {
            if let NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. } = nail.wiring {
                self.switch(feed, closed);
            }
        }
    }

    /// Joins a contact to the measure bus.
    pub fn select(&mut self, contact: u8) {
        let fixture = Rc::clone(&self.fixture);
        let bus = &fixture.bed.as_ref().unwrap().measure_bus;
        let (bank, channel) = fixture.nails[&Contact(contact)].mux.unwrap();
        bus.banks.iter().for_each(|bit| self.switch(*bit, false));
        bus.address.iter().enumerate().for_each(|(n, bit)| self.switch(*bit, channel >> n & 1 == 1));
        self.switch(bus.banks[usize::from(bank)], true);
    }

    pub fn source(&mut self, volts: Option<f64>) {
        let bus = self.fixture.bed.as_ref().unwrap().measure_bus.clone();
        let chip = &self.fixture.chips[bus.source.chip];
        let ChipKind::Mcp4728 { reference_volts } = chip.kind else { panic!("the source is no DAC") };
        let code = (volts.unwrap_or(0.0) / reference_volts * 4096.0).round() as u16;
        let address = chip.address;
        // Multi-write, supply as reference.
        let [high, low] = code.to_be_bytes();
        self.i2c.write(address, &[0x40 | bus.source.channel << 1, high, low]).unwrap();
        self.switch(bus.source_enable, volts.is_some());
    }

    /// One single-shot conversion at 4.096 V and 860 samples per second.
    pub async fn adc_volts(&mut self, input: u8) -> f64 {
        let bus = self.fixture.bed.as_ref().unwrap().measure_bus.clone();
        let address = self.fixture.chips[bus.sense.chip].address;
        self.i2c.write(address, &[1, 0xC3 | input << 4, 0xE3]).unwrap();
        let mut word = [0; 2];
        loop {
            self.clock.sleep(Duration::from_micros(200)).await;
            self.i2c.write_read(address, &[1], &mut word).unwrap();
            if word[0] & 0x80 != 0 {
                break;
            }
        }
        self.i2c.write_read(address, &[0], &mut word).unwrap();
        f64::from(i16::from_be_bytes(word)) * 4.096 / 32768.0
    }

    pub async fn volts(&mut self, contact: u8) -> f64 {
        self.select(contact);
        self.clock.sleep(Duration::from_micros(200)).await;
        let sense = self.fixture.bed.as_ref().unwrap().measure_bus.sense.channel;
        self.adc_volts(sense).await
    }

    /// Resistance from a contact to ground with 0.2 V behind the source's resistor.
    pub async fn ohms(&mut self, contact: u8, settle_ms: u64) -> f64 {
        self.select(contact);
        self.source(Some(0.2));
        self.sleep_ms(settle_ms).await;
        let bus = self.fixture.bed.as_ref().unwrap().measure_bus.clone();
        let at_contact = self.adc_volts(bus.sense.channel).await;
        let at_source = self.adc_volts(bus.source_sense.channel).await;
        self.source(None);
        at_contact / ((at_source - at_contact) / bus.source_series_ohms)
    }

    pub fn rail(&mut self, name: &str, on: bool) {
        let rail = self.fixture.rail(name).unwrap().clone();
        self.switch(rail.discharge, !on);
        self.switch(rail.enable, on);
    }

    /// Bus voltage and current as the monitor's registers say.
    pub fn rail_reading(&mut self, name: &str) -> (f64, f64) {
        let rail = self.fixture.rail(name).unwrap().clone();
        let chip = &self.fixture.chips[rail.monitor];
        let ChipKind::Ina226 { shunt_ohms } = chip.kind else { panic!("no monitor") };
        let address = chip.address;
        let mut word = [0; 2];
        self.i2c.write_read(address, &[2], &mut word).unwrap();
        let volts = f64::from(u16::from_be_bytes(word)) * 1.25e-3;
        self.i2c.write_read(address, &[1], &mut word).unwrap();
        (volts, f64::from(i16::from_be_bytes(word)) * 2.5e-6 / shunt_ohms)
    }

    /// Feeds closed, 3V3 and VCC on, link on the nails, firmware booted.
    pub async fn power_up(&mut self) {
        self.loopback(true);
        self.feeds(true);
        self.rail("3V3", true);
        self.rail("VCC", true);
        self.sleep_ms(20).await;
        self.loopback(false);
        self.sleep_ms(20).await;
    }

    /// Sends a request and waits up to 200 ms for the reply with its number.
    pub async fn ask(&mut self, seq: u16, request: &Request) -> Option<Reply> {
        let mut buffer = [0; MAX_FRAME];
        let bytes = encode_request(seq, request, &mut buffer).unwrap();
        let link = Rc::clone(&self.link);
        let mut link = link.borrow_mut();
        link.send(bytes).await.unwrap();
        let deadline = self.clock.now() + Duration::from_millis(200);
        let mut received = Vec::new();
        loop {
            received.clear();
            bench_instruments::with_deadline(&*self.clock, deadline, link.receive(&mut received)).await.ok()?.unwrap();
            let mut answer = None;
            self.decoder.borrow_mut().feed(&received, |frame| {
                if let Ok(frame) = frame
                    && frame.seq == seq
                {
                    answer = frame.reply().ok();
                }
            });
            if answer.is_some() {
                return answer;
            }
        }
    }

    pub async fn hello(&mut self) -> Option<Reply> {
        self.ask(1, &Request::Hello { version: PROTOCOL_VERSION, schema: schema_hash() }).await
    }

    /// Raises the rate of both ends.
    pub async fn set_baud(&mut self, baud: u32) {
        assert_eq!(self.ask(2, &Request::SetBaud { baud }).await, Some(Reply::Done));
        self.link.borrow_mut().set_baud(baud).await.unwrap();
        // The firmware changes over once its reply is out.
        self.sleep_ms(2).await;
        assert_ne!(baud, INITIAL_BAUD);
    }

    pub async fn vector(&mut self, seq: u16, vector: PortVector) -> u64 {
        match self.ask(seq, &Request::ApplyVector(vector)).await {
            Some(Reply::Levels(levels)) => levels.0,
            other => panic!("no levels but {other:?}"),
        }
    }

    pub fn port(&self, contact: u8) -> dut_protocol::Port {
        self.dut.contact(Contact(contact)).unwrap().port.unwrap()
    }
}

#[test]
fn nonsense_is_refused_before_anything_runs() {
    let (fixture, dut, firmware) = (fixture(), dut("b4xx"), std::fs::read(FIRMWARE).unwrap());
    let config = |model, firmware, serial: Option<&str>, pace| VirtualConfig {
        fixture: &fixture,
        dut: &dut,
        model,
        firmware: Some(firmware),
        seed: 1,
        faults: &[],
        bench_faults: &[],
        serial: serial.map(str::to_owned),
        pace,
    };
    for (config, part) in [
        (config("b524", &firmware[..], None, None), "has no model b524"),
        (config("b404x", b"no ELF", None, None), "firmware image"),
        (config("b404x", &firmware, Some("short"), None), "15 printable"),
        (config("b404x", &firmware, None, Some(0.0)), "pace"),
    ] {
        let message = VirtualBench::new(config).err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    }
    let wrong: [Fault; 1] = ["wrong-model:b402".parse().unwrap()];
    let config = VirtualConfig { faults: &wrong, ..config("b404x", &firmware, None, None) };
    assert!(VirtualBench::new(config).is_err(), "the module on the nest is not the one that the fault orders");
}
