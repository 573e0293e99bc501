//! The firmware's requests to bus masters, with good and bad arguments, and the fixture's memories at the other end.

use crate::functions::Asking;
use crate::hands::{Io, run, setup};
use bench_plan::{Peer, PeerPart};
use dut_protocol::{
    BUS_MAX_BYTES, FLOW_BUFFER_BYTES, FlowControlRequest, I2cMasterRequest, I2cOutcome, Port, Refusal, Reply, Request,
    SpiMasterRequest,
};

const FRAM_ID: [u8; 9] = [0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xC2, 0x22, 0x08];

impl Asking {
    fn join(&mut self, id: &str) -> Peer {
        let peer = self.hands.fixture.peer(id).unwrap().clone();
        self.hands.switch(peer.select, true);
        peer
    }

    fn spi(&self, peer: &Peer, unit: u8, mode: u8, kilohertz: u16, write: &[u8], read: u8) -> SpiMasterRequest {
        let PeerPart::SpiFram { lines } = peer.part else { panic!("no SPI") };
        let port = |contact: bench_run::Contact| self.hands.port(contact.0);
        SpiMasterRequest {
            unit,
            sck: port(lines.sck),
            mosi: port(lines.mosi),
            miso: port(lines.miso),
            chip_select: port(lines.ss),
            mode,
            kilohertz,
            write: write.iter().copied().collect(),
            read,
        }
    }

    fn i2c(&self, peer: &Peer, unit: u8, kilohertz: u16, write: &[u8], read: u8) -> I2cMasterRequest {
        let PeerPart::I2cEeprom { address, lines, .. } = peer.part else { panic!("no I2C") };
        let (sda, scl) = (self.hands.port(lines.sda.0), self.hands.port(lines.scl.0));
        I2cMasterRequest { unit, sda, scl, kilohertz, address, write: write.iter().copied().collect(), read }
    }

    async fn bytes(&mut self, request: SpiMasterRequest) -> Vec<u8> {
        match self.ask(Request::SpiMaster(request)).await {
            Reply::Bytes(bytes) => bytes.to_vec(),
            other => panic!("no bytes but {other:?}"),
        }
    }

    async fn i2c_outcome(&mut self, request: I2cMasterRequest) -> I2cOutcome {
        match self.ask(Request::I2cMaster(request)).await {
            Reply::I2c(outcome) => outcome,
            other => panic!("no outcome but {other:?}"),
        }
    }
}

fn done(bytes: &[u8]) -> I2cOutcome {
    I2cOutcome::Done(bytes.iter().copied().collect())
}

#[test]
fn every_spi_master_talks_to_the_fram_in_the_modes_and_at_the_clocks_that_it_takes() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        for (id, units, clocks) in [
            ("fram-spi", 0..4, &[125, 1_000, 8_000][..]),
            ("fram-spi1", 2..3, &[8_000]),
            ("fram-spi", 3..4, &[16_000, 32_000]),
        ] {
            let peer = dut.join(id);
            for unit in units {
                for &kilohertz in clocks {
                    for mode in [0, 3] {
                        let request = dut.spi(&peer, unit, mode, kilohertz, &[0x9F], 9);
                        assert_eq!(dut.bytes(request).await, FRAM_ID, "{id}, SPIM{unit}, mode {mode}, {kilohertz} kHz");
                    }
                }
            }
            dut.hands.switch(peer.select, false);
            let request = dut.spi(&peer, 2, 0, 1_000, &[0x9F], 2);
            assert_eq!(dut.bytes(request).await, [0, 0], "{id} is off the nails");
        }
    });
}

#[test]
fn in_mode_1_the_fram_hears_a_bit_late_and_in_mode_2_it_is_heard_a_bit_late() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        let peer = dut.join("fram-spi");
        for (mode, enable) in [(0, 0x06), (1, 0x06 << 1), (2, 0x06), (3, 0x06)] {
            let request = dut.spi(&peer, 3, mode, 1_000, &[enable], 0);
            assert!(dut.bytes(request).await.is_empty());
            let request = dut.spi(&peer, 3, 0, 1_000, &[0x05], 1);
            assert_eq!(dut.bytes(request).await, [0x02], "mode {mode}");
            let request = dut.spi(&peer, 3, 0, 1_000, &[0x04], 0);
            dut.bytes(request).await;
        }
        let request = dut.spi(&peer, 3, 1, 1_000, &[0x06], 0);
        dut.bytes(request).await;
        let request = dut.spi(&peer, 3, 0, 1_000, &[0x05], 1);
        assert_eq!(dut.bytes(request).await, [0x00], "half of the command is another one");
        let request = dut.spi(&peer, 3, 2, 1_000, &[0x9F], 2);
        assert_eq!(dut.bytes(request).await, [0x7F >> 1, 0x7F >> 1 | 0x80]);
    });
}

