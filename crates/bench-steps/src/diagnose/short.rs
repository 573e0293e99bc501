//! Finds what a contact that should be free is joined to: another contact, ground, or a rail. Needs no firmware; the
//! DUT's drivers must be off.

use crate::{Nest, StepError};
use bench_instruments::{ContactSet, InstrumentError, NailVector, OPEN_OHMS};
use bench_run::{Contact, Defect, Diagnosis, MeasurementUnit};
use std::time::Duration;

/// Above this a path is a leak, not a short.
pub(crate) const SHORT_OHMS: f64 = 1_000.0;

/// A path that should not be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Path {
    /// To another contact, with the resistance between the two.
    Contact(Contact, f64),
    /// To ground, or to one of these contacts, which are themselves at ground.
    Ground(f64, Vec<Contact>),
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
                        MeasurementUnit::Ohms.show(*ohms)
                    ),
                }
            }
            Path::Ground(ohms, grounded) => {
                let mut text =
                    format!("contact {label}: {} to ground, {}", word(*ohms), MeasurementUnit::Ohms.show(*ohms));
                if !grounded.is_empty() {
                    let labels: Vec<String> = grounded.iter().map(|&other| nest.label(other)).collect();
                    text += &format!(" (or to contact {}, at ground by itself)", labels.join(" or "));
                }
                let defect = if *ohms < SHORT_OHMS { Defect::ShortToGround } else { Defect::Leak };
                Diagnosis { defect, contacts: vec![contact], text }
            }
            Path::Rail(rail, ohms) => {
                let mut contacts = vec![contact];
                let mut text = format!("contact {label}: {} to {rail}", word(*ohms));
                // Several contacts carry the rail, so the shorted one cannot be determined.
                if let &[only] = nest.rails.contacts(rail).as_slice() {
                    text += &format!(" at contact {}", nest.label(only));
                    contacts.push(only);
                    contacts.sort_unstable();
                }
                text += &format!(", {}", MeasurementUnit::Ohms.show(*ohms));
                let defect = if *ohms < SHORT_OHMS { Defect::ShortToRail } else { Defect::Leak };
                Diagnosis { defect, contacts, text }
            }
        }
    }
}

/// How to measure a resistance to 0 V.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meter {
    /// The ohmmeter, below a diode's voltage. Everything must be off.
    Unpowered,
    /// From two loads, at 0 V and at this voltage. Works on a floating contact that a leak has charged.
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
        // Less than a thousandth below full swing is a path of more than a thousand times the source's resistor.
        Ok(if share >= 0.999 { OPEN_OHMS } else { (nest.bus.source_ohms() * share / (1.0 - share)).max(0.0) })
    }
}

/// All nails in `among` low except one, which is released.
pub(crate) fn ground_all_but(among: ContactSet, contact: Contact) -> NailVector {
    let released: ContactSet = [contact].into_iter().collect();
    NailVector { low: among.minus(released), float: released, ..Default::default() }
}

/// All nails in `among` released.
pub(crate) fn float(among: ContactSet) -> NailVector {
    NailVector { float: among, ..Default::default() }
}

/// Resistance between two contacts. The nail holds the second at 0 V; the voltage that remains at that nail is measured
/// and subtracted.
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

