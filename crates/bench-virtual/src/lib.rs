//! A nest on the virtual bench.

mod person;

use bench_engine::{Backend, DiskWait, Failed, Loaded, Outcome, Recorder, first_kick, rail_observer, sha256};
use bench_instruments::{
    Clock, DutClient, FixtureDriver, Image, NoBed, Nobody, Panel, Person, Plausibility, Programs, UnknownLoad,
};
use bench_plan::{DutFamily, Fixture};
use bench_programs::{KeeperCommand, ProgramHost};
use bench_run::{BenchKind, Event, Provenance};
use bench_steps::{Ends, Nest};
use bench_swd::{ImageFormat, SwdProgrammer, parse_image};
use futures_util::future::LocalBoxFuture;
use person::{Outsider, VirtualPerson};
use std::cell::RefCell;
use std::rc::Rc;
use virtual_bench::{BenchFault, Fault, VirtualBench, VirtualConfig, VirtualError};

/// What is on the virtual nest, and how it behaves.
pub struct Order<'a> {
    pub fixture: &'a Fixture,
    pub families: &'a [DutFamily],
    /// The model that the plan is for.
    pub model: &'a str,
    /// What the plan puts into the module, as an ELF file.
    pub firmware: &'a [u8],
    /// The module comes without it: its flash is empty.
    pub blank: bool,
    pub seed: u64,
    pub faults: &'a [Fault],
    pub bench_faults: &'a [BenchFault],
    pub serial: &'a str,
    pub pace: Option<f64>,
}

impl<'a> Order<'a> {
    /// What a plan asks for: a good module of its model, empty if the plan programs it, as fast as it goes.
    pub fn of(loaded: &'a Loaded, firmware: &'a [u8], serial: &'a str, seed: u64) -> Self {
        Self {
            fixture: &loaded.fixture,
            families: &loaded.families,
            model: &loaded.plan.model,
            firmware,
            blank: comes_blank(loaded),
            seed,
            faults: &[],
            bench_faults: &[],
            serial,
            pace: None,
        }
    }
}

const FAULT_HELP: &str = "`bench faults PLAN` lists every fault that can be ordered";

/// Reads the faults as typed. Whether module and fixture can have them is checked by [`build`].
pub fn parse_faults(specs: &[String]) -> Result<Vec<Fault>, Failed> {
    let parse = |spec: &String| {
        spec.parse().map_err(|error| Failed::Usage(miette::miette!(help = FAULT_HELP, "--fault {spec}: {error}")))
    };
    specs.iter().map(parse).collect()
}

const BENCH_FAULT_HELP: &str = "`bench faults PLAN --bench` lists every fault of the bench that can be ordered";

/// The same for faults of the bench.
pub fn parse_bench_faults(specs: &[String]) -> Result<Vec<BenchFault>, Failed> {
    let parse = |spec: &String| {
        spec.parse()
            .map_err(|error| Failed::Usage(miette::miette!(help = BENCH_FAULT_HELP, "--bench-fault {spec}: {error}")))
    };
    specs.iter().map(parse).collect()
}

/// All orders as a record lists them.
pub fn ordered(faults: &[Fault], bench_faults: &[BenchFault]) -> Vec<String> {
    let of_module = faults.iter().map(ToString::to_string);
    of_module.chain(bench_faults.iter().map(|fault| format!("bench {fault}"))).collect()
}

/// Builds the simulated fixture with the module in it.
pub fn build(order: &Order<'_>) -> Result<VirtualBench, Failed> {
    let family_of = |model: &str| order.families.iter().find(|family| family.model(model).is_some());
    let on_nest = order.faults.iter().find_map(Fault::other_model);
    let on_nest = on_nest.as_deref().unwrap_or(order.model);
    let Some(dut) = family_of(on_nest) else {
        let known: Vec<&str> =
            order.families.iter().flat_map(|family| &family.models).map(|model| model.name.as_str()).collect();
        let help = bench_plan::nearest_help(on_nest, known.iter().copied(), "models");
        return Err(Failed::Usage(miette::miette!(help = help, "no module family has a model {on_nest}")));
    };
    // A module of another model carries its own serial number, not the one that was scanned.
    let serial = (on_nest == order.model).then(|| order.serial.to_owned());
    let world = VirtualBench::new(VirtualConfig {
        fixture: order.fixture,
        dut,
        model: on_nest,
        firmware: (!order.blank).then_some(order.firmware),
        seed: order.seed,
        faults: order.faults,
        bench_faults: order.bench_faults,
        serial,
        pace: order.pace,
    })
    .map_err(|error| match error {
        VirtualError::BenchFault(error) => {
            Failed::Usage(miette::miette!(help = BENCH_FAULT_HELP, "--bench-fault: {error}"))
        }
        VirtualError::Fault(error) => Failed::Usage(miette::miette!(help = FAULT_HELP, "--fault: {error}")),
        error => Failed::Bench(miette::miette!("the virtual bench cannot be built: {error}")),
    })?;
    // A module on a desk belongs to somebody.
    if order.blank && order.fixture.desk.is_some() {
        world.ship_with_system(order.seed);
    }
    Ok(world)
}

