//! The instruments of a real nest.

use crate::ConfiguredNest;
use crate::guard::{Guard, Kicked};
use crate::hand::Hand;
use crate::load::SystemLoad;
use crate::lock::{self, FixtureLock, LockError};
use crate::wall_clock;
use bench_bluez::BluezAir;
use bench_engine::{Backend, DiskWait, Failed, Loaded, Outcome, Recorder, first_kick, rail_observer};
use bench_instruments::{
    BleAir, Clock, DutClient, FixtureDriver, GuardLine, InstrumentError, NoBed, NoBle, Nobody, OutputLine, Panel,
    Person, Programs, RailObserver, SerialLink, SerialUsbHost, TokioClock,
};
use bench_pi::{PiGpio, PiI2c};
use bench_plan::{DutFamily, Fixture, GpioLine, StationNest};
use bench_programs::{KeeperCommand, ProgramHost};
use bench_run::{BenchKind, Event, Provenance, RunOrder};
use bench_steps::{Ends, Nest};
use bench_swd::{Selection, SwdProgrammer};
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What drives a bed of nails on this controller.
pub struct BedLines {
    pub i2c_bus: u8,
    /// GPIO of the watchdog.
    pub watchdog: u8,
}

/// A nest of this controller.
pub struct RealBackend {
    place: ConfiguredNest,
    clock: Rc<dyn Clock>,
    /// RFC 3339.
    started_at: String,
    run_id: String,
    order: RunOrder,
    root: PathBuf,
    /// What the operator's hand reaches, when the screen holds it, too.
    hand: Option<Hand>,
    person: Rc<dyn Person>,
    /// Absent when the screen holds it for a whole shift.
    _lock: Option<FixtureLock>,
}

/// Takes the fixture of this nest for this program.
///
/// # Errors
/// When another program has it.
pub fn lock(place: &ConfiguredNest) -> Result<FixtureLock, Failed> {
    // A desk has no bus: its serial port is what only one program may use.
    let what = place.nest.i2c_bus.map_or_else(|| place.nest.link.clone(), |bus| format!("i2c-{bus}"));
    FixtureLock::take(&lock::folder(), &what, &lock::holder()).map_err(|error| {
        let help = match error {
            LockError::Held { .. } => "end it, or wait until it is done",
            LockError::Io { .. } => "the lock keeps two programs from driving one fixture: is the folder writable?",
        };
        Failed::Bench(miette::miette!(help = help, "{error}"))
    })
}

impl RealBackend {
    /// Takes the fixture for this program. `now` is the time of day, for the record.
    ///
    /// # Errors
    /// When another program has it.
    pub fn take(root: &Path, place: ConfiguredNest, now: &jiff::Zoned) -> Result<Self, Failed> {
        let lock = lock(&place)?;
        Ok(Self { _lock: Some(lock), ..Self::on_shift(root, place, now, None) })
    }

