//! `usb` against a double of the host.

use crate::bed::{Bed, RecordedLog};
use crate::bed::{Setup, Wiring};
use crate::plans::World;
use crate::steps::{good, refusing, step, story};
use bench_instruments::{DutError, ManualClock, OpenPort, SerialPorts, SerialUsbHost, UsbEcho, UsbIds, UsbPort};
use bench_steps::StepError;
use dut_protocol::{Reply, Request, Status};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::rc::Rc;

pub const USB: &str = "kind = 'usb'\nrail = 'VUSB'\npull_up = { min = '850 ohm', max = '1.7 kohm' }\n\
                       idle = { max = '0.3 V' }";

thread_local! {
    /// Whether the supply is detected, in the order of the requests.
    static SEEN: Cell<[bool; 2]> = const { Cell::new([false, true]) };
}

pub fn with_usb(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::ReadStatus => {
            let [now, next] = SEEN.get();
            SEEN.set([next, now]);
            Ok(Reply::Status(Status { usb_detected: now, usb_ready: now, crystal_32m: true }))
        }
        other => good(other),
    }
}

/// With power; `plus` and `minus` are the voltages of D+ and D- under 1 kohm against 0 V.
pub fn attached(plus: f64, minus: f64) -> Setup {
    SEEN.set([false, true]);
    let wiring = Wiring { loaded_volts: vec![(11, plus), (13, minus)], ..Wiring::default() };
    let free_volts = vec![(11, if plus > 0.0 { 3.3 } else { 0.0 }), (13, if minus > 0.0 { 3.3 } else { 0.0 })];
    Setup { powered: true, answers: with_usb, wiring, free_volts, ..Setup::default() }
}

/// 1.5 kohm to 3.3 V.
pub const PULLED: f64 = 3.3 / 2.5;

#[test]
fn usb_defects_are_diagnosed() {
    let world = World::new();
    let host = |usb: UsbEcho| Setup { usb: Some(usb), ..attached(PULLED, 0.0) };
    let other = UsbIds { vendor: 0x2B04, product: 0xC00D };
    let rows = [
        (attached(PULLED, 0.0), "ok"),
        (attached(0.0, PULLED), "dut: contacts 11 (USBDATA+) and 13 (USBDATA-): swapped"),
        (attached(0.0, 0.0), "dut: USB: the module pulls D+ (contact 11 (USBDATA+)) up through no resistor"),
        (attached(0.3, 0.0), "dut: contact 11 (USBDATA+): USB pull-up out of tolerance, 10.00 kohm"),
        (attached(PULLED, 3.0), "dut: contact 13 (USBDATA-): USB D- rests at 3.300 V"),
        (
            host(UsbEcho::NoDevice { others: Vec::new() }),
            "dut: USB: D+ is pulled up, but the module does not enumerate",
        ),
        (
            host(UsbEcho::NoDevice { others: vec![other] }),
            "dut: USB: the module does not enumerate as 2b04:c017; the host sees 2b04:c00d",
        ),
        (host(UsbEcho::Received(vec![0; 149])), "ok\nUSB: 1"),
        (host(UsbEcho::Received(Vec::new())), "ok\nUSB: 150 of 150 bytes"),
        (Setup { answers: refusing, ..attached(PULLED, 0.0) }, "bench: the firmware refused"),
    ];
    for (setup, expected) in rows {
        SEEN.set([false, true]);
        let ran = step(&world, USB, setup);
        let report = story(&ran);
        assert!(if expected == "ok" { report == "ok" } else { report.starts_with(expected) }, "{expected}\n{report}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{report}");
        assert!(ran.bed.is_on("VUSB"), "{report}");
    }
}

#[test]
fn a_supply_that_is_not_seen_or_always() {
    let world = World::new();
    for (seen, expected) in [
        ([false, false], "dut: USB supply not detected: rail VUSB is on"),
        ([true, true], "dut: USB supply detected although rail VUSB is off"),
        ([true, false], "dut: USB supply detected although rail VUSB is off"),
    ] {
        let setup = attached(PULLED, 0.0);
        SEEN.set(seen);
        let report = story(&step(&world, USB, setup));
        assert!(report.starts_with(expected), "{expected}\n{report}");
    }
}

