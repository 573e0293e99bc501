//! The modem's steps against an independent responder: a list of commands and answers as in the makers' manuals,
//! without the virtual bench's modem. What modems say is in `dialogues`; here are lines, keys and readings.

use crate::bed::{Bed, RecordedLog, Setup};
use crate::plans::World;
use crate::steps::good;
use bench_instruments::{DutError, ManualClock};
use bench_steps::StepError;
use dut_protocol::{Job, JobResult, JobState, ModemBytes, PortSet, Reply, Request};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Levels of the module's lines, and the modem at the other end.
#[derive(Default)]
struct Responder {
    /// Command and answer; a command that is not listed gets ERROR.
    script: &'static [(&'static str, &'static str)],
    echo: bool,
    line: Vec<u8>,
    out: VecDeque<u8>,
    on: bool,
    baud: u32,
    open_at: Option<u32>,
    rts_high: bool,
    /// Open lines.
    cut: &'static [&'static str],
    pulled_up: PortSet,
    off_after_reads: Option<u32>,
    /// Duration of the last key press.
    press_ms: u16,
    /// Key presses end early, after this time, with a release of the ports.
    released_after_ms: Option<u16>,
}

const POWER: &str = "P0.16";
const SENSE: &str = "P0.07";
const RX: &str = "P1.04";
const CTS: &str = "P1.06";
const RTS: &str = "P1.07";

thread_local! {
    static MODEM: RefCell<Responder> = RefCell::default();
}

fn has(set: PortSet, port: &str) -> bool {
    set.contains(port.parse().unwrap())
}

impl Responder {
    fn levels(&mut self) -> PortSet {
        if let Some(left) = &mut self.off_after_reads {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.on = false;
            }
        }
        let mut levels = PortSet::EMPTY;
        let mut add = |port: &str, level: bool| {
            if level {
                levels = levels.with(port.parse().unwrap());
            }
        };
        add(SENSE, self.on);
        add(RX, if self.cut.contains(&"rx") { has(self.pulled_up, RX) } else { self.on });
        add(CTS, self.cut.contains(&"cts") && has(self.pulled_up, CTS));
        add(RTS, has(self.pulled_up, RTS));
        levels
    }

    fn byte(&mut self, byte: u8) {
        if self.echo {
            self.out.push_back(byte);
        }
        if byte != b'\r' {
            return self.line.push(byte);
        }
        let command = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
        if let "ATE0" = command.as_str() {
            self.echo = false;
        }
        if command == "AT+CPWROFF" || command == "AT+QPOWD" {
            self.off_after_reads = Some(3);
        }
        let known = self.script.iter().find(|(known, _)| *known == command).map(|(_, answer)| *answer);
        let plain = ["AT", "ATE0", "AT+CMEE=1", "AT+IFC=2,2", "AT+CPWROFF", "AT+QPOWD"].contains(&command.as_str());
        let answer = known.unwrap_or(if plain { "\r\nOK\r\n" } else { "\r\nERROR\r\n" });
        self.out.extend(answer.bytes());
    }

    fn answer(&mut self, request: &Request) -> Result<Reply, DutError> {
        Ok(match request {
            Request::ApplyVector(vector) => {
                self.pulled_up = PortSet(self.pulled_up.0 & !vector.pull_down.0 & !vector.float.0 | vector.pull_up.0);
                if has(vector.high, RTS) || has(vector.low, RTS) {
                    self.rts_high = has(vector.high, RTS);
                }
                Reply::Levels(self.levels())
            }
            Request::ReadPorts => Reply::Levels(self.levels()),
            Request::StartJob(Job::Press { port, ms, .. }) => {
                self.press_ms = self.released_after_ms.unwrap_or(*ms);
                self.on |= *port == POWER.parse().unwrap();
                Reply::JobAccepted { job: 1 }
            }
            Request::PollJob { job } => {
                Reply::JobState { job: *job, state: JobState::Done(JobResult::Waited { ms: self.press_ms }) }
            }
            Request::OpenModem(order) => {
                self.open_at = Some(order.baud);
                self.rts_high = false;
                self.out.clear();
                self.line.clear();
                Reply::Done
            }
            Request::CloseModem => {
                self.open_at = None;
                Reply::Done
            }
            Request::WriteModem { bytes } => {
                if self.on && self.open_at == Some(self.baud) {
                    bytes.iter().for_each(|byte| self.byte(*byte));
                }
                Reply::Done
            }
            // In small pieces, as a slow line gives them.
            Request::ReadModem => {
                let count = if self.rts_high { 0 } else { self.out.len().min(7) };
                let bytes = self.out.drain(..count).collect();
                Reply::Modem(ModemBytes { bytes, more: !self.rts_high && !self.out.is_empty(), lost: false })
            }
            other => return good(other),
        })
    }
}

fn with_modem(request: &Request) -> Result<Reply, DutError> {
    MODEM.with_borrow_mut(|modem| modem.answer(request))
}

/// A complete R510S as in its manual, with an unsolicited message in between.
const R510: &[(&str, &str)] = &[
    ("AT+CGMI", "\r\nu-blox\r\n\r\nOK\r\n"),
    ("AT+CGMM", "\r\n+UUSIMSTAT: 1\r\n\r\nSARA-R510S-01B\r\n\r\nOK\r\n"),
    ("AT+CGMR", "\r\n03.15\r\n\r\nOK\r\n"),
    ("AT+CGSN", "\r\n490154203237518\r\n\r\nOK\r\n"),
    ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    ("AT+CCID", "\r\n+CCID: 8988323000000000016\r\n\r\nOK\r\n"),
    ("AT+CIMI", "\r\n310170123456789\r\n\r\nOK\r\n"),
    ("AT+UCGED=2", "\r\nOK\r\n"),
    (
        "AT+UCGED?",
        "\r\n+UCGED: 2\r\n6,4,001,01\r\n2525,6,10,100,\"2b67\",69,\"34b\",99,-1,-1,56,17,20,0,0,0,0\r\n\r\nOK\r\n",
    ),
];

