//! `pulls`: strength of each port's internal pull-up and pull-down, measured at the contact.
//!
//! The source of the measure bus pulls the other way through its series resistor; the divider tells the pull's
//! resistance. An open contact shows none, a stuck one shows a driver.

use crate::diagnose::divider;
use crate::resolve::{self, pin_name, ports_of};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::OPEN_OHMS;
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{Port, PortSet, PortVector};
use std::time::Duration;

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
    pins: Vec<(Contact, Port, MeasurementSpec, MeasurementSpec)>,
    supply: String,
}

impl Kind for Pulls {
    const NAME: &'static str = "pulls";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let pins = ports_of(&params.pins, around)?;
        let spec = |contact: Contact, which: &str| MeasurementSpec {
            name: format!("{}.{which}", pin_name(around.dut, contact)),
            unit: MeasurementUnit::Ohms,
            limits: params.ohms.limits(),
            contacts: vec![contact],
        };
        let pins: Vec<_> = pins
            .into_iter()
            .map(|(contact, port)| (contact, port, spec(contact, "pull-up"), spec(contact, "pull-down")))
            .collect();
        Ok(Resolved {
            measurements: pins.iter().flat_map(|(_, _, up, down)| [up.clone(), down.clone()]).collect(),
            coverage: pins
                .iter()
                .map(|(contact, ..)| Coverage { contact: *contact, aspects: vec!["pull-up", "pull-down", "open"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(Pulls { pins, supply }),
        })
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
        nest.join_link().await?;
        nest.release_nails().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        let all: PortSet = self.pins.iter().map(|(_, port, ..)| *port).collect();
        let source = nest.bus.source_ohms();
        let mut readings = Vec::new();

        nest.vector(PortVector { pull_up: all, settle_us: 100, ..Default::default() }).await?;
        for (contact, _, up, _) in &self.pins {
            let volts = nest.bus.loaded_volts(*contact, 0.0).await?;
            let ohms = divider(source, supply - volts, volts);
            log.measured(&up.name, Some(ohms));
            readings.push((ohms, 0.0));
        }
        nest.vector(PortVector { pull_down: all, settle_us: 100, ..Default::default() }).await?;
        for ((contact, _, _, down), reading) in self.pins.iter().zip(&mut readings) {
            let volts = nest.bus.loaded_volts(*contact, supply).await?;
            let ohms = divider(source, volts, supply - volts);
            log.measured(&down.name, Some(ohms));
            reading.1 = ohms;
        }
        nest.vector(PortVector { float: all, ..Default::default() }).await?;
        for ((contact, port, up, _), (up_ohms, down_ohms)) in self.pins.iter().zip(readings) {
            if let Some(diagnosis) = name(nest, *contact, *port, &up.limits, up_ohms, down_ohms) {
                log.diagnosed(diagnosis);
            }
        }
        Ok(())
    }
}

/// What a pair of pull readings says about a contact.
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
