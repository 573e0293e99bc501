//! `bench doctor`.

use super::{print, say};
use crate::cli::{DoctorArgs, EXIT_ERROR};
use bench_engine::{self as engine, Cause, Failed, Late, Project, Recorder};
use bench_instruments::{GuardState, InstrumentError, ask_chips};
use bench_journal::Journal;
use bench_pi::PiI2c;
use bench_plan::{DutFamily, Fixture};
use bench_real::{self as real, ConfiguredNest, RealBackend, fixture_of};
use bench_run::NOT_BLAMED;
use bench_steps::{Finding, Nest};
use bench_virtual::{self as virtual_run, Order};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use virtual_bench::VirtualBench;

pub(crate) fn doctor(root: Option<&Path>, args: &DoctorArgs) -> Result<u8, Failed> {
    let project = Project::find(root, None);
    let ill = match &args.virtual_fixture {
        Some(name) => on_virtual(&project, name)?,
        None => on_station(&project, args)?,
    };
    if ill == 0 {
        print("The fixture is good. Next, test a module that is known to be good: `bench run`.\n");
        return Ok(0);
    }
    say(&format!("{ill} things to fix"));
    Ok(EXIT_ERROR)
}

/// A desk has nothing that could be checked without a module.
fn refuse_desk(fixture: &Fixture) -> Result<(), Failed> {
    if fixture.desk.is_none() {
        return Ok(());
    }
    Err(Failed::Usage(miette::miette!(
        help = "the first steps of its plan check port, probe and wires: `bench run plans/desk-b404x.toml`",
        "the fixture {} is a desk: it has no instruments to check",
        fixture.name
    )))
}

fn on_station(project: &Project, args: &DoctorArgs) -> Result<usize, Failed> {
    let (fixture, families) = fixture_of(project, &args.station)?;
    refuse_desk(&fixture)?;
    let now = jiff::Zoned::now();
    let place = ConfiguredNest::find(&args.station, args.nest.as_deref(), &fixture, real::day_of(&now))?;
    let mut ill = 0;
    for overdue in &place.overdue {
        ill += show(&Finding { what: "calibration".to_owned(), seen: Err(overdue.clone()) });
    }
    if !place.station.guard {
        let seen = Ok("not used: `guard = false` in the station file".to_owned());
        show(&Finding { what: "guard".to_owned(), seen });
    }
    let family = family(&fixture, &families)?;
    let backend = RealBackend::take(project.root(), place, &now)?;
    // Every chip before the drivers, which stop at the first that is missing.
    let panel = backend.kick_once()?;
    let missing = PiI2c::open(backend.bed()?.i2c_bus).map(|bus| chips(&fixture, bus));
    drop(panel);
    let missing = missing.map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    if missing > 0 {
        return Ok(ill + missing);
    }
    let recorder = Recorder::new(Journal::in_memory(), bench_engine::Backend::clock(&backend), Vec::new());
    let observer = engine::rail_observer(&recorder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    let looked = runtime.block_on(async {
        let nest = backend.instruments(&fixture, family, false, "", observer).await?;
        look(&nest, &fixture, &print_finding).await
    })?;
    Ok(ill + looked)
}

/// The simulated fixture with nothing in its nest: every contact is open.
fn on_virtual(project: &Project, name: &str) -> Result<usize, Failed> {
    let (fixture, families) = project.fixture_and_families(name)?;
    refuse_desk(&fixture)?;
    let family = family(&fixture, &families)?;
    let firmware = bench_engine::read_firmware(&project.firmware("dut-firmware"))?;
    let world = empty_nest(&fixture, &families, family, &firmware)?;
    let missing = {
        let panel = world.panel();
        engine::first_kick(&panel);
        chips(&fixture, world.i2c())
    };
    if missing > 0 {
        return Ok(missing);
    }
    on_world(&world, &fixture, family)
}

fn on_world(world: &VirtualBench, fixture: &Fixture, family: &DutFamily) -> Result<usize, Failed> {
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let nest = virtual_run::nest(world, fixture, family, "", &recorder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    runtime
        .block_on(world.run(look(&nest, fixture, &print_finding)))
        .map_err(|error| Failed::Bench(miette::miette!("the virtual bench stopped: {error}")))?
}

fn empty_nest(
    fixture: &Fixture,
    families: &[DutFamily],
    family: &DutFamily,
    firmware: &[u8],
) -> Result<VirtualBench, Failed> {
    let model = family.models.first().map(|model| model.name.clone()).unwrap_or_default();
    let faults = virtual_run::parse_faults(&["empty-nest".to_owned()])?;
    let serial = virtual_run::serial(family, &model, 1);
    let (faults, serial) = (faults.as_slice(), serial.as_str());
    let model = model.as_str();
    virtual_run::build(&Order {
        fixture,
        families,
        model,
        firmware,
        blank: false,
        seed: 1,
        faults,
        bench_faults: &[],
        serial,
        pace: None,
    })
}

fn family<'a>(fixture: &Fixture, families: &'a [DutFamily]) -> Result<&'a DutFamily, Failed> {
    let taken = families.iter().find(|family| fixture.families.contains(&family.name));
    taken.ok_or_else(|| Failed::Bench(miette::miette!("the fixture takes no module family")))
}

