//! The drivers of the real fixture on the virtual one.

use crate::hands::{run, setup};
use bench_instruments::{FixtureDriver, LinkRelay, MeasureBus, NailVector, Nails, OPEN_OHMS, Rails};
use bench_run::Contact;
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn resistances_supplies_and_nails() {
    for seed in [1, 2, 3] {
        let setup = setup("b404x", &["short:23-gnd@47"], seed);
        let bus = Rc::new(RefCell::new(setup.bench.i2c()));
        let clock = setup.bench.clock();
        let driver = FixtureDriver::start(&setup.hands.fixture, bus, Rc::clone(&clock), Rc::new(|_| ())).unwrap();
        run(&setup, async {
            driver.set_loopback(true).await.unwrap();
            // (contact, lowest and highest ohms)
            for (contact, low, high) in [
                (10, 2e4, 2e5),        // 3V3: the driver stops before the capacitor is quite charged
                (12, 2e4, 2e5),        // 3V3
                (2, 1e3, 15e3),        // VCC: its large capacitor still charges
                (23, 44.0, 51.0),      // the fault
                (33, OPEN_OHMS, 1e13), // A1
                (73, 4.4e3, 5e3),      // SIM_DATA
                (1, 0.0, 3.0),         // GND
            ] {
                // The capacitors behind a supply keep what the last measurement left in them.
                for discharge in [true, false] {
                    for rail in driver.names() {
                        driver.discharge(&rail, discharge).await.unwrap();
                    }
                    clock.sleep(std::time::Duration::from_millis(200)).await;
                }
                let ohms = driver.ohms(Contact(contact)).await.unwrap();
                assert!((low..=high).contains(&ohms), "seed {seed}, contact {contact}: {ohms} ohm");
            }
            for rail in ["3V3", "VCC", "VUSB"] {
                driver.clear_for_power(rail, 1e3).unwrap();
                driver.on(rail).await.unwrap();
            }
            clock.sleep(std::time::Duration::from_millis(50)).await;
            for (rail, volts, low_ma, high_ma) in
                [("3V3", 3.3, 0.9, 2.0), ("VCC", 3.8, -0.2, 0.3), ("VUSB", 5.0, 0.0, 0.2)]
            {
                let reading = driver.measure(rail).await.unwrap();
                assert!((reading.volts - volts).abs() < 0.01 * volts, "seed {seed}: {rail} at {reading:?}");
                let ma = reading.amps * 1e3;
                assert!((low_ma - 0.1..high_ma + 0.1).contains(&ma), "seed {seed}: {rail} at {reading:?}");
            }
            let volts = driver.volts(Contact(16)).await.unwrap();
            assert!((volts - 5.0).abs() < 0.05, "seed {seed}: VUSB at its contact {volts}");
            let contact = |n| [Contact(n)].into_iter().collect();
            let vector = NailVector { high: contact(33), low: contact(35), ..NailVector::default() };
            driver.set(vector).await.unwrap();
            let high = driver.read().await.unwrap();
            assert!(high.contains(Contact(33)) && !high.contains(Contact(35)), "seed {seed}: {high:?}");
            let volts = driver.volts(Contact(33)).await.unwrap();
            assert!((volts - 3.3).abs() < 0.05, "seed {seed}: driven nail {volts}");
        });
    }
}
