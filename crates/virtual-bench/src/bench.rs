//! The virtual bench as a whole.

use crate::air::VirtualBluetooth;
use crate::bench_fault::{BenchDamage, BenchFault, BenchFaultError};
use crate::desk::{self, VirtualHands};
use crate::ends::{SharedWorld, VirtualClock, VirtualEdgeLine, VirtualI2c, VirtualLink};
use crate::fault::{Defects, Fault, FaultError, damage};
use crate::flash::{self, ExternalFlash};
use crate::modem::VirtualModem;
use crate::panel::{self, PanelLines};
use crate::random::{Purpose, Random};
use crate::rig::Rig;
use crate::run::{Behind, Holders, InVirtualTime, People, RunError};
use crate::swd::{SwdLines, VirtualSwd};
use crate::usb_host::VirtualUsbHost;
use crate::world::World;
use bench_instruments::{Clock, EdgeLine, Link, Panel};
use bench_plan::{DutFamily, Fixture};
use bench_run::BenchTime;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use virtual_nrf52840::{Chip, ChipIdentity, Diagnostic, ImageError, Observer, Tolerances};

/// Contents of the virtual bench.
pub struct VirtualConfig<'a> {
    pub fixture: &'a Fixture,
    /// Family of the module that is really in the nest.
    pub dut: &'a DutFamily,
    /// Its model.
    pub model: &'a str,
    /// ELF image in its flash; `None`: the flash was never written.
    pub firmware: Option<&'a [u8]>,
    /// Seed of all tolerances and all noise.
    pub seed: u64,
    pub faults: &'a [Fault],
    /// What is wrong with the bench itself.
    pub bench_faults: &'a [BenchFault],
    /// Serial number of the module; `None` derives one from model and seed.
    pub serial: Option<String>,
    /// Virtual seconds per second of wall time; `None`: as fast as possible.
    pub pace: Option<f64>,
}

