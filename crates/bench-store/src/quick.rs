//! A fast reader for the journals of runs that simply passed, which are most of them.
//!
//! It accepts nothing that the general reader ([`Facts::read_any`]) refuses: it leaves everything unusual to that one,
//! even two lines in another order. It is the third place that applies the rule of verdicts (after `bench-run::judge`
//! and the deliberate cross-check `bench-run::rejudge`). It is kept because it is 4 times as fast: 0.60 ms instead of
//! 2.6 ms for a journal of a B404X, measured by `cargo bench -p bench-store --bench ingest`. Tests compare both readers
//! on randomly changed journals.

use crate::facts::{Facts, StepFact, worse};
use crate::shape::{Shape, Shapes};
use bench_journal::unhex;
use bench_run::{
    BenchKind, LateRecord, Limits, MeasurementUnit, Provenance, RAIL_OFF_VOLTS, RunOrder, Tally, Verdict, judge,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Borrowed from the journal where nothing is escaped; serde would always copy an `Option<Cow>`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Start<'a> {
    v: u16,
    seq: u64,
    #[serde(borrow)]
    event: Text<'a>,
    run_id: String,
    serial: String,
    model: String,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    order: Option<RunOrder>,
    bench: BenchKind,
    #[serde(default)]
    lot: Option<String>,
    #[serde(default)]
    diagnosis: Option<IgnoredAny>,
    provenance: Provenance,
    #[serde(borrow)]
    steps: &'a RawValue,
}

#[derive(Deserialize)]
struct JournalLine<'a> {
    v: u16,
    seq: u64,
    at_us: u64,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow, default)]
    step: Option<Text<'a>>,
    #[serde(default)]
    attempt: u8,
    #[serde(borrow, default)]
    measurement: Option<Measured<'a>>,
    #[serde(default)]
    verdict: Option<Verdict>,
    #[serde(default)]
    procedure: Option<Verdict>,
    #[serde(default)]
    retried: bool,
    #[serde(default)]
    late: Option<LateRecord>,
    #[serde(borrow, default)]
    rail: Option<Text<'a>>,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    volts: Option<f64>,
    #[serde(default)]
    confirmed: bool,
    #[serde(default)]
    tally: Option<Tally>,
}

#[derive(Deserialize)]
struct Measured<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    value: Option<f64>,
    unit: MeasurementUnit,
    limits: Limits,
    verdict: Verdict,
}

/// Start of every line; a test checks it.
const START: &str = "{\"v\":2,\"seq\":";

#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Waits,
    Runs,
    Passed,
}

/// Reads the facts of a complete, unbroken journal of a run in which every step passed at its first attempt; `None` for
/// any other.
pub(crate) fn clean_pass(bytes: &[u8], shapes: &Shapes) -> Option<Facts> {
    // Checked once for the whole journal, because the parser would otherwise check each text of a line.
    let (lines, seal) = bench_journal::chained_lines(std::str::from_utf8(bytes).ok()?)?;
    let (first, rest) = lines.split_first()?;
    let start: Start<'_> = serde_json::from_str(first).ok()?;
    if start.v != bench_run::JOURNAL_FORMAT
        || start.seq != 0
        || start.diagnosis.is_some()
        || start.event.0 != "run-started"
    {
        return None;
    }
    let shape = shapes.of_text(start.steps.get()).ok()?;
    let (end, body) = rest.split_last()?;
    let mut run = FastReplay::new(&shape)?;
    for (index, text) in body.iter().enumerate() {
        if run.as_written(text, index as u64 + 1).is_some() {
            continue;
        }
        let line: JournalLine<'_> = serde_json::from_str(text).ok()?;
        run.take(line, index as u64 + 1)?;
    }
    let end: JournalLine<'_> = serde_json::from_str(end).ok()?;
    run.in_order(&end, body.len() as u64 + 1)?;
    run.ends_well(&end)?;
    let (duration_us, values, late) = (run.now, run.values, run.late);
    let (station, nest) = match start.bench {
        BenchKind::Real { station, nest, .. } => (Some(station), nest),
        BenchKind::Virtual { .. } => (None, None),
        BenchKind::Replay { .. } => return None,
    };
    Some(Facts {
        digest: unhex(&seal)?,
        sealed: true,
        run_id: start.run_id,
        serial: start.serial,
        model: start.model,
        plan: start.provenance.plan,
        fixture: start.provenance.fixture,
        station,
        nest,
        lot: start.lot,
        started_at: start.started_at,
        order: start.order,
        duration_us,
        finished: true,
        verdict: Verdict::Pass,
        reason: None,
        steps: vec![StepFact { first: Some(Verdict::Pass), last: Some(Verdict::Pass), attempts: 1 }; shape.steps.len()],
        values,
        faults: Vec::new(),
        late,
        voids: 0,
        shape,
    })
}

