//! Rows of (content of the nest, expected text), and each kind with each call of an instrument failing.

use crate::bed::{Ran, Setup, TagDouble, To, Wiring, run, silent};
use crate::plans::World;
use bench_instruments::{DutError, RailReading};
use bench_steps::StepError;
use dut_protocol::{Identity, PortSet, Refusal, Reply, Request};
use std::fmt::Write as _;

const LOOPBACK: &str = "kind = 'link-loopback'";
const RAILS: &str = "kind = 'rail-resistance'\nohms = { min = '200 ohm' }";
const GROUNDS: &str = "kind = 'continuity'\npins = 'ground'\nohms = { max = '5 ohm' }";
const SUPPLIES: &str = "kind = 'continuity'\npins = ['VCC', '3V3']\nohms = { max = '20 ohm' }";
const ISOLATION: &str = "kind = 'isolation'\npins = ['A0', 'A1', 'D2', 'MODE']\nohms = { min = '100 kohm' }";
const HELD: &str = "kind = 'isolation'\npins = ['A0', 'A1']\nohms = { min = '100 kohm' }\n\
                    held = [{ pins = ['SIM_VCC'], ohms = { min = '3 ohm', max = '30 ohm' } }]";
const RAIL_ON: &str = "kind = 'rail-on'\nrail = '3V3'\nvolts = { min = '3.2 V', max = '3.4 V' }\n\
                       amps = { min = '1 mA', max = '30 mA' }\nsettle = '20 ms'";
const IDENTIFY: &str = "kind = 'identify'\nbaud = 1000000\nsupply = '3V3'\n\
                        rx_pull = { min = '10.4 kohm', max = '16.8 kohm' }";
const IDENTIFY_DRIVE: &str = "kind = 'identify'\nbaud = 1000000\nsupply = '3V3'\ntx_drive = { max = '450 ohm' }";
const INTERCONNECT: &str = "kind = 'interconnect'\npins = ['A0', 'A1', 'MODE']\nsupply = '3V3'";
const ADC: &str = "kind = 'adc'\npins = ['A0', 'A1']\nlevels = ['0.1 V', '0.6 V', '1.2 V', '2 V', '3 V']\n\
                   offset = { min = '-15 mV', max = '15 mV' }\ngain_error = { min = '-3 %', max = '3 %' }\n\
                   linearity = { max = '6 mV' }\ncrosstalk = { max = '8 mV' }\nsupply = '3V3'";
const PULLS: &str =
    "kind = 'pulls'\npins = ['A0', 'A1']\nohms = { min = '10.4 kohm', max = '16.8 kohm' }\nsupply = '3V3'";

pub fn step(world: &World, text: &str, setup: Setup) -> Ran {
    let plan = world.check(text).unwrap_or_else(|problem| panic!("{problem}"));
    run(&*plan.steps[0].procedure, setup, &world.fixture, world.family())
}

/// "ok", "dut: why", "bench: why"; then the diagnoses, one per line.
pub fn story(ran: &Ran) -> String {
    let mut story = match &ran.outcome {
        Ok(()) => "ok".to_owned(),
        Err(StepError::Dut(why)) => format!("dut: {why}"),
        Err(StepError::Bench(why)) => format!("bench: {why}"),
    };
    for text in ran.log.texts() {
        write!(story, "\n{text}").unwrap();
    }
    story
}

fn joint(contact: u8, to: To, ohms: f64) -> Setup {
    Setup { wiring: Wiring { joints: vec![(contact, to, ohms)], ..Wiring::default() }, ..Setup::default() }
}

fn rail_joint(rail: &'static str, to: To, ohms: f64) -> Setup {
    Setup { wiring: Wiring { rail_joint: Some((rail, to, ohms)), ..Wiring::default() }, ..Setup::default() }
}

fn opens(contacts: &[u8]) -> Setup {
    Setup { wiring: Wiring { opens: contacts.to_vec(), ..Wiring::default() }, ..Setup::default() }
}

fn cold(contact: u8, ohms: f64) -> Setup {
    Setup { wiring: Wiring { cold: vec![(contact, ohms)], ..Wiring::default() }, ..Setup::default() }
}

fn reading(volts: f64, amps: f64) -> Setup {
    Setup { reading: RailReading { volts, amps }, ..Setup::default() }
}

pub fn powered(answers: fn(&Request) -> Result<Reply, DutError>, loaded_volts: &[(u8, f64)]) -> Setup {
    let wiring = Wiring { loaded_volts: loaded_volts.to_vec(), ..Wiring::default() };
    Setup { powered: true, answers, wiring, ..Setup::default() }
}

