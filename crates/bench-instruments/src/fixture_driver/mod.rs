//! Drives the fixture as its file describes it, over one I2C bus.
//!
//! I2C transfers are blocking calls of well below a millisecond. Nothing is borrowed across an `await`, so no other
//! task waits for one. What must be held for longer (the measure bus, a monitor's conversion) is behind an asynchronous
//! lock.
//!
//! | file | chips and roles |
//! |---|---|
//! | `expander` | MCP23017, one register pair per transfer |
//! | `port_bank` | all expanders: nails, outputs, safe state |
//! | `nails` | [`Nails`](crate::Nails) |
//! | `adc` | ADS1115 |
//! | `source` | MCP4728 |
//! | `measure_bus` | [`MeasureBus`](crate::MeasureBus) |
//! | `inject` | its currents through protection diodes |
//! | `edges` | [`EdgeCapture`](crate::EdgeCapture): its level changes |
//! | `monitor` | INA226 |
//! | `nfc` | PN532, and [`NfcReader`](crate::NfcReader) |
//! | `peers` | [`Peers`](crate::Peers) |
//! | `rails` | [`Rails`](crate::Rails) |
//! | `steady` | the bus itself: repeats what was not acknowledged |

mod adc;
mod edges;
mod expander;
mod inject;
mod measure_bus;
mod monitor;
mod nails;
mod nfc;
pub use nfc::Pn532Reader;
mod peers;
mod port_bank;
mod rails;
mod source;
mod steady;
pub use steady::Steady;
#[cfg(test)]
mod tests;

use crate::{
    Clock, Disturbance, EdgeLine, InstrumentError, LinkRelay, Plausibility, RailObserver, RailReading, Repeated,
    Supply, Switches, UsbSwitch,
};
use adc::Adc;
use async_trait::async_trait;
use bench_plan::{AnalogChannel, Bed, Chip, ChipKind, Correction, Fixture};
use embedded_hal::i2c::I2c;
use embedded_hal_bus::i2c::RcDevice;
use expander::Expander;
use monitor::Monitor;
use port_bank::PortBank;
use source::Source;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

/// The I2C bus of a controller, shared by the chips on it.
type Bus<I> = Rc<RefCell<I>>;

/// Implements [`Nails`](crate::Nails), [`MeasureBus`](crate::MeasureBus), [`Rails`](crate::Rails),
/// [`Peers`](crate::Peers) and [`LinkRelay`], and
/// [`EdgeCapture`](crate::EdgeCapture) once it has the controller's edge line.
///
/// Dropping it puts the fixture into the safe state, also while a panic unwinds.
pub struct FixtureDriver<I: I2c> {
    fixture: Fixture,
    bed: Bed,
    clock: Rc<dyn Clock>,
    ports: RefCell<PortBank<RcDevice<I>>>,
    adcs: BTreeMap<usize, Adc<I>>,
    source: Source<I>,
    /// Held while a contact is joined to the measure bus.
    measuring: tokio::sync::Mutex<()>,
    edge_line: Option<Box<dyn EdgeLine>>,
    monitors: BTreeMap<usize, Monitor<I>>,
    nfc: Option<nfc::Reader<I>>,
    power: RefCell<rails::PowerState>,
    observer: RailObserver,
    transfers: steady::Counts,
}

