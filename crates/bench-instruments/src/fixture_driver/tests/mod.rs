//! The driver against chips at register level: what it writes, and in which order.

mod fake_bus;

use super::*;
use crate::{ContactSet, MeasureBus, NailVector, Nails, OPEN_OHMS, Peers, RailEvent, Rails, with_deadline};
use crate::{ManualClock, RailReading};
use bench_plan::{IoBit, NailWiring};
use bench_run::Contact;
use fake_bus::*;
use futures_util::future::join;
use std::time::Duration;

fn bed() -> Bed {
    fixture().bed.unwrap()
}

struct Bench {
    clock: ManualClock,
    bus: Rc<RefCell<FakeBus>>,
    events: Rc<RefCell<Vec<(String, bool)>>>,
    driver: FixtureDriver<super::Steady<FakeBus>>,
}

fn try_start(prepare: impl FnOnce(&mut FakeBus)) -> (Rc<RefCell<FakeBus>>, Result<Bench, InstrumentError>) {
    let clock = ManualClock::new();
    let mut bus = FakeBus::new(&clock);
    prepare(&mut bus);
    let bus = Rc::new(RefCell::new(bus));
    let events = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&events);
    let observer = Rc::new(move |event: RailEvent| heard.borrow_mut().push((event.rail, event.on)));
    let driver = FixtureDriver::start(&fixture(), Rc::clone(&bus), Rc::new(clock.clone()), observer);
    (Rc::clone(&bus), driver.map(|driver| Bench { clock, bus, events, driver }))
}

fn start() -> Bench {
    let bench = try_start(|_| {}).1.unwrap();
    bench.bus.borrow_mut().log.clear();
    bench
}

fn contacts(numbers: impl IntoIterator<Item = u8>) -> ContactSet {
    numbers.into_iter().map(Contact).collect()
}

fn io_of(contact: u8) -> IoBit {
    match fixture().nail(Contact(contact)).map(|nail| nail.wiring.clone()) {
        Some(NailWiring::Io { io, .. }) => io,
        Some(NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. }) => feed,
        None => panic!("contact {contact} has no nail"),
    }
}

fn is_safe(state: &State) -> bool {
    let fixture = fixture();
    let low = fixture.rails.iter().map(|rail| rail.enable);
    let low = low.chain(fixture.bed.as_ref().unwrap().measure_bus.banks.clone()).chain([fixture
        .bed
        .as_ref()
        .unwrap()
        .measure_bus
        .source_enable]);
    let mut high = fixture.rails.iter().map(|rail| rail.discharge).chain([10, 2, 1].map(io_of));
    let released = (20..28).chain(30..38).all(|contact| !state.driven(io_of(contact)));
    let low = low.chain(fixture.peers.iter().map(|peer| peer.select));
    let low = low.chain(fixture.usb.map(|usb| usb.switch));
    low.chain([fixture.bed.as_ref().unwrap().link_relay]).all(|bit| state.driven(bit) && !state.high(bit))
        && high.all(|bit| state.high(bit))
        && released
}

#[test]
fn starts_in_the_safe_state_without_a_glitch() {
    for left_on in [false, true] {
        let (bus, bench) = try_start(|bus| {
            if left_on {
                bus.leave_everything_on();
            }
        });
        let _bench = bench.unwrap();
        let bus = bus.borrow();
        assert!(is_safe(&bus.state()), "{:?}", bus.state());
        let rail = &fixture().rails[0];
        let mut was_off = !left_on;
        for (_, _, state) in &bus.log {
            was_off |= !state.high(rail.enable);
            assert!(!(was_off && state.high(rail.enable)), "a rail came on: {state:?}");
            assert!(left_on || !(state.driven(rail.enable) && state.high(rail.enable)));
        }
    }
}