/// A natural number as in JSON: without a sign and leading zeros.
fn natural(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

struct FastReplay<'a> {
    shape: &'a Shape,
    now: u64,
    values: Vec<f64>,
    standing: Vec<Standing>,
    /// Number of measurements of each step so far.
    taken: Vec<usize>,
    safe: bool,
    /// Rails that are not known to be off.
    live: BTreeSet<String>,
    late: Option<LateRecord>,
    /// Index of the measurement that is most likely next.
    due: usize,
}

impl<'a> FastReplay<'a> {
    fn new(shape: &'a Shape) -> Option<Self> {
        let steps = shape.steps.len();
        let distinct = shape.steps.iter().map(|step| step.id.as_str()).collect::<BTreeSet<_>>().len();
        // Promised by name, as in format 2, without duplicates.
        let promised = shape.steps.iter().all(|step| step.measurements == step.promised.len());
        let allowed = shape.steps.iter().all(|step| step.attempts != Some(0));
        (distinct == steps && allowed && promised && shape.values() > 0).then(|| Self {
            shape,
            now: 0,
            values: vec![f64::NAN; shape.values()],
            standing: vec![Standing::Waits; steps],
            taken: vec![0; steps],
            safe: false,
            live: BTreeSet::new(),
            late: None,
            due: 0,
        })
    }

    fn in_order(&mut self, line: &JournalLine<'_>, seq: u64) -> Option<()> {
        let good = line.v == bench_run::JOURNAL_FORMAT && line.seq == seq && line.at_us >= self.now;
        self.now = line.at_us;
        good.then_some(())
    }

    /// Reads the line of the expected measurement if it is exactly as the writer makes it: most lines are, and need no
    /// parser. Any other line changes nothing.
    fn as_written(&mut self, text: &str, seq: u64) -> Option<()> {
        let written = self.shape.written(self.due)?;
        let rest = text.strip_prefix(START)?;
        let (number, rest) = rest.split_once(",\"at_us\":")?;
        let (at_us, rest) = rest.split_once(',')?;
        let at_us = natural(at_us).filter(|at_us| *at_us >= self.now)?;
        // The comma belongs to what follows.
        let rest = rest.strip_prefix(written.head.get(1..)?)?;
        let (value, rest) = rest.split_at_checked(rest.find(',')?)?;
        rest.strip_prefix(written.tail.as_str())?;
        let value: f64 = serde_json::from_str(value).ok()?;

        let step = self.shape.step_of(self.due);
        let spec = self.shape.steps.get(step)?.promised.get(self.taken[step])?;
        let good = natural(number) == Some(seq)
            && self.shape.first_of(step) + self.taken[step] == self.due
            && self.standing[step] == Standing::Runs
            && self.values[self.due].is_nan()
            && judge(&spec.limits, Some(value)) == Verdict::Pass;
        good.then(|| {
            self.now = at_us;
            self.values[self.due] = value;
            self.taken[step] += 1;
            self.due += 1;
        })
    }

    fn take(&mut self, line: JournalLine<'_>, seq: u64) -> Option<()> {
        self.in_order(&line, seq)?;
        if let Some(late) = line.late.clone() {
            // Only the end of a step has it; the general reader reads it nowhere else.
            (&*line.event.0 == "step-ended").then_some(())?;
            self.late = Some(self.late.take().map_or_else(|| late.clone(), |longest| worse(longest, late.clone())));
        }
        match &*line.event.0 {
            "measured" => self.measured(&line),
            "step-started" => self.step(&line, Standing::Waits, Standing::Runs).map(|_| ()),
            "step-ended" => {
                let passed = line.verdict == Some(Verdict::Pass) && line.procedure == Some(Verdict::Pass);
                let at = self.step(&line, Standing::Runs, Standing::Passed)?;
                let complete = self.taken[at] == self.shape.steps[at].promised.len();
                (passed && complete && !line.retried).then_some(())
            }
            "safe-state" => {
                self.safe = line.confirmed;
                Some(())
            }
            "rail-switched" => {
                let rail = line.rail.as_ref()?.0.as_ref();
                if !line.on && line.volts.is_some_and(|volts| volts.abs() < RAIL_OFF_VOLTS) {
                    self.live.remove(rail);
                } else {
                    self.live.insert(rail.to_owned());
                }
                Some(())
            }
            "note" | "dialogue" => Some(()),
            // A diagnosis in a run that passed, and anything new, is for the general reader.
            _ => None,
        }
    }

