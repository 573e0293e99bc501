//! Currents through the protection diodes of an unpowered module.

use super::FixtureDriver;
use super::adc::Range;
use super::measure_bus::{LOADED_SETTLE_LIMIT, LOADED_SETTLED_VOLTS, SETTLE};
use crate::{Injected, InstrumentError, MOST_INJECTED_AMPS};
use bench_plan::NailWiring;
use bench_run::Contact;
use embedded_hal::i2c::I2c;

/// Expected voltage of a diode, for the first guess of the source's voltage.
const DIODE_VOLTS: f64 = 0.65;
/// Largest number of readings until the current is near enough.
const LOOKS: u32 = 3;
const NEAR_ENOUGH: f64 = 0.05;

impl<I: I2c> FixtureDriver<I> {
    /// Refuses currents that could harm or power the module.
    pub(super) fn check_injection(&self, contact: Contact, amps: f64) -> Result<(), InstrumentError> {
        let refuse = |text: String| Err(InstrumentError::Unsafe(text));
        if !(amps > 0.0 && amps <= MOST_INJECTED_AMPS) {
            return refuse(format!("{amps} A into contact {contact}; at most {MOST_INJECTED_AMPS} A are allowed"));
        }
        if self.any_rail_on() {
            return refuse(format!("a current into contact {contact} while a rail is on"));
        }
        let is_ground = matches!(self.fixture.nail(contact).map(|nail| &nail.wiring), Some(NailWiring::Ground { .. }));
        match self.floating_rail() {
            Some(rail) if !is_ground => {
                refuse(format!("a current into contact {contact} would feed the module: rail {rail} is not discharged"))
            }
            _ => Ok(()),
        }
    }

    /// Adjusts the source with the contact joined. It stays below the voltage at which a dead short draws the largest
    /// permitted current.
    pub(super) async fn inject_joined(&self, amps: f64) -> Result<Injected, InstrumentError> {
        let series_ohms = self.bed.measure_bus.source_series_ohms;
        let highest = (MOST_INJECTED_AMPS * series_ohms).min(self.source.highest_volts());
        // Behind the diode: the discharge of the supply, or the nail of the contact that is held low.
        let mut load_ohms = 0.0;
        let mut injected = Injected { volts: 0.0, amps: 0.0 };
        for _ in 0..LOOKS {
            let wanted = (DIODE_VOLTS + amps * (series_ohms + load_ohms)).min(highest);
            self.push(wanted)?;
            self.clock.sleep(SETTLE).await;
            let volts = self.settled(Range::Volts, LOADED_SETTLED_VOLTS, LOADED_SETTLE_LIMIT).await?;
            let source = self.source_sense(Range::Volts).await?;
            injected = Injected { volts, amps: ((source - volts) / series_ohms).max(0.0) };
            if wanted >= highest || (injected.amps - amps).abs() <= NEAR_ENOUGH * amps {
                break;
            }
            load_ohms = ((volts - DIODE_VOLTS) / injected.amps.max(0.01 * amps)).max(0.0);
        }
        Ok(injected)
    }
}
