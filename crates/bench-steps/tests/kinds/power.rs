//! Steps that restart the module, cut its power or put it to sleep.

use crate::bed::{Answers, Setup};
use crate::plans::World;
use crate::steps::{PULLED_UP, good, powered, refusing, step, story};
use bench_instruments::{DutError, RailReading};
use dut_protocol::{Identity, JobResult, JobState, Reply, Request};
use std::cell::RefCell;
use std::collections::VecDeque;

pub const RETAINED: &str = "kind = 'retained'\nsupply = '3V3'\nrails = ['3V3', 'VCC', 'VUSB', 'VBUS_MODEM']";
pub const SUPPLY_CURRENT: &str = "kind = 'supply-current'\nsupply = '3V3'\nidle = { max = '20 mA' }\n\
                                  busy = { max = '20 mA' }\nsleep = { max = '15 mA' }\n\
                                  others = { VCC = { max = '12 mA' } }\nwake = 'MODE'";
pub const LINK_PULLS: &str = "kind = 'link-pulls'\nsupply = '3V3'\nohms = { min = '10.4 kohm', max = '60 kohm' }";
pub const LINK_PORTS: &str = "kind = 'link-pulls'\nsupply = '3V3'\nohms = { min = '10.4 kohm', max = '60 kohm' }\n\
                              rx_drive = { min = '15 ohm', max = '110 ohm' }";

const RESET_PIN: u32 = 1;
const SOFTWARE: u32 = 1 << 2;
const WOKEN: u32 = 1 << 16;
const BITS: u32 = 3068 * 8;

thread_local! {
    /// Results of the checks of the retained memory, in order; after them half of the bits.
    static WRONG_BITS: RefCell<VecDeque<u32>> = RefCell::default();
}

fn with_reason(request: &Request, reset_reason: u32) -> Result<Reply, DutError> {
    match good(request)? {
        Reply::Identity(identity) => Ok(Reply::Identity(Identity { reset_reason, ..identity })),
        other => Ok(other),
    }
}

pub fn with_memory(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::CheckRetained { .. } => {
            let wrong_bits = WRONG_BITS.with_borrow_mut(|bits| bits.pop_front().unwrap_or(BITS / 2));
            Ok(Reply::Retained { wrong_bits })
        }
        other => with_reason(other, RESET_PIN | SOFTWARE),
    }
}

fn never_reset_by_contact(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::Identify => with_reason(request, SOFTWARE),
        other => with_memory(other),
    }
}

/// For every check but the last.
pub fn remember(wrong_bits: &[u32]) {
    WRONG_BITS.set(wrong_bits.iter().copied().collect());
}

#[test]
fn losses_of_retained_memory_are_diagnosed() {
    let world = World::new();
    let rows: [(&[u32], Answers, &str); 8] = [
        (&[0; 6], with_memory, "ok"),
        (&[0, 0, 0, 0, 0, 0, 6135], with_memory, "ok\nretained memory: only 6135 of 24544 bits lost while 3V3 was off"),
        (&[0, 12000, 0, 0, 12001, 0], with_memory, "ok\nretained memory: 24001 of 49088 bits lost in a restart"),
        (&[0, 0, 0, 0, 0, 1], with_memory, "ok\nretained memory: 1 of 49088 bits lost in a reset by contact"),
        (&[3], with_memory, "dut: retained memory: 3 of 24544 bits cannot be written"),
        (
            &[0; 6],
            never_reset_by_contact,
            "dut: a reset by its contact was requested, but the chip reports the reset reason 0x4",
        ),
        (&[], good, "bench: the firmware answered out of turn"),
        (&[], refusing, "bench: the firmware refused"),
    ];
    for (wrong_bits, answers, expected) in rows {
        remember(wrong_bits);
        let ran = step(&world, RETAINED, powered(answers, &[]));
        let report = story(&ran);
        assert!(if expected == "ok" { report == "ok" } else { report.starts_with(expected) }, "{expected}\n{report}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{report}");
        assert!(["3V3", "VCC", "VUSB", "VBUS_MODEM"].iter().all(|rail| ran.bed.is_on(rail)), "{report}");
    }
}

