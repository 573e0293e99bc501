//! Voltmeter and ohmmeter on the one line that reaches every contact.

use super::adc::Range;
use super::{FixtureDriver, implausible};
use crate::{Injected, InstrumentError, MeasureBus, OPEN_OHMS, Unjoined};
use async_trait::async_trait;
use bench_plan::IoBit;
use bench_run::Contact;
use embedded_hal::i2c::I2c;
use std::time::Duration;

/// Time for the multiplexer, and for the ADC's input to settle at the contact's voltage.
pub(super) const SETTLE: Duration = Duration::from_micros(300);

/// Test voltage of the ohmmeter, or the fixture's limit if that is lower. Below 0.25 V, where the first junctions begin
/// to conduct, and within the narrow range of the ADC.
const OHMS_TEST_VOLTS: f64 = 0.2;
/// Tolerance of the source, as a share of its value.
const SOURCE_TOLERANCE: f64 = 0.2;
/// A contact with more than this is not quiet enough for the ohmmeter.
const QUIET_VOLTS: f64 = 0.02;
/// Time for a contact to become quiet: the line itself keeps charge from another contact.
const BECOME_QUIET: Duration = Duration::from_millis(20);

/// A smaller change from one conversion to the next counts as settled.
const OHMS_SETTLED_VOLTS: f64 = 150e-6;
/// Longest wait for the capacitors behind a contact to charge through the source's resistor.
const OHMS_SETTLE_LIMIT: Duration = Duration::from_millis(300);
pub(super) const LOADED_SETTLED_VOLTS: f64 = 2e-3;
pub(super) const LOADED_SETTLE_LIMIT: Duration = Duration::from_millis(50);

/// A contact that is joined to the bus. Opens everything when dropped, also when its future was dropped.
pub(super) struct Joined<'a, I: I2c> {
    driver: &'a FixtureDriver<I>,
    open: bool,
}

impl<I: I2c> Joined<'_, I> {
    pub(super) fn open(mut self) -> Result<(), InstrumentError> {
        self.open = true;
        self.driver.open_bus()
    }

    /// Leaves everything joined; the next measurement, [`MeasureBus::release`] or the safe state opens it.
    fn keep(mut self) {
        self.open = true;
    }
}

impl<I: I2c> Drop for Joined<'_, I> {
    fn drop(&mut self) {
        if !self.open {
            let _ = self.driver.open_bus(); // after a dropped measurement the safe state follows
        }
    }
}

