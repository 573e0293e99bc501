//! The firmware's USB device against the host of the virtual controller.

use crate::hands::{run, setup};
use bench_instruments::{UsbEcho, UsbHost, UsbIds};
use dut_protocol::{Reply, Request};
use std::time::Duration;

const IDS: UsbIds = UsbIds { vendor: 0x2B04, product: 0xC017 };

#[test]
fn enumerates_and_sends_back_while_both_lines_get_through() {
    let bytes: Vec<u8> = (0..=200).collect();
    let nothing = || UsbEcho::NoDevice { others: Vec::new() };
    // (faults, switch, ids that the host looks for, outcome)
    let rows = [
        (&[][..], true, IDS, UsbEcho::Received(bytes.clone())),
        (&[], false, IDS, nothing()),
        (&[], true, UsbIds { product: 0xC019, ..IDS }, UsbEcho::NoDevice { others: vec![IDS] }),
        (&["usb-dead"], true, IDS, nothing()),
        (&["open:11"], true, IDS, nothing()),
        (&["open:13"], true, IDS, nothing()),
        (&["swap:11-13"], true, IDS, nothing()),
        (&["short:11-13"], true, IDS, nothing()),
    ];
    for (faults, joined, ids, expected) in rows {
        let setup = setup("b404x", faults, 1);
        let host = setup.bench.usb_host();
        let mut hands = setup.hands.clone();
        run(&setup, async {
            hands.rail("VUSB", true);
            hands.power_up().await;
            hands.hello().await.unwrap();
            let start = Request::StartUsb { vendor: IDS.vendor, product: IDS.product };
            assert_eq!(hands.ask(10, &start).await, Some(Reply::Done), "{faults:?}");
            let switch = hands.fixture.usb.unwrap().switch;
            hands.switch(switch, joined);
            let Some(Reply::Identity(identity)) = hands.ask(9, &Request::Identify).await else { panic!("{faults:?}") };
            let serial = format!("{:016x}", identity.device_id);
            // A neighbour's module with the same ids answers, too, and is not the one.
            let other = host.echo(ids, "0123456789abcdef", &bytes, Duration::from_secs(2)).await.unwrap();
            assert!(matches!(other, UsbEcho::NoDevice { .. }), "{faults:?}: {other:?}");
            let outcome = host.echo(ids, &serial, &bytes, Duration::from_secs(2)).await.unwrap();
            assert_eq!(outcome, expected, "{faults:?}, joined {joined}");
            assert_eq!(hands.ask(11, &Request::StopUsb).await, Some(Reply::Done), "{faults:?}");
            hands.sleep_ms(5).await;
            let gone = host.echo(ids, &serial, &bytes, Duration::from_millis(500)).await.unwrap();
            assert_eq!(gone, nothing(), "{faults:?}: detached");
        });
        assert_eq!(setup.bench.diagnostics(), Vec::<String>::new(), "{faults:?}");
    }
}

#[test]
fn without_its_supply_it_is_refused() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        let start = Request::StartUsb { vendor: 1, product: 2 };
        let refused = Reply::Refused(dut_protocol::Refusal::NotRunning);
        assert_eq!(hands.ask(10, &start).await, Some(refused));
    });
}
