//! The conversation with one program, from its first line to its end.

use super::Allowed;
use super::message::{Refusal, read as read_request, refused, shown};
use crate::action::{Action, Done, Places, Worker, pin_of, read};
use crate::sequence::diagnose;
use crate::{Nest, StepError, StepLog};
use bench_instruments::{AnswerForm, AnswerValue, ProgramExit, ProgramOrder, ProgramSays, Question};
use bench_plan::{DutFamily, Node, ParamProblem, Tree, nearest_help};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit};
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};

/// Requests of one attempt that the record describes; more would hide the rest of it.
const MOST_NOTED: usize = 500;
/// Diagnoses of one attempt.
const MOST_DIAGNOSES: usize = 20;
/// Requests that are no actions.
const OTHERS: &[&str] = &["measured", "diagnose", "attach", "progress", "time", "ask"];

/// Kills the program when the step is stopped.
struct Running<'a> {
    nest: &'a Nest,
    program: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.nest.programs.kill(self.program);
    }
}

/// What becomes of a request.
enum Reply {
    Done(Map<String, Value>),
    Refused(Refusal, String, Option<String>),
    /// The program broke a rule: the step ends.
    Broken(String),
}

pub(super) struct Session<'a> {
    nest: &'a Nest,
    log: &'a dyn StepLog,
    allowed: &'a Allowed,
    specs: &'a [MeasurementSpec],
    places: &'a Places,
    worker: Worker,
    noted: usize,
    diagnoses: usize,
    last_id: Option<u64>,
    delivered: Vec<String>,
    /// The error of the bench or the module that the last request met: what the program gave up for, if it now ends.
    met: Option<StepError>,
}

impl<'a> Session<'a> {
    pub fn new(
        nest: &'a Nest,
        log: &'a dyn StepLog,
        allowed: &'a Allowed,
        specs: &'a [MeasurementSpec],
        places: &'a Places,
    ) -> Self {
        Self {
            nest,
            log,
            allowed,
            specs,
            places,
            worker: Worker::default(),
            noted: 0,
            diagnoses: 0,
            last_id: None,
            delivered: Vec::new(),
            met: None,
        }
    }

    pub async fn run(mut self, order: &ProgramOrder, hello: &str) -> Result<(), StepError> {
        let name = shown(order);
        let outcome = self.talk(order, hello, &name).await;
        let finished = self.worker.finish(self.nest).await;
        // The first error says more.
        outcome.and(finished)
    }

    async fn talk(&mut self, order: &ProgramOrder, hello: &str, name: &str) -> Result<(), StepError> {
        let programs = &self.nest.programs;
        let broken = |why: &str| StepError::Bench(format!("the program {name} broke the protocol: {why}"));
        let program = programs.start(order).await?;
        let running = Running { nest: self.nest, program };
        programs.send(program, hello).await?;
        let exit = loop {
            let line = match programs.next(program).await? {
                ProgramSays::Line(line) => line,
                ProgramSays::Broken(why) => {
                    // Why it was ended is followed by how.
                    let exit = match programs.next(program).await {
                        Ok(ProgramSays::Ended(exit)) => exit,
                        _ => ProgramExit::default(),
                    };
                    self.note_last_words(&exit);
                    return Err(StepError::Bench(format!("the program {name}: {why}")));
                }
                ProgramSays::Ended(exit) => break exit,
            };
            let request = read_request(&line).map_err(|why| broken(&why))?;
            if self.last_id.is_some_and(|last| request.id <= last) {
                return Err(broken(&format!("the id {} does not follow {}", request.id, self.last_id.unwrap_or(0))));
            }
            self.last_id = Some(request.id);
            let reply = match self.answer(&request.body).await {
                Reply::Done(mut keys) => {
                    keys.insert("id".into(), request.id.into());
                    Value::Object(keys).to_string()
                }
                Reply::Refused(kind, text, help) => refused(request.id, kind, &text, help.as_deref()),
                Reply::Broken(why) => return Err(broken(&why)),
            };
            programs.send(program, &reply).await?;
        };
        drop(running);
        if exit.is_orderly() {
            return Ok(());
        }
        self.note_last_words(&exit);
        // What made it give up says more than how it ended.
        match self.met.take() {
            Some(StepError::Dut(why)) => Err(StepError::Dut(why)),
            Some(StepError::Bench(why)) => Err(StepError::Bench(format!("{why} (the program {name}: {exit})"))),
            None => Err(StepError::Bench(format!("the program {name}: {exit}"))),
        }
    }

