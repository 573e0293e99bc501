//! The one step of a console: does what is typed, and says what came of it.

use super::editor::Editor;
use super::words::{self, Command, Names, OTHERS, parse};
use crate::commands::print;
use async_trait::async_trait;
use bench_instruments::InstrumentError;
use bench_plan::Node;
use bench_run::MeasurementUnit;
use bench_steps::action::{Action, Done, Places, VERBS, Worker, clear_rail, read, verb};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Asks every chip of the fixture.
pub(super) type Scan = Rc<dyn Fn() -> Result<Vec<(String, Result<(), InstrumentError>)>, InstrumentError>>;

pub(super) struct ConsoleStep {
    places: Places,
    names: Names,
    editor: Editor,
    scan: Scan,
    done: RefCell<Vec<Remembered>>,
    on: RefCell<BTreeSet<String>>,
}

/// What was done, for `save`.
struct Remembered {
    node: Node,
    reading: Option<(f64, MeasurementUnit)>,
}

/// Readings of `watch` without a terminal and without a span.
const FEW: usize = 10;
/// A supply needs this long before it is measured.
const SETTLES: Duration = Duration::from_millis(50);

impl ConsoleStep {
    pub fn new(places: Places, editor: Editor, scan: Scan) -> Self {
        let names = Names::of(&places.family, &places.fixture);
        Self { places, names, editor, scan, done: RefCell::default(), on: RefCell::default() }
    }
}

#[async_trait(?Send)]
impl Procedure for ConsoleStep {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let mut worker = Worker::default();
        while let Some(line) = self.editor.line().await {
            let command = match parse(&line, &self.names) {
                Ok(Command::Quit) => break,
                Ok(command) => command,
                Err((wrong, help)) => {
                    print(&format!("{wrong}\n  {help}\n"));
                    continue;
                }
            };
            self.obey(nest, log, &mut worker, command).await;
        }
        worker.finish(nest).await
    }
}

