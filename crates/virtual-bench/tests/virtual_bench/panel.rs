//! The fixture's hardware without software: the lid's second pole, and the watchdog.

use crate::hands::{Setup, run, setup};
use bench_instruments::{FixtureDriver, Panel, Rails};
use embedded_hal::i2c::I2c;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// A driven nail's expander.
const EXPANDER: u8 = 0x20;

fn kick(panel: &Panel, times: u32) {
    for n in 0..times {
        panel.watchdog.as_ref().unwrap().set(n % 2 == 0).unwrap();
    }
}

/// Rails on, kicked until now; the driver is not dropped, as after a kill of the program.
fn powered(setup: &Setup) -> Panel {
    let panel = setup.bench.panel();
    kick(&panel, 2);
    let bus = Rc::new(RefCell::new(setup.bench.i2c()));
    let clock = setup.bench.clock();
    let driver = FixtureDriver::start(&setup.hands.fixture, bus, Rc::clone(&clock), Rc::new(|_| ())).unwrap();
    run(setup, async {
        for rail in ["3V3", "VCC"] {
            driver.clear_for_power(rail, 1e3).unwrap();
            driver.on(rail).await.unwrap();
        }
        clock.sleep(50 * MS).await;
        kick(&panel, 2);
    });
    std::mem::forget(driver);
    let volts = setup.bench.rail_volts();
    assert!(volts.iter().filter(|volts| **volts > 3.0).count() >= 2, "{volts:?}");
    panel
}

#[test]
fn without_a_kick_the_expanders_do_not_answer() {
    let setup = setup("b404x", &[], 1);
    let mut i2c = setup.bench.i2c();
    assert!(i2c.write(EXPANDER, &[0]).is_ok(), "bridged until the controller's lines are there");
    let panel = setup.bench.panel();
    assert!(i2c.write(EXPANDER, &[0]).is_err());
    kick(&panel, 1);
    assert!(i2c.write(EXPANDER, &[0]).is_ok());
}

#[test]
fn the_watchdog_cuts_the_rails_when_the_kicks_stop() {
    let setup = setup("b404x", &[], 1);
    let panel = powered(&setup);
    // As long as it is kicked, nothing happens.
    for n in 0..10 {
        setup.bench.let_pass(200 * MS);
        panel.watchdog.as_ref().unwrap().set(n % 2 == 0).unwrap();
    }
    assert!(setup.bench.rails_on().contains(&true));
    setup.bench.let_pass(499 * MS);
    assert!(setup.bench.rails_on().contains(&true), "not before its time");
    setup.bench.let_pass(2 * MS);
    assert_eq!(setup.bench.rails_on(), vec![false; setup.hands.fixture.rails.len()]);
    assert_eq!(setup.bench.stats().watchdog_cuts, 1);
    // Kicks that come back give the expanders back, with every switch open.
    kick(&panel, 2);
    let mut directions = [0; 2];
    setup.bench.i2c().write_read(EXPANDER, &[0], &mut directions).unwrap();
    assert_eq!(directions, [0xFF, 0xFF], "all inputs");
    assert!(!setup.bench.rails_on().contains(&true));
}

#[test]
fn a_constant_line_is_no_kick() {
    let setup = setup("b404x", &[], 1);
    let panel = powered(&setup);
    for _ in 0..6 {
        setup.bench.let_pass(100 * MS);
        panel.watchdog.as_ref().unwrap().set(false).unwrap();
    }
    assert!(!setup.bench.rails_on().contains(&true));
}

#[test]
fn an_open_lid_cuts_the_rails_without_software() {
    let setup = setup("b404x", &[], 1);
    let panel = powered(&setup);
    assert!(panel.lid.as_ref().unwrap().is_active().unwrap());
    setup.bench.move_lid(false);
    assert!(!panel.lid.as_ref().unwrap().is_active().unwrap());
    assert!(!setup.bench.rails_on().contains(&true));
}

#[test]
fn lamps_and_button() {
    let setup = setup("b404x", &[], 1);
    let panel = setup.bench.panel();
    panel.show("pass").unwrap();
    assert_eq!(setup.bench.lamps(), ["pass"]);
    panel.show("fail").unwrap();
    assert_eq!(setup.bench.lamps(), ["fail"]);
    let start = panel.start.clone().unwrap();
    assert!(!start.is_active().unwrap());
    setup.bench.press_start(true);
    assert!(start.is_active().unwrap());
}
