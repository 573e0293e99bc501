//! `drive`: how strongly each port drives its contact, high and low.
//!
//! The port drives in its strong mode, and the source of the measure bus pulls the other way through its series
//! resistor: the divider tells the resistance of driver and joint together. One contact is loaded at a time, so each
//! LED channel shows that it sinks its current alone.

use crate::diagnose::divider;
use crate::resolve::{self, pin_name, ports_of};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::OPEN_OHMS;
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{DriveStrength, Port, PortSet, PortVector};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that lead to a port, without those of the link.
    pins: RawPinSelector,
    /// Driver and joint, high and low.
    ohms: LimitsOf<Ohms>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

pub struct Drive {
    pins: Vec<DrivenPin>,
    supply: String,
}

struct DrivenPin {
    contact: Contact,
    port: Port,
    high: MeasurementSpec,
    low: MeasurementSpec,
}

impl Kind for Drive {
    const NAME: &'static str = "drive";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let spec = |contact: Contact, which: &str| MeasurementSpec {
            name: format!("{}.drive-{which}", pin_name(around.dut, contact)),
            unit: MeasurementUnit::Ohms,
            limits: params.ohms.limits(),
            contacts: vec![contact],
        };
        let pins: Vec<_> = ports_of(&params.pins, around)?
            .into_iter()
            .map(|(contact, port)| DrivenPin { contact, port, high: spec(contact, "high"), low: spec(contact, "low") })
            .collect();
        Ok(Resolved {
            measurements: pins.iter().flat_map(|pin| [pin.high.clone(), pin.low.clone()]).collect(),
            coverage: pins
                .iter()
                .map(|pin| Coverage { contact: pin.contact, aspects: vec!["driver", "cold joint", "open"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(Drive { pins, supply }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Drive {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Drive {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        let all: PortSet = self.pins.iter().map(|pin| pin.port).collect();
        let source = nest.bus.source_ohms();
        let strong = PortVector { strength: DriveStrength::High, settle_us: 100, ..Default::default() };
        let mut readings = Vec::with_capacity(self.pins.len());

        nest.vector(PortVector { high: all, ..strong }).await?;
        for pin in &self.pins {
            let volts = nest.bus.loaded_volts(pin.contact, 0.0).await?;
            let ohms = divider(source, supply - volts, volts);
            log.measured(&pin.high.name, Some(ohms));
            readings.push((ohms, 0.0));
        }
        nest.vector(PortVector { low: all, ..strong }).await?;
        for (pin, reading) in self.pins.iter().zip(&mut readings) {
            let volts = nest.bus.loaded_volts(pin.contact, supply).await?;
            reading.1 = divider(source, volts, supply - volts);
            log.measured(&pin.low.name, Some(reading.1));
        }
        nest.vector(PortVector { float: all, ..Default::default() }).await?;
        for (pin, (high, low)) in self.pins.iter().zip(&readings) {
            if let Some(diagnosis) = name(nest, pin, *high, *low) {
                log.diagnosed(diagnosis);
            }
        }
        Ok(())
    }
}

/// A joint adds the same to both directions, within the spread of the drivers.
const ALIKE_OHMS: f64 = 60.0;

fn name(nest: &Nest, pin: &DrivenPin, high: f64, low: f64) -> Option<Diagnosis> {
    let bad = |spec: &MeasurementSpec, ohms| judge(&spec.limits, Some(ohms)) != Verdict::Pass;
    let (bad_high, bad_low) = (bad(&pin.high, high), bad(&pin.low, low));
    if !bad_high && !bad_low {
        return None;
    }
    let (label, port) = (nest.label(pin.contact), pin.port);
    let (shown_high, shown_low) = (MeasurementUnit::Ohms.show(high), MeasurementUnit::Ohms.show(low));
    let (defect, text) = if high >= OPEN_OHMS && low >= OPEN_OHMS {
        (Defect::Open, format!("contact {label}: open, no driver of port {port} reaches it"))
    } else if (high - low).abs() <= ALIKE_OHMS {
        let text = format!(
            "contact {label}: driven through {shown_high} high and {shown_low} low: cold joint or damaged driver"
        );
        (Defect::Open, text)
    } else {
        let text = match (bad_high, bad_low) {
            (true, false) => format!("contact {label}: port {port} drives high through {shown_high}: weak driver"),
            (false, true) => format!("contact {label}: port {port} drives low through {shown_low}: weak driver"),
            _ => format!("contact {label}: port {port} drives high through {shown_high}, low through {shown_low}"),
        };
        (Defect::Other, text)
    };
    Some(Diagnosis { defect, contacts: vec![pin.contact], text })
}