    /// On a fixture that is held already; the lines of the operator's hand are shared with who holds it.
    pub fn on_shift(root: &Path, place: ConfiguredNest, now: &jiff::Zoned, hand: Option<Hand>) -> Self {
        Self {
            started_at: now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            order: wall_clock::order(now),
            run_id: format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), place.nest.name),
            clock: Rc::new(TokioClock::start()),
            place,
            root: root.to_owned(),
            hand,
            person: Rc::new(Nobody),
            _lock: None,
        }
    }

    /// What a person should know of the controller's clock; `None` when the date is right.
    pub fn clock_notice(&self) -> Option<String> {
        self.order.clock.as_ref().and_then(wall_clock::notice)
    }

    /// The I2C bus and the watchdog's GPIO of this nest.
    ///
    /// # Errors
    /// On a desk, which has neither.
    pub fn bed(&self) -> Result<BedLines, Failed> {
        let StationNest { i2c_bus, watchdog, .. } = &self.place.nest;
        match (*i2c_bus, *watchdog) {
            (Some(i2c_bus), Some(watchdog)) => Ok(BedLines { i2c_bus, watchdog }),
            _ => Err(Failed::Usage(miette::miette!(
                help = "a desk has no instruments",
                "the fixture {} has nothing on an I2C bus",
                self.place.station.fixture
            ))),
        }
    }

    /// Adds the person at the bench.
    #[must_use]
    pub fn with_person(self, person: Rc<dyn Person>) -> Self {
        Self { person, ..self }
    }

    /// Wakes the fixture for less than the watchdog's time, to ask who is there.
    ///
    /// # Errors
    /// When this is no controller.
    pub fn kick_once(&self) -> Result<impl Sized, Failed> {
        let line = GpioLine { gpio: self.bed()?.watchdog, active_low: false };
        let kick = || {
            let line = PiGpio::open()?.output(line)?;
            line.set(true)?;
            line.set(false)?;
            Ok(line)
        };
        kick().map_err(|error: InstrumentError| Failed::Bench(miette::miette!("{error}")))
    }

    /// The controller's own pins of this nest; the watchdog has been kicked once.
    fn panel(&self, gpio: &PiGpio, watchdog: u8, guard: Option<Rc<Guard>>) -> Result<Panel, InstrumentError> {
        let nest = &self.place.nest;
        let hand = match &self.hand {
            Some(hand) => hand.clone(),
            None => Hand::take(gpio, nest)?,
        };
        let mut panel = hand.panel();
        let line = Rc::new(gpio.output(GpioLine { gpio: watchdog, active_low: false })?);
        panel.watchdog = Some(match &guard {
            Some(guard) => Rc::new(Kicked { line, guard: Rc::clone(guard) }),
            None => line,
        });
        panel.guard = guard.map(|guard| guard as Rc<dyn GuardLine>);
        first_kick(&panel);
        Ok(panel)
    }

    /// The process that holds the rails next to the run.
    fn guard(&self, fixture: &Fixture, i2c_bus: u8) -> Result<Rc<Guard>, Failed> {
        Guard::start(&self.root, &fixture.name, i2c_bus).map(Rc::new).map_err(|error| {
            let help = "no run begins without it; `guard = false` in the station file is for a fixture that its watchdog \
                        alone protects";
            Failed::Bench(miette::miette!(help = help, "the guard of the rails does not start: {error}"))
        })
    }

    /// The debug probe of this nest: what the station names, or the only one of the fixture's kind.
    fn probe(&self, fixture: &Fixture) -> Selection {
        let of_fixture = fixture.probe.as_ref().and_then(|probe| probe.usb.as_deref());
        self.place.nest.probe.as_deref().or(of_fixture).map(Selection::parse).unwrap_or_default()
    }

    /// The instruments, with the fixture in its safe state.
    ///
    /// # Errors
    /// Names the first that does not start.
    pub async fn instruments(
        &self,
        fixture: &Fixture,
        family: &DutFamily,
        wants_ble: bool,
        serial: &str,
        observer: RailObserver,
    ) -> Result<Nest, Failed> {
        let does_not_start =
            |error: InstrumentError| Failed::Bench(miette::miette!("the fixture does not start: {error}"));
        let nest = &self.place.nest;
        let clock = Rc::clone(&self.clock);
        if fixture.desk.is_some() {
            return self.desk(fixture, family, wants_ble, serial).await;
        }
        let BedLines { i2c_bus, watchdog } = self.bed()?;
        // What may take its time comes before the first kick: from there on the watchdog is awake.
        let ble: Rc<dyn BleAir> = match nest.ble.as_deref().filter(|_| wants_ble) {
            Some(name) => Rc::new(BluezAir::open(name, Rc::clone(&clock)).await.map_err(does_not_start)?),
            None => Rc::new(NoBle),
        };
        let gpio = PiGpio::open().map_err(does_not_start)?;
        let guard = if self.place.station.guard { Some(self.guard(fixture, i2c_bus)?) } else { None };
        let panel = self.panel(&gpio, watchdog, guard).map_err(does_not_start)?;
        let bus = Rc::new(RefCell::new(PiI2c::open(i2c_bus).map_err(does_not_start)?));
        let driver = FixtureDriver::start(fixture, bus, Rc::clone(&clock), observer)
            .map_err(does_not_start)?
            .with_corrections(&self.place.station.corrections(&nest.name));
        let driver = match nest.edges {
            Some(number) => driver.with_edge_line(Box::new(gpio.edge_line(number).map_err(does_not_start)?)),
            None => driver,
        };
        let link = SerialLink::open(&nest.link, dut_protocol::INITIAL_BAUD).map_err(does_not_start)?;
        let ends = Ends {
            programmer: Rc::new(SwdProgrammer::usb(Rc::clone(&clock), self.probe(fixture))),
            usb: Rc::new(SerialUsbHost::new(Rc::clone(&clock))),
            ble,
            panel,
            load: Rc::new(SystemLoad),
            dut: Rc::new(DutClient::new(Box::new(link), Rc::clone(&clock))),
            clock,
        };
        let person = Rc::clone(&self.person);
        Ok(Nest { person, programs: programs(), ..Nest::on(Rc::new(driver), ends, family, serial) })
    }

    /// A desk: a serial port, a probe and Bluetooth of any computer.
    async fn desk(&self, fixture: &Fixture, family: &DutFamily, wants_ble: bool, serial: &str) -> Result<Nest, Failed> {
        let does_not_start = |error: InstrumentError| Failed::Bench(miette::miette!("the desk is not ready: {error}"));
        let nest = &self.place.nest;
        let clock = Rc::clone(&self.clock);
        if wants_ble && nest.ble.is_none() {
            return Err(Failed::Usage(miette::miette!(
                help = "write ble = \"hci0\" into the station file, or leave the step out: --without ble",
                "the plan tests Bluetooth, and the station file names no adapter"
            )));
        }
        let link = SerialLink::open(&nest.link, dut_protocol::INITIAL_BAUD).map_err(does_not_start)?;
        let ble: Rc<dyn BleAir> = match nest.ble.as_deref().filter(|_| wants_ble) {
            Some(name) => Rc::new(BluezAir::open(name, Rc::clone(&clock)).await.map_err(does_not_start)?),
            None => Rc::new(NoBle),
        };
        let ends = Ends {
            programmer: Rc::new(SwdProgrammer::usb(Rc::clone(&clock), self.probe(fixture))),
            usb: Rc::new(SerialUsbHost::new(Rc::clone(&clock))),
            ble,
            panel: Panel::default(),
            load: Rc::new(SystemLoad),
            dut: Rc::new(DutClient::new(Box::new(link), Rc::clone(&clock))),
            clock,
        };
        let mut nest = Nest::on(Rc::new(NoBed { fixture: fixture.name.clone() }), ends, family, serial);
        nest.person = Rc::clone(&self.person);
        nest.programs = programs();
        Ok(nest)
    }
}

