//! Exchanged contacts: each leads to the other's place on the module, so the readings expected at one appear at the
//! other.

use crate::{Nest, StepError};
use bench_instruments::ContactSet;
use bench_run::{Contact, Defect, Diagnosis};
use std::time::Duration;

use super::link::LinkContacts;

/// "contacts 20 (D1) and 22 (D0): exchanged, each leads to the other's place".
pub(crate) fn exchanged(nest: &Nest, a: Contact, b: Contact) -> Diagnosis {
    let (low, high) = (a.min(b), a.max(b));
    Diagnosis {
        defect: Defect::Exchanged,
        contacts: vec![low, high],
        text: format!(
            "contacts {} and {}: exchanged, each leads to the other's place",
            nest.label(low),
            nest.label(high)
        ),
    }
}

/// Share of the supply that a driven contact keeps under the source's load. A pulled contact keeps more than the second
/// share.
pub(crate) const DRIVEN: f64 = 0.5;
pub(crate) const PULLED: f64 = 0.03;
/// Time for the firmware to restart after a load on its reset contact.
const STARTS: Duration = Duration::from_millis(20);

/// Finds the contacts at which TX, RX and reset of an idle module really are. The firmware drives TX and pulls RX up,
/// the chip pulls reset up, and no other contact carries a load. Of the two pulled contacts, reset is the one that
/// silences TX when it is low.
///
/// The link must be disconnected and the nails released.
pub(crate) async fn of_link_and_reset(
    nest: &Nest,
    link: LinkContacts,
    supply: f64,
) -> Result<Vec<Diagnosis>, StepError> {
    let (mut driven, mut pulled) = (Vec::new(), Vec::new());
    let switches_off: ContactSet = nest.enable_contact().into_iter().collect();
    for contact in nest.nails.wired().minus(switches_off).iter() {
        let volts = nest.bus.loaded_volts(contact, 0.0).await?;
        if volts > DRIVEN * supply {
            driven.push(contact);
        } else if volts > PULLED * supply {
            pulled.push(contact);
            // This contact may be the reset.
            nest.settle(STARTS).await;
        }
    }
    // More contacts than these are no exchange: something else drives or joins them.
    let (&[tx], &[a, b]) = (driven.as_slice(), pulled.as_slice()) else { return Ok(Vec::new()) };
    let (rx, reset) = match (silences(nest, a, tx, supply).await?, silences(nest, b, tx, supply).await?) {
        (true, false) => (b, a),
        (false, true) => (a, b),
        _ => return Ok(Vec::new()),
    };
    let mut expected = vec![(link.tx, tx), (link.rx, rx)];
    expected.extend(nest.reset_contact().map(|contact| (contact, reset)));
    let mut diagnoses: Vec<Diagnosis> = Vec::new();
    for (contact, place) in expected.into_iter().filter(|(contact, place)| contact != place) {
        let diagnosis = exchanged(nest, contact, place);
        if !diagnoses.iter().any(|existing| existing.contacts == diagnosis.contacts) {
            diagnoses.push(diagnosis);
        }
    }
    Ok(diagnoses)
}

/// Whether a low level at `contact` stops the driver at `tx`.
async fn silences(nest: &Nest, contact: Contact, tx: Contact, supply: f64) -> Result<bool, StepError> {
    nest.drive_nail(contact, false).await?;
    nest.settle(Duration::from_millis(2)).await;
    let loaded = nest.bus.loaded_volts(tx, 0.0).await;
    nest.release_nail(contact).await?;
    nest.settle(STARTS).await;
    Ok(loaded? < DRIVEN * supply)
}

/// Returns the contact, among those that no port leads to, that shows the levels of a driven port.
pub(crate) fn only_follower(when_high: ContactSet, when_low: ContactSet, among: ContactSet) -> Option<Contact> {
    let mut followers = when_high.minus(when_low).intersection(among).iter();
    let first = followers.next();
    first.filter(|_| followers.next().is_none())
}