/// The same drivers as on a real bench, over the simulated bus and link.
pub fn nest(
    world: &VirtualBench,
    fixture: &Fixture,
    family: &DutFamily,
    serial: &str,
    recorder: &Rc<Recorder>,
) -> Result<Nest, Failed> {
    trusting_nest(world, fixture, family, serial, recorder, &[])
}

/// The same without some checks of the bench on itself.
pub fn trusting_nest(
    world: &VirtualBench,
    fixture: &Fixture,
    family: &DutFamily,
    serial: &str,
    recorder: &Rc<Recorder>,
    unchecked: &[Plausibility],
) -> Result<Nest, Failed> {
    let clock: Rc<dyn Clock> = world.clock();
    if let Some(desk) = &fixture.desk {
        return Ok(desk_nest(world, fixture, desk.phone.is_some(), family, serial));
    }
    // Without a kick the watchdog holds the port expanders in reset, and nothing would answer.
    let panel = world.panel();
    first_kick(&panel);
    let bus = Rc::new(RefCell::new(world.i2c()));
    let driver = FixtureDriver::start(fixture, bus, Rc::clone(&clock), rail_observer(recorder))
        .map_err(|error| Failed::Bench(miette::miette!("the fixture does not start: {error}")))?;
    let timed = fixture.bed.as_ref().is_some_and(|bed| bed.measure_bus.edges_gpio.is_some());
    let driver = driver.trusting(unchecked);
    let driver = Rc::new(if timed { driver.with_edge_line(world.edge_line()) } else { driver });
    let ends = Ends {
        usb: Rc::new(world.usb_host()),
        programmer: Rc::new(SwdProgrammer::wired(Rc::clone(&clock), Rc::new(world.swd()))),
        ble: Rc::new(world.bluetooth()),
        panel,
        load: Rc::new(UnknownLoad),
        dut: Rc::new(DutClient::new(world.link(), Rc::clone(&clock))),
        clock,
    };
    Ok(Nest { unchecked: Rc::from(unchecked), programs: programs(world), ..Nest::on(driver, ends, family, serial) })
}

/// Starts programs, whose computing takes no virtual time.
fn programs(world: &VirtualBench) -> Rc<dyn Programs> {
    let host = ProgramHost::new(KeeperCommand::this_program());
    world.hold_while(host.in_turns());
    Rc::new(host)
}

/// The same on a desk, with a person who does what is asked.
fn desk_nest(world: &VirtualBench, fixture: &Fixture, phone: bool, family: &DutFamily, serial: &str) -> Nest {
    let clock: Rc<dyn Clock> = world.clock();
    let ends = Ends {
        usb: Rc::new(world.usb_host()),
        programmer: Rc::new(SwdProgrammer::wired(Rc::clone(&clock), Rc::new(world.swd()))),
        ble: Rc::new(world.bluetooth()),
        panel: Panel::default(),
        load: Rc::new(UnknownLoad),
        dut: Rc::new(DutClient::new(world.link(), Rc::clone(&clock))),
        clock: Rc::clone(&clock),
    };
    let mut nest = Nest::on(Rc::new(NoBed { fixture: fixture.name.clone() }), ends, family, serial);
    nest.person = Rc::new(VirtualPerson::new(world, phone, Rc::new(Nobody)));
    nest.programs = programs(world);
    nest
}

/// The virtual bench as what a run happens on.
pub struct VirtualBackend {
    pub world: VirtualBench,
    pub seed: u64,
    /// As ordered.
    pub faults: Vec<String>,
    /// Who answers what the plan asks; `None`: nobody.
    pub person: Option<Rc<dyn Person>>,
}

