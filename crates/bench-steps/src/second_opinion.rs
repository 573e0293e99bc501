//! Before a module is blamed: whether the instruments that condemn it can be believed.
//!
//! `bench-check` has looked at most of them before the module was touched. Here is what may have happened since, and
//! what only matters for the contacts that are named.

use crate::nest::NO_TOUCH;
use crate::{Nest, resource, source};
use bench_instruments::{InstrumentError, Plausibility};
use bench_run::{Contact, MeasurementUnit};
use std::time::Duration;

/// A step that did not pass.
#[derive(Debug, Clone, Copy)]
pub struct Accused<'a> {
    /// What it held while it ran, and still holds.
    pub uses: &'a [String],
    /// The contacts that its readings and diagnoses name.
    pub contacts: &'a [Contact],
    /// Whether a rail is on.
    pub powered: bool,
}

/// More contacts than that are not the fault of a channel each.
const MOST_CONTACTS: usize = 4;
/// A level of the source that an unpowered module may see, and one that it may not: nothing is joined.
const LEVELS: [f64; 2] = [0.2, 2.5];
/// Where no supply and no port holds a contact, and more than the source and the ADC are off by.
const SOURCE_VOLTS: f64 = 2.0;
const MOVED_VOLTS: f64 = 0.1;
/// A nail that holds a contact low, through its series resistor and the multiplexer.
const HELD_OHMS: f64 = 5e3;
/// Series resistor of a nail with its driver and the module's own paths.
const OWN_RESISTOR_OHMS: std::ops::RangeInclusive<f64> = 700.0..=1300.0;
const SETTLE: Duration = Duration::from_millis(2);

/// What is wrong with the bench, if that is what failed the step.
pub async fn second_opinion(nest: &Nest, accused: Accused<'_>) -> Option<String> {
    match look_again(nest, accused).await {
        Ok(doubt) => doubt,
        // A replay cannot look where the run had no reason to.
        Err(InstrumentError::NotRecorded(_)) => None,
        // An instrument that fails now is no witness.
        Err(error) => Some(error.to_string()),
    }
}

async fn look_again(nest: &Nest, accused: Accused<'_>) -> Result<Option<String>, InstrumentError> {
    let holds = |resource: &str| accused.uses.iter().any(|used| used == resource);
    // Other steps may hold the measure bus at a contact, and depend on it.
    if !nest.checks(Plausibility::SecondOpinion) || !holds(resource::MEASURE_BUS) {
        return Ok(None);
    }
    if !nest.touches().await? {
        return Ok(Some(NO_TOUCH.to_owned()));
    }
    // Nobody else talks to the module meanwhile.
    if holds(resource::DUT) && nest.link.is_joined() {
        if let Some(unreached) = nest.relay_reaches().await? {
            return Ok(Some(unreached));
        }
        // Bytes that nobody sent may be among what the step counted.
        if let Some(lossy) = nest.lossy_link().await? {
            return Ok(Some(lossy));
        }
    }
    match agrees(nest).await? {
        None if holds(resource::NAILS) => channels(nest, accused).await,
        other => Ok(other),
    }
}

/// Source and ADC agree, with no contact joined.
async fn agrees(nest: &Nest) -> Result<Option<String>, InstrumentError> {
    for level in LEVELS {
        let read = match nest.bus.unjoined(None, level).await {
            // A bench without a source of its own.
            Err(InstrumentError::NoInstruments(_)) => return Ok(None),
            other => other?,
        };
        if !source::is_right(level, read.source) || (read.line - read.source).abs() > source::LINE_VOLTS {
            return Ok(Some(format!(
                "the source and the ADC do not agree any more: {} ordered, {} and {} read at its resistor; run `bench doctor`",
                MeasurementUnit::Volts.show(level),
                MeasurementUnit::Volts.show(read.source),
                MeasurementUnit::Volts.show(read.line)
            )));
        }
    }
    Ok(None)
}

/// The named contacts reach the measure bus: their own nail moves what is read there.
async fn channels(nest: &Nest, accused: Accused<'_>) -> Result<Option<String>, InstrumentError> {
    if accused.contacts.len() > MOST_CONTACTS {
        return Ok(None);
    }
    let spared = [nest.enable_contact(), nest.reset_contact()];
    let wired = nest.nails.wired();
    for contact in accused.contacts.iter().copied().filter(|contact| wired.contains(*contact)) {
        // These two would take the module's power or restart it.
        if accused.powered && spared.contains(&Some(contact)) {
            continue;
        }
        let reaches = if accused.powered { moves(nest, contact).await } else { holds_low(nest, contact).await };
        let released = nest.nails.release_all().await;
        match reaches {
            // Of a nail without a channel nothing was measured.
            Err(InstrumentError::NotWired(_)) => {}
            Err(error) => return Err(error),
            Ok(true) => {
                released?;
                if !accused.powered && is_own_driver(nest, contact).await? {
                    return Ok(Some(format!(
                        "nail {} stays low when it drives high: its driver, or the pin of its port expander, is stuck",
                        nest.label(contact)
                    )));
                }
            }
            Ok(false) => {
                released?;
                return Ok(Some(format!(
                    "nail {} moves, and the measure bus does not see it: its channel of the multiplexer, or the nail's own driver, \
                     is dead",
                    nest.label(contact)
                )));
            }
        }
    }
    Ok(None)
}

/// A contact that looks as if it were held low through the resistor of its own nail: whether its driver is what holds
/// it. Drives it for less than a millisecond, with less current than a diode test.
async fn is_own_driver(nest: &Nest, contact: Contact) -> Result<bool, InstrumentError> {
    let ohms = match nest.bus.ohms(contact).await {
        Err(InstrumentError::Energized { .. }) => return Ok(false),
        other => other?,
    };
    if !OWN_RESISTOR_OHMS.contains(&ohms) {
        return Ok(false);
    }
    nest.drive_nail(contact, true).await.map_err(|_| InstrumentError::NotWired(contact))?;
    let read = nest.nails.read().await;
    nest.nails.release_all().await?;
    Ok(!read?.contains(contact))
}

/// With power on: a line that reaches the contact cannot stay at the source's own voltage both while the nail drives low
/// and while it drives high, whatever else holds the contact.
async fn moves(nest: &Nest, contact: Contact) -> Result<bool, InstrumentError> {
    for high in [false, true] {
        nest.drive_nail(contact, high).await.map_err(|_| InstrumentError::NotWired(contact))?;
        nest.clock.sleep(SETTLE).await;
        if (nest.bus.loaded_volts(contact, SOURCE_VOLTS).await? - SOURCE_VOLTS).abs() > MOVED_VOLTS {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn holds_low(nest: &Nest, contact: Contact) -> Result<bool, InstrumentError> {
    nest.drive_nail(contact, false).await.map_err(|_| InstrumentError::NotWired(contact))?;
    nest.clock.sleep(SETTLE).await;
    Ok(nest.bus.ohms(contact).await? < HELD_OHMS)
}
