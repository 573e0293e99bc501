//! The firmware's radio against the controller's Bluetooth, over the simulated air.

use crate::functions::Asking;
use crate::hands::{Setup, run, setup};
use bench_instruments::{Advert, BleAir};
use dut_protocol::{BLE_CHANNELS, BLE_COMPANY, BleNonce, BleReport, BleRequest, BleTag, Refusal, Reply, Request};
use std::time::Duration;

const NONCE: BleNonce = *b"this run";
const ADVERTISE: BleRequest = BleRequest::Advertise { nonce: NONCE, count: 1_000, interval_ms: 20, dbm: 0 };

async fn ask(dut: &mut Asking, request: BleRequest) -> Reply {
    dut.ask(Request::Ble(request)).await
}

async fn report(dut: &mut Asking) -> BleReport {
    match ask(dut, BleRequest::Report).await {
        Reply::Ble(report) => report,
        other => panic!("{other:?}"),
    }
}

fn tags(adverts: &[Advert]) -> Vec<BleTag> {
    assert!(adverts.iter().all(|advert| advert.company == BLE_COMPANY && advert.address[0] >= 0xC0));
    adverts.iter().map(|advert| BleTag::parse(&advert.data).unwrap()).collect()
}

/// Runs a test with the firmware awake, and expects no diagnostics of the emulated chip.
fn with_module(faults: &[&str], test: impl AsyncFnOnce(&Setup, Asking)) {
    // Nobody but the module: what the adapter receives is all from it.
    let setup = setup("b404x", &[faults, &["quiet-room"]].concat(), 3);
    let hands = setup.hands.clone();
    run(&setup, async {
        let dut = Asking::awake(hands).await;
        test(&setup, dut).await;
    });
    assert_eq!(setup.bench.diagnostics(), Vec::<String>::new(), "{faults:?}");
}

#[test]
fn the_adapter_receives_the_neighbours() {
    let heard = |faults: &[&str], seed| {
        let setup = setup("b404x", faults, seed);
        let hands = setup.hands.clone();
        let mut senders = Vec::new();
        run(&setup, async {
            let _dut = Asking::awake(hands).await;
            senders = setup.bench.bluetooth().senders(Duration::from_millis(1_500)).await.unwrap();
        });
        senders
    };
    for seed in 1..=5 {
        let all = heard(&[], seed);
        assert!((2..=3).contains(&all.len()), "{all:?}");
        assert!(all.iter().all(|sender| (-95.0..-45.0).contains(&sender.rssi_dbm)), "{all:?}");
        assert_eq!(heard(&[], seed), all, "the same seed gives the same air");
        assert_eq!(heard(&["deaf-adapter"], seed), []);
        assert_eq!(heard(&["quiet-room"], seed), []);
    }
}

#[test]
fn advertises_on_each_channel_until_it_is_stopped() {
    with_module(&[], async |setup, mut dut| {
        let radio = setup.bench.bluetooth();
        assert!(radio.scan(Duration::from_millis(100)).await.unwrap().is_empty(), "not asked yet");
        assert_eq!(ask(&mut dut, ADVERTISE).await, Reply::Done);
        let adverts = radio.scan(Duration::from_millis(600)).await.unwrap();
        let tags = tags(&adverts);
        assert!(tags.iter().all(|tag| tag.nonce == NONCE));
        for channel in BLE_CHANNELS {
            assert!(tags.iter().filter(|tag| tag.channel == channel).count() >= 3, "{tags:?}");
        }
        let (now, rounds) = (report(&mut dut).await, tags.iter().map(|tag| u16::from(tag.round)).max().unwrap());
        assert!(now.busy && now.sent.iter().all(|sent| *sent > rounds), "{now:?}");
        // The module's ports are another matter.
        assert_eq!(dut.ask(Request::ReleasePorts).await, Reply::Done);
        assert!(!radio.scan(Duration::from_millis(100)).await.unwrap().is_empty());
        assert_eq!(ask(&mut dut, BleRequest::Stop).await, Reply::Done);
        assert!(!report(&mut dut).await.busy);
        assert!(radio.scan(Duration::from_millis(200)).await.unwrap().is_empty());
        // Exactly this many.
        let three = BleRequest::Advertise { nonce: NONCE, count: 3, interval_ms: 20, dbm: -20 };
        assert_eq!(ask(&mut dut, three).await, Reply::Done);
        dut.hands.sleep_ms(200).await;
        assert_eq!(report(&mut dut).await, BleReport { sent: [3; 3], ..BleReport::default() });
    });
}

#[test]
fn falls_silent_with_the_link() {
    with_module(&[], async |setup, mut dut| {
        let radio = setup.bench.bluetooth();
        assert_eq!(ask(&mut dut, ADVERTISE).await, Reply::Done);
        dut.hands.sleep_ms(1_100).await;
        assert!(radio.scan(Duration::from_millis(200)).await.unwrap().is_empty());
        assert!(!report(&mut dut).await.busy);
    });
}