impl Backend for RealBackend {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.clock)
    }

    fn disk_wait(&self) -> DiskWait {
        DiskWait::Async
    }

    fn started(&self, loaded: &Loaded, provenance: Provenance, serial: &str) -> Event {
        let ConfiguredNest { station, nest, overdue } = &self.place;
        Event::RunStarted {
            run_id: self.run_id.clone(),
            serial: serial.to_owned(),
            model: loaded.plan.model.clone(),
            started_at: Some(self.started_at.clone()),
            order: Some(Box::new(self.order.clone())),
            bench: Box::new(BenchKind::Real {
                station: station.name.clone(),
                nest: Some(nest.name.clone()),
                fixture_serial: Some(station.fixture_serial.clone()),
                overdue: overdue.clone(),
            }),
            lot: None,
            diagnosis: None,
            provenance: Box::new(provenance),
            steps: loaded.planned_steps(),
        }
    }

    fn nest<'a>(
        &'a self,
        loaded: &'a Loaded,
        serial: &'a str,
        recorder: &'a Rc<Recorder>,
    ) -> LocalBoxFuture<'a, Result<Nest, Failed>> {
        Box::pin(async move {
            let family = loaded.family();
            let family = family.ok_or_else(|| Failed::Bench(miette::miette!("the plan's family got lost")))?;
            let wants_ble = loaded.plan.steps.iter().any(|planned| planned.procedure.needs_bluetooth());
            self.instruments(&loaded.fixture, family, wants_ble, serial, rail_observer(recorder)).await
        })
    }

    fn drive<'a>(&'a self, run: LocalBoxFuture<'a, Outcome>) -> LocalBoxFuture<'a, Result<Outcome, String>> {
        Box::pin(async move { Ok(run.await) })
    }

    fn notes(&self) -> Vec<String> {
        let alone = "no guard: the station file says that the fixture's watchdog alone protects it";
        let on_bed = self.place.nest.watchdog.is_some();
        let alone = (on_bed && !self.place.station.guard).then(|| alone.to_owned());
        alone.into_iter().chain(self.clock_notice()).collect()
    }

    fn doubts(&self) -> Vec<String> {
        Vec::new()
    }
}

fn programs() -> Rc<dyn Programs> {
    Rc::new(ProgramHost::new(KeeperCommand::this_program()))
}