pub fn asleep_and_woken(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::StartJob(_) => Ok(Reply::JobAccepted { job: 1 }),
        Request::PollJob { job } => {
            Ok(Reply::JobState { job: *job, state: JobState::Done(JobResult::Waited { ms: 12 }) })
        }
        other => with_reason(other, WOKEN),
    }
}

fn started_by_its_contact(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::Identify => with_reason(request, RESET_PIN),
        other => asleep_and_woken(other),
    }
}

#[test]
fn supply_currents_are_diagnosed() {
    let world = World::new();
    let drawing = |amps: f64, answers| Setup { reading: RailReading { volts: 3.3, amps }, ..powered(answers, &[]) };
    let rows = [
        (drawing(0.01, asleep_and_woken), "ok"),
        (
            drawing(0.018, asleep_and_woken),
            "ok\nsupply current: the module draws 18.00 mA while it sleeps from rail VCC\n\
             supply current: the module draws 18.00 mA in deep sleep from rail 3V3",
        ),
        (
            drawing(0.01, started_by_its_contact),
            "ok\nthe module did not sleep until contact 32 (MODE) became high: it reports the reset reason 0x1",
        ),
        (drawing(0.01, good), "bench: the firmware answered out of turn"),
        (drawing(0.01, refusing), "bench: the firmware refused"),
    ];
    for (setup, expected) in rows {
        let ran = step(&world, SUPPLY_CURRENT, setup);
        let report = story(&ran);
        assert_eq!(if report.starts_with("ok") { report.as_str() } else { &report[..expected.len()] }, expected);
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{report}");
    }
}

#[test]
fn the_pulls_of_the_links_tx() {
    let world = World::new();
    for (volts, expected) in [
        (&[(36, PULLED_UP)][..], "ok"),
        (&[(36, 3.2)], "ok\ncontact 36 (TX): internal pulls out of tolerance (up 31.25 ohm, down none)"),
        (&[(36, 0.0)], "ok\ncontact 36 (TX): internal pulls out of tolerance (up none, down 10.00 kohm)"),
    ] {
        let ran = step(&world, LINK_PULLS, powered(good, volts));
        assert_eq!(story(&ran), expected);
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{volts:?}");
    }
    let ran = step(&world, LINK_PULLS, Setup { connects: false, ..powered(good, &[]) });
    let silent = "dut: the module does not answer after it lent the ports of its link";
    assert!(story(&ran).starts_with(silent), "{}", story(&ran));
}

#[test]
fn the_driver_of_the_links_rx() {
    let world = World::new();
    for (volts, expected) in [
        (3.25, "ok\ncontact 38 (RX): its port drives high through 15.38 ohm, low through none: weak driver"),
        (1.65, "ok\ncontact 38 (RX): its port drives high through 1.000 kohm, low through none: weak driver"),
    ] {
        let ran = step(&world, LINK_PORTS, powered(good, &[(36, PULLED_UP), (38, volts)]));
        assert!(story(&ran).starts_with(expected), "{}", story(&ran));
        assert_eq!(ran.log.measured.borrow().len(), 4);
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{volts:?}");
    }
}

#[test]
fn plans_that_cannot_work_are_refused() {
    let world = World::new();
    for (text, expected) in [
        ("kind = 'retained'\nsupply = '3V3'\nrails = ['VCC']", "the rails to switch off do not include 3V3"),
        ("kind = 'retained'\nsupply = '3V3'\nrails = ['3V3', '5V']", "the fixture has no rail `5V`"),
        (&SUPPLY_CURRENT.replace("MODE", "SIM_CLK"), "SIM_CLK is not a pin with a port"),
        (&SUPPLY_CURRENT.replace("VCC", "V"), "the fixture has no rail `V`"),
    ] {
        let problem = world.check(text).err().unwrap_or_else(|| panic!("{text} was accepted")).to_string();
        assert!(problem.contains(expected), "{text}\n{problem}");
    }
}
