//! After too long a silence on the link nothing drives a port, regardless of what was in progress.

use crate::functions::Asking;
use crate::hands::{run, setup};
use bench_instruments::EdgeTrace;
use dut_protocol::{
    FlowControlRequest, INITIAL_BAUD, Job, JobResult, JobState, ModemUart, Port, PortSet, PortVector, PwmOutput,
    PwmRequest, Reply, Request,
};

const CONTACT: u8 = 23;
const OTHER: u8 = 33;
const TIMEOUT_MS: u16 = 300;
const PRESS_MS: u16 = 2_000;
/// How long the port is observed after the release: past the end of all that was begun.
const OBSERVED_MS: u64 = 3_000;

struct Row {
    what: &'static str,
    /// Before the silence, in this order.
    requests: fn(Port, Port) -> Vec<Request>,
    /// The level to which the bench pulls the port: the opposite of what is driven, as far as there is one.
    pulled_high: bool,
    /// It drives the port at some time, as long as the link is alive.
    drives: bool,
}

fn set(port: Port) -> PortSet {
    PortSet::EMPTY.with(port)
}

fn high(port: Port) -> Request {
    Request::ApplyVector(PortVector { high: set(port), ..PortVector::default() })
}

fn press(port: Port, high: bool) -> Request {
    Request::StartJob(Job::Press { port, high, ms: PRESS_MS })
}

const ROWS: &[Row] = &[
    Row { what: "vector", requests: |port, _| vec![high(port)], pulled_high: false, drives: true },
    Row { what: "press to high", requests: |port, _| vec![press(port, true)], pulled_high: true, drives: true },
    Row { what: "press to low", requests: |port, _| vec![press(port, false)], pulled_high: false, drives: true },
    Row {
        what: "press of a port that is held",
        requests: |port, _| vec![Request::HoldPorts { ports: set(port) }, press(port, true)],
        pulled_high: true,
        drives: true,
    },
    Row {
        what: "second press",
        requests: |port, other| vec![press(other, true), press(port, false)],
        pulled_high: false,
        drives: true,
    },
    Row {
        what: "counting",
        requests: |port, _| vec![Request::StartJob(Job::CountEdges { port, window_ms: PRESS_MS })],
        pulled_high: false,
        drives: false,
    },
    Row {
        what: "wait and busy",
        requests: |_, _| vec![Request::StartJob(Job::Wait { ms: PRESS_MS }), Request::StartJob(Job::Busy { ms: 50 })],
        pulled_high: false,
        drives: false,
    },
    Row {
        what: "PWM",
        requests: |port, _| {
            let output = Some(PwmOutput { port, duty_permille: 500 });
            vec![Request::StartPwm(PwmRequest { unit: 0, frequency_hz: 200, outputs: [output, None, None, None] })]
        },
        pulled_high: false,
        drives: true,
    },
    Row {
        // Its end puts back what was before, which is an output.
        what: "flow control",
        requests: |port, other| {
            let flow = FlowControlRequest { rts: port, cts: other, pause_ms: 0, for_ms: 1_000 };
            vec![high(port), Request::FlowControl(flow)]
        },
        pulled_high: false,
        drives: true,
    },
    Row { what: "crystal", requests: |port, _| vec![Request::LeadCrystal { port }], pulled_high: false, drives: true },
    Row {
        what: "modem's UART",
        requests: |port, other| {
            let modem = ModemUart { tx: port, rx: other, flow: None, baud: INITIAL_BAUD };
            vec![Request::HoldPorts { ports: set(port) }, Request::OpenModem(modem)]
        },
        pulled_high: false,
        drives: true,
    },
];

#[test]
fn nothing_drives_a_port_after_the_release() {
    for (row, silent) in ROWS.iter().flat_map(|row| [(row, true), (row, false)]) {
        let what = format!("{}, {}", row.what, if silent { "silent" } else { "alive" });
        let setup = setup("b404x", &[], 1);
        let hands = setup.hands.clone();
        let line = setup.bench.edge_line();
        run(&setup, async {
            let mut dut = Asking::awake(hands).await;
            let timeout = Request::SetLinkTimeout { timeout_ms: TIMEOUT_MS };
            assert_eq!(dut.ask(timeout).await, Reply::Done, "{what}");
            let (port, other) = (dut.hands.port(CONTACT), dut.hands.port(OTHER));
            dut.hands.select(CONTACT);
            dut.hands.source(Some(if row.pulled_high { 3.0 } else { 0.0 }));
            let mut jobs = Vec::new();
            for request in (row.requests)(port, other) {
                match dut.ask_slow(request).await {
                    Reply::JobAccepted { job } => jobs.push(job),
                    Reply::Refused(refusal) => panic!("{what}: {refusal:?}"),
                    _ => {}
                }
            }
            if silent {
                dut.hands.sleep_ms(u64::from(TIMEOUT_MS) + 50).await;
            }
            line.begin().unwrap();
            if silent {
                dut.hands.sleep_ms(OBSERVED_MS).await;
            } else {
                for _ in 0..OBSERVED_MS / 100 {
                    dut.hands.sleep_ms(100).await;
                    // The reply may be lost while flow control is on.
                    let _ = dut.try_ask(Request::ReadPorts).await;
                }
            }
            let EdgeTrace { high_before, edges } = line.end().unwrap();
            let untouched = high_before == row.pulled_high && edges.is_empty();
            assert_eq!(untouched, silent || !row.drives, "{what}: high {high_before}, then {} edges", edges.len());

            // A press that was cut short is not reported as done.
            for job in jobs {
                let state = dut.ask(Request::PollJob { job }).await;
                let Reply::JobState { state: JobState::Done(result), .. } = state else {
                    panic!("{what}: job {job} has not ended: {state:?}")
                };
                if row.what.contains("press") {
                    let JobResult::Waited { ms } = result else { panic!("{what}: {result:?}") };
                    let expected = if silent { TIMEOUT_MS - 50..TIMEOUT_MS + 50 } else { PRESS_MS..PRESS_MS + 1 };
                    assert!(expected.contains(&ms), "{what}: {ms} ms");
                }
            }
        });
        assert_eq!(setup.bench.diagnostics(), Vec::<String>::new(), "{what}");
    }
}