#[test]
fn a_chip_that_does_not_answer_is_named_and_the_others_are_safe() {
    for (address, id) in [(U1, "U1"), (U2, "U2"), (ADC, "U3"), (DAC, "U4"), (MONITOR_3V3, "U5"), (MONITOR_VCC, "U6")] {
        let (bus, bench) = try_start(|bus| {
            bus.leave_everything_on();
            bus.dead.insert(address);
        });
        let error = bench.err().unwrap();
        assert!(matches!(&error, InstrumentError::Chip { chip, .. } if chip == id), "{error}");
        assert!(error.to_string().starts_with(&format!("{id} does not answer")), "{error}");
        if address != U1 {
            assert!(!bus.borrow().state().high(fixture().rails[0].enable), "{id} is missing, the rails still go off");
        }
    }
    let (_, bench) = try_start(|bus| bus.wrong_id = true);
    assert!(matches!(bench.err(), Some(InstrumentError::Implausible { chip, .. }) if chip == "U5"));
}

#[test]
fn levels_come_before_directions_and_releases_before_both() {
    let bench = start();
    let set = |vector| bench.clock.run(bench.driver.set(vector));
    let first = NailVector { high: contacts([20, 30]), low: contacts([21, 31]), ..NailVector::default() };
    assert_eq!(set(first), Ok(()));
    let second = NailVector { float: contacts([20, 30]), high: contacts([22, 32]), ..NailVector::default() };
    assert_eq!(set(second), Ok(()));
    let bus = bench.bus.borrow();
    let registers: Vec<(u8, u8)> = bus.log.iter().map(|(chip, register, _)| (*chip, *register)).collect();
    let (latch, direction) = (0x14, 0x00);
    let expected = [(U1, latch), (U2, latch), (U1, direction), (U2, direction)];
    assert_eq!(registers[..4], expected, "two writes for each chip");
    let again = [(U1, direction), (U2, direction)].into_iter().chain(expected);
    assert_eq!(registers[4..], again.collect::<Vec<_>>());
    for (_, _, state) in &bus.log {
        assert!(!state.driven(io_of(20)) || state.high(io_of(20)), "contact 20 was never low");
        assert!(!state.high(io_of(21)), "contact 21 was never high");
        assert!(!(state.driven(io_of(20)) && state.driven(io_of(32))), "20 was released before 32 was driven");
        assert!(!state.driven(io_of(22)) || state.high(io_of(22)), "contact 22 was never low");
    }
}

#[test]
fn nothing_is_written_for_a_vector_that_changes_nothing() {
    let bench = start();
    let vector = NailVector { high: contacts(20..24), pull_up: contacts(24..28), ..NailVector::default() };
    for expected in [4, 0] {
        let before = bench.bus.borrow().transfers;
        assert_eq!(bench.clock.run(bench.driver.set(vector)), Ok(()));
        assert_eq!(bench.bus.borrow().transfers - before, expected - usize::from(expected > 0));
    }
}

#[test]
fn reads_only_nails() {
    let bench = start();
    bench.bus.borrow_mut().outside = BTreeMap::from([(U1, 0b0100), (U2, 0x80)]);
    let vector = NailVector { high: contacts([20]), low: contacts([22]), ..NailVector::default() };
    bench.clock.run(bench.driver.set(vector)).unwrap();
    assert_eq!(bench.clock.run(bench.driver.read()), Ok(contacts([20, 37])));
    bench.clock.run(bench.driver.release_all()).unwrap();
    assert_eq!(bench.clock.run(bench.driver.read()), Ok(contacts([22, 37])));
}

#[test]
fn a_reset_of_an_expander_is_detected() {
    let bench = start();
    let vector = NailVector { high: contacts([30]), ..NailVector::default() };
    bench.clock.run(bench.driver.set(vector)).unwrap();
    assert_eq!(bench.clock.run(bench.driver.read()), Ok(contacts([30])));
    bench.bus.borrow_mut().reset(U2);
    let error = bench.clock.run(bench.driver.read()).unwrap_err().to_string();
    assert!(error.contains("U2") && error.contains("was reset"), "{error}");
    bench.clock.run(bench.driver.all_off()).unwrap();
    assert_eq!(bench.clock.run(bench.driver.read()), Ok(contacts([])));
}