impl VirtualBackend {
    fn with_person(&self, fixture: &Fixture, mut nest: Nest) -> Nest {
        if let Some(person) = &self.person {
            let outside: Rc<dyn Person> = Rc::new(Outsider::new(&self.world, Rc::clone(person)));
            nest.person = match &fixture.desk {
                Some(desk) => Rc::new(VirtualPerson::new(&self.world, desk.phone.is_some(), outside)),
                None => outside,
            };
        }
        nest
    }
}

impl Backend for VirtualBackend {
    fn clock(&self) -> Rc<dyn Clock> {
        self.world.clock()
    }

    fn disk_wait(&self) -> DiskWait {
        DiskWait::Blocking
    }

    fn started(&self, loaded: &Loaded, provenance: Provenance, serial: &str) -> Event {
        started(loaded, provenance, serial, self.seed, &self.faults)
    }

    fn nest<'a>(
        &'a self,
        loaded: &'a Loaded,
        serial: &'a str,
        recorder: &'a Rc<Recorder>,
    ) -> LocalBoxFuture<'a, Result<Nest, Failed>> {
        let made = match loaded.family() {
            Some(family) => {
                let made = nest(&self.world, &loaded.fixture, family, serial, recorder);
                made.map(|nest| self.with_person(&loaded.fixture, nest))
            }
            None => Err(Failed::Bench(miette::miette!("the plan's family got lost"))),
        };
        Box::pin(std::future::ready(made))
    }

    fn drive<'a>(&'a self, run: LocalBoxFuture<'a, Outcome>) -> LocalBoxFuture<'a, Result<Outcome, String>> {
        let driven = self.world.run(run);
        Box::pin(async move { driven.await.map_err(|error| format!("the virtual bench stopped: {error}")) })
    }

    fn doubts(&self) -> Vec<String> {
        self.world.diagnostics()
    }
}

/// The firmware as the programmer takes it.
pub fn image(loaded: &Loaded, firmware: &[u8]) -> Result<Rc<Image>, Failed> {
    let name = loaded.firmware_name();
    let image = parse_image(&name, firmware, ImageFormat::Elf);
    let image =
        image.map_err(|error| Failed::Bench(miette::miette!("the firmware image {name} cannot be used: {error}")));
    image.map(Rc::new)
}

/// Whether a module for this plan comes with an empty flash: only a plan that programs it can use such a one.
fn comes_blank(loaded: &Loaded) -> bool {
    loaded.plan.steps.iter().any(|planned| planned.procedure.writes_firmware())
}

/// The serial number that a virtual module of this model carries when none was given.
pub fn serial(family: &DutFamily, model: &str, seed: u64) -> String {
    let prefix = family.model(model).and_then(|model| model.serial_prefixes.first());
    format!("{}AV{:09}", prefix.map_or("P000", String::as_str), seed % 1_000_000_000)
}

/// Seconds from 1970 to the day on which a virtual controller with a clock begins: 2026-01-01.
const FIRST_DAY_S: f64 = 1_767_225_600.0;

/// Dates a run by the clock of a controller that is off by this many seconds. Virtual runs have no date otherwise.
pub fn dated(started: &mut Event, off_by_s: f64) {
    let seconds = (FIRST_DAY_S + off_by_s).max(0.0) as i64;
    if let (Event::RunStarted { started_at, .. }, Ok(at)) = (started, jiff::Timestamp::from_second(seconds)) {
        *started_at = Some(at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string());
    }
}

/// The first entry of a virtual run's journal.
pub fn started(loaded: &Loaded, provenance: Provenance, serial: &str, seed: u64, faults: &[String]) -> Event {
    // The same order gives the same name, as it gives the same journal.
    let identity = format!("{provenance:?} {serial} {} {faults:?}", seed);
    let hash = sha256(identity.as_bytes());
    Event::RunStarted {
        run_id: format!("virtual-{}-{}", seed, &hash[..12]),
        serial: serial.to_owned(),
        model: loaded.plan.model.clone(),
        started_at: None,
        order: None,
        bench: Box::new(BenchKind::Virtual { seed, faults: faults.to_vec() }),
        lot: None,
        diagnosis: None,
        provenance: Box::new(provenance),
        steps: loaded.planned_steps(),
    }
}