/// Finds every path below `limit` ohms from this contact. Tries `likely` first, and stops there if they explain the
/// reading; then every other wired contact.
pub(crate) async fn paths(
    nest: &Nest,
    meter: Meter,
    contact: Contact,
    likely: ContactSet,
    limit: f64,
) -> Result<Vec<Path>, StepError> {
    // With power on, the nail of the reset contact holds the module in reset and must not change.
    let untouched: ContactSet = match meter {
        Meter::Unpowered => ContactSet::EMPTY,
        Meter::Powered(_) => nest.reset_contact().into_iter().chain(nest.enable_contact()).collect(),
    };
    let wired = nest.nails.wired().minus(untouched);
    let mut paths = Vec::new();
    // With every nail released, only ground and the rails, held at 0 V by their discharge, can be reached.
    nest.nails.set(float(wired)).await?;
    let alone = meter.ohms(nest, contact).await?;
    let tested: ContactSet = [contact].into_iter().collect();
    let likely = likely.intersection(wired).minus(tested);
    let mut unlikely = wired.minus(likely).minus(tested);
    if alone < limit {
        let to_zero = match meter {
            Meter::Unpowered => rail_or_ground(nest, contact, wired.minus(tested), alone).await?,
            Meter::Powered(_) => Path::Ground(alone, Vec::new()),
        };
        if alone < SHORT_OHMS {
            // It would read so against every other contact too.
            return Ok(vec![to_zero]);
        }
        // A contact that is itself joined to ground explains the whole reading; no other contact can.
        if let Path::Ground(_, grounded) = &to_zero {
            for &other in grounded {
                let ohms = ohms_between(nest, meter, wired, contact, other).await?;
                if ohms < 0.5 * alone {
                    return Ok(vec![Path::Contact(other, ohms)]);
                }
            }
        }
        paths.push(to_zero);
        unlikely = ContactSet::EMPTY;
    }
    for candidates in [likely, unlikely] {
        for other in candidates.iter() {
            let ohms = ohms_between(nest, meter, wired, contact, other).await?;
            // A contact that is joined to ground or a rail reads so against every other contact. That is no path
            // between the two.
            if ohms < limit && ohms < 0.5 * alone {
                paths.push(Path::Contact(other, ohms));
            }
        }
        if !paths.is_empty() {
            break;
        }
    }
    nest.nails.set(float(wired)).await?;
    Ok(paths)
}

/// Ground stays at 0 V when a rail's discharge is opened, a rail does not.
async fn rail_or_ground(nest: &Nest, contact: Contact, others: ContactSet, ohms: f64) -> Result<Path, StepError> {
    for rail in nest.rails.names() {
        if ohms >= SHORT_OHMS {
            if leaking_share(nest, contact, &rail).await?.is_some_and(|share| share > 0.5) {
                return Ok(Path::Rail(rail, ohms));
            }
            continue;
        }
        let held_by = nest.rails.discharge_ohms(&rail)?;
        let enough = ohms + held_by;
        let floating = nest.undischarged(&[&rail], charged_ohms(nest, contact, enough, RAIL_CHARGES)).await?;
        nest.drained(contact).await?;
        if floating >= enough {
            return Ok(Path::Rail(rail, (ohms - held_by).max(0.0)));
        }
    }
    let mut grounded = Vec::new();
    for other in others.iter() {
        // A path through the other contact includes that contact's own path.
        let own = Meter::Unpowered.ohms(nest, other).await?;
        if own < SOLDERED_OHMS || own >= ohms + SOLDERED_OHMS {
            continue;
        }
        if ohms > STAYS_LOW_OHMS {
            match ends_at(nest, contact, other, own, ohms).await? {
                Some(true) => return Ok(Path::Contact(other, (ohms - own).max(0.0))),
                Some(false) => {}
                None => grounded.push(other),
            }
        } else if leads_over(nest, contact, other, own / ohms).await? {
            return Ok(Path::Contact(other, (ohms - own).max(0.0)));
        }
    }
    Ok(Path::Ground(ohms, grounded))
}

/// Whether a leak to ground ends at another contact, which is itself joined to ground through `own` ohms. The part that
/// this contact's nail takes off its own path is then missing in the leak too. `None` where the difference is too small
/// to measure.
async fn ends_at(
    nest: &Nest,
    contact: Contact,
    other: Contact,
    own: f64,
    leak: f64,
) -> Result<Option<bool>, StepError> {
    nest.drive_nail(other, false).await?;
    let beside_nail = Meter::Unpowered.ohms(nest, other).await;
    let with_nail = mean_ohms(nest, contact).await;
    nest.release_nail(other).await?;
    let expected = own - beside_nail?;
    if expected < TOLD_SHARE * leak {
        return Ok(None);
    }
    let missing = mean_ohms(nest, contact).await? - with_nail?;
    Ok(Some(missing > 0.5 * expected))
}