#[test]
fn a_forbidden_vector_is_refused_before_any_nail_moves() {
    let bench = start();
    let high = |numbers: &[u8]| NailVector { high: contacts(numbers.iter().copied()), ..NailVector::default() };
    let cases = [
        (high(&[20, 10]), "contact 10 carries a supply"),
        (high(&[20, 1]), "contact 1 carries a supply or ground"),
        (high(&[20, 99]), "contact 99 has no nail"),
        (NailVector { float: contacts([10]), ..high(&[20]) }, "contact 10 has no nail of that kind"),
        (NailVector { low: contacts([20]), ..high(&[20]) }, "contact 20 is in two sets"),
    ];
    for (vector, words) in cases {
        let error = bench.clock.run(bench.driver.set(vector)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(bench.bus.borrow().log.is_empty());
    }
}

#[test]
fn a_failed_write_is_repeated() {
    let bench = start();
    // As often as the driver repeats a transfer by itself.
    bench.bus.borrow_mut().failing.insert(U2, 4);
    let vector = NailVector { high: contacts([30]), ..NailVector::default() };
    assert!(bench.clock.run(bench.driver.set(vector)).is_err());
    assert!(!bench.bus.borrow().state().driven(io_of(30)), "its level is not known to be right");
    assert_eq!(bench.clock.run(bench.driver.set(vector)), Ok(()));
    assert!(bench.bus.borrow().state().high(io_of(30)));
}

fn only_one_bank_is_ever_closed(bus: &FakeBus) {
    let wiring = bed().measure_bus;
    let mut address = None;
    for (_, _, state) in &bus.log {
        let closed = wiring.banks.iter().filter(|bank| state.high(**bank)).count();
        assert!(closed <= 1, "{state:?}");
        let now: Vec<bool> = wiring.address.iter().map(|bit| state.high(*bit)).collect();
        if let Some((before, was_closed)) = address.replace((now.clone(), closed > 0)) {
            assert!(before == now || !(was_closed && closed > 0), "the address changed under a closed bank");
        }
    }
}

#[test]
fn the_measure_bus_breaks_before_it_makes() {
    let bench = start();
    for (contact, volts) in [(21, 1.5), (33, 3.3), (22, -0.2)] {
        bench.bus.borrow_mut().nodes.insert(contact, Node { volts, ohms: 100.0 });
        let measured = bench.clock.run(bench.driver.volts(Contact(contact))).unwrap();
        assert!((measured - volts).abs() < 0.001, "contact {contact}: {measured}");
    }
    let bus = bench.bus.borrow();
    assert!(bus.log.iter().any(|(_, _, state)| state.high(bed().measure_bus.banks[1])));
    only_one_bank_is_ever_closed(&bus);
    assert!(is_safe(&bus.state()));
}

#[test]
fn ohms_over_six_decades() {
    let bench = start();
    for (ohms, tolerance) in
        [(0.0, 1.0), (1.0, 1.0), (50.0, 1.0), (1e3, 5.0), (22e3, 100.0), (100e3, 2e3), (1e9, 0.0), (3e6, 0.0)]
    {
        for own_volts in [0.0, 0.008] {
            bench.bus.borrow_mut().nodes.insert(24, Node { volts: own_volts, ohms });
            let measured = bench.clock.run(bench.driver.ohms(Contact(24))).unwrap();
            assert!((measured - ohms.min(OPEN_OHMS)).abs() <= tolerance, "{ohms} ohm at {own_volts} V: {measured}");
        }
    }
    only_one_bank_is_ever_closed(&bench.bus.borrow());
    assert!(is_safe(&bench.bus.borrow().state()));
    assert_eq!(bench.bus.borrow().dac_volts, 0.0);
}

#[test]
fn no_ohms_of_something_with_power_on_it() {
    let bench = start();
    bench.bus.borrow_mut().nodes.insert(24, Node { volts: 3.3, ohms: 10.0 });
    match bench.clock.run(bench.driver.ohms(Contact(24))) {
        Err(InstrumentError::Energized { contact: Contact(24), volts }) => assert!((volts - 3.3).abs() < 0.001),
        other => panic!("{other:?}"),
    }
    let bus = bench.bus.borrow();
    assert!(bus.log.iter().all(|(_, _, state)| !state.high(bed().measure_bus.source_enable)));
    assert!(is_safe(&bus.state()));
}

#[test]
fn a_broken_source_is_not_a_resistance() {
    let bench = start();
    bench.bus.borrow_mut().dac_scale = 0.0;
    let outcome = bench.clock.run(bench.driver.ohms(Contact(24)));
    assert!(matches!(outcome, Err(InstrumentError::Implausible { chip, .. }) if chip == "U4"));
    assert!(is_safe(&bench.bus.borrow().state()));
}

#[test]
fn a_pulled_contact_gives_way_to_the_source_and_a_driven_one_does_not() {
    let bench = start();
    let fed = bench.clock.run(bench.driver.loaded_volts(Contact(24), 3.3));
    assert!(matches!(fed, Err(InstrumentError::Unsafe(_))), "it would power a module through a pin: {fed:?}");
    assert!(bench.clock.run(bench.driver.loaded_volts(Contact(24), 0.2)).is_ok());
    bench.driver.clear_for_power("3V3", 1e3).unwrap();
    bench.clock.run(bench.driver.on("3V3")).unwrap();
    for (ohms, expected) in [(100.0, 0.033), (10_000.0, 1.65), (1e9, 3.3)] {
        bench.bus.borrow_mut().nodes.insert(24, Node { volts: 0.0, ohms });
        let measured = bench.clock.run(bench.driver.loaded_volts(Contact(24), 3.3)).unwrap();
        assert!((measured - expected).abs() < 0.01, "{ohms} ohm: {measured}");
    }
    for volts in [-0.1, 5.0, f64::NAN] {
        let outcome = bench.clock.run(bench.driver.loaded_volts(Contact(24), volts));
        assert!(matches!(outcome, Err(InstrumentError::Unsafe(_))), "{volts}: {outcome:?}");
        assert!(!bench.bus.borrow().state().high(bed().measure_bus.source_enable));
    }
    assert_eq!(bench.clock.run(bench.driver.volts(Contact(2))), Err(InstrumentError::NotWired(Contact(2))));
}

#[test]
fn a_current_flows_only_where_it_feeds_nothing() {
    let bench = start();
    let inject = |contact: u8, amps: f64| bench.clock.run(bench.driver.inject(Contact(contact), amps));
    // The source behind 10 kohm: 0.1 mA into a kiloohm, next to nothing into an open contact.
    bench.bus.borrow_mut().nodes.insert(24, Node { volts: 0.6, ohms: 1_000.0 });
    let flowing = inject(24, 1e-4).unwrap();
    assert!((flowing.amps - 1e-4).abs() < 6e-6 && (flowing.volts - 0.7).abs() < 0.02, "{flowing:?}");
    assert!(is_safe(&bench.bus.borrow().state()));
    bench.bus.borrow_mut().nodes.insert(25, Node { volts: 0.0, ohms: 1e9 });
    let open = inject(25, 1e-4).unwrap();
    assert!(open.amps < 1e-6 && open.volts > 3.0, "{open:?}");

    let refused = |contact: u8, amps: f64, words: &str| {
        let error = inject(contact, amps).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!bench.bus.borrow().state().high(bed().measure_bus.source_enable), "{words}");
    };
    for amps in [0.0, -1e-3, 3.1e-3, f64::NAN] {
        refused(24, amps, "at most 0.003 A");
    }
    bench.clock.run(bench.driver.discharge("VCC", false)).unwrap();
    refused(24, 1e-4, "rail VCC is not discharged");
    assert_eq!(inject(1, 1e-4), Err(InstrumentError::NotWired(Contact(1))), "ground would be allowed");
    bench.clock.run(bench.driver.discharge("VCC", true)).unwrap();
    assert!(inject(24, 1e-4).is_ok());
    bench.driver.clear_for_power("3V3", 1e3).unwrap();
    bench.clock.run(bench.driver.on("3V3")).unwrap();
    refused(24, 1e-4, "while a rail is on");
    bench.clock.run(bench.driver.all_off()).unwrap();
    assert!(inject(24, 1e-4).is_ok(), "everything is discharged again");
}

