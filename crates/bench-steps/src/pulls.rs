//! `pulls`: strength of each port's internal pull-up and pull-down, measured at the contact.
//!
//! The source of the measure bus pulls the other way through its series resistor, and the divider gives the resistance
//! of the pull. An open contact shows none, a stuck one shows a driver.

use crate::loaded_ports::{self, LoadedPort};
use crate::reach;
use crate::resolve;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::OPEN_OHMS;
use bench_plan::{LimitsOf, Ohms, ParamProblem, RawPinSelector, Reach, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementUnit, Verdict, judge};
use dut_protocol::{Port, PortVector};

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that lead to a port, without those of the link.
    pins: RawPinSelector,
    /// Internal pull-up and pull-down.
    ohms: LimitsOf<Ohms>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

pub struct Pulls {
    ports: Vec<LoadedPort>,
    supply: String,
}

impl Kind for Pulls {
    const NAME: &'static str = "pulls";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let ports = loaded_ports::select(&params.pins, &params.ohms, ["pull-up", "pull-down"], around)?;
        Ok(loaded_ports::resolved(ports, ["pull-up", "pull-down", "open"], |ports| Box::new(Pulls { ports, supply })))
    }
}

#[async_trait(?Send)]
impl Procedure for Pulls {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Pulls {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let held = |ports, high| match high {
            true => PortVector { pull_up: ports, settle_us: 100, ..Default::default() },
            false => PortVector { pull_down: ports, settle_us: 100, ..Default::default() },
        };
        let readings = loaded_ports::measure(nest, log, &self.supply, &self.ports, held).await?;
        for (port, (up, down)) in self.ports.iter().zip(readings) {
            if let Some(diagnosis) = name(nest, port.contact, port.port, &port.high.limits, up, down) {
                log.diagnosed(diagnosis);
            }
        }
        Ok(())
    }
}

/// Diagnoses a contact from its two pull readings.
fn name(nest: &Nest, contact: Contact, port: Port, limits: &Limits, up: f64, down: f64) -> Option<Diagnosis> {
    let bad = |ohms| judge(limits, Some(ohms)) != Verdict::Pass;
    let weak = |ohms: f64| limits.max.is_some_and(|max| ohms > max);
    if !bad(up) && !bad(down) {
        return None;
    }
    let label = nest.label(contact);
    let show = |ohms: f64| if ohms >= OPEN_OHMS { "none".to_owned() } else { MeasurementUnit::Ohms.show(ohms) };
    let (defect, text) = match (weak(up), weak(down)) {
        (true, true) => (
            Defect::MissingPull,
            format!(
                "contact {label}: no pull of port {port} reaches it (up {}, down {}): open, or both pulls lost",
                show(up),
                show(down)
            ),
        ),
        (true, false) if !bad(down) => {
            (Defect::MissingPull, format!("contact {label}: pull-up of port {port} missing, {}", show(up)))
        }
        (false, true) if !bad(up) => {
            (Defect::MissingPull, format!("contact {label}: pull-down of port {port} missing, {}", show(down)))
        }
        // Something pulls harder than the port's own resistor: up shows as a strong pull-up and a missing pull-down.
        (false, true) => (Defect::StuckHigh, format!("contact {label}: held high through {}", show(up))),
        (true, false) => (Defect::StuckLow, format!("contact {label}: held low through {}", show(down))),
        (false, false) => (
            Defect::Leak,
            format!("contact {label}: pulls of port {port} out of tolerance, up {}, down {}", show(up), show(down)),
        ),
    };
    Some(Diagnosis { defect, contacts: vec![contact], text })
}