/// For a few readings: one step of the ADC is half a percent of 100 kohm.
async fn mean_ohms(nest: &Nest, contact: Contact) -> Result<f64, StepError> {
    let mut sum = 0.0;
    for _ in 0..MEAN_OF {
        sum += Meter::Unpowered.ohms(nest, contact).await?;
    }
    Ok(sum / f64::from(MEAN_OF))
}

const MEAN_OF: u32 = 3;
/// Smallest part of a leak that exceeds the error of the ohmmeter.
const TOLD_SHARE: f64 = 0.02;

/// Whether the path from a contact to ground goes through another contact, which carries this much of the resistance.
/// The voltage that the contact's nail drives then shows there too.
async fn leads_over(nest: &Nest, contact: Contact, other: Contact, share: f64) -> Result<bool, StepError> {
    nest.drive_nail(contact, true).await?;
    let volts = nest.bus.volts(contact).await;
    let seen = nest.bus.volts(other).await;
    nest.release_nail(contact).await?;
    let (volts, seen) = (volts?, seen?);
    Ok(seen > ADC_ERROR_VOLTS && seen > 0.5 * share * volts)
}

/// A nail that drives 3.3 V through 1 kohm into no more than this stays below 0.45 V, where no diode of an unpowered
/// module conducts.
const STAYS_LOW_OHMS: f64 = 150.0;
/// Offset and noise of the ADC in its wide range. Two ohms of a path still exceed them.
const ADC_ERROR_VOLTS: f64 = 1e-3;

/// Through a leak the ohmmeter cannot charge a rail in time. So the rail is charged at its own contact, to less than a
/// diode's voltage, and the leak shows at this contact. `None` for a rail that does not charge.
pub(crate) async fn leaking_share(nest: &Nest, contact: Contact, rail: &str) -> Result<Option<f64>, StepError> {
    let Some(&source) = nest.rails.contacts(rail).first() else { return Ok(None) };
    let seen = nest
        .undischarged(&[rail], async {
            nest.bus.loaded_volts(source, LEAK_TEST_VOLTS).await?;
            let charged = nest.bus.volts(source).await?;
            Ok((charged, nest.bus.fine_volts(contact).await?))
        })
        .await;
    nest.drained(source).await?;
    let (charged, seen) = seen?;
    Ok((charged > SEEN_VOLTS).then_some(seen / charged))
}

/// Below the drop of a diode, and safe to drive into a module without power.
const LEAK_TEST_VOLTS: f64 = 0.2;
/// Less is the ADC's own error.
const SEEN_VOLTS: f64 = 0.01;

/// Time for a rail's capacitors to discharge when only its discharge resistor holds it.
const RAIL_CHARGES: Duration = Duration::from_millis(300);
/// More than this is no direct joint to ground.
const SOLDERED_OHMS: f64 = 2.0;

/// Measures an unpowered contact until it reads `enough` or `within` has passed, while the ohmmeter charges the
/// capacitors behind it. Each measurement takes the charge left by the previous one for the contact's own voltage and
/// reads too low, so the highest reading counts.
pub(crate) async fn charged_ohms(
    nest: &Nest,
    contact: Contact,
    enough: f64,
    within: Duration,
) -> Result<f64, StepError> {
    let deadline = nest.clock.now() + within;
    let mut highest = nest.bus.ohms(contact).await?;
    while highest < enough && nest.clock.now() < deadline {
        match nest.bus.ohms(contact).await {
            Ok(ohms) => highest = highest.max(ohms),
            // It kept too much charge for another measurement.
            Err(InstrumentError::Energized { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(highest)
}
