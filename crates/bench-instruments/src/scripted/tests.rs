//! The doubles panic where they should.

use super::*;
use crate::{
    Clock, ContactSet, Dut, DutError, EdgeCapture, EdgeTrace, InstrumentError, MeasureBus, NailVector, Nails,
    RailReading, Rails,
};
use bench_run::{BenchTime, Contact};
use dut_protocol::{JobResult, PortSet, Reply, Request};
use std::rc::Rc;
use std::time::Duration;

const LEVELS: Reply = Reply::Levels(PortSet::EMPTY);

fn dut(clock: &ManualClock, script: impl IntoIterator<Item = Request>) -> ScriptedDut {
    ScriptedDut::new(Rc::new(clock.clone()), script.into_iter().map(|request| (request, Ok(LEVELS))))
}

#[test]
fn a_module_follows_its_script() {
    let clock = ManualClock::new();
    let dut = dut(&clock, [Request::ReadPorts])
        .with_connections([Err(DutError::Silent { attempts: 15, garbled: 0 })])
        .with_job(1, Duration::from_millis(20), Ok(JobResult::Waited { ms: 20 }));
    assert!(clock.run(dut.connect(1_000_000)).is_err());
    assert_eq!(clock.run(dut.connect(1_000_000)), Ok(1_000_000));
    assert_eq!(clock.run(dut.request(Request::ReadPorts)), Ok(LEVELS));
    assert_eq!(clock.run(dut.job_done(1, BenchTime(10_000))), Err(DutError::JobLate(1)));
    assert_eq!(clock.run(dut.job_done(1, BenchTime(90_000))), Ok(JobResult::Waited { ms: 20 }));
    assert_eq!(clock.now(), BenchTime(20_000));
    assert_eq!(clock.run(dut.echo(b"U", None)), Ok(b"U".to_vec()));
}

#[test]
#[should_panic(expected = "the script plans ReadPorts, but the step asks Identify")]
fn another_request_than_planned() {
    let clock = ManualClock::new();
    let _ = clock.run(dut(&clock, [Request::ReadPorts]).request(Request::Identify));
}

#[test]
#[should_panic(expected = "the script ended, but the step asks ReadPorts")]
fn a_request_too_many() {
    let clock = ManualClock::new();
    let _ = clock.run(dut(&clock, []).request(Request::ReadPorts));
}

#[test]
#[should_panic(expected = "the script of the module was not used up: ReadPorts")]
fn a_request_too_few() {
    drop(dut(&ManualClock::new(), [Request::ReadPorts]));
}

#[test]
#[should_panic(expected = "before it was connected")]
fn a_request_without_connection() {
    let clock = ManualClock::new();
    let dut = dut(&clock, [Request::ReadPorts]);
    clock.run(dut.disconnect());
    let _ = clock.run(dut.request(Request::ReadPorts));
}

#[test]
fn nails_read_what_the_function_says() {
    let clock = ManualClock::new();
    let contacts = |numbers: &[u8]| numbers.iter().copied().map(Contact).collect::<ContactSet>();
    // Contacts 3 and 4 are shorted: low wins.
    let nails = ScriptedNails::new(contacts(&[3, 4, 5]), move |state| {
        let high = state.high.union(state.pull_up);
        if state.low.intersection(contacts(&[3, 4])).is_empty() { high } else { high.minus(contacts(&[3, 4])) }
    });
    let vector = NailVector { high: contacts(&[3, 5]), ..NailVector::default() };
    clock.run(nails.set(vector)).unwrap();
    assert_eq!(clock.run(nails.read()), Ok(contacts(&[3, 5])));
    clock.run(nails.set(NailVector { low: contacts(&[4]), ..NailVector::default() })).unwrap();
    assert_eq!(clock.run(nails.read()), Ok(contacts(&[5])));
    assert_eq!(nails.state(), NailVector { low: contacts(&[4]), ..vector });
    let beyond = NailVector { low: contacts(&[9]), ..NailVector::default() };
    assert_eq!(clock.run(nails.set(beyond)), Err(InstrumentError::NotWired(Contact(9))));
    nails.fail_next(InstrumentError::Link("x".to_owned()));
    assert!(clock.run(nails.read()).is_err());
    clock.run(nails.release_all()).unwrap();
    assert_eq!((nails.state().float, nails.vectors().len()), (contacts(&[3, 4, 5]), 3));
}