/// A B404X whose flash holds its own serial number.
pub fn good(request: &Request) -> Result<Reply, DutError> {
    let bytes = |bytes: &[u8]| Ok(Reply::Bytes(bytes.iter().copied().collect()));
    match request {
        Request::Identify => Ok(Reply::Identity(Identity {
            firmware_version: "0.1.0".try_into().unwrap(),
            git_hash: "0".try_into().unwrap(),
            device_id: 1,
            part: 0x52840,
            variant: 0x4141_4430,
            ram_kib: 256,
            flash_kib: 1024,
            reset_reason: 0,
            uptime_ms: 1,
        })),
        Request::SpiTransfer(spi) => match (spi.write.first(), spi.read) {
            (Some(0x9f), 3) => bytes(&[0xc2, 0x20, 0x16]),
            (Some(0x03), 15) => bytes(b"P042AB123456789"),
            (Some(0x03), 1) => bytes(&[0x47]),
            (_, 0) => bytes(&[]),
            other => panic!("unexpected exchange {other:02x?}"),
        },
        Request::SampleAdc(_) => Ok(Reply::Samples([100; 4].into_iter().collect())),
        Request::ApplyVector(_) | Request::ReadPorts => Ok(Reply::Levels(PortSet::EMPTY)),
        _ => Ok(Reply::Done),
    }
}

pub fn refusing(_: &Request) -> Result<Reply, DutError> {
    Err(DutError::Refused(Refusal::HelloFirst))
}

fn with_a_short_answer(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiTransfer(_) => Ok(Reply::Bytes([0xc2].into_iter().collect())),
        other => good(other),
    }
}

fn with_a_garbled_serial(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiTransfer(spi) if spi.read == 15 => {
            Ok(Reply::Bytes([b'P', 0xff].into_iter().cycle().take(15).collect()))
        }
        other => good(other),
    }
}

fn of_another_unit(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::SpiTransfer(spi) if spi.read == 15 => Ok(Reply::Bytes(b"P042AB000000000".iter().copied().collect())),
        other => good(other),
    }
}

const EVERY_CONTACT: [u8; 75] = {
    let mut all = [0; 75];
    let mut i = 0;
    while i < all.len() {
        all[i] = i as u8 + 1;
        i += 1;
    }
    all
};

/// 13 kohm to 3.3 V, loaded through 1 kohm.
pub const PULLED_UP: f64 = 3.3 / 14.0;

