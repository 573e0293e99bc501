//! The screen without a terminal: what happens goes in by rows, in virtual time.

mod cause;
mod people;
mod pictures;
mod power;
mod questions;
mod repeated;
mod screens;
mod shift;
mod streams;

use super::app::{Action, App, Setup};
use super::history::UnitHistory;
use super::input::{Input, Press};
use super::log::Row;
use super::nest::State;
use super::picture::Pictures;
use super::rules::{Rules, UnitPast};
use super::scan::Labels;
use super::sign_off::SignOff;
use super::texts::Texts;
use super::view::{self, EdgeMap, Look, Screen};
use bench_engine::{Ended, FromNest, Project};
use bench_plan::DutFamily;
use bench_report::RunRecord;
use bench_run::{
    BenchKind, BenchTime, Contact, Defect, Diagnosis, Entry, Event, Limits, Measurement, MeasurementUnit, PlannedStep,
    Provenance, Tally, Verdict,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;
use zeroize::Zeroizing;

/// Runs per unit and golden modules per nest, as they would lie below the reports.
#[derive(Clone, Default)]
struct Runs(Rc<RefCell<BTreeMap<String, UnitPast>>>, Rc<RefCell<Vec<Option<SignOff>>>>);

impl UnitHistory for Runs {
    fn past(&self, serial: &str) -> Result<UnitPast, String> {
        if serial.ends_with("UNREAD") {
            return Err("the runs cannot be listed".to_owned());
        }
        Ok(self.0.borrow().get(serial).cloned().unwrap_or_default())
    }

    fn golden(&self, nest: usize) -> Result<Option<SignOff>, String> {
        Ok(self.1.borrow().get(nest).cloned().flatten())
    }
}

/// A station, its clock, and the orders that it got.
struct Station {
    app: App,
    edge: EdgeMap,
    pictures: Pictures,
    runs: Runs,
    now: Duration,
    done: Vec<Action>,
}

fn families() -> &'static [DutFamily] {
    static FAMILIES: OnceLock<Vec<DutFamily>> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let families = Project::find(Some(&root), None).families().unwrap();
        families.into_iter().map(|(_, family)| family).collect()
    })
}

fn family(model: &str) -> DutFamily {
    families().iter().find(|family| family.model(model).is_some()).unwrap().clone()
}

impl Station {
    fn new(nests: usize, rules: Rules) -> Self {
        Self::of("b404x", nests, rules)
    }

    fn of(model: &str, nests: usize, rules: Rules) -> Self {
        let family = family(model);
        let setup = Setup {
            plan: model.to_owned(),
            title: format!("{} end of line", model.to_uppercase()),
            model: model.to_owned(),
            labels: Labels::of(families(), Some(model)),
            nests,
            rules,
            virtual_bench: true,
            pace: Some(1.0),
            silence: Duration::from_secs(60),
            expected: None,
            orderly: bench_engine::orderly_within(&family, model),
            stopped: Vec::new(),
        };
        let runs = Runs::default();
        let texts = Texts::new(&setup.rules.language).unwrap();
        let app = App::new(setup, texts, Box::new(runs.clone()));
        Self {
            app,
            edge: EdgeMap::of(&family),
            pictures: Pictures::new(None),
            runs,
            now: Duration::ZERO,
            done: Vec::new(),
        }
    }

    /// Something happens a second later; what is to be done then.
    fn happens(&mut self, input: Input) -> Vec<Action> {
        self.soon(Duration::from_secs(1), input)
    }

    fn soon(&mut self, after: Duration, input: Input) -> Vec<Action> {
        self.now += after;
        let actions = self.app.handle(input, self.now, "2026-01-01T00:00:00Z");
        self.done.extend(actions.clone());
        actions
    }

    /// As a scanner that poses as a keyboard: keys in quick succession, then Enter.
    fn scan(&mut self, text: &str) -> Vec<Action> {
        self.now += Duration::from_secs(1);
        let mut actions = Vec::new();
        for character in text.chars() {
            actions.extend(self.soon(Duration::from_millis(2), Input::Press(Press::Character(character))));
        }
        actions.extend(self.soon(Duration::from_millis(2), Input::Press(Press::Enter)));
        actions
    }

    fn press(&mut self, press: Press) -> Vec<Action> {
        self.happens(Input::Press(press))
    }

    fn entries(&mut self, nest: usize, entries: &[Entry]) {
        for entry in entries {
            self.soon(Duration::ZERO, Input::FromNest(nest, FromNest::Entry(Box::new(entry.clone()))));
        }
    }

    /// The run on this nest reaches this end; its record is below the reports.
    fn ends(&mut self, nest: usize, verdict: Verdict) {
        let entries = run(verdict);
        self.entries(nest, &entries);
        let serial = self.app.nests[nest].unit().unwrap().serial.clone();
        {
            let mut runs = self.runs.0.borrow_mut();
            let past = runs.entry(serial).or_default();
            past.verdicts.push(verdict);
            if matches!(verdict, Verdict::Pass | Verdict::Fail) {
                past.judged.insert(self.app.setup.plan.clone(), verdict);
            }
        }
        self.happens(Input::FromNest(nest, FromNest::Ended(Box::new(ended(verdict, &entries)))));
    }

