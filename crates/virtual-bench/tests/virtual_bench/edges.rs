//! The controller's edge line on a port, through joint, nail and multiplexer, and the firmware's requests that produce
//! edges, with good and bad arguments.

use crate::hands::{Hands, run, setup};
use bench_instruments::{EdgeCapture, EdgeTrace, FixtureDriver, InstrumentError, NailVector, Nails, Rails};
use bench_run::Contact;
use dut_protocol::{Edges, Port, PortSet, PortVector, PwmOutput, PwmRequest, Refusal, Reply, Request};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const A0: u8 = 23;
const PULSES: usize = 5;

#[test]
fn a_ports_edges_arrive_unless_the_contact_is_open() {
    for (fault, seen) in
        [(None, true), (Some("cold:23"), true), (Some("open:23"), false), (Some("short:23-gnd"), false)]
    {
        let setup = setup("b404x", fault.as_slice(), 3);
        let mut hands = setup.hands.clone();
        let line = setup.bench.edge_line();
        run(&setup, async {
            hands.power_up().await;
            hands.hello().await.unwrap();
            let port = PortSet::EMPTY.with(hands.port(A0));
            hands.vector(10, PortVector { low: port, ..Default::default() }).await;
            hands.select(A0);
            line.begin().unwrap();
            let mut sent_ns = Vec::new();
            for n in 0..2 * PULSES as u16 {
                let (high, low) = if n % 2 == 0 { (port, PortSet::EMPTY) } else { (PortSet::EMPTY, port) };
                hands.vector(20 + n, PortVector { high, low, settle_us: 500, ..Default::default() }).await;
                sent_ns.push(hands.clock.now().as_micros() * 1000);
            }
            let EdgeTrace { high_before, edges } = line.end().unwrap();
            assert!(!high_before, "{fault:?}");
            assert_eq!(edges.len(), if seen { 2 * PULSES } else { 0 }, "{fault:?}");
            for (n, (edge, sent)) in edges.iter().zip(sent_ns).enumerate() {
                assert_eq!(edge.rising, n % 2 == 0, "{fault:?}");
                // The port changes some hundred microseconds before the reply arrives.
                assert!(edge.at_ns < sent && sent - edge.at_ns < 4_000_000, "{fault:?}: {edge:?}, answered at {sent}");
            }
            assert_eq!(line.end().unwrap(), EdgeTrace::default(), "recording has ended");
        });
    }
}

#[test]
fn the_driver_joins_measures_and_releases() {
    let setup = setup("b404x", &[], 1);
    let bus = Rc::new(RefCell::new(setup.bench.i2c()));
    let clock = setup.bench.clock();
    let start =
        || FixtureDriver::start(&setup.hands.fixture, Rc::clone(&bus), Rc::clone(&clock), Rc::new(|_| ())).unwrap();
    let without = start();
    let refused = run(&setup, without.capture(Contact(A0), Duration::from_millis(1)));
    assert_eq!(refused, Err(InstrumentError::NoEdgeLine));
    drop(without);
    let driver = start().with_edge_line(setup.bench.edge_line());
    run(&setup, async {
        driver.clear_for_power("3V3", 1e3).unwrap();
        driver.on("3V3").await.unwrap();
        let one = || [Contact(A0)].into_iter().collect();
        let toggle = async {
            for _ in 0..PULSES {
                clock.sleep(Duration::from_millis(1)).await;
                driver.set(NailVector { high: one(), ..Default::default() }).await.unwrap();
                clock.sleep(Duration::from_millis(1)).await;
                driver.set(NailVector { low: one(), ..Default::default() }).await.unwrap();
            }
        };
        let window = Duration::from_millis(20);
        let (trace, ()) = futures_util::future::join(driver.capture(Contact(A0), window), toggle).await;
        let edges = trace.unwrap().edges;
        assert_eq!(edges.len(), 2 * PULSES, "{edges:?}");
        for pair in edges.windows(2) {
            let span = pair[1].at_ns - pair[0].at_ns;
            assert!((1_000_000..1_200_000).contains(&span) && pair[0].rising != pair[1].rising, "{pair:?}");
        }
        let quiet = driver.capture(Contact(33), window).await.unwrap();
        assert_eq!(quiet, EdgeTrace::default());
        let wrong = driver.capture(Contact(200), window).await;
        assert_eq!(wrong, Err(InstrumentError::NotWired(Contact(200))));
    });
}

/// Repeats a request that may take longer than the timeout of a reply; the firmware executes it once.
async fn ask(hands: &mut Hands, seq: u16, request: Request) -> Reply {
    for _ in 0..15 {
        if let Some(reply) = hands.ask(seq, &request).await {
            return reply;
        }
    }
    panic!("no answer to {request:?}");
}

