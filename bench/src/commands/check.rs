//! `bench check`: everything resolved, nothing powered.

use super::{print, print_json, show};
use crate::cli::{CheckArgs, EXIT_ERROR, EXIT_USAGE};
use bench_engine::{Failed, FileError, Loaded, Project};
use bench_journal::shown;
use bench_plan::{Board, DutFamily, Function, JumperState, LeftOut, Problem};
use bench_run::{Contact, silent_passes};
use bench_steps::Kinds;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// What `--json` prints of a plan.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Read(Box<Checked>),
    Wrong {
        /// The file, as given.
        plan: String,
        mistakes: Vec<Mistake>,
        /// Whether others may show when these are corrected.
        maybe_more: bool,
    },
}

/// A mistake in a file.
#[derive(Serialize)]
struct Mistake {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// From 1, as the column; missing when the file as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl From<&Problem> for Mistake {
    fn from(problem: &Problem) -> Self {
        let (line, column) = problem.line_and_column().unzip();
        let (message, help) = (problem.message.clone(), problem.help.clone());
        Self { file: Some(problem.file.name().to_owned()), line, column, message, help }
    }
}

fn wrong(plan: &Path, error: &FileError) -> Outcome {
    let (mistakes, maybe_more) = match error {
        FileError::Unreadable { help, .. } => {
            let (message, help) = (error.to_string(), Some(help.clone()));
            (vec![Mistake { file: None, line: None, column: None, message, help }], true)
        }
        FileError::Wrong(problem) => (vec![Mistake::from(&**problem)], false),
        FileError::Several(all) => (all.problems.iter().map(Mistake::from).collect(), all.maybe_more),
    };
    Outcome::Wrong { plan: shown(plan), mistakes, maybe_more }
}

#[derive(Serialize)]
struct Checked {
    plan: String,
    model: String,
    fixture: String,
    steps: usize,
    measurements: usize,
    /// Whether a module may pass on this fixture.
    passes_here: bool,
    /// On a lesser fixture: why the plan allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes_here_because: Option<String>,
    /// What to plug and set on it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    /// The board that carries the module, with its jumpers and wires.
    #[serde(skip_serializing_if = "Option::is_none")]
    board: Option<Board>,
    /// Included steps that the plan does without, and those that the fixture cannot do.
    left_out: Vec<LeftOut>,
    contacts: Vec<Covered>,
    /// What is valid and hardly meant, such as limits that no reading can fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Mistake>,
    /// Ways in which a unit could pass without what the plan requires.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_passes: Vec<String>,
}

impl Checked {
    fn is_good(&self) -> bool {
        self.silent_passes.is_empty() && !self.contacts.iter().any(Covered::is_forgotten)
    }
}

#[derive(Serialize)]
struct Covered {
    contact: Contact,
    pin: String,
    /// What is seen of it -> the steps that see it.
    by: BTreeMap<&'static str, Vec<String>>,
    /// Why no step sees it, in the words of plan or fixture.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_covered: Option<String>,
    /// What the steps that see it cannot see.
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<String>,
}

impl Covered {
    fn is_forgotten(&self) -> bool {
        self.by.is_empty() && self.not_covered.is_none()
    }
}

pub(crate) fn check(root: Option<&Path>, args: &CheckArgs) -> Result<u8, Failed> {
    let mut all = Vec::new();
    let (mut bad, mut warned) = (0, 0);
    for path in &args.plans {
        match Project::find(root, Some(path)).load_on(path, args.fixture.as_deref(), &Kinds::default()) {
            Ok(loaded) => {
                let checked = coverage(&loaded);
                // On a fixture that the plan does not allow, what it does not cover is no mistake; it is shown all the same.
                let bad_plan = if checked.passes_here { !checked.is_good() } else { !checked.silent_passes.is_empty() };
                bad += usize::from(bad_plan);
                warned += checked.warnings.len();
                if !args.json {
                    print(&render(&shown(path), &checked));
                }
                loaded.plan.warnings.into_iter().for_each(|warning| show(&miette::Report::new(warning)));
                all.push(Outcome::Read(Box::new(checked)));
            }
            // One wrong plan says nothing about the others.
            Err(error) => {
                bad += 1;
                all.push(wrong(path, &error));
                show(&error.report());
            }
        }
    }
    if args.json {
        print_json(&all)?;
    }
    Ok(match (bad, warned) {
        (0, warned) if warned > 0 && args.strict => EXIT_ERROR,
        (0, _) => 0,
        _ => EXIT_USAGE,
    })
}

fn coverage(loaded: &Loaded) -> Checked {
    let mut by_contact: BTreeMap<Contact, BTreeMap<&'static str, Vec<String>>> = BTreeMap::new();
    let contacts = loaded.family().map(|family| &family.contacts).into_iter().flatten();
    for info in contacts {
        by_contact.entry(info.contact).or_default();
    }
    for planned in &loaded.plan.steps {
        for row in &planned.coverage {
            let by = by_contact.entry(row.contact).or_default();
            row.aspects.iter().for_each(|aspect| by.entry(aspect).or_default().push(planned.step.id.clone()));
        }
    }
    let pin = |contact| {
        let info = loaded.family().and_then(|family: &DutFamily| family.contact(contact));
        info.map_or_else(String::new, |info| info.pin.clone())
    };
    Checked {
        plan: loaded.plan.name.clone(),
        model: loaded.plan.model.clone(),
        fixture: loaded.plan.fixture.clone(),
        steps: loaded.plan.steps.len(),
        measurements: loaded.plan.steps.iter().map(|planned| planned.step.measurements.len()).sum(),
        passes_here: loaded.plan.passes_here,
        passes_here_because: loaded.plan.reason_here.clone(),
        instructions: loaded.fixture.instructions.clone(),
        board: loaded.fixture.board.clone(),
        left_out: loaded.plan.left_out.clone(),
        warnings: loaded.plan.warnings.iter().map(Mistake::from).collect(),
        silent_passes: silent_passes(&loaded.plan.steps.iter().map(|planned| planned.step.clone()).collect::<Vec<_>>()),
        contacts: by_contact
            .into_iter()
            .map(|(contact, by)| Covered {
                contact,
                pin: pin(contact),
                not_covered: if by.is_empty() { reason(loaded, contact) } else { None },
                unseen: unseen(loaded, contact, &by),
                by,
            })
            .collect(),
    }
}