#[test]
fn doctor_findings() {
    let world = World::new();
    let rows: Vec<(&str, Setup, &str)> = vec![
        (LOOPBACK, Setup::default(), "ok"),
        (
            LOOPBACK,
            Setup { loopback_works: false, ..Setup::default() },
            "bench: the bench does not hear exactly what it sends",
        ),
        (RAILS, Setup::default(), "ok"),
        (RAILS, rail_joint("VUSB", To::Ground, 3.0), "): shorted to ground, 2.997 ohm; it was not switched on"),
        (RAILS, rail_joint("VUSB", To::Ground, 150.0), "shorted to ground, 142.9 ohm"),
        (
            RAILS,
            rail_joint("3V3", To::Rail("VCC"), 0.0),
            "12 (3V3)): shorted to rail VCC; it was not switched on\nrail VCC",
        ),
        (GROUNDS, Setup::default(), "ok"),
        (GROUNDS, opens(&[1, 56]), "ok\ncontact 1 (GND): open\ncontact 56 (GND): open"),
        (GROUNDS, opens(&EVERY_CONTACT), "bench: no contact of"),
        (SUPPLIES, Setup::default(), "ok"),
        (SUPPLIES, opens(&[10]), "ok\ncontact 10 (3V3): open"),
        (SUPPLIES, cold(10, 200.0), "ok\ncontact 10 (3V3): cold joint, 196.8 ohm in series"),
        (SUPPLIES, cold(12, 60.0), "ok\ncontact 12 (3V3): cold joint, 56.78 ohm in series"),
        (
            SUPPLIES,
            Setup { wiring: Wiring { cold: vec![(10, 60.0), (12, 60.0)], ..Wiring::default() }, ..Setup::default() },
            "ok\ncontact 10 (3V3): cold joint, 111.9 ohm in series\ncontact 12 (3V3): cold joint, 111.9 ohm in series",
        ),
        (ISOLATION, Setup::default(), "ok"),
        (ISOLATION, joint(23, To::Contact(33), 12.0), "ok\ncontacts 23 (A0) and 33 (A1): shorted, 12.00 ohm"),
        (ISOLATION, joint(23, To::Contact(71), 5e3), "ok\ncontacts 23 (A0) and 71 (SIM_CLK): leak, 5.000 kohm"),
        (ISOLATION, joint(23, To::Ground, 0.5), "ok\ncontact 23 (A0): shorted to ground, 500.0 mohm"),
        (ISOLATION, joint(23, To::Rail("3V3"), 0.0), "ok\ncontact 23 (A0): shorted to 3V3, 0.000 ohm"),
        (
            ISOLATION,
            joint(42, To::Rail("VUSB"), 0.0),
            "ok\ncontact 42 (D2): shorted to VUSB at contact 16 (VUSB), 0.000 ohm",
        ),
        (HELD, joint(67, To::Ground, 10.0), "ok"),
        (HELD, Setup::default(), "ok\ncontact 67 (SIM_VCC): open, nothing holds it at ground"),
        (HELD, joint(67, To::Ground, 210.0), "through 210.0 ohm, which is too much: cold joint"),
        (HELD, joint(67, To::Ground, 0.1), "ok\ncontact 67 (SIM_VCC): shorted to ground, 100.0 mohm"),
        (HELD, joint(23, To::Ground, 10.0), "ok\ncontacts 23 (A0) and 67 (SIM_VCC): exchanged, each leads"),
        (HELD, joint(69, To::Ground, 10.0), "ok\ncontacts 67 (SIM_VCC) and 69 (SIM_RST): exchanged, each leads"),
        (RAIL_ON, reading(3.3, 0.01), "ok"),
        (RAIL_ON, reading(3.1, 0.01), "bench: rail 3V3: only 3.100 V at 10.00 mA, and its supply must deliver"),
        (RAIL_ON, reading(3.5, 0.01), "ok\nrail 3V3: 3.500 V"),
        (RAIL_ON, reading(3.3, 0.0), "ok\nrail 3V3: the module draws only 0.000 A"),
        (RAIL_ON, reading(3.3, 0.2), "ok\nrail 3V3: overloaded, 200.0 mA at 3.300 V"),
        (RAIL_ON, reading(f64::NAN, 0.01), "ok"),
        (IDENTIFY, powered(good, &[(38, PULLED_UP)]), "ok"),
        (IDENTIFY, powered(good, &[(38, 0.0)]), "ok\ncontact 38 (RX): no pull-up"),
        (IDENTIFY, powered(good, &[(38, 3.3 / 5.0)]), "ok\ncontact 38 (RX): pull-up out of tolerance, 4.000 kohm"),
        (IDENTIFY_DRIVE, powered(good, &[(36, 2.8)]), "ok"),
        (
            IDENTIFY_DRIVE,
            powered(good, &[(36, 1.8)]),
            "ok\ncontact 36 (TX): drives high through 833.3 ohm: weak driver or cold joint",
        ),
        (IDENTIFY, powered(of_another_unit, &[(38, PULLED_UP)]), "the label belongs to another module"),
        (IDENTIFY, powered(with_a_garbled_serial, &[(38, PULLED_UP)]), "serial number: the module has P\\xffP"),
        (IDENTIFY, powered(with_a_short_answer, &[(38, PULLED_UP)]), "bench: the firmware answered out of turn"),
        (IDENTIFY, powered(refusing, &[(38, PULLED_UP)]), "bench: the firmware refused: HelloFirst"),
        (
            IDENTIFY,
            Setup { reading: RailReading { volts: 0.2, amps: 0.0 }, ..powered(good, &[]) },
            "bench: rail 3V3 carries only 0.200 V",
        ),
        (IDENTIFY, Setup { connects: false, ..powered(good, &[(36, 3.2), (34, PULLED_UP)]) }, "dut: contact 36 (TX): "),
        (IDENTIFY, Setup { connects: false, ..powered(good, &[(34, PULLED_UP)]) }, "dut: the module does not start"),
        (
            IDENTIFY,
            Setup { connects: false, loopback_works: false, ..powered(good, &[]) },
            "bench: the bench does not hear",
        ),
        (INTERCONNECT, powered(refusing, &[]), "bench: the firmware refused"),
        (INTERCONNECT, Setup { connects: false, ..powered(|_| Err(silent()), &[]) }, "dut: the module does not answer"),
        (
            INTERCONNECT,
            Setup { loopback_works: false, ..powered(|_| Err(silent()), &[]) },
            "bench: the bench does not hear",
        ),
        (PULLS, powered(good, &[]), "contact 23 (A0): no pull of port P0.03 reaches it (up none, down none)"),
        (PULLS, powered(refusing, &[]), "bench: the firmware refused"),
        (PULLS, powered(|_| Err(silent()), &[]), "dut: the module does not answer"),
    ];
    let mut wrong = Vec::new();
    for (text, setup, expected) in rows {
        let wiring = setup.wiring.clone();
        let reading = setup.reading;
        let ran = step(&world, text, if text == RAIL_ON { cleared(setup) } else { setup });
        let story = story(&ran);
        let whole = expected.starts_with("ok") && !expected.ends_with("leads");
        let fits = if whole { story == expected } else { story.contains(expected) };
        if !fits {
            wrong.push(format!(
                "{text}
{wiring:?} {reading:?}
  expected {expected}
  got {story}"
            ));
        }
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{text}\n{wiring:?}\n{story}");
        if ran.outcome.is_ok() {
            let measurements = &world.check(text).unwrap().steps[0].step.measurements;
            assert_eq!(ran.log.measured.borrow().len(), measurements.len(), "{text}: not all that was promised");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A rail may only be switched on after it was measured.
fn cleared(setup: Setup) -> Setup {
    Setup { cleared: true, ..setup }
}

#[test]
fn a_rail_that_does_not_pass_is_switched_off_again() {
    let world = World::new();
    for (volts, amps, on) in
        [(3.3, 0.01, true), (3.3, 0.2, false), (3.0, 0.01, false), (3.3, 0.0, false), (f64::NAN, 0.01, false)]
    {
        let ran = step(&world, RAIL_ON, cleared(reading(volts, amps)));
        assert_eq!(ran.bed.is_on("3V3"), on, "{volts} {amps}");
    }
    let ran = step(&world, RAIL_ON, reading(3.3, 0.01));
    assert!(story(&ran).starts_with("bench: refused: rail 3V3 was not measured"), "{}", story(&ran));
}

/// Whichever instrument fails in the middle of a step: it is the bench's fault, and nothing is left driven, open or
/// floating.
#[test]
fn a_failing_instrument_is_an_error_and_leaves_nothing_behind() {
    let world = World::new();
    type Row = (&'static str, fn() -> Setup);
    let rows: Vec<Row> = vec![
        (LOOPBACK, Setup::default),
        (RAILS, || rail_joint("3V3", To::Rail("VCC"), 0.0)),
        (GROUNDS, || opens(&[1])),
        (SUPPLIES, || opens(&[10])),
        (ISOLATION, || joint(23, To::Contact(33), 12.0)),
        (ISOLATION, || joint(23, To::Rail("3V3"), 0.0)),
        (HELD, || joint(69, To::Ground, 10.0)),
        (SUPPLIES, || cold(10, 200.0)),
        (RAIL_ON, || cleared(reading(3.3, 0.2))),
        (IDENTIFY, || powered(good, &[(38, PULLED_UP)])),
        (IDENTIFY, || Setup { connects: false, ..powered(good, &[(36, 3.2)]) }),
        (INTERCONNECT, || powered(good, &[(23, 3.2)])),
        (INTERCONNECT, || powered(|_| Err(silent()), &[])),
        (PULLS, || powered(good, &[])),
        (ADC, || powered(good, &[])),
        (crate::contacts::CLAMP_DIODES, || opens(&[16])),
        (crate::contacts::ENABLE, || powered(good, &[])),
        (crate::contacts::DRIVE, || powered(good, &[])),
        (crate::contacts::RESET, || powered(good, &[])),
        (crate::contacts::RESET, crate::contacts::reset_and_tx_exchanged),
        (crate::contacts::PULLED_TO, || crate::contacts::sim(0.032, 0.03)),
        (crate::contacts::QUIET, || powered(good, &[(14, 3.2)])),
        (crate::power::RETAINED, || {
            crate::power::remember(&[0; 6]);
            powered(crate::power::with_memory, &[])
        }),
        (crate::power::SUPPLY_CURRENT, || powered(crate::power::asleep_and_woken, &[])),
        (crate::usb::USB, || crate::usb::attached(crate::usb::PULLED, 0.0)),
        (crate::ble::BLE, || crate::ble::air(crate::ble::good_adverts, crate::ble::GOOD)),
        (crate::nfc::NFC, || crate::nfc::tagged(TagDouble { weakest: 9, ..TagDouble::default() })),
        (crate::power::LINK_PULLS, || powered(good, &[(36, PULLED_UP)])),
        (crate::power::LINK_PORTS, || powered(good, &[(36, PULLED_UP), (38, 3.2)])),
    ];
    let mut wrong = Vec::new();
    for (text, setup) in rows {
        let calls = step(&world, text, setup()).bed.calls();
        assert!(calls > 1, "{text}");
        for failing in 0..calls {
            let ran = step(&world, text, Setup { failing_call: Some(failing), ..setup() });
            let story = story(&ran);
            let mut left = ran.bed.left_behind();
            if text == RAIL_ON && ran.bed.is_on("3V3") {
                left.push("3V3 is on".to_owned());
            }
            if !story.starts_with("bench: io0 does not answer") || !left.is_empty() {
                wrong.push(format!("{text}\ncall {failing} of {calls}: {story}; left behind: {left:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n\n"));
}