fn pwm(port: Port, frequency_hz: u32, duty_permille: u16) -> Request {
    let output = PwmOutput { port, duty_permille };
    Request::StartPwm(PwmRequest { unit: 2, frequency_hz, outputs: [None, Some(output), None, None] })
}

/// Rising edges of a contact in 20 ms, and the share of the time that it is high, percent.
async fn listen(setup: &crate::hands::Setup, hands: &mut Hands, contact: u8) -> (usize, u64) {
    let line = setup.bench.edge_line();
    hands.select(contact);
    line.begin().unwrap();
    hands.sleep_ms(20).await;
    let edges = line.end().unwrap().edges;
    let high: u64 = edges.windows(2).filter(|pair| pair[0].rising).map(|pair| pair[1].at_ns - pair[0].at_ns).sum();
    (edges.iter().filter(|edge| edge.rising).count(), (high + 100_000) / 200_000)
}

#[test]
fn pwm_runs_until_it_is_stopped_or_the_ports_are_released() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        let port = hands.port(A0);
        let mut seq = 10;
        for (frequency_hz, duty, stop) in
            [(1_000, 250, Request::StopPwm), (4_000, 750, Request::ReleasePorts), (500, 500, Request::StopPwm)]
        {
            seq += 2;
            assert_eq!(ask(&mut hands, seq, pwm(port, frequency_hz, duty)).await, Reply::Done);
            let (rising, high_percent) = listen(&setup, &mut hands, A0).await;
            let periods = frequency_hz as usize / 50;
            assert!(rising.abs_diff(periods) <= 1, "{rising} of {periods}");
            assert!(high_percent.abs_diff(u64::from(duty) / 10) <= 6, "{high_percent} of {duty}");
            assert_eq!(listen(&setup, &mut hands, 33).await.0, 0, "another contact");
            assert_eq!(ask(&mut hands, seq + 1, stop).await, Reply::Done);
            assert_eq!(listen(&setup, &mut hands, A0).await.0, 0);
        }
        // Silence for longer than the link timeout.
        assert_eq!(ask(&mut hands, 40, pwm(port, 1_000, 500)).await, Reply::Done);
        hands.sleep_ms(1_100).await;
        assert_eq!(listen(&setup, &mut hands, A0).await.0, 0, "released");
        let link = Port::from_bank(0, 8).unwrap();
        for (n, (bad, refusal)) in [
            (pwm(port, 99, 500), Refusal::OutOfRange),
            (pwm(port, 1_000, 1_001), Refusal::OutOfRange),
            (pwm(link, 1_000, 500), Refusal::LinkPort(link)),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(ask(&mut hands, 50 + n as u16, bad).await, Reply::Refused(refusal));
        }
    });
    assert_eq!(setup.bench.diagnostics(), Vec::<String>::new());
}

#[test]
fn the_crystal_is_output_on_a_port_and_a_dead_one_is_reported() {
    for (fault, runs) in [(None, true), (Some("crystal-dead"), false)] {
        let setup = setup("b404x", fault.as_slice(), 1);
        let mut hands = setup.hands.clone();
        run(&setup, async {
            hands.power_up().await;
            hands.hello().await.unwrap();
            let resets = setup.bench.stats().resets;
            let port = hands.port(A0);
            let other = hands.port(33);
            let watch = || Request::WatchEdges { port: other, edges: Edges::Both };
            assert_eq!(ask(&mut hands, 10, watch()).await, Reply::Channel { channel: 0 });
            let busy = Reply::Refused(Refusal::Busy);
            assert_eq!(ask(&mut hands, 11, Request::LeadCrystal { port }).await, busy, "a channel is open");
            assert_eq!(ask(&mut hands, 12, Request::UnwatchEdges).await, Reply::Done);
            let led = ask(&mut hands, 13, Request::LeadCrystal { port }).await;
            assert_eq!(led, if runs { Reply::Done } else { Reply::Refused(Refusal::NotRunning) });
            let (rising, high_percent) = listen(&setup, &mut hands, A0).await;
            if runs {
                assert!((10..=11).contains(&rising) && (45..=55).contains(&high_percent), "{rising} {high_percent}");
                assert_eq!(ask(&mut hands, 14, watch()).await, busy, "its channel is in use");
            } else {
                assert_eq!(rising, 0);
            }
            assert_eq!(ask(&mut hands, 15, Request::LeaveCrystal).await, Reply::Done);
            assert_eq!(listen(&setup, &mut hands, A0).await.0, 0);
            // The firmware's own time continued during the test and after it.
            hands.sleep_ms(600).await;
            assert_eq!(ask(&mut hands, 16, watch()).await, Reply::Channel { channel: 0 });
            assert_eq!(setup.bench.stats().resets, resets, "{fault:?}");
        });
        assert_eq!(setup.bench.diagnostics(), Vec::<String>::new(), "{fault:?}");
    }
}