#[test]
fn overlapping_measurements_wait_for_each_other() {
    let bench = start();
    bench.bus.borrow_mut().nodes =
        BTreeMap::from([(21, Node { volts: 1.0, ohms: 10.0 }), (33, Node { volts: 2.0, ohms: 10.0 })]);
    let both = join(bench.driver.volts(Contact(21)), bench.driver.volts(Contact(33)));
    let (first, second) = bench.clock.run(both);
    assert!((first.unwrap() - 1.0).abs() < 0.001);
    assert!((second.unwrap() - 2.0).abs() < 0.001);
}

#[test]
fn a_dropped_measurement_opens_the_bus_and_spoils_nothing() {
    let bench = start();
    bench.bus.borrow_mut().nodes =
        BTreeMap::from([(21, Node { volts: 0.0, ohms: 50.0 }), (22, Node { volts: 2.0, ohms: 10.0 })]);
    for us in (100..7_000).step_by(350) {
        let at = bench.clock.now() + Duration::from_micros(us);
        let dropped = bench.clock.run(with_deadline(&bench.clock, at, bench.driver.ohms(Contact(21))));
        assert!(dropped.is_err(), "finished in {us} us");
        assert!(is_safe(&bench.bus.borrow().state()), "dropped after {us} us");
        let volts = bench.clock.run(bench.driver.volts(Contact(22))).unwrap();
        assert!((volts - 2.0).abs() < 0.001, "after a drop at {us} us: {volts}");
    }
}

