//! Diagnoses the link contacts of a module that does not answer, by the nails alone.
//!
//! The firmware drives TX high while idle and keeps a pull-up on RX, so both can be measured from outside.

use super::exchange::{DRIVEN, PULLED, of_link_and_reset};
use super::held;
use super::short::{Meter, SHORT_OHMS};
use crate::{Nest, StepError};
use bench_instruments::ContactSet;
use bench_run::{Contact, Defect, Diagnosis, MeasurementUnit};
use std::time::Duration;

/// The module's UART as the fixture wires it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkContacts {
    pub tx: Contact,
    pub rx: Contact,
}

/// Diagnoses a silent module. The bench's own half of the link must be known to work.
pub(crate) async fn silent_module(
    nest: &Nest,
    link: LinkContacts,
    supply: (&str, f64),
) -> Result<Vec<Diagnosis>, StepError> {
    nest.leave_link().await?;
    nest.release_nails().await?;
    nest.settle(Duration::from_millis(5)).await;
    let tx = nest.bus.loaded_volts(link.tx, 0.0).await?;
    let rx = nest.bus.loaded_volts(link.rx, 0.0).await?;
    let tx_low = nest.bus.loaded_volts(link.tx, supply.1).await?;
    let rx_low = nest.bus.loaded_volts(link.rx, supply.1).await?;
    nest.bus.release().await?;

    let (driven, pulled) = (supply.1 * DRIVEN, supply.1 * PULLED);
    let (tx_label, rx_label) = (nest.label(link.tx), nest.label(link.rx));
    let seen = format!(
        "loaded to 0 V: {tx_label} {}, {rx_label} {}",
        MeasurementUnit::Volts.show(tx),
        MeasurementUnit::Volts.show(rx)
    );
    let diagnosis = |defect, contacts: Vec<Contact>, text: String| Diagnosis { defect, contacts, text };

    if tx <= driven || rx <= pulled || rx > driven {
        let exchanged = of_link_and_reset(nest, link, supply.1).await?;
        if !exchanged.is_empty() {
            return Ok(exchanged);
        }
    }
    let rx_held = rx > driven || rx_low < supply.1 * 0.5;
    let tx_held_low = tx_low < supply.1 * 0.5;
    // TX may be driven by the firmware or by something else. Reset distinguishes the two.
    let tx_high = tx > driven && nest.reset_contact().is_some();
    if rx_held || tx_held_low || tx_high {
        // Something other than the module's TX driver and RX pull-up may be on the line.
        let likely: ContactSet = [link.tx, link.rx].into_iter().collect();
        let suspects = [(link.rx, rx_held), (link.tx, tx_held_low || tx_high)];
        let diagnoses = held::in_reset(nest, async || {
            let mut diagnoses: Vec<Diagnosis> = Vec::new();
            for (contact, suspect) in suspects {
                if suspect {
                    for diagnosis in held::name(nest, contact, likely, supply).await? {
                        if !diagnoses.iter().any(|existing| existing.contacts == diagnosis.contacts) {
                            diagnoses.push(diagnosis);
                        }
                    }
                }
            }
            Ok(diagnoses)
        })
        .await?;
        if !diagnoses.is_empty() {
            return Ok(diagnoses);
        }
    }
    let mut reset_rests = String::new();
    if let Some(reset) = nest.reset_contact()
        && tx <= driven
        && rx <= pulled
    {
        let label = nest.label(reset);
        // Released, the reset pad follows the chip's own pull-up.
        if nest.bus.volts(reset).await? < supply.1 * 0.3 {
            let ohms = Meter::Powered(supply.1).ohms(nest, reset).await?;
            if ohms < SHORT_OHMS {
                let shown = MeasurementUnit::Ohms.show(ohms);
                let text = format!("contact {label}: the module is held in reset, joined to ground through {shown}");
                return Ok(vec![diagnosis(Defect::StuckLow, vec![reset], text)]);
            }
            if starts_with_reset_high(nest, reset, link.tx, supply.1).await? {
                let text = format!("contact {label}: not pulled up, which keeps the module in reset");
                return Ok(vec![diagnosis(Defect::MissingPull, vec![reset], text)]);
            }
            reset_rests = format!(", contact {label} not pulled up either: no {} inside, or a dead MCU", supply.0);
        } else {
            reset_rests = format!("; contact {label} is pulled up: the MCU has power, but no firmware or no clock");
        }
    }
    let diagnosis = match (tx > driven, rx > pulled) {
        (true, false) => {
            diagnosis(Defect::Open, vec![link.rx], format!("contact {rx_label}: open ({seen}: no pull-up seen)"))
        }
        (false, true) => {
            diagnosis(Defect::Open, vec![link.tx], format!("contact {tx_label}: open ({seen}: not driven)"))
        }
        (true, true) => diagnosis(
            Defect::NoAnswer,
            vec![link.tx, link.rx],
            format!(
                "the module does not answer although contacts {tx_label} and {rx_label} look good ({seen}): \
                 write the test firmware again"
            ),
        ),
        // No single open or cold contact silences both, so no contact is named.
        (false, false) => diagnosis(
            Defect::NoAnswer,
            Vec::new(),
            format!(
                "the module does not start: contact {tx_label} is not driven and contact {rx_label} not pulled up \
                 ({seen}){reset_rests}"
            ),
        ),
    };
    Ok(vec![diagnosis])
}

/// Startup time of the firmware.
const STARTS: Duration = Duration::from_millis(20);

/// Whether the firmware drives its TX once the reset contact is held high by its nail.
pub(crate) async fn starts_with_reset_high(
    nest: &Nest,
    reset: Contact,
    tx: Contact,
    supply: f64,
) -> Result<bool, StepError> {
    if !nest.nails.wired().contains(reset) {
        return Ok(false);
    }
    nest.drive_nail(reset, true).await?;
    nest.settle(STARTS).await;
    let loaded = nest.bus.loaded_volts(tx, 0.0).await;
    nest.release_nail(reset).await?;
    Ok(loaded? > DRIVEN * supply)
}