impl<I: I2c> FixtureDriver<I> {
    /// Break before make: all banks off, then the address, then the one bank.
    pub(super) fn join(&self, contact: Contact) -> Result<Joined<'_, I>, InstrumentError> {
        let wiring = &self.bed.measure_bus;
        let not_wired = || InstrumentError::NotWired(contact);
        let (bank, channel) = self.fixture.nail(contact).and_then(|nail| nail.mux).ok_or_else(not_wired)?;
        let bank = *wiring.banks.get(usize::from(bank)).ok_or_else(not_wired)?;
        let address: Vec<(IoBit, bool)> =
            wiring.address.iter().enumerate().map(|(n, bit)| (*bit, channel >> n & 1 == 1)).collect();
        let joined = Joined { driver: self, open: false };
        self.open_banks()?;
        let mut ports = self.ports.borrow_mut();
        // May still be on after a `hold`; nothing is written when it is off.
        ports.set_outputs(&[(wiring.source_enable, false)])?;
        ports.set_outputs(&address)?;
        ports.set_outputs(&[(bank, true)])?;
        drop(ports); // before `joined` could need them
        Ok(joined)
    }

    fn open_banks(&self) -> Result<(), InstrumentError> {
        let banks: Vec<(IoBit, bool)> = self.bed.measure_bus.banks.iter().map(|bank| (*bank, false)).collect();
        self.ports.borrow_mut().set_outputs(&banks)
    }

    /// Disconnects the source, opens all channels and sets the source to 0 V; each is tried even if another fails.
    fn open_bus(&self) -> Result<(), InstrumentError> {
        let disabled = self.ports.borrow_mut().set_outputs(&[(self.bed.measure_bus.source_enable, false)]);
        let opened = self.open_banks();
        disabled.and(opened).and(self.source.set(0.0))
    }

    /// The source's voltage is set before it reaches the bus.
    pub(super) fn push(&self, volts: f64) -> Result<(), InstrumentError> {
        self.source.set(volts)?;
        self.ports.borrow_mut().set_outputs(&[(self.bed.measure_bus.source_enable, true)])
    }

    async fn sense(&self, range: Range) -> Result<f64, InstrumentError> {
        let channel = self.bed.measure_bus.sense;
        self.adc(channel)?.convert(&*self.clock, channel.channel, range).await
    }

    async fn unloaded(&self, contact: Contact, range: Range) -> Result<f64, InstrumentError> {
        let _bus = self.measuring.lock().await;
        let joined = self.join(contact)?;
        self.clock.sleep(SETTLE).await;
        let outcome = self.sense(range).await;
        both(outcome, joined.open())
    }

    /// Joins a contact with the source at `source_volts` and reads it once it has settled.
    async fn pushed(
        &self,
        contact: Contact,
        source_volts: f64,
    ) -> Result<(Joined<'_, I>, Result<f64, InstrumentError>), InstrumentError> {
        let _bus = self.measuring.lock().await;
        let allowed = self.bed.measure_bus.unpowered_volts;
        if source_volts > allowed && !self.any_rail_on() {
            return Err(InstrumentError::Unsafe(format!(
                "{source_volts} V into a contact of a module without power; at most {allowed} V are allowed then"
            )));
        }
        let joined = self.join(contact)?;
        let outcome = match self.push(source_volts) {
            Ok(()) => {
                self.clock.sleep(SETTLE).await;
                self.settled(Range::Volts, LOADED_SETTLED_VOLTS, LOADED_SETTLE_LIMIT).await
            }
            Err(error) => Err(error),
        };
        Ok((joined, outcome))
    }

    pub(super) async fn source_sense(&self, range: Range) -> Result<f64, InstrumentError> {
        let channel = self.bed.measure_bus.source_sense;
        self.adc(channel)?.convert(&*self.clock, channel.channel, range).await
    }

    /// Converts until two readings in a row agree, or the limit is reached.
    pub(super) async fn settled(&self, range: Range, within: f64, limit: Duration) -> Result<f64, InstrumentError> {
        let deadline = self.clock.now() + limit;
        let mut last = self.sense(range).await?;
        loop {
            let next = self.sense(range).await?;
            if (next - last).abs() <= within || self.clock.now() >= deadline {
                return Ok(next);
            }
            last = next;
        }
    }

    /// Returns the contact's own voltage, nearly 0 V.
    async fn quiet_volts(&self, contact: Contact) -> Result<f64, InstrumentError> {
        let deadline = self.clock.now() + BECOME_QUIET;
        loop {
            let volts = self.sense(Range::Ohms).await?;
            if volts.abs() <= QUIET_VOLTS {
                return Ok(volts);
            }
            if self.clock.now() >= deadline {
                // The narrow range clips; the message needs the real voltage.
                return Err(InstrumentError::Energized { contact, volts: self.sense(Range::Volts).await? });
            }
        }
    }

    /// With the contact joined: E0 its own voltage, Vs before and V after the series resistor Rs. The same current
    /// flows through Rs and through multiplexer and contact: (Vs - V) / Rs = (V - E0) / (R + Rmux).
    async fn ohms_of_joined(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.clock.sleep(SETTLE).await;
        let own = self.quiet_volts(contact).await?;
        let test_volts = OHMS_TEST_VOLTS.min(self.bed.measure_bus.unpowered_volts);
        self.push(test_volts)?;
        self.clock.sleep(SETTLE).await;
        let volts = self.settled(Range::Ohms, OHMS_SETTLED_VOLTS, OHMS_SETTLE_LIMIT).await?;
        let source = self.source_sense(Range::Ohms).await?;
        if (source - test_volts).abs() > SOURCE_TOLERANCE * test_volts {
            let detail = format!("its output is {source:.3} V instead of {test_volts} V");
            return Err(implausible(self.source.id(), detail));
        }
        let wiring = &self.bed.measure_bus;
        Ok(clip(resistance(wiring.source_series_ohms, source, volts, own) - wiring.mux_ohms))
    }
}