#[test]
fn no_power_without_a_measured_resistance() {
    let bench = start();
    let on = |rail: &str| bench.clock.run(bench.driver.on(rail));
    let refused = || on("3V3").unwrap_err().to_string();
    assert!(refused().contains("rail 3V3 was not measured for shorts before power"));
    for ohms in [0.0, 3.2, f64::NAN, -1.0] {
        let error = bench.driver.clear_for_power("3V3", ohms).unwrap_err().to_string();
        assert!(error.contains("folds back below 3.30 ohm"), "{error}");
        assert!(refused().contains("not measured"));
    }
    assert_eq!(bench.driver.clear_for_power("VCC", 1e3), Ok(()));
    assert!(refused().contains("3V3"), "the clearance of another rail does not count");
    assert_eq!(bench.driver.clear_for_power("5V", 1e3), Err(InstrumentError::NoSuchRail("5V".to_owned())));
    assert!(is_safe(&bench.bus.borrow().state()));

    assert_eq!(bench.driver.clear_for_power("3V3", 1e3), Ok(()));
    assert_eq!(on("3V3"), Ok(()));
    assert_eq!(bench.clock.run(bench.driver.off("3V3")), Ok(()));
    assert_eq!(on("3V3"), Ok(()), "a power cycle needs no new clearance");
    assert_eq!(bench.clock.run(bench.driver.all_off()), Ok(()));
    assert!(refused().contains("not measured"), "the next unit is another one");
    let events = bench.events.borrow();
    let expected = [true, false, true, false].map(|on| ("3V3".to_owned(), on));
    assert_eq!(*events, expected);
}

