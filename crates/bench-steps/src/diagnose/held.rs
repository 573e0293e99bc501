//! Diagnoses a contact that is held high or low while no port and no nail drives it: by what, and through which
//! resistance.
//!
//! The module is in reset meanwhile, so that no driver of its firmware takes part, not even the link's. Where no nail
//! reaches the reset contact, the firmware has released its ports by itself, all but the link's TX.

use super::short::{Meter, Path, SHORT_OHMS, paths};
use crate::{Nest, StepError};
use bench_instruments::{ContactSet, OPEN_OHMS};
use bench_run::{Contact, Defect, Diagnosis, MeasurementUnit};
use dut_protocol::DEFAULT_LINK_TIMEOUT_MS;
use std::time::Duration;

/// Below this it is a solder short; above, it may be the port's own driver.
const SOLDER_OHMS: f64 = 25.0;
/// Above this, something pulls the contact up while the module is in reset.
const HELD_VOLTS: f64 = 1.0;

/// Share of the supply that may be driven into a contact while the module is in reset. A contact that is shorted to the
/// reset contact then gets half of it, which is still a low level there (0.3 VDD), so the reset is not released.
const KEEPS_RESET: f64 = 0.3;

/// After this long without a request the firmware has released all ports by itself.
pub(crate) const SELF_RELEASE: Duration = Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS as u64 + 100);

/// Keeps the module in reset by its nail, or else silent, while `work` measures contacts. The caller must greet the
/// firmware again afterwards.
pub(crate) async fn in_reset<T>(nest: &Nest, work: impl AsyncFnOnce() -> Result<T, StepError>) -> Result<T, StepError> {
    nest.leave_link().await?;
    let outcome = nest
        .released_after(async {
            nest.release_nails().await?;
            match nest.reset_contact() {
                Some(reset) => {
                    nest.drive_nail(reset, false).await?;
                    nest.settle(Duration::from_millis(2)).await;
                }
                None => nest.settle(SELF_RELEASE).await,
            }
            work().await
        })
        .await;
    let joined = nest.join_link().await;
    // The firmware starts again.
    nest.dut.disconnect().await;
    nest.settle(Duration::from_millis(20)).await;
    outcome.and_then(|value| joined.map(|()| value))
}

/// Diagnoses what holds a contact. Only inside [`in_reset`]. `supply` is the name and voltage of the ports' rail.
pub(crate) async fn name(
    nest: &Nest,
    contact: Contact,
    likely: ContactSet,
    supply: (&str, f64),
) -> Result<Vec<Diagnosis>, StepError> {
    let (rail, rail_volts) = supply;
    let label = nest.label(contact);
    let loaded = nest.bus.loaded_volts(contact, 0.0).await?;
    if loaded > rail_volts + 0.1 {
        let text = format!("contact {label}: held at {}, above {rail}", MeasurementUnit::Volts.show(loaded));
        return Ok(vec![Diagnosis { defect: Defect::ShortToRail, contacts: vec![contact], text }]);
    }
    if loaded > HELD_VOLTS {
        let ohms = (nest.bus.source_ohms() * (rail_volts - loaded) / loaded).max(0.0);
        let shown = MeasurementUnit::Ohms.show(ohms);
        let (defect, text) = if ohms < SOLDER_OHMS {
            (Defect::ShortToRail, format!("contact {label}: shorted to {rail}, {shown}"))
        } else {
            (Defect::StuckHigh, format!("contact {label}: stuck high, held at {rail} through {shown}"))
        };
        return Ok(vec![Diagnosis { defect, contacts: vec![contact], text }]);
    }
    let meter = Meter::Powered(KEEPS_RESET * rail_volts);
    let to_zero = meter.ohms(nest, contact).await?;
    if let Some(path) = to_reset(nest, meter, contact, to_zero).await? {
        return Ok(vec![path.diagnosis(nest, contact)]);
    }
    if to_zero < SHORT_OHMS {
        let shown = MeasurementUnit::Ohms.show(to_zero);
        let (defect, text) = if to_zero < SOLDER_OHMS {
            (Defect::ShortToGround, format!("contact {label}: shorted to ground, {shown}"))
        } else {
            (Defect::StuckLow, format!("contact {label}: stuck low, held at ground through {shown}"))
        };
        return Ok(vec![Diagnosis { defect, contacts: vec![contact], text }]);
    }
    // Nothing holds it any more: it was another contact, whose driver is off in reset.
    let paths = paths(nest, meter, contact, likely, SHORT_OHMS).await?;
    Ok(paths.iter().map(|path| path.diagnosis(nest, contact)).collect())
}

/// Finds a path to the reset contact, whose nail is low now. A second nail, at this contact, then shows there too.
async fn to_reset(nest: &Nest, meter: Meter, contact: Contact, to_zero: f64) -> Result<Option<Path>, StepError> {
    let Some(reset) = nest.reset_contact().filter(|&reset| reset != contact) else { return Ok(None) };
    if to_zero >= OPEN_OHMS || !nest.nails.wired().contains(contact) {
        return Ok(None);
    }
    let one_nail = meter.ohms(nest, reset).await?;
    if to_zero < 0.8 * one_nail || to_zero > one_nail + SHORT_OHMS {
        return Ok(None);
    }
    nest.drive_nail(contact, false).await?;
    let two_nails = meter.ohms(nest, reset).await?;
    nest.release_nail(contact).await?;
    // Half when joined directly, two thirds through a resistance equal to a nail's own resistor.
    let joined = two_nails < 0.8 * one_nail;
    Ok(joined.then(|| Path::Contact(reset, (to_zero - one_nail).max(0.0))))
}
