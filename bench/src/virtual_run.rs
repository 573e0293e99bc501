//! A nest on the virtual bench.

use crate::cli::Failed;
use crate::engine::{self, Recorder};
use bench_instruments::{Clock, DutClient, FixtureDriver};
use bench_plan::{DutFamily, Fixture};
use bench_steps::Nest;
use std::cell::RefCell;
use std::rc::Rc;
use virtual_bench::{Fault, VirtualBench, VirtualConfig};

/// What is on the virtual nest, and how it behaves.
pub(crate) struct Order<'a> {
    pub fixture: &'a Fixture,
    pub families: &'a [DutFamily],
    /// The model that the plan is for.
    pub model: &'a str,
    pub firmware: &'a [u8],
    pub seed: u64,
    pub faults: &'a [Fault],
    pub serial: &'a str,
    pub pace: Option<f64>,
}

/// Reads the faults as typed and refuses what this module and fixture cannot have.
pub(crate) fn parse_faults(specs: &[String], dut: &DutFamily, fixture: &Fixture) -> Result<Vec<Fault>, Failed> {
    let help = "`bench faults PLAN` lists every fault that can be ordered";
    let parse = |spec: &String| {
        let fault: Fault =
            spec.parse().map_err(|error| Failed::Usage(miette::miette!(help = help, "--fault {spec}: {error}")))?;
        fault
            .check(dut, fixture)
            .map_err(|error| Failed::Usage(miette::miette!(help = help, "--fault {spec}: {error}")))?;
        Ok(fault)
    };
    specs.iter().map(parse).collect()
}

/// Builds the simulated fixture with the module in it.
pub(crate) fn build(order: &Order<'_>) -> Result<VirtualBench, Failed> {
    let family_of = |model: &str| order.families.iter().find(|family| family.model(model).is_some());
    let on_nest = order
        .faults
        .iter()
        .find_map(|fault| match fault {
            Fault::WrongModel(model) => Some(model.as_str()),
            _ => None,
        })
        .unwrap_or(order.model);
    let Some(dut) = family_of(on_nest) else {
        return Err(Failed::Usage(miette::miette!("no module family knows the model {on_nest}")));
    };
    // A module of another model carries its own serial number, not the one that was scanned.
    let serial = (on_nest == order.model).then(|| order.serial.to_owned());
    VirtualBench::new(VirtualConfig {
        fixture: order.fixture,
        dut,
        model: on_nest,
        firmware: order.firmware,
        seed: order.seed,
        faults: order.faults,
        serial,
        pace: order.pace,
    })
    .map_err(|error| Failed::Bench(miette::miette!("the virtual bench cannot be built: {error}")))
}

/// The same drivers as on a real bench, over the simulated bus and link.
pub(crate) fn nest(
    world: &VirtualBench,
    fixture: &Fixture,
    family: &DutFamily,
    serial: &str,
    recorder: &Rc<Recorder>,
) -> Result<Nest, Failed> {
    let clock: Rc<dyn Clock> = world.clock();
    let bus = Rc::new(RefCell::new(world.i2c()));
    let driver = FixtureDriver::start(fixture, bus, Rc::clone(&clock), engine::rail_observer(recorder))
        .map_err(|error| Failed::Bench(miette::miette!("the fixture does not start: {error}")))?;
    let driver = Rc::new(driver);
    Ok(Nest {
        nails: driver.clone(),
        bus: driver.clone(),
        rails: driver.clone(),
        relay: driver,
        dut: Rc::new(DutClient::new(world.link(), Rc::clone(&clock))),
        clock,
        family: Rc::new(family.clone()),
        serial: serial.to_owned(),
    })
}