    fn note_last_words(&self, exit: &ProgramExit) {
        let words = exit.last_words.trim();
        if !words.is_empty() {
            let lines: Vec<&str> = words.lines().rev().take(5).collect();
            let text = lines.into_iter().rev().collect::<Vec<_>>().join(" | ");
            self.log.note(format!("the end of its log: {text}"));
        }
    }

    /// Describes a request for readers who need all of it.
    fn describe(&mut self, text: String) {
        self.noted += 1;
        match self.noted {
            ..=MOST_NOTED => self.log.dialogue(text),
            n if n == MOST_NOTED + 1 => self.log.dialogue("further requests are not described".to_owned()),
            _ => {}
        }
    }

    async fn answer(&mut self, body: &Node) -> Reply {
        self.met = None;
        let Tree::Table(entries) = &body.value else { return Reply::Broken("a request is no object".to_owned()) };
        let other = entries.iter().find(|(key, _)| OTHERS.contains(&key.get_ref().as_str()));
        let done = match other.map(|(key, value)| (key.get_ref().as_str(), value)) {
            Some(("measured", name)) => self.measured(name, get(entries, "value")),
            Some(("diagnose", text)) => self.diagnosed(text, get(entries, "at")),
            Some(("attach", name)) => self.attach(name, get(entries, "path")),
            Some(("progress", share)) => self.progress(share, get(entries, "what")),
            Some(("ask", text)) => return self.ask(text, entries).await,
            Some(_) => {
                let seconds = self.nest.clock.now().as_micros() as f64 * 1e-6;
                Ok(reading(seconds, MeasurementUnit::Seconds))
            }
            None => return self.act(body).await,
        };
        match done {
            Ok(keys) => Reply::Done(keys),
            Err(problem) => Reply::Refused(Refusal::Request, problem.message, problem.help),
        }
    }

    async fn act(&mut self, body: &Node) -> Reply {
        let action = match read(body, &[], &self.places.around()) {
            Ok(action) => action,
            Err(problem) => return Reply::Refused(Refusal::Request, problem.message, problem.help),
        };
        let (uses, shares) = action.needs();
        let what = action.describe(&self.places.family);
        if let Some(rail) = action.switches().filter(|rail| !self.allowed.rails.contains(*rail)) {
            return Reply::Broken(format!(
                "it asked for `{what}`, and the step does not declare this rail: add rails = [\"{rail}\"] to the step"
            ));
        }
        let lacks = |name: &&&str| !self.allowed.uses.contains(**name);
        if let Some(name) = uses.iter().find(lacks) {
            return Reply::Broken(format!(
                "it asked for `{what}`, which the step does not declare: add \"{name}\" to its `uses`"
            ));
        }
        if let Some(name) = shares.iter().filter(lacks).find(|name| !self.allowed.shares.contains(**name)) {
            return Reply::Broken(format!(
                "it asked for `{what}`, which the step does not declare: add \"{name}\" to its `shares`"
            ));
        }
        let log = self.log;
        match self.worker.perform(self.nest, &action, &|text| log.dialogue(text)).await {
            Ok(done) => {
                match &action {
                    Action::Note { text } => self.log.note(text.clone()),
                    _ => self.describe(done.describe(&what)),
                }
                Reply::Done(keys_of(&done))
            }
            Err(error) => {
                self.describe(format!("{what}: {error}"));
                let kind = match &error {
                    StepError::Dut(_) => Refusal::Module,
                    StepError::Bench(_) => Refusal::Bench,
                };
                let text = error.to_string();
                self.met = Some(error);
                Reply::Refused(kind, text, None)
            }
        }
    }