/// Resistance behind the series resistor; infinite when no current flows.
fn resistance(series_ohms: f64, source_volts: f64, volts: f64, own_volts: f64) -> f64 {
    let drop = source_volts - volts;
    if drop <= 0.0 { f64::INFINITY } else { series_ohms * (volts - own_volts) / drop }
}

fn clip(ohms: f64) -> f64 {
    ohms.clamp(0.0, OPEN_OHMS)
}

/// The error of a failed measurement takes precedence over that of the opening after it.
pub(super) fn both<T>(
    outcome: Result<T, InstrumentError>,
    opened: Result<(), InstrumentError>,
) -> Result<T, InstrumentError> {
    outcome.and_then(|value| opened.map(|()| value))
}

#[async_trait(?Send)]
impl<I: I2c> MeasureBus for FixtureDriver<I> {
    async fn volts(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.unloaded(contact, Range::Volts).await
    }

    async fn fine_volts(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.unloaded(contact, Range::Ohms).await
    }

    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError> {
        let (joined, outcome) = self.pushed(contact, source_volts).await?;
        both(outcome, joined.open())
    }

    async fn hold(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError> {
        let (joined, outcome) = self.pushed(contact, source_volts).await?;
        if outcome.is_ok() {
            joined.keep();
        }
        outcome
    }

    async fn ohms(&self, contact: Contact) -> Result<f64, InstrumentError> {
        let _bus = self.measuring.lock().await;
        let joined = self.join(contact)?;
        let outcome = self.ohms_of_joined(contact).await;
        both(outcome, joined.open())
    }

    async fn inject(&self, contact: Contact, amps: f64) -> Result<Injected, InstrumentError> {
        let _bus = self.measuring.lock().await;
        self.check_injection(contact, amps)?;
        let joined = self.join(contact)?;
        let outcome = self.inject_joined(amps).await;
        both(outcome, joined.open())
    }

    async fn unjoined(&self, address_of: Option<Contact>, source_volts: f64) -> Result<Unjoined, InstrumentError> {
        let _bus = self.measuring.lock().await;
        let wiring = &self.bed.measure_bus;
        let channel = match address_of {
            Some(contact) => {
                let nail = self.fixture.nail(contact).and_then(|nail| nail.mux);
                nail.ok_or(InstrumentError::NotWired(contact))?.1
            }
            None => 0,
        };
        self.open_banks()?;
        let address: Vec<(IoBit, bool)> =
            wiring.address.iter().enumerate().map(|(n, bit)| (*bit, channel >> n & 1 == 1)).collect();
        self.ports.borrow_mut().set_outputs(&address)?;
        let joined = Joined { driver: self, open: false };
        self.push(source_volts)?;
        self.clock.sleep(SETTLE).await;
        let range = if source_volts < Range::Ohms.full_scale_volts() { Range::Ohms } else { Range::Volts };
        let outcome = async {
            let line = self.settled(range, LOADED_SETTLED_VOLTS, LOADED_SETTLE_LIMIT).await?;
            Ok(Unjoined { source: self.source_sense(range).await?, line })
        };
        let outcome = outcome.await;
        both(outcome, joined.open())
    }

    fn source_ohms(&self) -> f64 {
        self.bed.measure_bus.source_series_ohms
    }

    async fn release(&self) -> Result<(), InstrumentError> {
        let _bus = self.measuring.lock().await;
        self.open_bus()
    }
}