/// Of a controller without a bus of its own.
const I2C_HZ: u32 = 400_000;
/// Supported paces, in virtual seconds per second of wall time.
pub const PACES: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// Why the virtual bench could not be set up.
#[derive(Debug, Error)]
pub enum VirtualError {
    #[error(transparent)]
    Fault(#[from] FaultError),
    #[error(transparent)]
    BenchFault(#[from] BenchFaultError),
    #[error("the family {family} has no model {model}")]
    NoSuchModel { family: String, model: String },
    #[error("the fault `wrong-model:{ordered}` is ordered, but a {on_nest} was put on the nest")]
    OtherModelOnNest { ordered: String, on_nest: String },
    #[error("the firmware image cannot be loaded: {0}")]
    Firmware(#[from] ImageError),
    #[error("a serial number has 15 printable ASCII characters, `{0}` has not")]
    Serial(String),
    #[error("virtual time cannot run at {0} times wall time: a pace is from 0.001 to 1000000")]
    Pace(f64),
}

/// Cost of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VirtualStats {
    pub virtual_seconds: f64,
    /// Instructions that the emulated chip executed.
    pub instructions: u64,
    /// Resets of the chip after its first start.
    pub resets: u64,
    pub i2c_transactions: u64,
    /// How often the circuit was solved.
    pub solutions: u64,
    /// How often a modem lost its supply while it was not off.
    pub modem_cuts: u32,
    /// How often the fixture's watchdog cut the rails.
    pub watchdog_cuts: u32,
    /// Transfers of the debug probe that got through.
    pub swd_transfers: u64,
}

/// The real firmware on an emulated chip on a simulated fixture.
pub struct VirtualBench {
    pub(crate) world: SharedWorld,
    pace: Option<f64>,
    behind: Rc<Behind>,
    /// How many people are waited for.
    people: People,
    /// What may hold time.
    holders: Holders,
    serial: String,
    lines: PanelLines,
}

impl VirtualBench {
    /// Sets everything up; virtual time is 0, everything is off.
    ///
    /// # Errors
    /// Unknown models, faults that this module or fixture cannot have, an invalid firmware image.
    pub fn new(config: VirtualConfig<'_>) -> Result<Self, VirtualError> {
        let VirtualConfig { fixture, dut, model, firmware, seed, faults, bench_faults, serial, pace } = config;
        let fixture = &*desk::as_wired(fixture, dut);
        let known = dut
            .model(model)
            .ok_or_else(|| VirtualError::NoSuchModel { family: dut.name.clone(), model: model.to_owned() })?;
        for fault in faults {
            fault.check(dut, fixture)?;
        }
        for fault in bench_faults {
            fault.check(fixture)?;
        }
        let damage = BenchDamage::of(bench_faults, fixture);
        let mut defects = Defects::of(faults);
        defects.add_bench(&damage);
        if let Some(ordered) = defects.model.clone().filter(|ordered| ordered != model) {
            return Err(VirtualError::OtherModelOnNest { ordered, on_nest: model.to_owned() });
        }
        if let Some(ratio) = pace
            && !PACES.contains(&ratio)
        {
            return Err(VirtualError::Pace(ratio));
        }
        let serial = match serial {
            // Its sister was scanned.
            _ if damage.other_module => flash::serial_of(known, seed.wrapping_add(1)),
            Some(text) if text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_graphic()) => text,
            Some(text) => return Err(VirtualError::Serial(text)),
            None => flash::serial_of(known, seed),
        };
        let mut chip = Chip::new(identity(seed, dut, faults));
        if let Some(firmware) = firmware {
            chip.load_elf(firmware)?;
        }
        for (offset, value) in &defects.uicr {
            // Both registers exist.
            let _ = chip.write_uicr(*offset, *value);
        }
        let memory = ExternalFlash::new(known, &serial, seed, defects.flash);
        let modem = VirtualModem::new(dut, known, seed, defects.modem.clone());
        let rig = Rig::new(fixture, dut, memory, modem, seed, &defects, damage.clone());
        let probe = SwdLines::new(&defects.probe, &damage.probe, seed);
        let world =
            World::new(chip, rig, probe, fixture.bed.as_ref().map_or(I2C_HZ, |bed| bed.i2c_hz), defects.mcu_dead);
        Ok(Self {
            world: Rc::new(RefCell::new(world)),
            pace,
            behind: Rc::default(),
            people: People::default(),
            holders: Holders::default(),
            serial,
            lines: PanelLines::of(fixture),
        })
    }

    /// Reports to `observer` what the emulated CPU does from now on.
    pub fn observe_cpu(&self, observer: Box<dyn Observer>) {
        self.world.borrow_mut().chip.observe(observer);
    }

    pub fn clock(&self) -> Rc<dyn Clock> {
        Rc::new(VirtualClock(Rc::clone(&self.world)))
    }
    /// The fixture's I2C bus; each call gives one more handle to the same bus.
    pub fn i2c(&self) -> VirtualI2c {
        VirtualI2c(Rc::clone(&self.world))
    }
    /// The controller's UART. There is only one: call this once.
    pub fn link(&self) -> Box<dyn Link> {
        Box::new(VirtualLink(Rc::clone(&self.world)))
    }
    /// The controller's input for edges on the measure bus, with time stamps like its kernel's: a few microseconds
    /// late.
    pub fn edge_line(&self) -> Box<dyn EdgeLine> {
        Box::new(VirtualEdgeLine(Rc::clone(&self.world)))
    }

    /// The debug probe's lines; each call gives one more handle to them.
    pub fn swd(&self) -> VirtualSwd {
        VirtualSwd(Rc::clone(&self.world))
    }
    /// The controller's USB host; each call gives one more handle to the same port.
    pub fn usb_host(&self) -> VirtualUsbHost {
        VirtualUsbHost(Rc::clone(&self.world))
    }
    /// The controller's Bluetooth adapter; each call gives one more handle to it.
    pub fn bluetooth(&self) -> VirtualBluetooth {
        VirtualBluetooth(Rc::clone(&self.world))
    }
    /// The controller's lines to lid, button, lamps and watchdog. This call enables the watchdog, which is bridged
    /// before: without kicks it resets the port expanders and cuts the rails, and has already done so when this
    /// returns.
    pub fn panel(&self) -> Panel {
        panel::lines(&self.world, &self.lines)
    }
    /// The hands of a person at a desk; each call gives one more handle to them.
    pub fn hands(&self) -> VirtualHands {
        VirtualHands(Rc::clone(&self.world))
    }
    /// Plugs in another debug probe for one that fails.
    pub fn repair_probe(&self) {
        self.world.borrow_mut().swd.repair();
    }
    /// Opens or closes the lid, which is closed at first.
    pub fn move_lid(&self, closed: bool) {
        panel::move_lid(&self.world, closed);
    }
    /// A glitch at the RESET input of a port expander, by its id in the fixture file: all its pins become inputs.
    pub fn reset_expander(&self, id: &str) {
        let mut world = self.world.borrow_mut();
        let now = world.now_ns();
        world.rig.reset_expander(id, now);
    }
    /// Wears a supply out: from now on this is its current limit.
    pub fn weaken_supply(&self, rail: &str, amps: f64) {
        let mut world = self.world.borrow_mut();
        let now = world.now_ns();
        world.rig.weaken_supply(rail, amps, now);
    }
    pub fn press_start(&self, pressed: bool) {
        panel::press_start(&self.world, pressed);
    }
    /// Presses or releases the emergency stop, which is released at first.
    pub fn press_emergency(&self, pressed: bool) {
        panel::press_emergency(&self.world, pressed);
    }
    /// The lamps that are lit.
    pub fn lamps(&self) -> Vec<String> {
        panel::lamps(&self.world)
    }
    /// Voltage of each rail after its switch, in the order of the fixture, as a voltmeter would show it.
    pub fn rail_volts(&self) -> Vec<f64> {
        let mut world = self.world.borrow_mut();
        let now = world.now_ns();
        world.rig.circuit.catch_up(now);
        (0..world.rig.circuit.commands().rails.len()).map(|rail| world.rig.circuit.rail_reading(rail).0).collect()
    }
    /// Whether each rail's supply is switched on.
    pub fn rails_on(&self) -> Vec<bool> {
        let world = self.world.borrow();
        world.rig.circuit.commands().rails.iter().map(|rail| rail.on_since_ns.is_some()).collect()
    }
    /// Stalls the controller's program for `span` from `at` on, wherever it is then, like a busy kernel, disk or
    /// processor: the program neither asks, answers nor kicks the watchdog, while everything around it continues.
    pub fn stall(&self, at: BenchTime, span: Duration) {
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.world.borrow_mut().order_stall(at.as_micros().saturating_mul(1000), span_ns);
    }
    /// Lets time pass without a controlling program, as after its death.
    pub fn let_pass(&self, span: std::time::Duration) {
        let mut world = self.world.borrow_mut();
        let until = world.now_ns().saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        world.advance(until, false);
    }

    /// What a power meter in place of the module's antenna shows now in dBm, and whether the carrier is modulated;
    /// `None` without a carrier.
    pub fn antenna_power(&self) -> Option<(f64, bool)> {
        let mut world = self.world.borrow_mut();
        world.chip.radio_emission().map(|emission| (emission.dbm, emission.modulated))
    }
    /// Serial number in the module's one-time-programmable memory.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Runs a future in this bench's time, in a tokio runtime (with its time driver on if there is a pace).
    ///
    /// Virtual time stops while the future is busy and moves while it waits. A future that waits for the wall clock or
    /// another thread (a key, a signal) therefore lets virtual time run. The same holds for `tokio::task::yield_now`,
    /// which wakes only after the runtime had its turn.
    ///
    /// # Errors
    /// [`RunError::Stuck`] instead of a hang.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = Result<F::Output, RunError>> {
        let (behind, people) = (Rc::clone(&self.behind), self.people.clone());
        InVirtualTime::new(Rc::clone(&self.world), future, self.pace, None, behind, people)
            .held_by(self.holders.clone())
    }

