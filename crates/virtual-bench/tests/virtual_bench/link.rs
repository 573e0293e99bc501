//! The link transfers what its wires transfer.

use crate::hands::{Setup, run, setup};
use dut_protocol::{Reply, Request};
use std::time::Duration;

#[test]
fn hello_and_loop_back_with_each_fault() {
    // (faults, hello answered, loop-back hears itself)
    for (faults, hello, loopback) in [
        (&[][..], true, true),
        (&["dead-link"], false, false),
        (&["dead-mcu"], false, true),
        (&["empty-nest"], false, true),
        (&["open:36"], false, true),
        (&["open:38"], false, true),
        (&["short:36-38"], false, true),
        (&["short:38-gnd"], false, true),
        (&["short:36-3v3"], false, true),
        (&["stuck-low:36"], false, true),
        (&["open:23"], true, true),
        (&["short:34-gnd"], false, true),
        (&["short:3v3-gnd"], false, true),
        (&["overload:3v3"], false, true),
        (&["overload:3v3@0.1"], true, true),
    ] {
        let setup = setup("b404x", faults, 4);
        let mut hands = setup.hands.clone();
        let (answered, heard) = run(&setup, async {
            hands.power_up().await;
            let answered = hands.hello().await.is_some();
            hands.loopback(true);
            (answered, echo(&setup, b"\x55\xA5loop").await)
        });
        assert_eq!(answered, hello, "{faults:?}");
        assert_eq!(heard == b"\x55\xA5loop", loopback, "{faults:?}: {heard:?}");
    }
}

/// Bytes received within 5 ms.
async fn echo(setup: &Setup, bytes: &[u8]) -> Vec<u8> {
    let hands = &setup.hands;
    let mut link = hands.link.borrow_mut();
    link.discard_input();
    link.send(bytes).await.unwrap();
    hands.clock.sleep(Duration::from_millis(5)).await;
    let mut heard = Vec::new();
    let at = hands.clock.now();
    // There may be nothing at all.
    let _ = bench_instruments::with_deadline(&*hands.clock, at, link.receive(&mut heard)).await;
    heard
}

#[test]
fn a_short_makes_the_controller_hear_itself_on_a_dead_module() {
    let setup = setup("b404x", &["short:36-38", "dead-mcu"], 4);
    let mut hands = setup.hands.clone();
    let heard = run(&setup, async {
        hands.power_up().await;
        echo(&setup, b"hello?").await
    });
    assert_eq!(heard, b"hello?");
}

#[test]
fn bytes_take_their_time_at_the_rate() {
    for (baud, ms) in [(115_200u32, 86.8), (1_000_000, 10.0)] {
        let setup = setup("b404x", &[], 1);
        let mut hands = setup.hands.clone();
        let span = run(&setup, async {
            hands.loopback(true);
            let mut link = hands.link.borrow_mut();
            link.set_baud(baud).await.unwrap();
            let began = hands.clock.now();
            link.send(&[0x55; 1000]).await.unwrap();
            let mut heard = Vec::new();
            while heard.len() < 1000 {
                link.receive(&mut heard).await.unwrap();
            }
            hands.clock.now() - began
        });
        let measured = span.as_secs_f64() * 1e3;
        assert!((measured - ms).abs() < 0.1, "{baud}: {measured} ms");
    }
}

#[test]
fn at_different_rates_nothing_is_understood() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.link.borrow_mut().set_baud(230_400).await.unwrap();
        assert_eq!(hands.hello().await, None);
        hands.link.borrow_mut().set_baud(115_200).await.unwrap();
        assert!(hands.hello().await.is_some(), "and no harm was done");
    });
}

#[test]
fn the_reset_contact_resets() {
    use crate::hands::Io;
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        assert!(hands.hello().await.is_some());
        hands.nail(34, Io::Low);
        assert_eq!(hands.hello().await, None, "held in reset");
        hands.nail(34, Io::Float);
        hands.sleep_ms(20).await;
        assert!(hands.hello().await.is_some(), "started again");
        match hands.ask(9, &Request::Identify).await {
            // POWER.RESETREAS: bit 0 is the reset pin.
            Some(Reply::Identity(identity)) => assert_eq!(identity.reset_reason & 1, 1),
            other => panic!("{other:?}"),
        }
    });
}