fn chips<I: embedded_hal::i2c::I2c>(fixture: &Fixture, bus: I) -> usize {
    let report = |(what, seen): (String, Result<(), InstrumentError>)| {
        let seen = seen.map(|()| "answers".to_owned()).map_err(|error| error.to_string());
        show(&Finding { what: format!("chip {what}"), seen })
    };
    ask_chips(fixture, Rc::new(RefCell::new(bus))).into_iter().map(report).sum()
}

/// Checks the fixture, and the controller while it works. Reports each finding; returns how many are bad.
async fn look(nest: &Nest, fixture: &Fixture, report: &dyn Fn(&Finding)) -> Result<usize, Failed> {
    let looked = engine::kicked_with(nest, |lateness| async move {
        let began = nest.clock.now();
        let ill = bench_steps::doctor(nest, fixture, report).await?;
        let own =
            [Some(controller(lateness.since(began))), guard(nest.panel.guard.as_ref().map(|guard| guard.state()))];
        let own = own.into_iter().flatten().map(|finding| {
            report(&finding);
            usize::from(finding.seen.is_err())
        });
        Ok(ill + own.sum::<usize>())
    });
    looked.await.map_err(|error: InstrumentError| Failed::Bench(miette::miette!("{error}")))
}

/// How late the bench was while it did all that.
fn controller(late: Late) -> Finding {
    let ms = late.by.as_millis();
    let what_to_do = match late.cause {
        Cause::Disk => "the program was read back from the disk. Free memory, or use a faster disk for the system",
        Cause::OtherPrograms => "stop what else runs on the controller",
        Cause::Bench => "the bench computed or waited in a driver. Check the bus and its speed, then report it",
        Cause::Unknown => "check the controller's supply and temperature, and what else runs on it",
    };
    let seen = if late.by < NOT_BLAMED {
        Ok(format!("late by {ms} ms at most"))
    } else {
        Err(format!("late by {ms} ms ({}): {what_to_do}", late.cause))
    };
    Finding { what: "controller".to_owned(), seen }
}

/// Nothing for a bench that has none: the virtual one, and a station with `guard = false`.
fn guard(state: Option<GuardState>) -> Option<Finding> {
    let again = "run the doctor again; if it happens twice, check what ends the bench's processes";
    let seen = match state? {
        GuardState::Alive => Ok("runs and answers".to_owned()),
        GuardState::Acted(why) => Err(format!("it cut the power ({why}): {again}")),
        GuardState::Gone(why) => Err(format!("{why}: {again}")),
    };
    Some(Finding { what: "guard".to_owned(), seen })
}

fn print_finding(finding: &Finding) {
    let _ = show(finding);
}