    fn step(&mut self, line: &JournalLine<'_>, from: Standing, to: Standing) -> Option<usize> {
        let at = self.shape.step(&line.step.as_ref()?.0)?;
        let good = line.attempt == 1 && self.standing[at] == from;
        self.standing[at] = to;
        self.due = self.shape.first_of(at) + self.taken[at];
        good.then_some(at)
    }

    fn measured(&mut self, line: &JournalLine<'_>) -> Option<()> {
        let at = self.step(line, Standing::Runs, Standing::Runs)?;
        let (measurement, promised) = (line.measurement.as_ref()?, &self.shape.steps[at].promised);
        // Usually they are in the order of the promises.
        let next = self.taken[at];
        let index = match promised.get(next).filter(|spec| spec.name == measurement.name.0) {
            Some(_) => next,
            None => promised.iter().position(|spec| spec.name == measurement.name.0)?,
        };
        let spec = &promised[index];
        let place = self.shape.first_of(at) + index;
        let good = spec.unit == measurement.unit
            && spec.limits == measurement.limits
            && measurement.verdict == Verdict::Pass
            && judge(&spec.limits, measurement.value) == Verdict::Pass
            && self.values[place].is_nan();
        self.values[place] = measurement.value?;
        self.taken[at] += 1;
        self.due = place + 1;
        good.then_some(())
    }

    fn ends_well(&self, end: &JournalLine<'_>) -> Option<()> {
        let all = self.standing.iter().all(|standing| *standing == Standing::Passed);
        let contacts: BTreeSet<_> = self.shape.specs().flat_map(|(_, spec)| spec.contacts.iter().copied()).collect();
        let counted = Tally {
            steps: self.standing.len(),
            passed: self.standing.len(),
            measurements: self.values.len(),
            contacts: contacts.len(),
            ..Tally::default()
        };
        let good = end.event.0 == "run-ended" && end.verdict == Some(Verdict::Pass) && end.tally == Some(counted);
        (all && self.safe && self.live.is_empty() && good).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Production;

    /// Counts the lines that need no parser.
    fn unparsed(text: &str) -> Option<(usize, usize)> {
        let (lines, _) = bench_journal::chained_lines(text)?;
        let start: Start<'_> = serde_json::from_str(lines.first()?).ok()?;
        let shape = Shapes::default().of_text(start.steps.get()).ok()?;
        let mut run = FastReplay::new(&shape)?;
        let (mut quick, mut measured) = (0, 0);
        for (index, text) in lines.iter().enumerate().skip(1) {
            measured += usize::from(text.contains(r#""event":"measured""#));
            match run.as_written(text, index as u64) {
                Some(()) => quick += 1,
                None => drop(run.take(serde_json::from_str(text).ok()?, index as u64)),
            }
        }
        Some((quick, measured))
    }

    #[test]
    fn measurements_as_the_writer_makes_them_need_no_parser() {
        let production = Production::default();
        let clean = (0..20)
            .map(|number| production.journal(number).1)
            .find(|journal| clean_pass(journal, &Shapes::default()).is_some());
        let clean = String::from_utf8(clean.unwrap()).unwrap();
        assert!(clean.starts_with(START));
        let (quick, measured) = unparsed(&clean).unwrap();
        assert!(quick == measured && measured > 100, "{quick} of {measured}");
    }

    #[test]
    fn natural_numbers() {
        for (text, expected) in
            [("0", Some(0)), ("17", Some(17)), ("017", None), ("+1", None), ("", None), ("1.0", None)]
        {
            assert_eq!(natural(text), expected, "{text}");
        }
    }
}
