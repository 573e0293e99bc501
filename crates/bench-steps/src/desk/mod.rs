//! What a module shows by itself, where no instrument touches its contacts: it drives and reads its own ports, measures
//! its own supply, times one of its clocks by another, and a person does the rest.

mod adc_self;
mod clocks;
mod nfc_phone;
mod port_shorts;
mod restarts;
mod switch_on;
mod usb_echo;

pub use adc_self::AdcSelf;
pub use clocks::Clocks;
pub use nfc_phone::NfcPhone;
pub use port_shorts::PortShorts;
pub use restarts::Restarts;
pub use switch_on::SwitchOn;
pub use usb_echo::UsbEchoStep;

use crate::{StepError, StepLog};
use bench_instruments::DutError;
use bench_plan::{Desk, ParamProblem, RawPinSelector, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{Port, Reply};
use std::time::Duration;

/// Longest time that a person gets for one request.
const PERSON: Duration = Duration::from_secs(15 * 60);

/// The desk of the fixture.
fn desk<'a>(around: &'a Surroundings<'_>) -> Result<&'a Desk, ParamProblem> {
    around.fixture.desk.as_ref().ok_or_else(|| {
        ParamProblem::new(format!("the fixture {} is no desk", around.fixture.name))
            .help("a person is asked only where the fixture's file has a [desk]")
    })
}

/// The ports behind selected contacts. Refuses those of the link, and leaves those out on which parts of a board hang.
fn ports_behind(selector: &RawPinSelector, around: &Surroundings<'_>) -> Result<Vec<(Contact, Port)>, ParamProblem> {
    let link = &around.fixture.link;
    let mut pins = Vec::new();
    for contact in selector.resolve(around.dut)? {
        let label = around.dut.label(contact);
        let refused = |what: String| ParamProblem::new(what).at(selector.span(), "selects it").help("exclude it");
        if [link.dut_tx, link.dut_rx].contains(&contact) {
            return Err(refused(format!("contact {label} carries the link to the module")));
        }
        if around.fixture.desk.as_ref().is_some_and(|desk| desk.loaded.contains_key(&contact)) {
            continue;
        }
        let port = around.dut.contact(contact).and_then(|info| info.port);
        pins.push((contact, port.ok_or_else(|| refused(format!("contact {label} leads to no port of the MCU")))?));
    }
    Ok(pins)
}

fn spec(name: &str, unit: MeasurementUnit, limits: Limits) -> MeasurementSpec {
    MeasurementSpec { name: name.to_owned(), unit, limits, contacts: Vec::new() }
}

fn yes(name: &str) -> MeasurementSpec {
    spec(name, MeasurementUnit::One, Limits::exactly(1.0))
}

fn flag(set: bool) -> Option<f64> {
    Some(f64::from(u8::from(set)))
}

fn defect(log: &dyn StepLog, text: String) -> StepError {
    log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.clone() });
    StepError::Dut(text)
}

fn out_of_turn(reply: Reply) -> StepError {
    DutError::OutOfTurn(reply).into()
}

fn done(reply: Reply) -> Result<(), StepError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(out_of_turn(other)),
    }
}
