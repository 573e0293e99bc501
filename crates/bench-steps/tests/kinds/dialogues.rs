//! Dialogues with modems that are as real ones, good and bad, on every type of modem. The modem here is a list of
//! answers, not the one of the virtual bench.

use crate::bed::{Bed, RecordedLog, Setup};
use crate::plans::World;
use crate::steps::good;
use bench_instruments::{DutError, ManualClock};
use bench_plan::{DutFamily, ModemLine, ModemWiring};
use bench_steps::StepError;
use dut_protocol::{Job, JobResult, JobState, ModemBytes, Port, PortSet, Reply, Request};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

#[derive(Deserialize)]
struct File {
    dialogue: Vec<Dialogue>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dialogue {
    name: String,
    /// Where it is described.
    source: String,
    #[serde(default)]
    modems: Vec<String>,
    #[serde(default = "yes")]
    echo: bool,
    #[serde(default)]
    mute: bool,
    #[serde(default = "yes")]
    obeys_rts: bool,
    /// Lines that leave the modem's buffer after RTS rose.
    #[serde(default)]
    burst: u32,
    #[serde(default)]
    noise: String,
    #[serde(default = "seven")]
    piece: usize,
    #[serde(default)]
    before: Vec<String>,
    #[serde(default)]
    within: Vec<String>,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    answers: BTreeMap<String, Vec<String>>,
    /// Only for models whose carrier is known.
    #[serde(default)]
    only_with_carrier: bool,
    verdict: String,
}

fn yes() -> bool {
    true
}

fn seven() -> usize {
    7
}

/// A type of modem, as its manual describes it.
struct Manual {
    modem: &'static str,
    model: &'static str,
    family: usize,
    has_carrier: bool,
    baud: u32,
    /// Placeholders of the dialogues.
    words: &'static [(&'static str, &'static str)],
    answers: &'static [(&'static str, &'static str)],
}

const MANUALS: [Manual; 3] = [
    Manual {
        modem: "r410",
        model: "b404",
        family: 0,
        has_carrier: true,
        baud: 115_200,
        words: &[
            ("{maker}", "u-blox"),
            ("{MAKER}", "U-BLOX"),
            ("{model}", "SARA-R410M-02B"),
            ("{firmware}", "L0.0.00.00.05.08 [Apr 17 2019 19:34:02]"),
            ("{ccid}", "AT+CCID"),
            ("{other}", "AT+CCID?"),
            ("{name}", "+CCID"),
            ("{cell}", "AT+UCGED?"),
            ("{off}", "AT+CPWROFF"),
        ],
        answers: &[
            ("AT+UCGED=5", "OK"),
            ("AT+UCGED?", "+RSRP: 162,5110,\"-085.10\", | +RSRQ: 162,5110,\"-11.50\", | OK"),
        ],
    },
    Manual {
        modem: "r510",
        model: "b404x",
        family: 0,
        has_carrier: true,
        baud: 460_800,
        words: &[
            ("{maker}", "u-blox"),
            ("{MAKER}", "U-BLOX"),
            ("{model}", "SARA-R510S-01B"),
            ("{firmware}", "03.15"),
            ("{ccid}", "AT+CCID"),
            ("{other}", "AT+CCID?"),
            ("{name}", "+CCID"),
            ("{cell}", "AT+UCGED?"),
            ("{off}", "AT+CPWROFF"),
        ],
        answers: &[
            ("AT+UCGED=2", "OK"),
            ("AT+UCGED?", "+UCGED: 2 | 6,4,001,01 | 2525,6,10,100,\"2b67\",69,\"34b\",99,-1,-1,56,17,20,0,0,0,0 | OK"),
        ],
    },
    Manual {
        modem: "eg91",
        model: "b523",
        family: 1,
        has_carrier: false,
        baud: 115_200,
        words: &[
            ("{maker}", "Quectel"),
            ("{MAKER}", "QUECTEL"),
            ("{model}", "EG91"),
            ("{firmware}", "EG91EFBR06A08M4G"),
            ("{ccid}", "AT+QCCID"),
            ("{other}", "AT+CCID"),
            ("{name}", "+QCCID"),
            ("{cell}", "AT+QCSQ"),
            ("{off}", "AT+QPOWD"),
        ],
        answers: &[("AT+QCSQ", "+QCSQ: \"LTE\",-60,-85,150,-9 | OK")],
    },
];

/// Answers that all of them give.
const COMMON: [(&str, &str); 15] = [
    ("AT", "OK"),
    ("ATE0", "OK"),
    ("ATV1", "OK"),
    ("ATQ0V1E0", "OK"),
    ("AT+CMEE=1", "OK"),
    ("AT+CFUN?", "+CFUN: 1 | OK"),
    ("AT+CFUN=1", "OK"),
    ("AT+IFC=2,2", "OK"),
    ("AT+CGMI", "{maker} | OK"),
    ("AT+CGMM", "{model} | OK"),
    ("AT+CGMR", "{firmware} | OK"),
    ("AT+CGSN", "{imei} | OK"),
    ("AT+CPIN?", "+CPIN: READY | OK"),
    ("{ccid}", "{name}: {number} | OK"),
    ("AT+CIMI", "310170123456789 | OK"),
];
const NUMBERS: [(&str, &str); 2] = [("{number}", "8988323000000000016"), ("{imei}", "490154203237518")];

impl Manual {
    fn fill(&self, text: &str) -> String {
        let all = self.words.iter().chain(&NUMBERS);
        all.fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

/// The modem at the other end of the module's lines.
#[derive(Default)]
struct Modem {
    manual: BTreeMap<String, String>,
    special: BTreeMap<String, VecDeque<String>>,
    echo: bool,
    mute: bool,
    obeys_rts: bool,
    burst: u32,
    piece: usize,
    unsolicited: [VecDeque<String>; 3],
    noise: Vec<u8>,
    lines: Option<ModemWiring>,
    off_command: String,
    baud: u32,
    line: Vec<u8>,
    out: VecDeque<u8>,
    /// Sent although RTS is high.
    spilled: VecDeque<u8>,
    on: bool,
    open_at: Option<u32>,
    rts_high: bool,
    pulled_up: PortSet,
    off_after_readings: Option<u32>,
    press_ms: u16,
}

thread_local! {
    static MODEM: RefCell<Modem> = RefCell::default();
}

fn with_modem(request: &Request) -> Result<Reply, DutError> {
    MODEM.with_borrow_mut(|modem| modem.answer(request))
}

/// One byte for each character.
fn bytes(text: &str) -> impl Iterator<Item = u8> {
    text.chars().map(|c| c as u8)
}

fn line(text: &str) -> String {
    format!("\r\n{text}\r\n")
}

impl Modem {
    fn new(dialogue: &Dialogue, manual: &Manual, family: &DutFamily) -> Self {
        let fill = |text: &str| manual.fill(text);
        let known = COMMON.iter().chain(manual.answers).map(|(command, answer)| (fill(command), fill(answer)));
        let queue = |lines: &[String]| lines.iter().map(|line| fill(line)).collect::<VecDeque<String>>();
        Self {
            manual: known.collect(),
            special: dialogue.answers.iter().map(|(command, answers)| (fill(command), queue(answers))).collect(),
            echo: dialogue.echo,
            mute: dialogue.mute,
            obeys_rts: dialogue.obeys_rts,
            burst: dialogue.burst,
            piece: dialogue.piece,
            unsolicited: [queue(&dialogue.before), queue(&dialogue.within), queue(&dialogue.after)],
            noise: bytes(&dialogue.noise).collect(),
            lines: family.modem.clone(),
            off_command: fill("{off}"),
            baud: manual.baud,
            ..Self::default()
        }
    }

    fn wiring(&self) -> &ModemWiring {
        self.lines.as_ref().unwrap()
    }

    fn levels(&mut self) -> PortSet {
        if let Some(left) = &mut self.off_after_readings {
            *left = left.saturating_sub(1);
            self.on &= *left > 0;
        }
        let (wiring, on, pulled_up) = (self.wiring(), self.on, self.pulled_up);
        let rts_pulled_up = pulled_up.contains(wiring.rts);
        let active = |line: ModemLine, is: bool| (line.port, line.active_high == is);
        let levels = [active(wiring.sense, on), (wiring.rx, on), (wiring.cts, false), (wiring.rts, rts_pulled_up)];
        levels.iter().filter(|(_, high)| *high).fold(PortSet::EMPTY, |set, (port, _)| set.with(*port))
    }

    fn next_unsolicited(&mut self, place: usize) -> String {
        let said = self.unsolicited[place].pop_front();
        let Some(said) = said else { return String::new() };
        let text = line(&said);
        self.unsolicited[place].push_back(said);
        text
    }

    fn byte(&mut self, byte: u8) {
        if self.echo {
            self.out.push_back(byte);
        }
        if byte != b'\r' {
            return self.line.push(byte);
        }
        let command = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
        let manual = self.manual.get(&command).cloned();
        let special = self.special.get_mut(&command).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        let answer = match special.as_deref() {
            Some("(silence)") => return,
            Some("(nothing)") => "OK".to_owned(),
            Some("@") | None if command == self.off_command => "OK".to_owned(),
            Some("@") | None => manual.unwrap_or_else(|| "ERROR".to_owned()),
            Some(answer) => answer.to_owned(),
        };
        let done = answer.contains("OK") || answer.contains('0');
        if command == "ATE0" && done {
            self.echo = false;
        }
        if command.contains("Q0") {
            (self.mute, self.echo) = (false, false);
        }
        if command == self.off_command && done {
            self.off_after_readings = Some(3);
        }
        if self.mute {
            return;
        }
        let mut text = self.next_unsolicited(0);
        if answer.contains(['\r', '\n']) {
            text.push_str(&answer);
        } else {
            let lines: Vec<&str> = answer.split(" | ").collect();
            for (n, said) in lines.iter().enumerate() {
                if n + 1 == lines.len() && n > 0 {
                    text.push_str(&self.next_unsolicited(1));
                }
                text.push_str(&line(said));
            }
        }
        text.push_str(&self.next_unsolicited(2));
        self.out.extend(bytes(&text));
        if !self.obeys_rts && self.rts_high {
            self.spilled.extend(std::mem::take(&mut self.out));
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Reply, DutError> {
        Ok(match request {
            Request::ApplyVector(vector) => {
                self.pulled_up = PortSet(self.pulled_up.0 & !vector.pull_down.0 & !vector.float.0 | vector.pull_up.0);
                let rts = self.wiring().rts;
                let has = |set: PortSet, port: Port| set.contains(port);
                if has(vector.high, rts) || has(vector.low, rts) {
                    self.rts_high = has(vector.high, rts);
                }
                Reply::Levels(self.levels())
            }
            Request::ReadPorts => Reply::Levels(self.levels()),
            Request::StartJob(Job::Press { port, ms, .. }) => {
                self.press_ms = *ms;
                self.on |= *port == self.wiring().power.port;
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
                self.out.extend(std::mem::take(&mut self.noise));
                Reply::Done
            }
            Request::CloseModem => {
                self.open_at = None;
                Reply::Done
            }
            Request::WriteModem { bytes } => {
                if self.on && self.open_at == Some(self.baud) {
                    bytes.iter().for_each(|byte| self.byte(*byte));
                    if self.rts_high && self.burst > 0 {
                        self.burst -= 1;
                        self.spilled.extend(line("+CREG: 1").bytes());
                    }
                }
                Reply::Done
            }
            Request::ReadModem => {
                let held = self.rts_high;
                let from = if held { &mut self.spilled } else { &mut self.out };
                let count = from.len().min(self.piece);
                let bytes = from.drain(..count).collect();
                Reply::Modem(ModemBytes { bytes, more: !from.is_empty(), lost: false })
            }
            other => return good(other),
        })
    }
}

const STEPS: [&str; 6] = [
    "kind = 'modem-on'\nsupply = 'VCC'",
    "kind = 'modem-ready'",
    "kind = 'modem-identity'",
    "kind = 'modem-sim'",
    "kind = 'modem-signal'\nrsrp_dbm = { min = -95, max = -60 }\nno_antenna_below = -110\nwithin = '4 s'\nsupply = 'VCC'\n\
     idle_amps = { max = '60 mA' }",
    "kind = 'modem-off'",
];

/// What was wrong with a dialogue's result, if anything.
fn objection(world: &World, dialogue: &Dialogue, manual: &Manual) -> Option<String> {
    let family = &world.families[manual.family];
    MODEM.with_borrow_mut(|modem| *modem = Modem::new(dialogue, manual, family));
    let clock = ManualClock::new();
    let setup = Setup { powered: true, answers: with_modem, ..Setup::default() };
    let (_bed, nest) = Bed::new(setup, &world.fixture, family, &clock);
    let log = RecordedLog::default();
    let mut outcome = Ok(());
    for step in STEPS {
        let plan = world.check_for(manual.model, step).unwrap();
        outcome = clock.run(plan.steps[0].procedure.run(&nest, &log));
        if outcome.is_err() {
            break;
        }
    }
    let texts = log.texts();
    let expected = manual.fill(&dialogue.verdict);
    let is_right = match &outcome {
        Ok(()) if expected == "pass" => texts.is_empty(),
        Ok(()) | Err(StepError::Dut(_)) => texts.iter().any(|text| text.starts_with(&expected)),
        Err(_) => false,
    };
    let dialogue = log.dialogue.borrow().join("\n    ");
    let private = ["8988323000", "4901542032", "3101701234"];
    if let Some(number) = private.iter().find(|number| dialogue.contains(**number) || texts.concat().contains(**number))
    {
        return Some(format!("a number is recorded in full, {number}...: {texts:?}\n    {dialogue}"));
    }
    (!is_right).then(|| format!("expected {expected}; {outcome:?} {texts:?}\n    {dialogue}"))
}

#[test]
fn every_dialogue_gets_its_verdict() {
    let world = World::new();
    let file: File = toml::from_str(include_str!("../data/at-dialogues.toml")).unwrap();
    let (mut tried, mut passes, mut wrong) = (0, 0, Vec::new());
    for dialogue in &file.dialogue {
        for manual in &MANUALS {
            let is_for = dialogue.modems.is_empty() || dialogue.modems.iter().any(|modem| modem == manual.modem);
            if !is_for || dialogue.only_with_carrier && !manual.has_carrier {
                continue;
            }
            tried += 1;
            passes += usize::from(dialogue.verdict == "pass");
            let why = objection(&world, dialogue, manual);
            wrong.extend(
                why.map(|why| format!("{} ({}, after {}): {why}", dialogue.name, manual.modem, dialogue.source)),
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 200 && passes >= 100 && tried - passes >= 60, "{tried} dialogues, {passes} of good modems");
}