/// One line; 1 when it has to be fixed.
fn show(finding: &Finding) -> usize {
    match &finding.seen {
        Ok(seen) => print(&format!("ok   {:24} {seen}\n", finding.what)),
        Err(wrong) => print(&format!("FIX  {:24} {wrong}\n", finding.what)),
    }
    usize::from(finding.seen.is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_plan::NailWiring;
    use bench_run::{BenchTime, Contact};
    use std::cell::RefCell;
    use std::time::Duration;

    struct ShippedFixture {
        fixture: Fixture,
        families: Vec<DutFamily>,
        firmware: Vec<u8>,
    }

    fn line() -> ShippedFixture {
        let project = Project::find(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")), None);
        let (fixture, families) = project.fixture_and_families("b-series").unwrap();
        let firmware = bench_engine::read_firmware(&project.firmware("dut-firmware")).unwrap();
        ShippedFixture { fixture, families, firmware }
    }

    impl ShippedFixture {
        /// What the doctor says of a fixture that was built as `built`, and not as its file says.
        fn ill(&self, built: &Fixture) -> Vec<String> {
            self.ill_with(built, None)
        }

        /// The same, with a controller that is stopped for a time.
        fn ill_with(&self, built: &Fixture, stall: Option<(Duration, Duration)>) -> Vec<String> {
            let family = family(&self.fixture, &self.families).unwrap();
            let world = empty_nest(built, &self.families, family, &self.firmware).unwrap();
            let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
            let nest = virtual_run::nest(&world, &self.fixture, family, "", &recorder).unwrap();
            let findings = RefCell::new(Vec::new());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let report = |finding: &Finding| {
                if let Err(wrong) = &finding.seen {
                    findings.borrow_mut().push(format!("{}: {wrong}", finding.what));
                }
            };
            if let Some((at, span)) = stall {
                world.stall(BenchTime::ZERO + at, span);
            }
            let looked = runtime.block_on(world.run(look(&nest, &self.fixture, &report))).unwrap();
            let findings = findings.into_inner();
            assert_eq!(looked.ok(), Some(findings.len()));
            assert!(!world.rails_on().contains(&true), "the doctor leaves nothing on");
            findings
        }
    }

    fn nail(fixture: &mut Fixture, contact: u8) -> &mut bench_plan::Nail {
        fixture.nails.get_mut(&Contact(contact)).unwrap()
    }

    #[test]
    fn a_fixture_that_was_built_otherwise_is_told_by_the_nail() {
        let line = line();
        assert_eq!(line.ill(&line.fixture), Vec::<String>::new());
        type Mistake = fn(&mut Fixture);
        let rows: &[(&str, Mistake, &[&str])] = &[
            (
                "two wires exchanged at an expander",
                |built| {
                    let other = nail(built, 33).wiring.clone();
                    let own = std::mem::replace(&mut nail(built, 23).wiring, other);
                    nail(built, 33).wiring = own;
                },
                &["nail of contact 23 (A0): ", "nail of contact 33 (A1): "],
            ),
            (
                "two channels exchanged at a multiplexer",
                |built| {
                    let other = nail(built, 33).mux;
                    let own = std::mem::replace(&mut nail(built, 23).mux, other);
                    nail(built, 33).mux = own;
                },
                &["nail of contact 23 (A0): ", "nail of contact 33 (A1): "],
            ),
            (
                "a ground that is not soldered",
                |built| {
                    if let NailWiring::Ground { feed_ohms, .. } = &mut nail(built, 21).wiring {
                        *feed_ohms = 1e7;
                    }
                },
                &["ground at contact 21 (GND): "],
            ),
            (
                "a supply nail that is not soldered",
                |built| {
                    if let NailWiring::Rail { feed_ohms, .. } = &mut nail(built, 6).wiring {
                        *feed_ohms = 1e9;
                    }
                },
                &["rail VCC: "],
            ),
            ("a regulator with the wrong resistor", |built| built.rails[0].volts *= 0.9, &["rail 3V3: 2.9"]),
        ];
        for (what, mistake, expected) in rows {
            let mut built = line.fixture.clone();
            mistake(&mut built);
            let findings = line.ill(&built);
            assert_eq!(findings.len(), expected.len(), "{what}: {findings:#?}");
            for (finding, expected) in findings.iter().zip(*expected) {
                assert!(finding.starts_with(expected), "{what}: {finding}");
            }
        }
    }

    #[test]
    fn a_controller_that_is_late_has_to_be_fixed() {
        let line = line();
        let ms = Duration::from_millis;
        for (span, expected) in
            [(12, None), (40, Some("controller: late by 32 ms")), (120, Some("controller: late by 112 ms"))]
        {
            let findings = line.ill_with(&line.fixture, Some((ms(300), ms(span))));
            let seen: Vec<&str> = findings.iter().map(String::as_str).collect();
            assert!(
                match (expected, seen.as_slice()) {
                    (None, []) => true,
                    (Some(start), [one]) => one.starts_with(start) && one.contains("what else runs on it"),
                    _ => false,
                },
                "{span} ms: {findings:#?}"
            );
        }
    }

    fn shown(seen: Result<String, String>) -> String {
        seen.map_or_else(|wrong| format!("FIX {wrong}"), |seen| format!("ok {seen}"))
    }

    #[test]
    fn each_cause_has_its_remedy() {
        let rows = [
            (0, Cause::Unknown, "ok late by 0 ms at most"),
            (14, Cause::Disk, "ok late by 14 ms at most"),
            (15, Cause::Disk, "FIX late by 15 ms (disk): the program was read back from the disk. Free memory"),
            (640, Cause::OtherPrograms, "FIX late by 640 ms (other programs had the processor): stop what else runs"),
            (40, Cause::Bench, "FIX late by 40 ms (the bench itself): the bench computed or waited in a driver"),
            (40, Cause::Unknown, "FIX late by 40 ms (cause unknown): check the controller's supply"),
        ];
        for (by, cause, expected) in rows {
            let shown = shown(controller(Late { by: Duration::from_millis(by), cause }).seen);
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn a_guard_that_does_not_answer_has_to_be_fixed() {
        let gone = || GuardState::Gone("it does not answer".to_owned());
        let acted = || GuardState::Acted("nothing was heard".to_owned());
        let rows = [
            (None, ""),
            (Some(GuardState::Alive), "ok runs and answers"),
            (Some(gone()), "FIX it does not answer: run the doctor again"),
            (Some(acted()), "FIX it cut the power (nothing was heard): run the doctor again"),
        ];
        for (state, expected) in rows {
            let shown = guard(state).map(|finding| shown(finding.seen)).unwrap_or_default();
            assert!(shown.starts_with(expected) && shown.is_empty() == expected.is_empty(), "{shown}");
        }
    }

    #[test]
    fn every_chip_that_is_missing_is_named() {
        let line = line();
        let mut built = line.fixture.clone();
        for (index, address) in [(3, 0x2F), (7, 0x4B)] {
            built.chips[index].address = address;
        }
        let family = family(&line.fixture, &line.families).unwrap();
        let world = empty_nest(&built, &line.families, family, &line.firmware).unwrap();
        let silent: Vec<String> = ask_chips(&line.fixture, Rc::new(RefCell::new(world.i2c())))
            .into_iter()
            .filter_map(|(chip, answer)| answer.is_err().then_some(chip))
            .collect();
        assert_eq!(silent, ["io3", "adc"]);
    }
}