impl ConsoleStep {
    async fn obey(&self, nest: &Nest, log: &dyn StepLog, worker: &mut Worker, command: Command) {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Do(nodes) => {
                for node in nodes {
                    self.act(nest, log, worker, &node).await;
                }
            }
            Command::Watch { what, every, span } => self.watch(nest, log, worker, &what, every, span).await,
            Command::Rails => self.rails(nest).await,
            Command::Status => self.status(nest).await,
            Command::ScanI2c => self.scan_i2c(),
            Command::Help(about) => help(about.as_deref()),
            Command::Save { file, id } => self.save(&file, &id),
        }
    }

    /// Does one action and says what came of it.
    async fn act(&self, nest: &Nest, log: &dyn StepLog, worker: &mut Worker, node: &Node) {
        let action = match read(node, &[], &self.places.around()) {
            Ok(action) => action,
            Err(problem) => {
                let help = problem.help.map(|help| format!("\n  {help}")).unwrap_or_default();
                return print(&format!("{}{help}\n", problem.message));
            }
        };
        let what = action.describe(&self.places.family);
        if let Action::Rail { rail, on: true } = &action
            && !self.on.borrow().contains(rail)
        {
            match clear_rail(nest, rail).await {
                Ok(ohms) => print(&format!("rail {rail} to ground: {}\n", MeasurementUnit::Ohms.show(ohms))),
                Err(error) => return print(&format!("{what}: not done: {error}\n")),
            }
        }
        match worker.perform(nest, &action, &|text| log.dialogue(text)).await {
            Ok(done) => {
                let shown = done.show();
                print(&if shown.is_empty() { format!("{what}: done\n") } else { format!("{what}: {shown}\n") });
                self.remember(node, &done);
                if let Action::Rail { rail, on } = &action {
                    self.switched(nest, rail, *on).await;
                }
            }
            Err(error) => print(&format!("{what}: {error}\n")),
        }
    }

    async fn switched(&self, nest: &Nest, rail: &str, on: bool) {
        {
            let mut now_on = self.on.borrow_mut();
            if on {
                now_on.insert(rail.to_owned())
            } else {
                now_on.remove(rail)
            };
        }
        nest.settle(SETTLES).await;
        self.rail(nest, rail).await;
    }

    async fn rail(&self, nest: &Nest, rail: &str) {
        let on = if self.on.borrow().contains(rail) { "on" } else { "off" };
        match nest.rails.measure(rail).await {
            Ok(reading) => print(&format!(
                "rail {rail} is {on}: {}, {}\n",
                MeasurementUnit::Volts.show(reading.volts),
                MeasurementUnit::Amps.show(reading.amps)
            )),
            Err(error) => print(&format!("rail {rail} is {on}: {error}\n")),
        }
    }

    async fn rails(&self, nest: &Nest) {
        for rail in nest.rails.names() {
            self.rail(nest, &rail).await;
        }
    }

    async fn status(&self, nest: &Nest) {
        let state = |line: Option<Result<bool, InstrumentError>>, yes: &str, no: &str| match line {
            None => "none".to_owned(),
            Some(Ok(active)) => if active { yes } else { no }.to_owned(),
            Some(Err(error)) => error.to_string(),
        };
        let lid = state(nest.panel.lid.as_ref().map(|lid| lid.is_active()), "closed", "open");
        let stop = state(nest.panel.emergency.as_ref().map(|stop| stop.is_active()), "pressed", "released");
        print(&format!("lid: {lid}\nemergency stop: {stop}\n"));
        self.rails(nest).await;
    }

    fn scan_i2c(&self) {
        if !self.on.borrow().is_empty() {
            // Asking a chip may configure it again.
            print("scan i2c: not while a rail is on\n  switch it off first\n");
            return;
        }
        match (self.scan)() {
            Ok(chips) => {
                for (chip, seen) in chips {
                    let seen = seen.map_or_else(|error| error.to_string(), |()| "answers".to_owned());
                    print(&format!("{chip}: {seen}\n"));
                }
            }
            Err(error) => print(&format!("scan i2c: {error}\n")),
        }
    }

    async fn watch(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        worker: &mut Worker,
        what: &[Node],
        every: Duration,
        span: Option<Duration>,
    ) {
        let mut actions = Vec::new();
        for node in what {
            match read(node, &[], &self.places.around()) {
                Ok(action) if action.unit().is_some() => actions.push(action),
                Ok(action) => return print(&format!("{}: gives no reading\n", action.describe(&self.places.family))),
                Err(problem) => {
                    let help = problem.help.map(|help| format!("\n  {help}")).unwrap_or_default();
                    return print(&format!("{}{help}\n", problem.message));
                }
            }
        }
        if self.editor.is_terminal() {
            print("Enter ends it.\n");
        }
        let until = span.map(|span| nest.clock.now() + span);
        let enough = async {
            match self.editor.is_terminal() {
                true => self.editor.enter().await,
                false => std::future::pending().await,
            }
        };
        let mut enough = pin!(enough);
        let mut count = 0;
        loop {
            let mut line = String::new();
            for action in &actions {
                let shown = match worker.perform(nest, action, &|text| log.dialogue(text)).await {
                    Ok(done) => done.show(),
                    Err(error) => return print(&format!("{}: {error}\n", action.describe(&self.places.family))),
                };
                let _ = write!(
                    line,
                    "{}{}: {shown}",
                    if line.is_empty() { "" } else { "; " },
                    action.describe(&self.places.family)
                );
            }
            print(&format!("{line}\n"));
            count += 1;
            let is_over = match until {
                Some(until) => nest.clock.now() >= until,
                None => !self.editor.is_terminal() && count >= FEW,
            };
            if is_over {
                if self.editor.is_terminal() {
                    print("Press Enter.\n");
                    enough.await;
                }
                return;
            }
            if let Either::Right(_) = select(pin!(nest.clock.sleep(every)), &mut enough).await {
                return;
            }
        }
    }

    fn remember(&self, node: &Node, done: &Done) {
        let reading = done.value.zip(done.unit);
        self.done.borrow_mut().push(Remembered { node: node.clone(), reading });
    }

    /// Adds a step to a file, with limits around what was read.
    fn save(&self, file: &str, id: &str) {
        let text = step(id, &self.done.borrow());
        let Some(text) = text else {
            return print("save: nothing was read yet, so there is nothing to judge\n  measure something first\n");
        };
        let mut options = std::fs::OpenOptions::new();
        let written = options.create(true).append(true).open(file).and_then(|mut to| to.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                print(&format!("save: step `{id}` was added to {file}: set its needs and limits, then `bench check`\n"))
            }
            Err(error) => print(&format!("save: {file}: {error}\n")),
        }
    }
}