/// What plan or fixture says about a contact that no step covers.
fn reason(loaded: &Loaded, contact: Contact) -> Option<String> {
    let of_plan = loaded.plan.not_covered.iter().find(|row| row.contact == contact).map(|row| row.reason.clone());
    let no_nail = || loaded.fixture.unwired.get(&contact).map(|reason| format!("no nail: {reason}"));
    let joined = || {
        let others = others_joined(loaded, contact)?;
        Some(format!("the board joins it to {others}: none of them can be measured alone"))
    };
    of_plan.or_else(no_nail).or_else(joined)
}

/// The contacts that a board joins to this one, as words.
fn others_joined(loaded: &Loaded, contact: Contact) -> Option<String> {
    let others: Vec<String> = loaded.fixture.joined_to(contact).map(|contact| contact.to_string()).collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// An open that no step detects.
fn unseen(loaded: &Loaded, contact: Contact, by: &BTreeMap<&'static str, Vec<String>>) -> Option<String> {
    if by.is_empty() || by.contains_key("open") {
        return None;
    }
    if let Some(others) = others_joined(loaded, contact) {
        return Some(format!("an open does not show: the board joins it to {others}"));
    }
    let info = loaded.family().and_then(|family: &DutFamily| family.contact(contact))?;
    if info.functions.contains(&Function::Nc) {
        Some("an open does not show: the contact leads nowhere".to_owned())
    } else {
        Some("an open is not looked for".to_owned())
    }
}

fn render(path: &str, checked: &Checked) -> String {
    let mut text = String::new();
    let covered = checked.contacts.iter().filter(|row| !row.by.is_empty()).count();
    let _ = writeln!(
        text,
        "{path}: {}. Model {}, fixture {}, {} steps, {} measurements, {covered} of {} contacts covered{}.",
        if !checked.silent_passes.is_empty() {
            "NOT SOUND"
        } else if checked.is_good() {
            match checked.warnings.len() {
                0 => "good",
                1 => "good, with a warning",
                _ => "good, with warnings",
            }
        } else {
            "NOT COMPLETE"
        },
        checked.model,
        checked.fixture,
        checked.steps,
        checked.measurements,
        checked.contacts.len(),
        match checked.contacts.iter().filter(|row| row.not_covered.is_some()).count() {
            0 => String::new(),
            excused => format!(", {excused} left out for a reason"),
        }
    );
    let width = checked.contacts.iter().map(|row| row.pin.chars().count()).max().unwrap_or(0);
    for row in &checked.contacts {
        let steps: BTreeSet<&str> = row.by.values().flatten().map(String::as_str).collect();
        let aspects: Vec<&str> = row.by.keys().copied().collect();
        let steps: Vec<&str> = steps.into_iter().collect();
        let (what, whom) = match aspects.as_slice() {
            [] => match &row.not_covered {
                Some(reason) => (format!("not covered: {reason}"), String::new()),
                None => ("NOT COVERED, and no reason is given".to_owned(), String::new()),
            },
            aspects => (aspects.join(", "), format!("  [{}]", steps.join(", "))),
        };
        let but = row.unseen.as_ref().map_or_else(String::new, |unseen| format!("; {unseen}"));
        let _ = writeln!(text, "  {:>3}  {:width$}  {what}{but}{whom}", row.contact.0, row.pin);
    }
    if !checked.passes_here {
        let _ = writeln!(
            text,
            "  No module passes on it: the plan does not say also_on = [{{ fixture = \"{}\", reason = \"...\" }}], and so \
             `bench run` refuses.",
            checked.fixture
        );
    }
    if let Some(reason) = &checked.passes_here_because {
        let _ = writeln!(text, "  A module may pass on {}: {reason}", checked.fixture);
    }
    if let Some(board) = &checked.board {
        let off = board.jumpers.iter().filter(|jumper| jumper.state == JumperState::Off).count();
        let _ = writeln!(
            text,
            "  On {}, with {off} jumpers off, {} on, and {} wires (bench fixture {0} --wiring):",
            checked.fixture,
            board.jumpers.len() - off,
            board.wires.len()
        );
        text.push_str(&crate::wiring::board::steps(board, "    "));
    }
    if let Some(instructions) = &checked.instructions {
        let _ = writeln!(text, "  On {}:", checked.fixture);
        instructions.lines().filter(|line| !line.is_empty()).for_each(|line| {
            let _ = writeln!(text, "    {line}");
        });
    }
    for way in &checked.silent_passes {
        let _ = writeln!(text, "  a silent pass: {way}");
    }
    for LeftOut { step, reason } in &checked.left_out {
        let _ = writeln!(text, "  without {step}: {reason}");
    }
    let forgotten: Vec<String> =
        checked.contacts.iter().filter(|row| row.is_forgotten()).map(|row| row.contact.to_string()).collect();
    if !forgotten.is_empty() {
        let _ = writeln!(
            text,
            "  Contacts that no step covers and no reason excuses: {}. Cover them, or say why not in [[not_covered]].",
            forgotten.join(", ")
        );
    }
    text
}