const ON: &str = "kind = 'modem-on'\nsupply = 'VCC'";
const READY: &str = "kind = 'modem-ready'";
const IDENTITY: &str = "kind = 'modem-identity'";
const SIM: &str = "kind = 'modem-sim'";
const SIGNAL: &str = "kind = 'modem-signal'\nrsrp_dbm = { min = -95, max = -60 }\nno_antenna_below = -110\n\
                      within = '2 s'\nsupply = 'VCC'\nidle_amps = { max = '60 mA' }";
const OFF: &str = "kind = 'modem-off'";

/// Runs the steps one after the other on one nest; returns the log, and how the last one ended.
fn dialogue(world: &World, responder: Responder, steps: &[&str]) -> (RecordedLog, Result<(), StepError>, bool) {
    MODEM.with_borrow_mut(|modem| *modem = responder);
    let clock = ManualClock::new();
    let setup = Setup { powered: true, answers: with_modem, ..Setup::default() };
    let (_bed, nest) = Bed::new(setup, &world.fixture, world.family(), &clock);
    let log = RecordedLog::default();
    let mut outcome = Ok(());
    for step in steps {
        let plan = world.check(step).unwrap();
        outcome = clock.run(plan.steps[0].procedure.run(&nest, &log));
        if outcome.is_err() {
            break;
        }
    }
    (log, outcome, nest.modem.get().is_some())
}

#[test]
fn a_good_modem_passes_every_step() {
    let world = World::new();
    for baud in [115_200, 460_800] {
        let responder = Responder { script: R510, echo: true, baud, ..Responder::default() };
        let (log, outcome, on) = dialogue(&world, responder, &[ON, READY, IDENTITY, SIM, SIGNAL, OFF]);
        assert!(outcome.is_ok(), "{outcome:?} {:?}", log.texts());
        assert_eq!(log.texts(), Vec::<String>::new());
        assert!(!on);
        let measured = log.measured.borrow();
        let value = |name: &str| measured.get(name).copied().flatten();
        for name in ["modem.model-matches", "modem.imei-is-valid", "sim.iccid-is-valid", "sim.carrier-matches"] {
            assert_eq!(value(name), Some(1.0), "{name}");
        }
        assert_eq!(value("modem.answers-when-rts-low"), Some(1.0));
        assert_eq!(value("modem.bytes-while-rts-high"), Some(0.0));
        assert_eq!(value("cell.rsrp-dbm"), Some(-85.0));
        assert_eq!(value("modem.off-by-order"), Some(1.0));
    }
}

#[test]
fn lines_are_distinguished_from_each_other() {
    let world = World::new();
    for (cut, expected) in [("rx", "modem UART RX"), ("cts", "modem UART CTS")] {
        let cut: &'static [&'static str] = if cut == "rx" { &["rx"] } else { &["cts"] };
        let responder = Responder { script: R510, echo: true, baud: 115_200, cut, ..Responder::default() };
        let (log, outcome, on) = dialogue(&world, responder, &[ON, READY]);
        assert!(log.texts()[0].starts_with(expected), "{:?}", log.texts());
        assert!(matches!(outcome, Err(StepError::Dut(_))) && on, "the way to the safe state must know of it");
    }
}

/// What is not tested is not measured either.
#[test]
fn a_plan_may_do_without_flow_control() {
    let world = World::new();
    let ready = "kind = 'modem-ready'\nflow_control = false";
    let responder = Responder { script: R510, echo: true, baud: 115_200, cut: &["cts"], ..Responder::default() };
    let (log, outcome, _) = dialogue(&world, responder, &[ON, ready, IDENTITY, OFF]);
    assert!(outcome.is_ok(), "{outcome:?} {:?}", log.texts());
    let measured = log.measured.borrow();
    let of_lines: Vec<&String> = measured.keys().filter(|name| name.contains("cts") || name.contains("rts")).collect();
    assert!(of_lines.is_empty() && measured.contains_key("modem.ready-after"), "{measured:?}");
}

/// The firmware releases the key when the link was silent: then the press was shorter than it must be.
#[test]
fn a_key_press_that_was_cut_short_does_not_count() {
    let world = World::new();
    let responder =
        Responder { script: R510, echo: true, baud: 115_200, released_after_ms: Some(300), ..Responder::default() };
    let (_, outcome, on) = dialogue(&world, responder, &[ON]);
    let expected = "the module released P0.16 after 300 ms instead of 1500 ms";
    assert!(matches!(&outcome, Err(StepError::Bench(why)) if why.starts_with(expected)), "{outcome:?}");
    assert!(on, "the way to the safe state must know of it");
}

/// A step without the one before it is the plan's mistake, not the module's.
#[test]
fn a_modem_that_is_off_gets_no_request() {
    let world = World::new();
    for step in [READY, IDENTITY, SIM, SIGNAL, OFF] {
        let (_, outcome, _) = dialogue(&world, Responder::default(), &[step]);
        assert!(matches!(outcome, Err(StepError::Bench(_))), "{step}: {outcome:?}");
    }
}
