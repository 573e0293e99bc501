//! USBD: what a host gets for what firmware does, transaction by transaction.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::UsbAnswer::{self, Ack, Data, Nak, Silent, Stall};

const USBD: u32 = 0x4002_7000;
const BUFFER: u32 = 0x2000_1000;
const TARGET: u32 = 0x2000_2000;
const GET_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 18, 0];
const SET_LINE_CODING: [u8; 8] = [0x21, 0x20, 0, 0, 0, 0, 7, 0];
const SET_CONFIGURATION: [u8; 8] = [0, 9, 1, 0, 0, 0, 0, 0];
const SET_ADDRESS: [u8; 8] = [0, 5, 42, 0, 0, 0, 0, 0];

fn task(lab: &mut Lab, offset: u32) {
    lab.write(USBD + offset, 1);
}

/// Whether an event came; clears it.
fn came(lab: &mut Lab, offset: u32) -> bool {
    let was = lab.read(USBD + offset) == 1;
    lab.write(USBD + offset, 0);
    was
}

const USBRESET: u32 = 0x100;
const ENDEPIN0: u32 = 0x108;
const EP0DATADONE: u32 = 0x128;
const ENDEPOUT0: u32 = 0x130;
const EP0SETUP: u32 = 0x15C;
const EPDATA: u32 = 0x160;
const STARTEPIN0: u32 = 0x004;
const STARTEPOUT0: u32 = 0x028;
const EP0RCVOUT: u32 = 0x04C;
const EP0STATUS: u32 = 0x050;
const EP0STALL: u32 = 0x054;

/// Powered, enabled, pulled up, reset by the host.
fn attached() -> Lab {
    let mut lab = Lab::new();
    lab.chip.set_vbus(true);
    lab.run(2 * MILLISECOND);
    lab.write(USBD + 0x500, 1);
    lab.run(MILLISECOND);
    lab.write(USBD + 0x504, 1);
    lab.chip.usb_reset();
    assert!(came(&mut lab, USBRESET));
    lab
}

/// Hands bytes to IN endpoint `n`.
fn send(lab: &mut Lab, n: u32, bytes: &[u8]) {
    for (at, word) in bytes.chunks(4).enumerate() {
        let mut four = [0; 4];
        four[..word.len()].copy_from_slice(word);
        lab.write(BUFFER + 4 * at as u32, u32::from_le_bytes(four));
    }
    lab.write(USBD + 0x600 + 20 * n, BUFFER);
    lab.write(USBD + 0x604 + 20 * n, bytes.len() as u32);
    task(lab, STARTEPIN0 + 4 * n);
    assert!(came(lab, ENDEPIN0 + 4 * n));
    assert_eq!(lab.read(USBD + 0x608 + 20 * n), bytes.len() as u32);
}

/// Fetches what OUT endpoint `n` received.
fn fetch(lab: &mut Lab, n: u32) -> Vec<u8> {
    let size = lab.read(USBD + 0x4A0 + 4 * n);
    lab.write(USBD + 0x700 + 20 * n, TARGET);
    lab.write(USBD + 0x704 + 20 * n, size);
    task(lab, STARTEPOUT0 + 4 * n);
    assert!(came(lab, ENDEPOUT0 + 4 * n));
    let mut bytes = vec![0; size as usize];
    lab.chip.read_ram(TARGET, &mut bytes).unwrap();
    bytes
}

#[test]
fn attaches_only_with_supply_enable_and_pull_up() {
    // (VBUS, ENABLE, USBPULLUP, attached)
    for (vbus, enable, pull_up, expected) in
        [(true, 1, 1, true), (false, 1, 1, false), (true, 0, 1, false), (true, 1, 0, false)]
    {
        let mut lab = Lab::new();
        lab.chip.set_vbus(vbus);
        lab.run(2 * MILLISECOND);
        lab.write(USBD + 0x500, enable);
        let ready = lab.wait_for(USBD + 0x400, MILLISECOND);
        assert_eq!(ready.is_some(), vbus && enable == 1, "EVENTCAUSE.READY");
        lab.write(USBD + 0x504, pull_up);
        assert_eq!(lab.chip.usb_pull_up(), expected, "{vbus} {enable} {pull_up}");
        let answer = lab.chip.usb_setup(0, GET_DESCRIPTOR);
        assert_eq!(answer, if expected { Ack } else { Silent });
        lab.chip.set_vbus(false);
        assert!(!lab.chip.usb_pull_up());
        lab.assert_quiet();
    }
}

