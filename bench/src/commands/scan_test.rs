//! `bench scan-test`: what a scanner sends, and what the operator's screen would make of it.

use super::operator::rules;
use super::{print, say};
use crate::cli::EXIT_ERROR;
use bench_engine::{Failed, Project};
use bench_operator::rules::Rules;
use bench_operator::scan::{Labels, Repeats, Scan, ScanProblem, first_part, masked, read_label};
use bench_operator::scan_test::{From, Seen, Sent, watch};
use bench_operator::{Port, Texts};
use bench_plan::DutFamily;
use bench_steps::Kinds;
use clap::Args;
use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};

const AFTER: &str = "\
Scan some labels and badges. Ctrl-C, Esc or the end of the input ends it. The mobile secret is shown as dots.

Exit codes:
  0  every scan was a label or a badge
  2  a scan was neither, nothing was scanned, or the scanner cannot be read
  3  the plan, another file or the arguments are wrong

Example: bench scan-test --scanner /dev/ttyACM0";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct ScanTestArgs {
    /// The plan: only labels of its model are right [default: labels of every model are].
    plan: Option<PathBuf>,
    /// The scanner's serial port, for example /dev/ttyACM0 or /dev/ttyUSB0:115200 [default: the terminal, in which a
    /// scanner types as a keyboard, or standard input].
    #[arg(long, value_name = "PORT")]
    scanner: Option<Port>,
    /// Rules of the line, with the badges [default: fixtures/operator.toml].
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// What scans are compared with, and how they went.
struct ScanTest {
    labels: Labels,
    /// The beginnings of all serial numbers, as those of other models.
    models: Labels,
    model: String,
    rules: Rules,
    texts: Texts,
    repeats: Repeats,
    scans: usize,
    refused: usize,
    /// Why the scanner could not be read.
    trouble: Option<String>,
    /// A scanner types into the terminal, which then takes every line end literally.
    is_terminal: bool,
}

pub(crate) fn scan_test(root: Option<&Path>, args: &ScanTestArgs) -> Result<u8, Failed> {
    let project = Project::find(root, args.plan.as_deref());
    let plan = args.plan.as_ref().map(|plan| project.load(plan, &Kinds::default())).transpose()?;
    let families: Vec<DutFamily> = match &plan {
        Some(loaded) => loaded.families.clone(),
        None => project.families()?.into_iter().map(|(_, family)| family).collect(),
    };
    let model = plan.as_ref().map(|loaded| loaded.plan.model.as_str());
    let is_terminal = args.scanner.is_none() && stdin().is_terminal();
    let texts = Texts::new("en").ok_or_else(|| Failed::bench("the messages got lost"))?;
    let mut test = ScanTest {
        labels: Labels::of(&families, model),
        models: Labels::of(&families, Some("")),
        model: model.unwrap_or("module").to_owned(),
        rules: rules(&project, args.rules.as_deref())?,
        texts,
        repeats: Repeats::default(),
        scans: 0,
        refused: 0,
        trouble: None,
        is_terminal,
    };
    let from = match &args.scanner {
        Some(port) => From::Port(port.clone()),
        None if is_terminal => From::Terminal,
        None => From::Bytes(Box::new(stdin())),
    };
    watch(from, &mut |seen| test.take(seen))?;
    if let Some(why) = test.trouble.filter(|_| test.scans == 0) {
        return Err(Failed::Bench(miette::miette!(
            help = "is it plugged in, and does it act as a serial port? As a keyboard it needs no --scanner",
            "{why}"
        )));
    }
    if test.scans == 0 {
        say("nothing was scanned");
    }
    Ok(if test.scans == 0 || test.refused > 0 { EXIT_ERROR } else { 0 })
}

impl ScanTest {
    /// Prints what happened; returns whether to go on.
    fn take(&mut self, seen: Seen) -> bool {
        match seen {
            Seen::Ready if self.is_terminal => self.print("Scan a label or a badge. Ctrl-C ends it.\n"),
            Seen::Ready => {}
            Seen::Sent(sent) => {
                self.scans += 1;
                let text = self.report(&sent);
                self.print(&text);
            }
            Seen::Trouble(why) if self.scans == 0 => {
                self.trouble = Some(why);
                return false;
            }
            Seen::Trouble(why) => self.print(&format!("{why}\n")),
        }
        true
    }

    fn print(&self, text: &str) {
        if self.is_terminal && stdout().is_terminal() { print(&text.replace('\n', "\r\n")) } else { print(text) }
    }

    fn report(&mut self, sent: &Sent) -> String {
        let read = self.read(sent);
        let mut text = format!("scan {}: ", self.scans);
        if sent.count == 0 {
            text.push_str("what was sent before the pause\n");
        } else {
            let (took, pause) = (sent.took.as_millis(), sent.longest_pause.as_millis());
            let plural = if sent.count == 1 { "" } else { "s" };
            text.push_str(&format!("{} character{plural} in {took} ms, longest pause {pause} ms\n", sent.count));
            text.push_str(&format!("  sent  {}\n", masked(&sent.characters, &self.labels)));
        }
        text.push_str(&format!("  read  {read}\n"));
        if matches!(sent.scan, Scan::Text(_)) && !sent.has_end() {
            text.push_str("  note  it has no end, so the bench waits 0.25 s: set the scanner to end with CR\n");
        }
        text
    }

    /// What the operator's screen would make of it.
    fn read(&mut self, sent: &Sent) -> String {
        let text = match &sent.scan {
            Scan::Text(text) => text,
            Scan::TooLong => return self.refuse("longer than any label or badge"),
            Scan::BrokenOff => return self.refuse("no end came before a pause: dropped"),
        };
        if self.repeats.is_repeat(text, sent.at) {
            return "the same as before, within a second: one scan".to_owned();
        }
        self.repeats.remember(text, sent.at);
        if let Some(person) = self.rules.person(first_part(text)) {
            return format!("the badge of {}", person.name);
        }
        match read_label(text, &self.labels) {
            Ok(serial) => match self.models.other_model(serial.as_str()) {
                Some((_, model)) => format!("serial number {serial}, the label of a {}", model.to_uppercase()),
                None => format!("serial number {serial}"),
            },
            Err(ScanProblem::NoLabel) if self.model == "module" => {
                self.refuse("no label of a known model, and no badge")
            }
            Err(problem) => {
                let why = problem.say(&self.texts, &self.labels, &self.model);
                self.refuse(&why)
            }
        }
    }

    fn refuse(&mut self, why: &str) -> String {
        self.refused += 1;
        format!("REFUSED: {why}")
    }
}