    /// The people outside who may be waited for; each call gives one more handle.
    pub fn people(&self) -> People {
        self.people.clone()
    }

    /// From now on, time stands while this returns `true`, unless there is a pace. It is called when nothing else can happen
    /// at the present time. What makes it `false` again must wake the future that runs.
    pub fn hold_while(&self, holds: Rc<dyn Fn() -> bool>) {
        self.holders.0.borrow_mut().push(holds);
    }

    /// Runs a future that serves other programs, which share virtual time. Before time passes, calls `hold` with the
    /// virtual time in nanoseconds; while that returns `true`, time stops. A pace is then an upper limit: lost time is
    /// not caught up.
    ///
    /// # Errors
    /// [`RunError::Stuck`] instead of a hang.
    pub fn run_held<F: Future>(
        &self,
        hold: impl FnMut(u64) -> bool + 'static,
        future: F,
    ) -> impl Future<Output = Result<F::Output, RunError>> {
        let (behind, people) = (Rc::clone(&self.behind), self.people.clone());
        InVirtualTime::new(Rc::clone(&self.world), future, self.pace, Some(Box::new(hold)), behind, people)
            .held_by(self.holders.clone())
    }

    /// Returns the most that virtual time was behind its pace so far, because the computer was slow or busy. Zero
    /// without a pace.
    pub fn behind(&self) -> Duration {
        Duration::from_nanos(self.behind.most_ns.get())
    }

