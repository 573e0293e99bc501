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