/// The system's list of ports on a controller with several nests; every device echoes.
struct Controller(Vec<UsbPort>);

struct Echo(VecDeque<u8>);

impl SerialPorts for Controller {
    fn list(&self) -> std::io::Result<Vec<UsbPort>> {
        Ok(self.0.clone())
    }
    fn open(&self, _: &str) -> std::io::Result<Box<dyn OpenPort>> {
        Ok(Box::new(Echo(VecDeque::new())))
    }
}

impl Read for Echo {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Echo {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl OpenPort for Echo {
    fn waiting(&self) -> std::io::Result<usize> {
        Ok(self.0.len())
    }
}

thread_local! {
    /// The chip's id of the module in the nest.
    static CHIP: Cell<u64> = const { Cell::new(0) };
}

fn with_chip(request: &Request) -> Result<Reply, DutError> {
    match with_usb(request)? {
        Reply::Identity(identity) => Ok(Reply::Identity(dut_protocol::Identity { device_id: CHIP.get(), ..identity })),
        other => Ok(other),
    }
}

/// Two nests on one controller, with modules of equal ids. A module that does not enumerate must not pass by its
/// neighbour's port.
#[test]
fn a_neighbour_with_the_same_ids_is_not_the_module() {
    let world = World::new();
    let platform = &world.family().platform;
    let ids = UsbIds { vendor: platform.usb_vendor, product: platform.usb_product_serial };
    let port = |chip: Option<u64>, name: &str| UsbPort {
        name: name.to_owned(),
        ids,
        serial: chip.map(|chip| format!("{chip:016x}")),
    };
    const A: u64 = 0xA0A1_A2A3_A4A5_A6A7;
    const B: u64 = 0x0B0B_1B2B_3B4B_5B6B;
    let fails = "dut: USB: D+ is pulled up, but the module does not enumerate as 2b04:c017";
    let rows = [
        // Both work.
        (vec![port(Some(A), "1"), port(Some(B), "2")], "ok", "ok"),
        // B's module does not enumerate, whatever the order of other ports.
        (vec![port(Some(A), "1")], "ok", fails),
        (vec![port(Some(B), "1")], fails, "ok"),
        (vec![port(Some(0xC), "0"), port(Some(A), "1")], "ok", fails),
        (vec![port(Some(A), "0"), port(Some(0xC), "1")], "ok", fails),
        (vec![port(Some(0xC), "0"), port(Some(B), "1")], fails, "ok"),
        // Neither works, and two others of the same kind are plugged in.
        (vec![port(Some(0xC), "0"), port(Some(0xD), "1")], fails, fails),
        // Nobody can tell these from each other.
        (vec![port(None, "/dev/ttyACM0"), port(None, "/dev/ttyACM1")], "bench: ", "bench: "),
    ];
    for (ports, a, b) in rows {
        let orders = [ports.clone(), ports.into_iter().rev().collect()];
        for (order, (chip, expected)) in orders.iter().flat_map(|order| [(order, (A, a)), (order, (B, b))]) {
            SEEN.set([false, true]);
            CHIP.set(chip);
            let clock = ManualClock::new();
            let setup = Setup { answers: with_chip, ..attached(PULLED, 0.0) };
            let (_bed, mut nest) = Bed::new(setup, &world.fixture, world.family(), &clock);
            nest.usb = Rc::new(SerialUsbHost::with_ports(Rc::clone(&nest.clock), Rc::new(Controller(order.clone()))));
            let log = RecordedLog::default();
            let plan = world.check(USB).unwrap();
            let outcome = clock.run(plan.steps[0].procedure.run(&nest, &log));
            let told = match &outcome {
                Ok(()) => "ok".to_owned(),
                Err(StepError::Dut(why)) => format!("dut: {why}"),
                Err(StepError::Bench(why)) => format!("bench: {why}"),
            };
            assert!(told.starts_with(expected), "{order:?} {chip:x}: {told}, expected {expected}");
        }
    }
}