/// The share of a reading that the limits of a saved step leave on either side.
const AROUND: f64 = 0.1;

/// Around zero, a share of the reading is nothing: what instruments read there.
fn least_margin(unit: MeasurementUnit) -> f64 {
    match unit {
        MeasurementUnit::Volts => 0.02,
        MeasurementUnit::Amps => 1e-3,
        MeasurementUnit::Ohms => 5.0,
        MeasurementUnit::Hertz | MeasurementUnit::Percent => 1.0,
        MeasurementUnit::Seconds => 1e-3,
        MeasurementUnit::One => 0.0,
    }
}

fn step(id: &str, done: &[Remembered]) -> Option<String> {
    let mut text = format!("\n# From the console.\n[[step]]\nid = \"{id}\"\nkind = \"sequence\"\nneeds = []\ndo = [\n");
    let (mut limits, mut count) = (String::new(), 0);
    for Remembered { node, reading } in done {
        let action = words::toml(node);
        let Some((value, unit)) = reading else {
            let _ = writeln!(text, "  {action},");
            continue;
        };
        count += 1;
        let name = format!("reading{count}");
        let named = action.strip_suffix(" }").map(|action| format!("{action}, as = \"{name}\" }}")).unwrap_or(action);
        let _ = writeln!(text, "  {named},");
        let side = |value: f64| match unit.symbol() {
            "" => format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            _ => format!("\"{}\"", unit.show(value)),
        };
        let margin = (AROUND * value.abs()).max(least_margin(*unit));
        let (low, high) = (value - margin, value + margin);
        let _ = writeln!(
            limits,
            "limits.{name} = {{ min = {}, max = {} }} # read: {}",
            side(low),
            side(high),
            unit.show(*value)
        );
    }
    text.push_str("]\n# 10 % around what was read: replace these by what a good module may have.\n");
    text.push_str(&limits);
    (count > 0).then_some(text)
}

fn help(about: Option<&str>) {
    let mut text = String::new();
    let usage = |name: &str, keys: &[bench_steps::action::Key]| {
        let keys = keys.iter().map(|key| {
            if key.is_needed { format!(" {}", key.name.to_uppercase()) } else { format!(" [{}]", key.name) }
        });
        format!("{name} {}", keys.collect::<String>().trim())
    };
    match about.map(|name| (name, verb(&name.replace('-', "_")))) {
        Some((_, Some(verb))) => {
            let _ = writeln!(text, "{}: {}", verb.name, verb.about);
            let _ = writeln!(text, "  {}: {}", verb.name, verb.form.expected());
            for key in verb.keys {
                let _ = writeln!(text, "  {}: {} ({})", key.name, key.about, key.form.expected());
            }
        }
        Some((name, None)) => match OTHERS.iter().find(|(usage, _)| usage.split(' ').next() == Some(name)) {
            Some((usage, about)) => {
                let _ = writeln!(text, "{usage}: {about}");
            }
            None => {
                let names = VERBS.iter().map(|verb| verb.name);
                let _ = writeln!(text, "no command `{name}`\n  {}", bench_plan::nearest_help(name, names, "commands"));
            }
        },
        None => {
            for (usage, about) in OTHERS {
                let _ = writeln!(text, "  {usage:34} {about}");
            }
            for verb in VERBS.iter().filter(|verb| !["rail", "measure", "modem"].contains(&verb.name)) {
                let about = verb.about.split(". ").next().unwrap_or_default().trim_end_matches('.');
                let _ = writeln!(text, "  {:34} {about}", usage(verb.name, verb.keys));
            }
        }
    }
    print(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_step_is_one() {
        let names = Names { pins: vec!["A0".into()], rails: vec!["3V3".into()], peers: Vec::new() };
        let mut done = Vec::new();
        for (line, reading) in [
            ("drive A0 high", None),
            ("wait 5 ms", None),
            ("measure A0", Some((1.65, MeasurementUnit::Volts))),
            ("read A0", Some((1.0, MeasurementUnit::One))),
        ] {
            let Ok(Command::Do(nodes)) = parse(line, &names) else { panic!("{line}") };
            done.push(Remembered { node: nodes[0].clone(), reading });
        }
        insta::assert_snapshot!(step("divider", &done).unwrap());
        assert_eq!(step("nothing", &done[..2]), None);
    }
}