#[test]
fn both_i2c_masters_write_read_and_report_errors() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        for (id, unit, kilohertz) in [("eeprom-i2c", 0, 400), ("eeprom-i2c", 1, 100), ("eeprom-i2c1", 1, 400)] {
            let peer = dut.join(id);
            let content = [unit, 0xA5, 0x00, 0xFF];
            let write = dut.i2c(&peer, unit, kilohertz, &[&[0x01, 0x00], &content[..]].concat(), 0);
            assert_eq!(dut.i2c_outcome(write).await, done(&[]), "{id}, TWIM{unit}, {kilohertz} kHz");
            let read = dut.i2c(&peer, unit, kilohertz, &[0x01, 0x00], 4);
            assert_eq!(dut.i2c_outcome(read.clone()).await, I2cOutcome::AddressNack, "busy with writing");
            dut.hands.sleep_ms(6).await;
            assert_eq!(dut.i2c_outcome(read.clone()).await, done(&content));
            let next = dut.i2c(&peer, unit, kilohertz, &[], 1);
            assert_eq!(dut.i2c_outcome(next).await, done(&[0xFF]), "reads on where it was");
            let absent = I2cMasterRequest { address: 0x51, ..read.clone() };
            assert_eq!(dut.i2c_outcome(absent).await, I2cOutcome::AddressNack);
            dut.hands.switch(peer.select, false);
            let stuck = I2cOutcome::Stuck { sda_high: false, scl_high: false };
            assert_eq!(dut.i2c_outcome(read).await, stuck, "no pull-ups");
        }
    });
}

#[test]
fn what_is_broken_ends_in_a_typed_answer() {
    let rows = [
        ("spim-dead:3", Some("fram-spi"), false),
        ("bus-line-dead:54", Some("fram-spi"), true),
        ("twim-dead:0", None, false),
        ("bus-line-dead:20", None, true),
    ];
    for (fault, fram, ends) in rows {
        let setup = setup("b404x", &[fault], 1);
        let hands = setup.hands.clone();
        run(&setup, async {
            let mut dut = Asking::awake(hands).await;
            match fram {
                Some(id) => {
                    let peer = dut.join(id);
                    let request = dut.spi(&peer, 3, 0, 8_000, &[0x9F], 2);
                    let expected = if ends {
                        Reply::Bytes([0, 0].into_iter().collect())
                    } else {
                        Reply::Refused(Refusal::NotRunning)
                    };
                    assert_eq!(dut.ask(Request::SpiMaster(request)).await, expected, "{fault}");
                    let other = dut.spi(&peer, 2, 0, 8_000, &[0x9F], 2);
                    let expected = if ends { [0, 0] } else { [0x7F, 0x7F] };
                    assert_eq!(dut.bytes(other).await, expected, "{fault}: another master");
                }
                None => {
                    let peer = dut.join("eeprom-i2c");
                    let request = dut.i2c(&peer, 0, 400, &[0, 0], 1);
                    let stuck = I2cOutcome::Stuck { sda_high: true, scl_high: true };
                    let expected = if ends { I2cOutcome::AddressNack } else { stuck };
                    assert_eq!(dut.i2c_outcome(request).await, expected, "{fault}");
                }
            }
        });
    }
}

