//! Ports that hold their contacts high and low, loaded by the source of the measure bus through its series resistor.
//! The divider gives the resistance of port and joint together. One contact is loaded at a time.

use crate::diagnose::divider;
use crate::resolve::{pin_name, ports_of};
use crate::{Nest, Procedure, StepError, StepLog, resource};
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, RawPinSelector, Resolved, Surroundings};
use bench_run::{Contact, MeasurementSpec, MeasurementUnit};
use dut_protocol::{Port, PortSet, PortVector};
use std::time::Duration;

/// A port with its measurements.
pub(crate) struct LoadedPort {
    pub contact: Contact,
    pub port: Port,
    pub high: MeasurementSpec,
    pub low: MeasurementSpec,
}

/// The selected ports. `names` are the suffixes of their measurements, high and low.
pub(crate) fn select(
    pins: &RawPinSelector,
    ohms: &LimitsOf<Ohms>,
    names: [&str; 2],
    around: &Surroundings<'_>,
) -> Result<Vec<LoadedPort>, ParamProblem> {
    let spec = |contact: Contact, which: &str| MeasurementSpec {
        name: format!("{}.{which}", pin_name(around.dut, contact)),
        unit: MeasurementUnit::Ohms,
        limits: ohms.limits(),
        contacts: vec![contact],
    };
    let port =
        |(contact, port)| LoadedPort { contact, port, high: spec(contact, names[0]), low: spec(contact, names[1]) };
    Ok(ports_of(pins, around)?.into_iter().map(port).collect())
}

/// Promises and needs of a step over such ports.
pub(crate) fn resolved(
    ports: Vec<LoadedPort>,
    aspects: [&'static str; 3],
    procedure: impl FnOnce(Vec<LoadedPort>) -> Box<dyn Procedure>,
) -> Resolved<Box<dyn Procedure>> {
    let coverage = |port: &LoadedPort| Coverage { contact: port.contact, aspects: aspects.to_vec() };
    Resolved {
        measurements: ports.iter().flat_map(|port| [port.high.clone(), port.low.clone()]).collect(),
        coverage: ports.iter().map(coverage).collect(),
        uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
        shares: resource::list(&[resource::DUT]),
        default_timeout: Duration::from_secs(5),
        procedure: procedure(ports),
    }
}

/// Measures all ports, first held high, then held low. `held` builds the vector that holds these ports high (true) or
/// low. Returns the ohms high and low.
pub(crate) async fn measure(
    nest: &Nest,
    log: &dyn StepLog,
    supply: &str,
    ports: &[LoadedPort],
    held: impl Fn(PortSet, bool) -> PortVector,
) -> Result<Vec<(f64, f64)>, StepError> {
    nest.join_link().await?;
    nest.release_nails().await?;
    let supply = nest.supply_volts(supply).await?;
    let all: PortSet = ports.iter().map(|port| port.port).collect();
    let source = nest.bus.source_ohms();
    let mut readings = Vec::with_capacity(ports.len());

    nest.vector(held(all, true)).await?;
    for port in ports {
        let volts = nest.bus.loaded_volts(port.contact, 0.0).await?;
        let ohms = divider(source, supply - volts, volts);
        log.measured(&port.high.name, Some(ohms));
        readings.push((ohms, 0.0));
    }
    nest.vector(held(all, false)).await?;
    for (port, reading) in ports.iter().zip(&mut readings) {
        let volts = nest.bus.loaded_volts(port.contact, supply).await?;
        reading.1 = divider(source, volts, supply - volts);
        log.measured(&port.low.name, Some(reading.1));
    }
    nest.vector(PortVector { float: all, ..Default::default() }).await?;
    Ok(readings)
}