impl<I: I2c> FixtureDriver<Steady<I>> {
    /// Puts the fixture into the safe state and checks that every chip answers.
    ///
    /// `observer` receives each switching of a rail.
    ///
    /// # Errors
    /// [`InstrumentError::Chip`] names the first chip that does not answer, [`InstrumentError::Implausible`] one that
    /// is not the chip of the fixture file. The other chips are in the safe state even then.
    pub fn start(
        fixture: &Fixture,
        bus: Rc<RefCell<I>>,
        clock: Rc<dyn Clock>,
        observer: RailObserver,
    ) -> Result<Self, InstrumentError> {
        let bed = fixture.bed.clone().ok_or_else(|| InstrumentError::NoInstruments(fixture.name.clone()))?;
        let transfers = steady::Counts::default();
        let bus = Rc::new(RefCell::new(Steady::new(bus, Rc::clone(&transfers))));
        let device = || RcDevice::new(Rc::clone(&bus));
        let mut ports = port_bank(fixture, &bed, &bus);
        ports.safe_state(true)?;

        let mut adcs = BTreeMap::new();
        let mut monitors = BTreeMap::new();
        for (index, chip) in fixture.chips.iter().enumerate() {
            match chip.kind {
                ChipKind::Mcp23017 => {} // has answered
                ChipKind::Pn532 => {}    // below: at most one is in use
                ChipKind::Mcp4728 { .. } => source::probe(device(), chip)?,
                ChipKind::Ads1115 => {
                    let adc = Adc::new(Rc::clone(&bus), &chip.id, chip.address)?;
                    adc.probe()?;
                    adcs.insert(index, adc);
                }
                ChipKind::Ina226 { shunt_ohms } => {
                    monitors.insert(index, Monitor::start(device(), chip, shunt_ohms)?);
                }
            }
        }
        let reader = fixture.nfc.and_then(|nfc| fixture.chips.get(nfc.reader));
        let nfc = reader.map(|chip| nfc::Reader::start(&bus, chip)).transpose()?;
        let source = Source::new(Rc::clone(&bus), fixture, &bed)?;
        source.set(0.0)?;
        Ok(Self {
            fixture: fixture.clone(),
            bed,
            clock,
            ports: RefCell::new(ports),
            adcs,
            source,
            measuring: tokio::sync::Mutex::new(()),
            edge_line: None,
            monitors,
            nfc,
            power: RefCell::new(rails::PowerState {
                on: vec![false; fixture.rails.len()],
                cleared: BTreeSet::new(),
                floating: BTreeSet::new(),
                alone: BTreeSet::new(),
            }),
            observer,
            transfers,
        })
    }
}

impl<I: I2c> FixtureDriver<I> {
    /// Corrects readings of the chips with these ids from now on: voltages of an ADC, currents of a power monitor.
    #[must_use]
    pub fn with_corrections(mut self, corrections: &BTreeMap<String, Correction>) -> Self {
        for (index, chip) in self.fixture.chips.iter().enumerate() {
            let Some(correction) = corrections.get(&chip.id) else { continue };
            if let Some(adc) = self.adcs.get_mut(&index) {
                adc.correct(*correction);
            }
            if let Some(monitor) = self.monitors.get_mut(&index) {
                monitor.correct(*correction);
            }
        }
        self
    }

    /// Does without these checks, to measure what they are worth.
    #[must_use]
    pub fn trusting(self, unchecked: &[Plausibility]) -> Self {
        if unchecked.contains(&Plausibility::RepeatedTransfers) {
            self.transfers.never_repeat();
        }
        if unchecked.contains(&Plausibility::PinsReadBack) {
            self.ports.borrow_mut().trust_pins();
        }
        self
    }

    /// The fixture as checked.
    pub fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    fn adc(&self, channel: AnalogChannel) -> Result<&Adc<I>, InstrumentError> {
        self.adcs.get(&channel.chip).ok_or_else(|| wrong_kind(&self.fixture, channel.chip, "an ADC"))
    }
}

#[async_trait(?Send)]
impl<I: I2c> LinkRelay for FixtureDriver<I> {
    async fn set_loopback(&self, on: bool) -> Result<(), InstrumentError> {
        self.ports.borrow_mut().set_outputs(&[(self.bed.link_relay, !on)])
    }
}

#[async_trait(?Send)]
impl<I: I2c> UsbSwitch for FixtureDriver<I> {
    async fn join(&self, on: bool) -> Result<(), InstrumentError> {
        match self.fixture.usb {
            Some(usb) => self.ports.borrow_mut().set_outputs(&[(usb.switch, on)]),
            None => Err(InstrumentError::Usb("this fixture joins none to the module".to_owned())),
        }
    }
}

