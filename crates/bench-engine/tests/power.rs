//! Whom the owner of power names when a rail collapses or a chip of the fixture is not as it was set.

// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used)]

mod support;

use bench_engine::{Cut, CutBy, Lateness, Power};
use bench_instruments::{
    Disturbance, InputLine, InstrumentError, ManualClock, OutputLine, RailReading, Rails, Supply, Switches, UnknownLoad,
};
use bench_run::Verdict;
use bench_steps::Nest;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use support::{Idle, nest};

const MS: Duration = Duration::from_millis(1);

/// One expander, and one rail of 3.8 V that gives 3 A at most.
#[derive(Default)]
struct Bed {
    disturbed: RefCell<Option<Disturbance>>,
    reading: Cell<Option<RailReading>>,
    locked: RefCell<Vec<String>>,
}

impl Switches for Bed {
    fn parts(&self) -> usize {
        1
    }
    fn rail_parts(&self) -> Vec<usize> {
        vec![0]
    }
    fn check(&self, _: usize) -> Result<(), Disturbance> {
        self.disturbed.borrow().clone().map_or(Ok(()), Err)
    }
    fn lock(&self, why: &str) {
        self.locked.borrow_mut().push(why.to_owned());
    }
    fn watchdog_timeout(&self) -> Option<Duration> {
        Some(500 * MS)
    }
    fn supply(&self, _: &str) -> Option<Supply> {
        Some(Supply { volts: 3.8, current_limit_amps: 3.0, of_module: false })
    }
    fn glance(&self, _: &str) -> Result<Option<RailReading>, InstrumentError> {
        Ok(self.reading.get())
    }
}

struct TestLine(Cell<bool>);

impl InputLine for TestLine {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        Ok(self.0.get())
    }
}

impl OutputLine for TestLine {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.0.set(active);
        Ok(())
    }
}

/// With VCC on and judged to be good, and a watchdog that was just kicked.
fn powered() -> (ManualClock, Rc<Bed>, Rc<TestLine>, Power) {
    let clock = ManualClock::new();
    let (bed, lid) = (Rc::<Bed>::default(), Rc::new(TestLine(Cell::new(true))));
    let mut of_idle: Nest = nest(Rc::new(clock.clone()), Rc::new(Idle::default()));
    of_idle.switches = bed.clone();
    of_idle.panel.lid = Some(lid.clone());
    of_idle.panel.watchdog = Some(Rc::new(TestLine(Cell::new(false))));
    let lateness = Lateness::new(Rc::new(clock.clone()), Rc::new(UnknownLoad));
    let power = Power::new(&of_idle, Rc::new(lateness));
    power.kick();
    power.lateness().beat(clock_now(&clock) + 10 * MS);
    clock.run(power.on("VCC")).unwrap();
    power.settled();
    (clock, bed, lid, power)
}

fn clock_now(clock: &ManualClock) -> bench_run::BenchTime {
    bench_instruments::Clock::now(clock)
}

fn glances(power: &Power) -> Option<Cut> {
    (0..8).find_map(|_| power.check_next().err())
}

#[test]
fn a_rail_that_collapsed_is_the_module_s_only_when_it_draws_the_current() {
    // Volts, amps, a step that switches rails is at work, verdict and a part of the text.
    let rows = [
        (3.8, 0.2, false, None),
        (3.0, 2.9, false, None),
        (
            0.4,
            2.9,
            false,
            Some((Verdict::Fail, "rail VCC: overloaded, 0.40 V at 2.90 A; its current limit of 3 A acts")),
        ),
        (0.4, 0.001, false, Some((Verdict::Error, "rail VCC collapsed to 0.40 V at 1 mA although it is switched on"))),
        (0.4, 2.9, true, None),
        (0.4, 0.001, true, None),
    ];
    for (volts, amps, switching, expected) in rows {
        let (_clock, bed, _lid, power) = powered();
        bed.reading.set(Some(RailReading { volts, amps }));
        let at_work = switching.then(|| power.switching());
        let cut = glances(&power);
        match (expected, &cut) {
            (None, None) => assert!(bed.locked.borrow().is_empty(), "{volts} V {amps} A"),
            (Some((verdict, text)), Some(cut)) => {
                assert_eq!(cut.verdict(), verdict, "{cut}");
                assert!(cut.text.starts_with(text), "{cut}");
                assert_eq!(*bed.locked.borrow(), [cut.text.as_str()], "nothing is switched on again");
                assert_eq!(power.cut().as_ref(), Some(cut));
            }
            other => panic!("{volts} V {amps} A: {other:?}"),
        }
        drop(at_work);
    }
}

#[test]
fn a_disturbed_chip_is_blamed_on_whoever_had_a_hand_in_it() {
    let reset = || Disturbance::Reset { chip: "io5".into() };
    let silent = || Disturbance::Silent { chip: "io5".into(), detail: "no acknowledge".into() };
    let changed = || Disturbance::Changed { chip: "io5".into(), detail: "latches 0".into() };
    // The last kick is so long ago; the lid is closed.
    let rows = [
        (20, true, reset(), CutBy::Fixture, "io5 was reset, and with it the power: check its supply"),
        (
            20,
            true,
            silent(),
            CutBy::Fixture,
            "io5 does not answer (no acknowledge) on the I2C bus: check the fixture's cable",
        ),
        (20, true, changed(), CutBy::Fixture, "the outputs of io5 were changed: latches 0: another program is on"),
        (20, false, reset(), CutBy::Lid, "the lid was opened"),
    ];
    for (ago, closed, disturbed, by, text) in rows {
        let (clock, bed, lid, power) = powered();
        *bed.disturbed.borrow_mut() = Some(disturbed);
        lid.0.set(closed);
        clock.run(bench_instruments::Clock::sleep(&clock, ago * MS));
        let cut = power.look_before_judging().unwrap_err();
        assert_eq!(cut.by, by, "{cut}");
        assert!(cut.text.starts_with(text), "{cut}");
        assert_eq!(power.look().unwrap_err(), cut, "from now on every time");
        let refused = clock.run(power.on("VCC")).unwrap_err();
        assert!(matches!(refused, InstrumentError::PowerCut(_)), "{refused}");
    }
    for disturbed in [reset(), silent(), changed()] {
        let (clock, bed, _lid, power) = powered();
        *bed.disturbed.borrow_mut() = Some(disturbed);
        clock.run(bench_instruments::Clock::sleep(&clock, 650 * MS));
        let cut = power.look_before_judging().unwrap_err();
        assert!(matches!(cut.by, CutBy::Watchdog(late) if late.by == 640 * MS), "{cut:?}");
        assert!(cut.text.starts_with("the watchdog cut the power: the controller was 640 ms late"), "{cut}");
    }
    // A kick that was late, and a watchdog that did not mind.
    let (clock, bed, _lid, power) = powered();
    clock.run(bench_instruments::Clock::sleep(&clock, 650 * MS));
    assert_eq!((power.look(), bed.locked.borrow().len()), (Ok(()), 0));
}