    fn measured(&mut self, name: &Node, value: Option<&Node>) -> Result<Map<String, Value>, ParamProblem> {
        let name = text(name, "measured")?;
        let Some(spec) = self.specs.iter().find(|spec| spec.name == name) else {
            let names = self.specs.iter().map(|spec| spec.name.as_str());
            return Err(ParamProblem::new(format!("the step promises no measurement `{name}`")).help(nearest_help(
                name,
                names,
                "measurements",
            )));
        };
        if self.delivered.iter().any(|delivered| delivered == name) {
            return Err(ParamProblem::new(format!("`{name}` was measured already"))
                .help("each measurement is delivered once; compute a mean in the program"));
        }
        let value = match value.map(|node| &node.value) {
            Some(Tree::Float(number)) => Some(*number),
            Some(Tree::Integer(number)) => Some(*number as f64),
            Some(Tree::Truth(truth)) => Some(f64::from(u8::from(*truth))),
            Some(Tree::Null) => None,
            _ => {
                return Err(ParamProblem::new("`measured` without a `value` that is a number")
                    .help("expected a number in the unit of the limits' base, or null"));
            }
        };
        self.delivered.push(name.to_owned());
        self.log.measured(name, value);
        if let Some(diagnosis) = diagnose(self.nest, spec, value, "by a program") {
            self.log.diagnosed(diagnosis);
        }
        Ok(Map::new())
    }

    fn diagnosed(&mut self, about: &Node, at: Option<&Node>) -> Result<Map<String, Value>, ParamProblem> {
        let about = text(about, "diagnose")?;
        let mut contacts: Vec<Contact> = Vec::new();
        if let Some(node) = at {
            let Tree::List(pins) = &node.value else {
                return Err(ParamProblem::new("`at` is no list").help("expected pins or contacts such as [\"A0\", 66]"));
            };
            for pin in pins {
                contacts.extend(pin_of(pin)?.resolve(0..0, &self.places.family)?);
            }
        }
        contacts.sort_unstable();
        contacts.dedup();
        self.diagnoses += 1;
        if self.diagnoses > MOST_DIAGNOSES {
            return Err(ParamProblem::new(format!("more than {MOST_DIAGNOSES} diagnoses")));
        }
        let labels = labels(&self.places.family, &contacts);
        let text = if labels.is_empty() { about.to_owned() } else { format!("{labels}: {about}") };
        self.log.diagnosed(Diagnosis { defect: Defect::Other, contacts, text });
        Ok(Map::new())
    }

    fn attach(&mut self, name: &Node, path: Option<&Node>) -> Result<Map<String, Value>, ParamProblem> {
        let name = text(name, "attach")?;
        let is_plain = |name: &str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.starts_with('.')
        };
        if !is_plain(name) || name.contains(['/', '\\']) {
            return Err(ParamProblem::new(format!("{name:?} cannot be the name of a file in the record"))
                .help("expected a name such as \"scope.png\""));
        }
        let path = PathBuf::from(path.map_or(Ok(name), |node| text(node, "path"))?);
        let path = if path.is_relative() { self.nest.program_place.folder.join(path) } else { path };
        let kept = self.nest.files.attach(&format!("{}-{name}", self.log.id()), &path).map_err(ParamProblem::new)?;
        if !kept.sha256.is_empty() {
            self.log.note(format!("attached {} ({} bytes, SHA-256 {})", kept.name, kept.bytes, kept.sha256));
        }
        Ok(Map::new())
    }

    fn progress(&mut self, share: &Node, what: Option<&Node>) -> Result<Map<String, Value>, ParamProblem> {
        let share = match &share.value {
            Tree::Float(number) => *number,
            Tree::Integer(number) => *number as f64,
            _ => return Err(ParamProblem::new("`progress` is no number").help("expected 0 to 1")),
        };
        let what = what.map_or(Ok("at work"), |node| text(node, "what"))?;
        self.log.progress(what, share.clamp(0.0, 1.0));
        Ok(Map::new())
    }

    async fn ask(&mut self, about: &Node, entries: &[Entry]) -> Reply {
        if !self.allowed.uses.contains(crate::resource::OPERATOR) {
            return Reply::Broken(format!(
                "it asked the operator, which the step does not declare: add \"{}\" to its `uses`",
                crate::resource::OPERATOR
            ));
        }
        let question = match question(self.log.id(), about, entries) {
            Ok(question) => question,
            Err(problem) => return Reply::Refused(Refusal::Request, problem.message, problem.help),
        };
        match self.nest.person.ask(&question).await {
            Ok(answer) => {
                let shown = question.form.show(&answer.value);
                let by = answer.by.as_deref().unwrap_or("nobody");
                self.log.note(format!("asked: {}; answered by {by}: {shown}", question.text));
                let mut keys = Map::new();
                keys.insert("text".into(), shown.trim_matches('"').into());
                let value = match answer.value {
                    AnswerValue::Yes => Some(1.0),
                    AnswerValue::No => Some(0.0),
                    AnswerValue::Choice(index) => Some(index as f64),
                    AnswerValue::Number(number) => Some(number),
                    AnswerValue::Text(_) => None,
                };
                if let Some(value) = value {
                    keys.insert("value".into(), value.into());
                }
                Reply::Done(keys)
            }
            Err(error) => {
                let error = StepError::from(error);
                let text = error.to_string();
                self.met = Some(error);
                Reply::Refused(Refusal::Bench, text, None)
            }
        }
    }
}