/// Whatever removed the power, no later command restores it, and switching on does not report a false success.
#[test]
fn after_a_cut_nothing_is_powered_again() {
    type Cut = fn(&mut FakeBus);
    let rows: [(&str, Cut, &str); 4] = [
        ("an expander that was reset", |bus| bus.reset(U1), "was reset"),
        ("the guard", |bus| bus.set_latch(U1, 0), "were changed"),
        ("held in reset", |bus| assert!(bus.dead.insert(U1)), "does not answer"),
        ("the owner of power", |_| (), "the lid was opened"),
    ];
    let rail = fixture().rails[0].clone();
    assert_eq!(rail.enable.chip, 0, "on U1");
    for (what, cut, expected) in rows {
        let bench = start();
        let run = |order: Result<(), InstrumentError>| order.unwrap_err().to_string();
        bench.driver.clear_for_power("3V3", 1e3).unwrap();
        bench.driver.clear_for_power("VCC", 1e3).unwrap();
        bench.clock.run(bench.driver.on("3V3")).unwrap();
        assert_eq!((0..bench.driver.parts()).map(|part| bench.driver.check(part)).find(Result::is_err), None, "{what}");
        cut(&mut bench.bus.borrow_mut());
        if expected.contains("lid") {
            bench.driver.lock(expected);
        } else {
            let noticed = bench.driver.rail_parts().into_iter().find_map(|part| bench.driver.check(part).err());
            assert!(
                noticed.as_ref().is_some_and(|noticed| noticed.to_string().contains(expected)),
                "{what}: {noticed:?}"
            );
        }
        // Held in reset by a watchdog, it answers again with the next kick.
        let on_before = bench.bus.borrow().state().high(rail.enable);
        let refused = run(bench.clock.run(bench.driver.feed(Contact(10), false)));
        assert!(refused.contains(expected), "{what}: {refused}");
        if bench.bus.borrow_mut().dead.remove(&U1) {
            bench.bus.borrow_mut().reset(U1);
        }
        let vector = NailVector { high: contacts([20]), ..NailVector::default() };
        for refused in [
            run(bench.clock.run(bench.driver.on("VCC"))),
            run(bench.clock.run(bench.driver.discharge("VCC", false))),
            run(bench.clock.run(bench.driver.set(vector))),
            run(bench.clock.run(bench.driver.set_loopback(false))),
        ] {
            assert!(refused.contains(expected), "{what}: {refused}");
        }
        let on = bench.bus.borrow().state().high(rail.enable);
        assert!(!on || on_before && expected.contains("lid"), "{what}: powered again");
        assert_eq!(bench.clock.run(bench.driver.all_off()), Ok(()), "{what}: the safe state is always reached");
        assert!(is_safe(&bench.bus.borrow().state()), "{what}");
    }
}

#[test]
fn a_rail_that_stays_off_is_not_a_success() {
    let bench = start();
    bench.driver.clear_for_power("3V3", 1e3).unwrap();
    // After the driver's start: all shadows are right, and the chip drives nothing.
    bench.bus.borrow_mut().reset(U1);
    let refused = bench.clock.run(bench.driver.on("3V3")).unwrap_err();
    assert!(matches!(&refused, InstrumentError::PowerCut(why) if why.contains("was reset")), "{refused}");
    assert!(bench.events.borrow().is_empty(), "nothing was switched on: {:?}", bench.events.borrow());
}

/// Its module was not measured for shorts yet.
#[test]
fn a_rail_that_is_on_by_itself_feeds_no_module() {
    let bench = start();
    let rail = fixture().rails[0].clone();
    bench.clock.run(bench.driver.alone("3V3", true)).unwrap();
    assert!(bench.bus.borrow().state().high(rail.enable));
    let refused = bench.clock.run(bench.driver.feed(Contact(10), true));
    assert!(matches!(refused, Err(InstrumentError::Unsafe(_))), "{refused:?}");
    bench.clock.run(bench.driver.alone("3V3", false)).unwrap();
    bench.clock.run(bench.driver.feed(Contact(10), true)).unwrap();
    for (_, _, state) in &bench.bus.borrow().log {
        assert!(!(state.high(rail.enable) && state.high(io_of(10))), "{state:?}");
    }
}

#[test]
fn rail_and_discharge_are_never_on_together() {
    let bench = start();
    let rail = fixture().rails[0].clone();
    bench.clock.run(bench.driver.feed(Contact(10), false)).unwrap();
    bench.driver.clear_for_power("3V3", 1e3).unwrap();
    let began = bench.clock.now();
    bench.clock.run(bench.driver.on("3V3")).unwrap();
    assert_eq!(bench.clock.now() - began, rail.rise_time);
    assert!(bench.bus.borrow().state().high(rail.enable));
    let refused = bench.clock.run(bench.driver.discharge("3V3", true));
    assert!(matches!(refused, Err(InstrumentError::Unsafe(_))));
    bench.clock.run(bench.driver.off("3V3")).unwrap();
    bench.clock.run(bench.driver.on("3V3")).unwrap();
    bench.clock.run(bench.driver.all_off()).unwrap();
    let bus = bench.bus.borrow();
    for (_, _, state) in &bus.log {
        assert!(!(state.high(rail.enable) && state.high(rail.discharge)), "{state:?}");
        assert!(!state.high(rail.enable) || state.high(io_of(10)), "the rail came on before its feed: {state:?}");
    }
}