#[test]
fn the_chip_starts_up_with_or_before_its_usb_supply() {
    let mut lab = Lab::new();
    lab.write(USBD + 0x500, 1);
    lab.run(5 * MILLISECOND);
    assert_eq!(lab.read(USBD + 0x400), 0, "waits for the regulator");
    lab.chip.set_vbus(true);
    lab.run(1_200 * MICROSECOND);
    assert_eq!(lab.read(USBD + 0x400), 1 << 11);
    lab.write(USBD + 0x400, 1 << 11);
    assert_eq!(lab.read(USBD + 0x400), 0);
}

#[test]
fn control_reads() {
    let mut lab = attached();
    assert_eq!(lab.chip.usb_setup(0, GET_DESCRIPTOR), Ack);
    assert!(came(&mut lab, EP0SETUP));
    let setup: Vec<u8> = (0..8).map(|n| lab.read(USBD + 0x480 + 4 * n) as u8).collect();
    assert_eq!(setup, GET_DESCRIPTOR);
    assert_eq!(lab.chip.usb_in(0, 0), Nak, "not ready yet");
    send(&mut lab, 0, &[18, 1, 0, 2, 0xEF]);
    assert!(!came(&mut lab, EP0DATADONE));
    assert_eq!(lab.chip.usb_in(0, 0), Data(vec![18, 1, 0, 2, 0xEF]));
    assert!(came(&mut lab, EP0DATADONE));
    assert_eq!(lab.chip.usb_out(0, 0, &[]), Nak, "the status stage waits for EP0STATUS");
    task(&mut lab, EP0STATUS);
    assert_eq!(lab.chip.usb_out(0, 0, &[]), Ack);
    // With the shortcut, the last packet allows the status stage by itself.
    lab.write(USBD + 0x200, 1 << 2);
    lab.chip.usb_setup(0, GET_DESCRIPTOR);
    send(&mut lab, 0, &[1]);
    assert_eq!((lab.chip.usb_in(0, 0), lab.chip.usb_out(0, 0, &[])), (Data(vec![1]), Ack));
    lab.assert_quiet();
}