type Entry = (bench_plan::Spanned<String>, Node);

fn get<'n>(entries: &'n [Entry], name: &str) -> Option<&'n Node> {
    entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

fn text<'n>(node: &'n Node, what: &str) -> Result<&'n str, ParamProblem> {
    match &node.value {
        Tree::Text(text) => Ok(text),
        other => Err(ParamProblem::new(format!("`{what}` is {}, expected a text", other.noun()))),
    }
}

/// "contacts 23 (A0) and 66 (D4)".
fn labels(family: &DutFamily, contacts: &[Contact]) -> String {
    let names: Vec<String> = contacts.iter().map(|contact| family.label(*contact)).collect();
    match names.len() {
        0 => String::new(),
        1 => format!("contact {}", names.join("")),
        _ => format!("contacts {}", names.join(" and ")),
    }
}

fn reading(value: f64, unit: MeasurementUnit) -> Map<String, Value> {
    let mut keys = Map::new();
    keys.insert("value".into(), value.into());
    keys.insert("unit".into(), unit.symbol().into());
    keys
}

fn keys_of(done: &Done) -> Map<String, Value> {
    let mut keys = match (done.value, done.unit) {
        (Some(value), Some(unit)) => reading(value, unit),
        _ => Map::new(),
    };
    if let Some(text) = &done.text {
        keys.insert("text".into(), text.clone().into());
    }
    if let Some(bytes) = &done.bytes {
        keys.insert("bytes".into(), crate::action::hex(bytes).into());
    }
    keys
}

/// A question to the operator: yes or no, or one of `choices`, or a text that matches `pattern`.
fn question(id: &str, about: &Node, entries: &[Entry]) -> Result<Question, ParamProblem> {
    let form = match (get(entries, "choices"), get(entries, "pattern"), get(entries, "unit")) {
        (Some(Node { value: Tree::List(items), .. }), None, None) if !items.is_empty() => AnswerForm::Choice(
            items.iter().map(|item| text(item, "choices").map(str::to_owned)).collect::<Result<_, _>>()?,
        ),
        (Some(_), None, None) => return Err(ParamProblem::new("`choices` is no list of texts")),
        (None, Some(pattern), None) => {
            let pattern = text(pattern, "pattern")?;
            bench_instruments::check_pattern(pattern).map_err(ParamProblem::new)?;
            AnswerForm::Text { pattern: Some(pattern.to_owned()) }
        }
        (None, None, Some(unit)) => {
            let name = text(unit, "unit")?;
            let units = [
                MeasurementUnit::Volts,
                MeasurementUnit::Amps,
                MeasurementUnit::Ohms,
                MeasurementUnit::Hertz,
                MeasurementUnit::Seconds,
                MeasurementUnit::Percent,
                MeasurementUnit::One,
            ];
            let unit = units.into_iter().find(|unit| unit.symbol() == name).ok_or_else(|| {
                ParamProblem::new(format!("unknown unit {name:?}"))
                    .help("expected V, A, ohm, Hz, s, %, or an empty text")
            })?;
            AnswerForm::Number { unit, limits: bench_run::Limits { min: None, max: None } }
        }
        (None, None, None) => AnswerForm::Confirm,
        _ => return Err(ParamProblem::new("only one of `choices`, `pattern` and `unit` makes sense")),
    };
    Ok(Question {
        name: id.to_owned(),
        text: text(about, "ask")?.to_owned(),
        form,
        picture: None,
        picture_text: None,
        within: None,
    })
}