#[test]
fn readings_are_used_up_and_standing_ones_stay() {
    let clock = ManualClock::new();
    let (volts, ohms) = (Probing::Volts(Contact(1)), Probing::Ohms(Contact(2)));
    let bus = ScriptedMeasureBus::new(1e3).once(volts, Ok(1.0)).once(volts, Ok(2.0)).always(ohms, Ok(50.0));
    let measured = [1, 2].map(|_| clock.run(bus.volts(Contact(1))));
    assert_eq!(measured, [Ok(1.0), Ok(2.0)]);
    assert_eq!([1, 2].map(|_| clock.run(bus.ohms(Contact(2)))), [Ok(50.0), Ok(50.0)]);
    assert_eq!(bus.taken(), [volts, volts, ohms, ohms]);
}

#[test]
#[should_panic(expected = "the step measures LoadedVolts(Contact(1), 3.3), for which the script has no reading")]
fn a_measurement_that_was_not_planned() {
    let bus = ScriptedMeasureBus::new(1e3).always(Probing::LoadedVolts(Contact(1), 1.0), Ok(0.0));
    let _ = ManualClock::new().run(bus.loaded_volts(Contact(1), 3.3));
}

#[test]
#[should_panic(expected = "the script of the measure bus was not used up: Volts(Contact(1))")]
fn a_measurement_too_few() {
    drop(ScriptedMeasureBus::new(1e3).once(Probing::Volts(Contact(1)), Ok(1.0)));
}

#[test]
fn rails_are_as_strict_as_the_real_ones() {
    let clock = ManualClock::new();
    let reading = RailReading { volts: 3.3, amps: 0.01 };
    let broken = InstrumentError::Chip { chip: "U1".to_owned(), detail: String::new() };
    let rails = ScriptedRails::new([("3V3", reading), ("VCC", reading)]).with_fault("VCC", broken.clone());
    assert!(matches!(clock.run(rails.on("3V3")), Err(InstrumentError::Unsafe(_))));
    assert!(rails.clear_for_power("3V3", f64::NAN).is_err());
    rails.clear_for_power("3V3", 1e3).unwrap();
    rails.clear_for_power("VCC", 1e3).unwrap();
    assert_eq!(clock.run(rails.on("3V3")), Ok(()));
    assert_eq!(clock.run(rails.on("VCC")), Err(broken));
    assert_eq!(clock.run(rails.measure("3V3")), Ok(reading));
    assert!(clock.run(rails.discharge("3V3", true)).is_err());
    assert_eq!(clock.run(rails.feed(Contact(10), false)), Err(InstrumentError::NotWired(Contact(10))));
    clock.run(rails.all_off()).unwrap();
    assert!(!rails.is_on("3V3"));
    assert!(clock.run(rails.on("3V3")).is_err(), "the clearance went with the unit");
    assert_eq!(rails.log(), ["3V3 on", "all off"]);
}

#[test]
fn traces_of_contacts() {
    let window = Duration::from_millis(10);
    // (frequency, duty, edges within the window, level before)
    for (hz, duty, edges, high) in
        [(1e3, 0.25, 18, false), (0.0, 0.5, 0, false), (1e3, 0.0, 0, false), (1e3, 1.0, 0, true), (50.0, 0.5, 0, false)]
    {
        let trace = EdgeTrace::square(hz, duty, window);
        assert_eq!((trace.edges.len(), trace.high_before), (edges, high), "{hz} Hz, {duty}");
        let high_ns = trace.edges.first().zip(trace.edges.get(1)).map(|(rise, fall)| fall.at_ns - rise.at_ns);
        assert_eq!(high_ns, (edges > 0).then_some(250_000), "{hz} Hz, {duty}");
    }
    let edges = ScriptedEdges::default()
        .with(Contact(23), Ok(EdgeTrace::square(1e3, 0.5, window)))
        .with(Contact(33), Err(InstrumentError::NoEdgeLine));
    let clock = ManualClock::new();
    assert_eq!(clock.run(edges.capture(Contact(23), window)).map(|trace| trace.edges.len()), Ok(18));
    assert_eq!(clock.run(edges.capture(Contact(33), window)), Err(InstrumentError::NoEdgeLine));
    assert_eq!(clock.run(edges.capture(Contact(35), window)), Ok(EdgeTrace::default()));
    assert_eq!(edges.captured(), [23, 33, 35].map(Contact));
}
