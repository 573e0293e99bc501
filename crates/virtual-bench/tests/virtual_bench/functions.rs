//! The firmware's requests for interrupt channels, retained memory and status, with good and bad arguments.

use crate::hands::{Hands, Io, run, setup};
use dut_protocol::{
    EDGE_CHANNELS, Edges, Port, PortSet, PortVector, Pull, RX_DRIVEN_AFTER_MS, Refusal, Reply, Request,
};

pub struct Asking {
    pub hands: Hands,
    seq: u16,
}

impl Asking {
    pub async fn awake(mut hands: Hands) -> Self {
        hands.power_up().await;
        hands.hello().await.unwrap();
        Self { hands, seq: 10 }
    }
    pub async fn ask(&mut self, request: Request) -> Reply {
        self.try_ask(request).await.unwrap()
    }
    pub async fn try_ask(&mut self, request: Request) -> Option<Reply> {
        self.seq += 1;
        self.hands.ask(self.seq, &request).await
    }
    /// Repeats a request that may take longer than the timeout of a reply; the firmware executes it once.
    pub async fn ask_slow(&mut self, request: Request) -> Reply {
        self.seq += 1;
        for _ in 0..5 {
            if let Some(reply) = self.hands.ask(self.seq, &request).await {
                return reply;
            }
        }
        panic!("no answer to {request:?}")
    }
}

fn port(bank: u8, pin: u8) -> Port {
    Port::from_bank(bank, pin).unwrap()
}

fn vector(high: &[Port], low: &[Port]) -> Request {
    let set = |ports: &[Port]| ports.iter().fold(PortSet::EMPTY, |set, port| set.with(*port));
    Request::ApplyVector(PortVector { high: set(high), low: set(low), settle_us: 20, ..Default::default() })
}

#[test]
fn eight_channels_count_what_they_were_asked_to_and_the_ninth_is_refused() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        // Ports that the module drives itself: what an output does is an edge, too.
        let ports: Vec<Port> = [2, 3, 4, 5, 28, 29, 30, 31].into_iter().map(|pin| port(0, pin)).collect();
        let kinds = [Edges::Rising, Edges::Falling, Edges::Both];
        dut.ask(vector(&[], &ports)).await;
        for (n, &port) in ports.iter().enumerate() {
            let reply = dut.ask(Request::WatchEdges { port, edges: kinds[n % 3] }).await;
            assert_eq!(reply, Reply::Channel { channel: n as u8 });
        }
        let ninth = Request::WatchEdges { port: port(1, 2), edges: Edges::Both };
        assert_eq!(dut.ask(ninth.clone()).await, Reply::Refused(Refusal::NoChannelLeft));
        // Port n makes n + 1 pulses, so that no two channels can be mistaken for each other.
        for (n, &port) in ports.iter().enumerate() {
            for _ in 0..=n {
                dut.ask(vector(&[port], &[])).await;
                dut.ask(vector(&[], &[port])).await;
            }
        }
        let expected: [u32; EDGE_CHANNELS] =
            std::array::from_fn(|n| (n as u32 + 1) * if kinds[n % 3] == Edges::Both { 2 } else { 1 });
        assert_eq!(dut.ask(Request::TakeEdgeCounts).await, Reply::EdgeCounts(expected));
        assert_eq!(dut.ask(Request::TakeEdgeCounts).await, Reply::EdgeCounts([0; 8]), "counts start from 0");
        // A half pulse: one edge of one kind.
        dut.ask(vector(&ports, &[])).await;
        assert_eq!(dut.ask(Request::TakeEdgeCounts).await, Reply::EdgeCounts([1, 0, 1, 1, 0, 1, 1, 0]));
        assert_eq!(dut.ask(Request::UnwatchEdges).await, Reply::Done);
        assert_eq!(dut.ask(ninth).await, Reply::Channel { channel: 0 });
        let link = Request::WatchEdges { port: port(0, 8), edges: Edges::Both };
        assert_eq!(dut.ask(link).await, Reply::Refused(Refusal::LinkPort(port(0, 8))));
    });
}