    /// Returns how much virtual time is behind its pace now.
    pub fn behind_now(&self) -> Duration {
        Duration::from_nanos(self.behind.now_ns.get())
    }

    pub fn stats(&self) -> VirtualStats {
        let world = self.world.borrow();
        let chip = world.chip.stats();
        VirtualStats {
            virtual_seconds: world.now_ns() as f64 * 1e-9,
            instructions: chip.instructions,
            resets: chip.resets,
            i2c_transactions: world.rig.i2c_transactions,
            solutions: world.rig.circuit.solutions(),
            watchdog_cuts: world.rig.panel.watchdog_acted(),
            swd_transfers: world.swd.transfers(),
            modem_cuts: world.rig.modem.as_ref().map_or(0, VirtualModem::cuts_while_on),
        }
    }

    /// Deviations of the emulated chip and circuit from real ones, in words; empty if the run is trustworthy.
    pub fn diagnostics(&self) -> Vec<String> {
        let world = self.world.borrow();
        let mut lines: Vec<String> = world.chip.diagnostics().iter().map(ToString::to_string).collect();
        match world.chip.diagnostics_dropped() {
            0 => {}
            more => lines.push(format!("and {more} more")),
        }
        lines.extend(world.rig.circuit.doubt());
        lines
    }

    /// The same from entry `first` on, each with the number of times it happened so far.
    pub fn diagnostics_from(&self, first: usize) -> Vec<(String, u64)> {
        let world = self.world.borrow();
        let entries = world.chip.diagnostics().iter().skip(first);
        entries.map(|entry| (Diagnostic { times: 1, ..entry.clone() }.to_string(), entry.times)).collect()
    }

    /// Number of deviations that the list had no room for.
    pub fn diagnostics_dropped(&self) -> u64 {
        self.world.borrow().chip.diagnostics_dropped()
    }
}

/// A crystal for Bluetooth is within 40 ppm over its life (nRF52840, HFXO); a new one at room temperature is much more
/// accurate.
const MAIN_CRYSTAL_PPM: f64 = 10.0;

/// Draws a chip for the seed, within the limits of the product specification.
fn identity(seed: u64, dut: &DutFamily, faults: &[Fault]) -> ChipIdentity {
    let mut random = Random::new(seed, Purpose::Chip);
    let tolerances = Tolerances {
        lfxo_ppm: random.between(-20.0, 20.0),
        lfrc_ppm: random.between(-250.0, 250.0),
        saadc_gain_error: random.between(-0.01, 0.01),
        saadc_offset_volts: random.between(-2e-3, 2e-3),
        saadc_residual_offset_volts: random.between(-0.3e-3, 0.3e-3),
        hfxo_ppm: Random::new(seed, Purpose::MainCrystal).between(-MAIN_CRYSTAL_PPM, MAIN_CRYSTAL_PPM),
        ..Tolerances::default()
    };
    let mut identity = ChipIdentity { tolerances, ..ChipIdentity::from_seed(random.bits()) };
    damage(&mut identity, dut, faults);
    identity
}
