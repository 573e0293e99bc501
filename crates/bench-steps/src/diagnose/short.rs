//! Where a contact that should be free is joined to: another contact, ground, or a rail. Needs no firmware; it only
//! needs the DUT's drivers to be off.

use crate::{Nest, StepError};
use bench_instruments::{ContactSet, NailVector, OPEN_OHMS};
use bench_run::{Contact, Defect, Diagnosis, Unit};
use std::time::Duration;

/// Above this a path is a leak, not a short.
pub(crate) const SHORT_OHMS: f64 = 1_000.0;

/// A path that should not be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Path {
    /// To another contact, with the resistance between the two.
    Contact(Contact, f64),
    Ground(f64),
    Rail(String, f64),
}

impl Path {
    /// "contacts 36 (TX) and 38 (RX): shorted, 12.0 ohm".
    pub(crate) fn diagnosis(&self, nest: &Nest, contact: Contact) -> Diagnosis {
        let word = |ohms: f64| if ohms < SHORT_OHMS { "shorted" } else { "leak" };
        let label = nest.label(contact);
        match self {
            Path::Contact(other, ohms) => {
                let (low, high) = if contact < *other { (contact, *other) } else { (*other, contact) };
                Diagnosis {
                    defect: if *ohms < SHORT_OHMS { Defect::Short } else { Defect::Leak },
                    contacts: vec![low, high],
                    text: format!(
                        "contacts {} and {}: {}, {}",
                        nest.label(low),
                        nest.label(high),
                        word(*ohms),
                        Unit::Ohms.show(*ohms)
                    ),
                }
            }
            Path::Ground(ohms) => Diagnosis {
                defect: if *ohms < SHORT_OHMS { Defect::ShortToGround } else { Defect::Leak },
                contacts: vec![contact],
                text: format!("contact {label}: {} to ground, {}", word(*ohms), Unit::Ohms.show(*ohms)),
            },
            Path::Rail(rail, ohms) => Diagnosis {
                defect: if *ohms < SHORT_OHMS { Defect::ShortToRail } else { Defect::Leak },
                contacts: vec![contact],
                text: format!("contact {label}: {} to {rail}, {}", word(*ohms), Unit::Ohms.show(*ohms)),
            },
        }
    }
}

/// How to measure a resistance to 0 V.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meter {
    /// The ohm-meter, below a diode's voltage. Everything must be off.
    Unpowered,
    /// From two loads, at 0 V and at this voltage: works on a floating contact that some leak has charged.
    Powered(f64),
}

impl Meter {
    pub(crate) async fn ohms(self, nest: &Nest, contact: Contact) -> Result<f64, StepError> {
        let Meter::Powered(volts) = self else {
            return Ok(nest.bus.ohms(contact).await?);
        };
        let low = nest.bus.loaded_volts(contact, 0.0).await?;
        let high = nest.bus.loaded_volts(contact, volts).await?;
        let share = (high - low) / volts;
        // Less than a thousandth off the full swing is a path of more than a thousand times the source's resistor.
        Ok(if share >= 0.999 { OPEN_OHMS } else { (nest.bus.source_ohms() * share / (1.0 - share)).max(0.0) })
    }
}

/// All nails in `among` low but one, which is released.
pub(crate) fn ground_all_but(among: ContactSet, contact: Contact) -> NailVector {
    let one: ContactSet = [contact].into_iter().collect();
    NailVector { low: among.minus(one), float: one, ..Default::default() }
}

/// All nails in `among` released.
pub(crate) fn float(among: ContactSet) -> NailVector {
    NailVector { float: among, ..Default::default() }
}

/// Resistance between two contacts. The second is held at 0 V by its nail, and what that nail itself adds is measured
/// at the second contact and taken off.
pub(crate) async fn ohms_between(
    nest: &Nest,
    meter: Meter,
    among: ContactSet,
    a: Contact,
    b: Contact,
) -> Result<f64, StepError> {
    nest.nails.set(float(among)).await?;
    nest.drive_nail(b, false).await?;
    let through_nail = meter.ohms(nest, b).await?;
    let through_both = meter.ohms(nest, a).await?;
    nest.release_nail(b).await?;
    if through_both >= OPEN_OHMS {
        return Ok(OPEN_OHMS);
    }
    Ok((through_both - through_nail).max(0.0))
}

/// Every path of less than `limit` ohms from this contact. `likely` are looked at first, and alone when they explain
/// what was seen; then every other wired contact.
pub(crate) async fn paths(
    nest: &Nest,
    meter: Meter,
    contact: Contact,
    likely: ContactSet,
    limit: f64,
) -> Result<Vec<Path>, StepError> {
    // With power on, the module is held in reset by its nail, which must stay as it is.
    let reset: ContactSet = match meter {
        Meter::Unpowered => ContactSet::EMPTY,
        Meter::Powered(_) => nest.reset_contact().into_iter().collect(),
    };
    let wired = nest.nails.wired().minus(reset);
    let mut found = Vec::new();
    // With every nail released only ground and the rails, held at 0 V by their discharge, can still be reached.
    nest.nails.set(float(wired)).await?;
    let alone = meter.ohms(nest, contact).await?;
    if alone < limit {
        found.push(match meter {
            Meter::Unpowered => rail_or_ground(nest, contact, alone).await?,
            Meter::Powered(_) => Path::Ground(alone),
        });
        if alone < SHORT_OHMS {
            // It would read so against every other contact too.
            return Ok(found);
        }
    }
    let one: ContactSet = [contact].into_iter().collect();
    let likely = likely.intersection(wired).minus(one);
    for candidates in [likely, wired.minus(likely).minus(one)] {
        for other in candidates.iter() {
            let ohms = ohms_between(nest, meter, wired, contact, other).await?;
            // A contact that sits on ground or a rail reads so against every other contact; that is no path to it.
            if ohms < limit && ohms < 0.5 * alone {
                found.push(Path::Contact(other, ohms));
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    nest.nails.set(float(wired)).await?;
    Ok(found)
}

/// Ground stays at 0 V when a rail's discharge is opened, a rail does not.
async fn rail_or_ground(nest: &Nest, contact: Contact, ohms: f64) -> Result<Path, StepError> {
    for rail in nest.rails.names() {
        let held_by = nest.rails.discharge_ohms(&rail)?;
        nest.rails.discharge(&rail, false).await?;
        // The rail's capacitors charge through the ohm-meter; give them time to show that they do.
        let deadline = nest.clock.now() + Duration::from_millis(300);
        let mut floating = nest.bus.ohms(contact).await?;
        while floating < ohms + held_by && nest.clock.now() < deadline {
            floating = nest.bus.ohms(contact).await?;
        }
        nest.rails.discharge(&rail, true).await?;
        if floating >= ohms + held_by {
            // What was charged must be gone before the next measurement.
            nest.settle(Duration::from_millis(50)).await;
            return Ok(Path::Rail(rail, (ohms - held_by).max(0.0)));
        }
    }
    Ok(Path::Ground(ohms))
}