#[test]
fn retained_memory_survives_a_restart_but_not_the_loss_of_power() {
    for (faults, survives) in [(&[][..], true), (&["retained-lost"][..], false)] {
        let setup = setup("b404x", faults, 1);
        let hands = setup.hands.clone();
        run(&setup, async {
            let mut dut = Asking::awake(hands).await;
            for inverse in [false, true] {
                let (fill, check) =
                    (Request::FillRetained { seed: 77, inverse }, Request::CheckRetained { seed: 77, inverse });
                assert_eq!(dut.ask(fill).await, Reply::Done);
                assert_eq!(dut.ask(check.clone()).await, Reply::Retained { wrong_bits: 0 });
                let other = dut.ask(Request::CheckRetained { seed: 77, inverse: !inverse }).await;
                assert_eq!(other, Reply::Retained { wrong_bits: 3068 * 8 }, "every bit is the other one");
                assert_eq!(dut.ask(Request::Restart).await, Reply::Done);
                dut.hands.sleep_ms(50).await;
                dut.hands.hello().await.unwrap();
                let Reply::Retained { wrong_bits } = dut.ask(check).await else { panic!("no count") };
                assert_eq!(wrong_bits == 0, survives, "{wrong_bits} wrong");
            }
        });
    }
}

#[test]
fn status_reports_usb_and_crystal() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        let Reply::Status(status) = dut.ask(Request::ReadStatus).await else { panic!("no status") };
        assert!(status.crystal_32m, "{status:?}");
        assert!(!status.usb_detected, "{status:?}");
    });
}

/// Leads to P0.11.
const MODE: u8 = 32;
const TX: u8 = 36;
const RX: u8 = 38;

/// POWER.RESETREAS.
async fn reset_reason(dut: &mut Asking) -> u32 {
    let Reply::Identity(identity) = dut.ask(Request::Identify).await else { panic!("no identity") };
    identity.reset_reason
}

#[test]
fn system_off_ends_by_the_port_that_was_named() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        assert_eq!(dut.ask(Request::SystemOff { wake: port(0, 11) }).await, Reply::Done);
        dut.hands.sleep_ms(50).await;
        assert!(dut.hands.hello().await.is_none(), "it sleeps");
        dut.hands.nail(MODE, Io::High);
        dut.hands.sleep_ms(1).await;
        dut.hands.nail(MODE, Io::Float);
        dut.hands.sleep_ms(30).await;
        dut.hands.hello().await.unwrap();
        assert_eq!(reset_reason(&mut dut).await, 1 << 16);
        // A port that is already high would wake it at once.
        dut.hands.nail(MODE, Io::High);
        let refused = dut.ask(Request::SystemOff { wake: port(0, 11) }).await;
        assert_eq!(refused, Reply::Refused(Refusal::OutOfRange));
    });
}

#[test]
fn the_links_ports_are_lent_and_taken_back() {
    let setup = setup("b404x", &[], 1);
    let hands = setup.hands.clone();
    run(&setup, async {
        let mut dut = Asking::awake(hands).await;
        for pull in [Pull::Up, Pull::Down] {
            assert_eq!(dut.ask(Request::LendTx { pull }).await, Reply::Done);
            dut.hands.loopback(true);
            dut.hands.sleep_ms(u64::from(RX_DRIVEN_AFTER_MS) + 5).await;
            let volts = [dut.hands.volts(TX).await, dut.hands.volts(RX).await];
            let lent = |volts: f64| if pull == Pull::Up { volts > 3.1 } else { volts < 0.1 };
            assert!(volts.into_iter().all(lent), "{pull:?}: {volts:?}");
            dut.hands.loopback(false);
            assert!(dut.hands.hello().await.is_none(), "no answer yet");
            dut.hands.sleep_ms(60).await;
            dut.hands.hello().await.unwrap();
            assert_eq!(reset_reason(&mut dut).await, 1 << 2);
        }
    });
}