#[test]
fn control_writes() {
    let mut lab = attached();
    lab.chip.usb_setup(0, SET_LINE_CODING);
    assert_eq!(lab.chip.usb_out(0, 0, &[0; 7]), Nak, "nothing is taken before EP0RCVOUT");
    task(&mut lab, EP0RCVOUT);
    assert_eq!(lab.chip.usb_out(0, 0, &[1, 2, 3, 4, 5, 6, 7]), Ack);
    assert!(came(&mut lab, EP0DATADONE));
    assert_eq!(fetch(&mut lab, 0), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(lab.chip.usb_in(0, 0), Nak);
    task(&mut lab, EP0STATUS);
    assert_eq!(lab.chip.usb_in(0, 0), Data(vec![]));

    // Without data, refused, and the next SETUP ends the refusal.
    lab.chip.usb_setup(0, SET_CONFIGURATION);
    task(&mut lab, EP0STALL);
    assert_eq!((lab.chip.usb_in(0, 0), lab.chip.usb_out(0, 0, &[])), (Stall, Stall));
    assert_eq!(lab.chip.usb_setup(0, SET_CONFIGURATION), Ack);
    assert_eq!(lab.chip.usb_in(0, 0), Nak);
    lab.assert_quiet();
}

#[test]
fn the_address_is_taken_without_firmware() {
    let mut lab = attached();
    lab.chip.usb_setup(0, SET_ADDRESS);
    assert_eq!(lab.read(USBD + 0x470), 0, "until the status stage is through");
    assert_eq!(lab.chip.usb_in(0, 0), Data(vec![]));
    assert_eq!(lab.read(USBD + 0x470), 42);
    assert_eq!(lab.chip.usb_setup(0, GET_DESCRIPTOR), Silent);
    assert_eq!(lab.chip.usb_setup(42, GET_DESCRIPTOR), Ack);
    lab.chip.usb_reset();
    assert_eq!(lab.chip.usb_setup(0, GET_DESCRIPTOR), Ack);
}

#[test]
fn bulk_endpoints() {
    let mut lab = attached();
    assert_eq!(lab.chip.usb_in(0, 2), Silent, "not enabled");
    lab.write(USBD + 0x510, 0b101);
    lab.write(USBD + 0x514, 0b1001);
    assert_eq!((lab.chip.usb_in(0, 2), lab.chip.usb_out(0, 3, b"x")), (Nak, Nak), "SIZE must be written first");

    for packet in [&b"hello"[..], b"", &[0xA5; 64]] {
        send(&mut lab, 2, packet);
        assert_eq!(lab.chip.usb_in(0, 2), Data(packet.to_vec()));
        assert!(came(&mut lab, EPDATA));
        assert_eq!(lab.read(USBD + 0x46C), 1 << 2);
        lab.write(USBD + 0x46C, 1 << 2);
        assert_eq!(lab.chip.usb_in(0, 2), Nak, "sent once");

        lab.write(USBD + 0x4AC, 0);
        assert_eq!(lab.chip.usb_out(0, 3, packet), Ack);
        assert!(came(&mut lab, EPDATA));
        assert_eq!(lab.read(USBD + 0x46C), 1 << 19);
        lab.write(USBD + 0x46C, 1 << 19);
        assert_eq!(lab.chip.usb_out(0, 3, b"more"), Nak, "the buffer is full");
        assert_eq!(fetch(&mut lab, 3), packet);
    }
    assert_eq!(lab.chip.usb_out(0, 3, b"more"), Ack, "fetching frees the buffer");

    // EPSTALL: endpoint, direction, stall.
    let halted = |lab: &mut Lab| [0x428, 0x450].map(|offset| lab.read(USBD + offset));
    lab.write(USBD + 0x518, 2 | 1 << 7 | 1 << 8);
    lab.write(USBD + 0x518, 3 | 1 << 8);
    assert_eq!(halted(&mut lab), [1, 1]);
    let both: [UsbAnswer; 2] = [lab.chip.usb_in(0, 2), lab.chip.usb_out(0, 3, b"x")];
    assert_eq!(both, [Stall, Stall]);
    lab.write(USBD + 0x518, 2 | 1 << 7);
    assert_eq!(halted(&mut lab), [0, 1]);
    lab.assert_quiet();
}

#[test]
fn frames_are_counted_and_errata_registers_accepted() {
    let mut lab = attached();
    lab.chip.usb_start_of_frame(0x9AB);
    assert!(came(&mut lab, 0x154));
    assert_eq!(lab.read(USBD + 0x520), 0x1AB);
    for address in [0x4006_EC00, 0x4006_EC14, 0x4006_ED14] {
        lab.write(address, 0x9375);
        lab.read(address);
    }
    lab.assert_quiet();
}

#[test]
fn what_is_missing_is_told() {
    for (offset, text) in [(0x024, "isochronous"), (0x058, "driving D+ and D-")] {
        let mut lab = attached();
        task(&mut lab, offset);
        let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
        assert!(texts.len() == 1 && texts[0].contains(text), "{texts:?}");
    }
    let mut lab = Lab::new();
    task(&mut lab, EP0STATUS);
    assert!(lab.chip.diagnostics()[0].to_string().contains("while not enabled"));
}