    /// Each nest in a letter, with the label on it.
    fn states(&self) -> String {
        let state = |nest: &super::nest::NestStatus| match &nest.state {
            State::Empty => "empty".to_owned(),
            State::Ready(unit) => format!("ready {}", unit.serial),
            State::Running(unit, _) => format!("runs {}{}", unit.serial, if nest.stopping { " stopping" } else { "" }),
            State::Done(finished) => format!("{} {}", finished.ended.verdict, finished.unit.serial),
        };
        self.app.nests.iter().map(state).collect::<Vec<_>>().join(", ")
    }

    fn notice(&self) -> &str {
        self.app.notice.as_ref().map_or("", |notice| notice.text.as_str())
    }

    fn backend(&self, columns: u16, rows: u16) -> TestBackend {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let look = Look { colour: true };
        let screen = Screen { app: &self.app, edge: &self.edge, look, pictures: &self.pictures };
        terminal.draw(|frame| view::draw(frame, &screen)).unwrap();
        terminal.backend().clone()
    }

    fn draw(&self, columns: u16, rows: u16) -> String {
        let text = self.backend(columns, rows).to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
    }
}

fn serial(number: u32) -> String {
    format!("P042AV{number:09}")
}

fn label(number: u32) -> String {
    format!("{} MOBILESECRET{number:03}", serial(number))
}

fn text(text: &str) -> Input {
    Input::Text(Zeroizing::new(text.to_owned()))
}

fn entry(at_us: u64, event: Event) -> Entry {
    Entry { v: 1, seq: 0, at_us: BenchTime(at_us), event }
}

fn volts(value: f64) -> Measurement {
    let limits = Limits::between(3.2, 3.4);
    let verdict = if (3.2..=3.4).contains(&value) { Verdict::Pass } else { Verdict::Fail };
    Measurement {
        name: "3V3.volts".to_owned(),
        value: Some(value),
        raw: None,
        unit: MeasurementUnit::Volts,
        limits,
        verdict,
        contacts: vec![Contact(10)],
    }
}

/// The entries of a short run up to the middle of its second step.
fn half(value: f64) -> Vec<Entry> {
    let planned = |id: &str, title: &str| PlannedStep {
        id: id.to_owned(),
        kind: id.to_owned(),
        title: title.to_owned(),
        measurements: 1,
        attempts: None,
        promised: Vec::new(),
    };
    let start = |step: &str| Event::StepStarted { step: step.to_owned(), attempt: 1 };
    let measured = |step: &str, value| Event::Measured { step: step.to_owned(), attempt: 1, measurement: volts(value) };
    vec![
        entry(
            0,
            Event::RunStarted {
                run_id: "r".to_owned(),
                serial: serial(1),
                model: "b404x".to_owned(),
                started_at: None,
                order: None,
                bench: Box::new(BenchKind::Virtual { seed: 1, faults: Vec::new() }),
                lot: None,
                diagnosis: None,
                provenance: Box::default(),
                steps: vec![
                    planned("supply", "Supplies"),
                    planned("contacts", "Opens and shorts"),
                    planned("modem", "Modem with SIM"),
                ],
            },
        ),
        entry(10, start("supply")),
        entry(20, Event::RailSwitched { rail: "3V3".to_owned(), on: true, volts: None }),
        entry(1_000_000, measured("supply", 3.301)),
        entry(1_100_000, end("supply", Verdict::Pass)),
        entry(1_100_000, start("contacts")),
        entry(1_100_000, start("modem")),
        entry(4_200_000, measured("contacts", value)),
    ]
}

fn end(step: &str, verdict: Verdict) -> Event {
    let reason = (verdict != Verdict::Pass).then(|| format!("{verdict}, as the test wants it"));
    Event::StepEnded { step: step.to_owned(), attempt: 1, verdict, reason, procedure: None, retried: false, late: None }
}

/// A whole run with this verdict.
fn run(verdict: Verdict) -> Vec<Entry> {
    let mut entries = half(if verdict == Verdict::Fail { 0.4 } else { 3.302 });
    let mut add = |at, event| entries.push(entry(at, event));
    if verdict == Verdict::Fail {
        for (defect, contacts, text) in [
            (Defect::Open, vec![23], "contact 23 (A0): open"),
            (Defect::Short, vec![36, 38], "contacts 36 (TX) and 38 (RX): shorted"),
        ] {
            let contacts = contacts.into_iter().map(Contact).collect();
            let diagnosis = Diagnosis { defect, contacts, text: text.to_owned() };
            add(4_300_000, Event::Diagnosed { step: "contacts".to_owned(), attempt: 1, diagnosis });
        }
    }
    if verdict == Verdict::Aborted {
        add(4_300_000, Event::Stopping { reason: "aborted by the operator".to_owned() });
    }
    add(5_000_000, end("contacts", verdict));
    add(9_000_000, end("modem", if verdict == Verdict::Pass { verdict } else { Verdict::Skipped }));
    add(9_003_200, Event::RailSwitched { rail: "3V3".to_owned(), on: false, volts: None });
    add(9_060_000, Event::SafeState { confirmed: true, reason: None });
    let reason = match verdict {
        Verdict::Pass => None,
        Verdict::Error => Some("Opens and shorts: the expander at 0x20 does not answer".to_owned()),
        Verdict::Aborted => Some("aborted by the operator".to_owned()),
        _ => Some("contacts: 1 contact at fault".to_owned()),
    };
    add(9_100_000, Event::RunEnded { verdict, reason, tally: Tally::default() });
    entries
}

fn ended(verdict: Verdict, entries: &[Entry]) -> Ended {
    let record = RunRecord::from_entries(entries);
    Ended { verdict, reason: record.reason.clone(), record: Some(record), is_refused: false }
}
