//! `usb` against a double of the host.

use crate::bed::{Setup, Wiring};
use crate::plans::World;
use crate::steps::{good, refusing, step, story};
use bench_instruments::{DutError, UsbEcho, UsbIds};
use dut_protocol::{Reply, Request, Status};
use std::cell::Cell;

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