impl<I: I2c> Switches for FixtureDriver<I> {
    fn parts(&self) -> usize {
        self.ports.borrow().chips()
    }
    fn rail_parts(&self) -> Vec<usize> {
        self.ports.borrow().rail_chips()
    }
    fn check(&self, part: usize) -> Result<(), Disturbance> {
        self.ports.borrow_mut().check(part)
    }
    fn lock(&self, why: &str) {
        self.ports.borrow_mut().lock(why);
    }
    fn watchdog_timeout(&self) -> Option<Duration> {
        Some(self.bed.safety.watchdog.timeout)
    }
    fn supply(&self, rail: &str) -> Option<Supply> {
        let rail = self.fixture.rails.iter().find(|listed| listed.name == rail)?;
        let (volts, current_limit_amps, of_module) = (rail.volts, rail.current_limit_amps, rail.load_ohms.is_some());
        Some(Supply { volts, current_limit_amps, of_module })
    }
    fn repeated(&self) -> Vec<Repeated> {
        let of_chip = |chip: &Chip| {
            let counts = self.transfers.of(chip.address);
            (counts.repeated > 0).then(|| Repeated {
                chip: chip.id.clone(),
                transfers: counts.all,
                repeated: counts.repeated,
            })
        };
        self.fixture.chips.iter().filter_map(of_chip).collect()
    }
    fn glance(&self, rail: &str) -> Result<Option<RailReading>, InstrumentError> {
        let rail = self.fixture.rails.iter().find(|listed| listed.name == rail);
        rail.and_then(|rail| self.monitors.get(&rail.monitor)).map_or(Ok(None), Monitor::glance)
    }
}

impl<I: I2c> Drop for FixtureDriver<I> {
    fn drop(&mut self) {
        // Nothing can handle an error here; if even this fails, the fixture's own pull-downs remain.
        let _ = self.source.set(0.0);
        let _ = self.ports.get_mut().safe_state(false);
        let _ = self.nfc.as_ref().map(nfc::Reader::order_off);
    }
}

fn port_bank<I: I2c>(fixture: &Fixture, bed: &Bed, bus: &Bus<I>) -> PortBank<RcDevice<I>> {
    let expanders = fixture.chips.iter().enumerate().filter(|(_, chip)| chip.kind == ChipKind::Mcp23017);
    let expander = |chip: &Chip| Expander::new(RcDevice::new(Rc::clone(bus)), &chip.id, chip.address);
    PortBank::new(fixture, bed, expanders.map(|(index, chip)| (index, expander(chip))).collect())
}

/// Switches rails off and releases nails, whatever the state of the fixture: for a program that takes over from a bench
/// that died.
///
/// # Errors
/// The first error, after all chips were tried.
pub fn make_safe<I: I2c>(fixture: &Fixture, bus: I) -> Result<(), InstrumentError> {
    let bed = fixture.bed.as_ref().ok_or_else(|| InstrumentError::NoInstruments(fixture.name.clone()))?;
    port_bank(fixture, bed, &Rc::new(RefCell::new(bus))).safe_state(true)
}

/// Identifies every chip of the fixture: returns the id of each, with the error of one that does not answer or is
/// another chip. Resets some chips, so no driver may be active.
pub fn ask_chips<I: I2c>(fixture: &Fixture, bus: Rc<RefCell<I>>) -> Vec<(String, Result<(), InstrumentError>)> {
    let device = || RcDevice::new(Rc::clone(&bus));
    let ask = |chip: &Chip| match chip.kind {
        ChipKind::Mcp23017 => Expander::new(device(), &chip.id, chip.address).reset_addressing(),
        ChipKind::Pn532 => nfc::Reader::start(&bus, chip).map(drop),
        ChipKind::Mcp4728 { .. } => source::probe(device(), chip),
        ChipKind::Ads1115 => Adc::new(Rc::clone(&bus), &chip.id, chip.address)?.probe(),
        ChipKind::Ina226 { shunt_ohms } => Monitor::start(device(), chip, shunt_ohms).map(drop),
    };
    fixture.chips.iter().map(|chip| (chip.id.clone(), ask(chip))).collect()
}

fn bus_error(id: &str, address: u8, error: &impl Debug) -> InstrumentError {
    InstrumentError::Chip { chip: id.to_owned(), detail: format!("address {address:#04x}: {error:?}") }
}

fn chip_error(chip: &Chip, error: &impl Debug) -> InstrumentError {
    bus_error(&chip.id, chip.address, error)
}

fn implausible(id: &str, detail: String) -> InstrumentError {
    InstrumentError::Implausible { chip: id.to_owned(), detail }
}

/// Only for a fixture that did not pass the checks of `bench-plan`.
fn wrong_kind(fixture: &Fixture, index: usize, expected: &str) -> InstrumentError {
    let id = fixture.chips.get(index).map_or("a chip", |chip| chip.id.as_str());
    implausible(id, format!("the fixture file uses it as {expected}"))
}
