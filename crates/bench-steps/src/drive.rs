//! `drive`: measures how strongly each port drives its contact, high and low.
//!
//! The port drives in its strong mode against a load ([`loaded_ports`]). Only one contact is loaded at a time, so each
//! LED channel proves that it sinks its current alone.

use crate::loaded_ports::{self, LoadedPort};
use crate::reach;
use crate::resolve;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::OPEN_OHMS;
use bench_plan::{LimitsOf, Ohms, ParamProblem, RawPinSelector, Reach, Resolved, Spanned, Surroundings};
use bench_run::{Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{DriveStrength, PortVector};

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
    ports: Vec<LoadedPort>,
    supply: String,
}

impl Kind for Drive {
    const NAME: &'static str = "drive";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let ports = loaded_ports::select(&params.pins, &params.ohms, ["drive-high", "drive-low"], around)?;
        Ok(loaded_ports::resolved(ports, ["driver", "cold joint", "open"], |ports| Box::new(Drive { ports, supply })))
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
        let strong = PortVector { strength: DriveStrength::High, settle_us: 100, ..Default::default() };
        let held = |ports, high| match high {
            true => PortVector { high: ports, ..strong },
            false => PortVector { low: ports, ..strong },
        };
        let readings = loaded_ports::measure(nest, log, &self.supply, &self.ports, held).await?;
        for (port, (high, low)) in self.ports.iter().zip(readings) {
            if let Some(diagnosis) = name(nest, port, high, low) {
                log.diagnosed(diagnosis);
            }
        }
        Ok(())
    }
}

/// A bad joint adds the same resistance to both directions, within the spread of the drivers.
const ALIKE_OHMS: f64 = 60.0;

fn name(nest: &Nest, pin: &LoadedPort, high: f64, low: f64) -> Option<Diagnosis> {
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