#[test]
fn hears_the_bench_on_the_channel_it_listens_to() {
    with_module(&[], async |setup, mut dut| {
        let radio = setup.bench.bluetooth();
        let tag = |nonce| BleTag { nonce, channel: 0, round: 0 }.bytes();
        let interval = Duration::from_millis(20);
        let listen = |channel| BleRequest::Listen { channel, window_ms: 250, nonce: NONCE };
        for channel in BLE_CHANNELS {
            radio.advertise(BLE_COMPANY, &tag(NONCE), interval).await.unwrap();
            assert_eq!(ask(&mut dut, listen(channel)).await, Reply::Done);
            dut.hands.sleep_ms(100).await;
            assert!(report(&mut dut).await.busy);
            dut.hands.sleep_ms(200).await;
            let heard = report(&mut dut).await;
            assert!(!heard.busy && (7..=13).contains(&heard.heard), "{channel}: {heard:?}");
            let rssi = heard.rssi.unwrap();
            assert!(rssi.min_dbm <= rssi.max_dbm && (-50..-30).contains(&(rssi.mean_tenths_dbm / 10)), "{rssi:?}");
        }
        // Another nonce belongs to another sender; afterwards the air is silent.
        radio.advertise(BLE_COMPANY, &tag([9; 8]), interval).await.unwrap();
        for (others, stop) in [(true, false), (false, true)] {
            if stop {
                radio.stop().await.unwrap();
            }
            assert_eq!(ask(&mut dut, listen(38)).await, Reply::Done);
            dut.hands.sleep_ms(300).await;
            let heard = report(&mut dut).await;
            assert_eq!((heard.heard, heard.rssi, heard.others > 0), (0, None, others), "{heard:?}");
        }
    });
}

#[test]
fn a_radio_at_the_end_of_its_strength_loses_packets_and_breaks_some() {
    // 40 dB to the adapter and 55 more: at the receivers' sensitivity, give or take the tolerances of this module.
    with_module(&["ble-weak:55"], async |setup, mut dut| {
        let radio = setup.bench.bluetooth();
        let tag = BleTag { nonce: NONCE, channel: 0, round: 0 }.bytes();
        radio.advertise(BLE_COMPANY, &tag, Duration::from_millis(20)).await.unwrap();
        let mut all = BleReport::default();
        for channel in BLE_CHANNELS {
            ask(&mut dut, BleRequest::Listen { channel, window_ms: 800, nonce: NONCE }).await;
            dut.hands.sleep_ms(830).await;
            let heard = report(&mut dut).await;
            (all.heard, all.broken) = (all.heard + heard.heard, all.broken + heard.broken);
        }
        assert!(all.heard > 0 && all.broken > 0 && all.heard < 85, "{all:?}");
    });
    with_module(&["ble-dead"], async |setup, mut dut| {
        let radio = setup.bench.bluetooth();
        assert_eq!(ask(&mut dut, ADVERTISE).await, Reply::Done);
        assert!(radio.scan(Duration::from_millis(300)).await.unwrap().is_empty());
        assert!(report(&mut dut).await.sent[0] > 5, "it does not know");
    });
}

#[test]
fn the_carrier_shows_the_crystals_error() {
    for (faults, expected_ppm) in [(&["ble-crystal:60"][..], 60.0), (&["ble-crystal:-60"], -60.0)] {
        with_module(faults, async |setup, mut dut| {
            assert_eq!(ask(&mut dut, ADVERTISE).await, Reply::Done);
            let adverts = setup.bench.bluetooth().scan(Duration::from_millis(300)).await.unwrap();
            let offsets = adverts.iter().filter_map(|advert| advert.carrier_offset_hz);
            let ppm = offsets.sum::<f64>() / adverts.len() as f64 / 2440.0;
            assert!((ppm - expected_ppm).abs() < 7.0, "{ppm}");
        });
    }
}

#[test]
fn carriers_for_a_power_meter() {
    with_module(&[], async |setup, mut dut| {
        let meter = || setup.bench.antenna_power();
        assert_eq!(meter(), None);
        ask(&mut dut, BleRequest::Carrier { mhz: 2440, modulated: false, dbm: 8 }).await;
        dut.hands.sleep_ms(2).await;
        assert_eq!(meter(), Some((8.0, false)));
        ask(&mut dut, BleRequest::Carrier { mhz: 2402, modulated: true, dbm: -20 }).await;
        dut.hands.sleep_ms(100).await;
        // Packets of 376 us, 625 us apart.
        let sent = report(&mut dut).await.sent[0];
        assert!((155..=170).contains(&sent), "{sent}");
        let mut seen = [0, 0];
        for _ in 0..50 {
            dut.hands.clock.sleep(Duration::from_micros(131)).await;
            match meter() {
                Some((dbm, true)) => {
                    assert_eq!(dbm, -20.0);
                    seen[0] += 1;
                }
                _ => seen[1] += 1,
            }
        }
        assert!(seen[0] > 20 && seen[1] > 5, "{seen:?}");
        ask(&mut dut, BleRequest::Stop).await;
        dut.hands.sleep_ms(1).await;
        assert_eq!(meter(), None);
        let refused = Reply::Refused(Refusal::OutOfRange);
        assert_eq!(ask(&mut dut, BleRequest::Carrier { mhz: 2481, modulated: false, dbm: 0 }).await, refused);
    });
}
