//! The firmware boots, answers over the link, and moves nails.

use crate::hands::{Io, run, setup};
use dut_protocol::{PROTOCOL_VERSION, PortSet, PortVector, Reply, Request, schema_hash};

#[test]
fn boots_and_says_hello() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    let reply = run(&setup, async {
        hands.power_up().await;
        hands.hello().await
    });
    assert_eq!(reply, Some(Reply::Hello { version: PROTOCOL_VERSION, schema: schema_hash() }));
    assert_eq!(setup.bench.diagnostics(), Vec::<String>::new());
}

#[test]
fn a_port_moves_its_nail_and_a_nail_its_port() {
    for (model, contact) in [("b404x", 23), ("b524", 54), ("b404x", 70)] {
        let setup = setup(model, &[], 2);
        let mut hands = setup.hands.clone();
        run(&setup, async {
            hands.power_up().await;
            hands.hello().await.unwrap();
            let port = PortSet::EMPTY.with(hands.port(contact));
            for (seq, level) in [(3, true), (4, false)] {
                let vector = PortVector {
                    high: if level { port } else { PortSet::EMPTY },
                    low: if level { PortSet::EMPTY } else { port },
                    settle_us: 10,
                    ..Default::default()
                };
                let levels = hands.vector(seq, vector).await;
                assert_eq!(levels & port.0 != 0, level, "{model}, contact {contact}: the port reads itself");
                assert_eq!(hands.read_nail(contact), level, "{model}, contact {contact}: the nail follows");
            }
            hands.vector(5, PortVector { float: port, ..Default::default() }).await;
            for (seq, io) in [(6, Io::High), (7, Io::Low)] {
                hands.nail(contact, io);
                let levels = hands.vector(seq, PortVector::default()).await;
                assert_eq!(levels & port.0 != 0, io == Io::High, "{model}, contact {contact}: the port follows");
            }
        });
    }
}

#[test]
fn the_rate_can_be_raised() {
    let setup = setup("b404x", &[], 3);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        hands.set_baud(1_000_000).await;
        assert!(matches!(hands.ask(3, &Request::Identify).await, Some(Reply::Identity(_))));
    });
}

#[test]
fn the_adc_of_the_module_agrees_with_the_adc_of_the_fixture() {
    use dut_protocol::{AdcInput, AdcRange, AdcRequest};
    let setup = setup("b404x", &[], 8);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        hands.select(23);
        for (seq, volts) in [(3, 0.5), (4, 1.5), (5, 3.0)] {
            hands.source(Some(volts));
            hands.sleep_ms(5).await;
            let bench = hands.adc_volts(0).await;
            let adc =
                AdcRequest { input: AdcInput::Ain(1), range: AdcRange::Internal3V6, acquisition_us: 10, count: 4 };
            let Some(Reply::Samples(samples)) = hands.ask(seq, &Request::SampleAdc(adc)).await else {
                panic!("no samples")
            };
            for code in samples {
                let module = f64::from(code) * 3.6 / 4096.0;
                assert!((module - bench).abs() < 0.04, "module {module} V, bench {bench} V, source {volts} V");
            }
        }
    });
}

#[test]
fn the_flash_identifies_itself() {
    use dut_protocol::{Port, SpiRequest};
    for (model, id) in [("b404x", [0xC2, 0x20, 0x16]), ("b523", [0xC2, 0x28, 0x17])] {
        let setup = setup(model, &[], 1);
        let mut hands = setup.hands.clone();
        let port = |index| Port::new(index).unwrap();
        let transfer = |write: &[u8], read| {
            Request::SpiTransfer(SpiRequest {
                chip_select: port(17),
                sck: port(19),
                mosi: port(20),
                miso: port(21),
                write: write.iter().copied().collect(),
                read,
            })
        };
        let bytes = |reply| match reply {
            Some(Reply::Bytes(bytes)) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        run(&setup, async {
            hands.power_up().await;
            hands.hello().await.unwrap();
            assert_eq!(bytes(hands.ask(3, &transfer(&[0x9F], 3)).await), id, "{model}");
            bytes(hands.ask(4, &transfer(&[0xB1], 0)).await);
            let serial = bytes(hands.ask(5, &transfer(&[0x03, 0, 0, 0], 15)).await);
            assert_eq!(String::from_utf8(serial).unwrap(), setup.bench.serial(), "{model}");
        });
    }
}

#[test]
fn power_off_and_on_restarts() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        assert!(hands.hello().await.is_some());
        hands.loopback(true);
        hands.rail("3V3", false);
        hands.sleep_ms(50).await;
        let (volts, amps) = hands.rail_reading("3V3");
        assert!(volts < 0.05 && amps.abs() < 1e-3, "{volts} V, {amps} A");
        hands.power_up().await;
        assert!(hands.hello().await.is_some());
        let (volts, amps) = hands.rail_reading("3V3");
        assert!((3.2..3.4).contains(&volts) && (0.9e-3..2e-3).contains(&amps), "{volts} V, {amps} A");
    });
}