#[test]
fn bad_arguments_are_refused() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        let (fram, eeprom) = (dut.join("fram-spi"), dut.join("eeprom-i2c"));
        let (spi, i2c) = (dut.spi(&fram, 2, 0, 1_000, &[0x9F], 1), dut.i2c(&eeprom, 0, 100, &[0], 1));
        let (tx, reset) = (Port::from_bank(0, 6).unwrap(), Port::from_bank(0, 18).unwrap());
        let spi_rows = [
            (SpiMasterRequest { sck: tx, ..spi.clone() }, Refusal::LinkPort(tx)),
            (SpiMasterRequest { chip_select: reset, ..spi.clone() }, Refusal::ReservedPort(reset)),
            (SpiMasterRequest { miso: spi.mosi, ..spi.clone() }, Refusal::Overlap(spi.mosi)),
            (SpiMasterRequest { unit: 4, ..spi.clone() }, Refusal::OutOfRange),
            (SpiMasterRequest { mode: 4, ..spi.clone() }, Refusal::OutOfRange),
            (SpiMasterRequest { kilohertz: 16_000, ..spi.clone() }, Refusal::OutOfRange),
            (SpiMasterRequest { kilohertz: 0, ..spi.clone() }, Refusal::OutOfRange),
            (SpiMasterRequest { write: Default::default(), read: 0, ..spi.clone() }, Refusal::OutOfRange),
            (SpiMasterRequest { read: 65, ..spi.clone() }, Refusal::OutOfRange),
        ];
        for (request, refusal) in spi_rows {
            let reply = dut.ask(Request::SpiMaster(request.clone())).await;
            assert_eq!(reply, Reply::Refused(refusal), "{request:?}");
        }
        let i2c_rows = [
            (I2cMasterRequest { sda: tx, ..i2c.clone() }, Refusal::LinkPort(tx)),
            (I2cMasterRequest { scl: i2c.sda, ..i2c.clone() }, Refusal::Overlap(i2c.sda)),
            (I2cMasterRequest { unit: 2, ..i2c.clone() }, Refusal::OutOfRange),
            (I2cMasterRequest { kilohertz: 390, ..i2c.clone() }, Refusal::OutOfRange),
            (I2cMasterRequest { address: 0x78, ..i2c.clone() }, Refusal::OutOfRange),
            (I2cMasterRequest { write: Default::default(), read: 0, ..i2c.clone() }, Refusal::OutOfRange),
            (I2cMasterRequest { read: 65, ..i2c.clone() }, Refusal::OutOfRange),
        ];
        for (request, refusal) in i2c_rows {
            let reply = dut.ask(Request::I2cMaster(request.clone())).await;
            assert_eq!(reply, Reply::Refused(refusal), "{request:?}");
        }
    });
}

fn flow(dut: &Asking) -> FlowControlRequest {
    FlowControlRequest { rts: dut.hands.port(42), cts: dut.hands.port(40), pause_ms: 50, for_ms: 500 }
}

#[test]
fn flow_control_stops_and_releases_and_ends_by_itself() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        dut.hands.nail(40, Io::Low);
        let request = Request::FlowControl(flow(&dut));
        assert_eq!(dut.ask(request).await, Reply::Done);
        dut.hands.sleep_ms(5).await;
        assert!(!dut.hands.read_nail(42), "ready");
        let link = std::rc::Rc::clone(&dut.hands.link);
        link.borrow_mut().send(&[0; FLOW_BUFFER_BYTES + 2]).await.unwrap();
        dut.hands.sleep_ms(10).await;
        assert!(dut.hands.read_nail(42), "full");
        dut.hands.sleep_ms(50).await;
        assert!(!dut.hands.read_nail(42), "ready again");

        dut.hands.nail(40, Io::High);
        assert_eq!(dut.hands.ask(900, &Request::ReadPorts).await, None);
        dut.hands.nail(40, Io::Low);
        dut.hands.sleep_ms(5).await;
        assert!(dut.hands.ask(901, &Request::ReadPorts).await.is_some());
        // The module returns for any state of CTS.
        dut.hands.nail(40, Io::High);
        assert_eq!(dut.hands.ask(902, &Request::ReadPorts).await, None);
        dut.hands.sleep_ms(300).await;
        let echo = Request::Echo { bytes: (0..BUS_MAX_BYTES as u8).collect() };
        assert_eq!(dut.ask(echo).await, Reply::Bytes((0..BUS_MAX_BYTES as u8).collect()));
        assert!(!dut.hands.read_nail(42), "no longer driven");
    });
}

#[test]
fn flow_control_is_bounded() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        let (flow, tx) = (flow(&dut), Port::from_bank(0, 6).unwrap());
        let rows = [
            (FlowControlRequest { rts: tx, ..flow }, Refusal::LinkPort(tx)),
            (FlowControlRequest { cts: flow.rts, ..flow }, Refusal::Overlap(flow.rts)),
            (FlowControlRequest { pause_ms: 500, ..flow }, Refusal::OutOfRange),
            (FlowControlRequest { for_ms: 0, pause_ms: 0, ..flow }, Refusal::OutOfRange),
            (FlowControlRequest { for_ms: 1_001, ..flow }, Refusal::OutOfRange),
        ];
        for (request, refusal) in rows {
            assert_eq!(dut.ask(Request::FlowControl(request)).await, Reply::Refused(refusal), "{request:?}");
        }
    });
}