#[test]
fn a_rail_is_measured_by_its_monitor() {
    let bench = start();
    bench.bus.borrow_mut().shunt_volts = 0.00125;
    let RailReading { volts, amps } = bench.clock.run(bench.driver.measure("3V3")).unwrap();
    assert!((volts - 3.3).abs() < 1e-9 && (amps - 0.0125).abs() < 1e-9, "{volts} V, {amps} A");
    bench.bus.borrow_mut().shunt_volts = -0.00125;
    assert!((bench.clock.run(bench.driver.measure("3V3")).unwrap().amps + 0.0125).abs() < 1e-9);
    let both = bench.clock.run(join(bench.driver.measure("3V3"), bench.driver.measure("3V3")));
    assert_eq!(both.0, both.1);
}

#[test]
fn all_off_continues_after_errors() {
    for (dead, failing) in [(Some(U2), None), (Some(DAC), None), (None, Some((U1, 2)))] {
        let bench = start();
        bench.driver.clear_for_power("3V3", 1e3).unwrap();
        bench.driver.clear_for_power("VCC", 1e3).unwrap();
        bench.clock.run(bench.driver.on("3V3")).unwrap();
        bench.clock.run(bench.driver.on("VCC")).unwrap();
        let vector = NailVector { high: contacts([20, 21]), ..NailVector::default() };
        bench.clock.run(bench.driver.set(vector)).unwrap();
        bench.bus.borrow_mut().dead.extend(dead);
        bench.bus.borrow_mut().failing.extend(failing);
        let outcome = bench.clock.run(bench.driver.all_off());
        assert_eq!(
            outcome.is_err(),
            dead.is_some(),
            "a chip that answers at the second attempt is not an error: {outcome:?}"
        );
        let state = bench.bus.borrow().state();
        for rail in &fixture().rails {
            assert!(!state.high(rail.enable) && state.high(rail.discharge), "{dead:?}: {}", rail.name);
        }
        assert!(!state.driven(io_of(20)));
    }
}

#[test]
fn a_driver_that_is_dropped_leaves_the_safe_state() {
    let bench = start();
    bench.driver.clear_for_power("3V3", 1e3).unwrap();
    bench.clock.run(bench.driver.on("3V3")).unwrap();
    bench.clock.run(bench.driver.set_loopback(false)).unwrap();
    assert!(bench.bus.borrow().state().high(bed().link_relay));
    bench.clock.run(UsbSwitch::join(&bench.driver, true)).unwrap();
    assert!(bench.bus.borrow().state().high(fixture().usb.unwrap().switch));
    drop(bench.driver);
    assert!(is_safe(&bench.bus.borrow().state()));
}

#[test]
fn a_peer_is_joined_only_to_a_module_with_power_and_the_safe_state_takes_it_off() {
    let bench = start();
    let select = fixture().peers[0].select;
    let refused = bench.clock.run(bench.driver.connect("eeprom"));
    assert!(matches!(refused, Err(InstrumentError::Unsafe(_))), "{refused:?}");
    bench.clock.run(async {
        bench.driver.clear_for_power("3V3", 1e3).unwrap();
        bench.driver.on("3V3").await.unwrap();
        let unknown = bench.driver.connect("flash").await;
        assert_eq!(unknown, Err(InstrumentError::NoSuchPeer("flash".to_owned())));
        for off in [false, true] {
            bench.driver.connect("eeprom").await.unwrap();
            assert!(bench.bus.borrow().state().high(select));
            match off {
                false => bench.driver.disconnect_all().await.unwrap(),
                true => bench.driver.all_off().await.unwrap(),
            }
            assert!(!bench.bus.borrow().state().high(select));
        }
    });
}
