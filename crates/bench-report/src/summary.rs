//! The operator's summary: first the faulty contacts, then what to do, then the rest.

use crate::record::{Attempt, MeasurementRecord, NoteRecord, RunRecord, StepRecord};
use crate::text::{counted, name, one_line};
use bench_run::{Defect, Diagnosis, DiagnosisRun, LateRecord, NOT_TESTED, Verdict, without_repetition};
use std::time::Duration;

/// Number of measurements outside their limits that are listed for a step without a diagnosis; the rest is counted.
const MOST_READINGS: usize = 5;

/// Repetitions that did not pass that the table lists; notes count the rest.
const MOST_REPETITIONS: usize = 5;

/// Style of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether the terminal supports colours (ANSI escapes).
    pub colour: bool,
    /// Width of the terminal in columns, at least 40. Texts are wrapped, never cut; a table that is too wide loses its
    /// last columns.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

#[derive(Clone, Copy)]
enum Paint {
    Green,
    Red,
    Magenta,
    Yellow,
    Grey,
}

/// Returns the summary of a run. Ends with a line end.
pub fn summary(record: &RunRecord, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.max(40), ..style }, said: Vec::new() };
    page.headline(record);
    page.of_diagnosis(record);
    page.findings(record);
    page.what_to_do(record);
    if record.verdict == Verdict::Pass {
        page.pass_line(record);
    }
    let is_clean = is_clean_pass(record);
    if !is_clean {
        page.steps(record);
    }
    // For a clean pass only remarks on the whole run: what a reduced fixture left out, or why the unit was tested at
    // all.
    page.notes(record, |note| !is_clean || note.step.is_none());
    page.rails(record);
    if let Some(folder) = &record.run_folder {
        page.plain(&format!("Record: {}", one_line(folder)));
    }
    page.text
}

/// Whether every step passed at its first attempt, so that there are no details to show.
fn is_clean_pass(record: &RunRecord) -> bool {
    record.verdict == Verdict::Pass && record.steps.iter().all(|step| step.attempts.len() == 1)
}

struct Page {
    text: String,
    style: Style,
    /// Returns what the top of the page already says and need not be repeated below a step.
    said: Vec<String>,
}

impl Page {
    fn painted(&self, text: &str, paint: Paint) -> String {
        if !self.style.colour {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Green => "1;32",
            Paint::Red => "1;31",
            Paint::Magenta => "1;35",
            Paint::Yellow => "33",
            Paint::Grey => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Wrapped, without indentation.
    fn plain(&mut self, text: &str) {
        self.wrapped("", text);
    }

    /// Wraps to the width, with further lines aligned below the first.
    fn wrapped(&mut self, indent: &str, text: &str) {
        let options = textwrap::Options::new(self.style.width).initial_indent(indent).subsequent_indent(indent);
        for line in textwrap::wrap(&one_line(text), options) {
            self.line(&line);
        }
    }

    /// Wrap first, colour then: escapes must not count as columns.
    fn alarm(&mut self, text: &str) {
        for line in textwrap::wrap(&one_line(text), self.style.width) {
            let line = self.painted(&line, Paint::Red);
            self.line(&line);
        }
    }

    fn headline(&mut self, record: &RunRecord) {
        let (word, paint) = match record.verdict {
            _ if !record.finished => ("NOT FINISHED", Paint::Magenta),
            _ if record.diagnosis_run.is_some() => ("DIAGNOSIS, NOT A TEST", Paint::Yellow),
            Verdict::Pass => ("PASS", Paint::Green),
            Verdict::Fail => ("FAIL", Paint::Red),
            // Nothing was tested: no pass.
            Verdict::Error | Verdict::Skipped => ("ERROR", Paint::Magenta),
            Verdict::Aborted => ("ABORTED", Paint::Yellow),
        };
        let serial = if record.serial.is_empty() { "unknown unit" } else { &record.serial };
        let mut unit = format!("{} {}", name(&record.model.to_uppercase()), name(serial)).trim_start().to_owned();
        let contacts = record.contacts_at_fault.len();
        if record.verdict == Verdict::Fail && contacts > 0 {
            unit.push_str(&format!("  {} at fault", counted(contacts, "contact")));
        }
        let columns = word.len() + 2 + unit.chars().count();
        let word = self.painted(word, paint);
        if columns <= self.style.width {
            self.line(&format!("{word}  {unit}"));
        } else {
            self.line(&word);
            self.wrapped("  ", &unit);
        }
    }

    /// Says what a diagnosis came to.
    fn of_diagnosis(&mut self, record: &RunRecord) {
        if record.diagnosis_run.is_none() || !record.finished {
            return;
        }
        let text = match record.verdict_of_steps() {
            Verdict::Pass => NOT_TESTED,
            Verdict::Fail => "diagnosis: a step that ran failed; the unit was not tested",
            Verdict::Error | Verdict::Skipped => "diagnosis: the bench could not tell; the unit was not tested",
            Verdict::Aborted => "diagnosis: aborted; the unit was not tested",
        };
        self.top([text]);
    }

    /// Lists the faulty contacts, or why the result is unknown.
    fn findings(&mut self, record: &RunRecord) {
        let (ours, diagnoses): (Vec<&Diagnosis>, Vec<&Diagnosis>) =
            record.diagnoses.iter().partition(|diagnoses| diagnoses.defect == Defect::Bench);
        let mut diagnoses: Vec<String> = diagnoses.into_iter().map(|diagnoses| diagnoses.text.clone()).collect();
        let failed = record.steps.iter().filter(|step| step.verdict == Some(Verdict::Fail));
        diagnoses.extend(failed.flat_map(undiagnosed));
        let mut reasons: Vec<&str> = Vec::new();
        if !record.finished {
            reasons.push("The record of this run ends before the run did.");
        }
        if record.verdict != Verdict::Pass && (record.verdict != Verdict::Fail || diagnoses.is_empty()) {
            reasons.extend(record.reason.as_deref().filter(|reason| *reason != NOT_TESTED));
        }
        if matches!(record.verdict, Verdict::Error | Verdict::Aborted) && record.reason != record.stopping {
            reasons.extend(record.stopping.as_deref());
        }
        reasons.extend(record.doubts.iter().map(String::as_str));
        reasons.extend(ours.iter().map(|diagnoses| diagnoses.text.as_str()));
        if record.verdict == Verdict::Fail {
            self.top(diagnoses.iter().map(String::as_str));
            self.top(reasons);
        } else {
            self.top(reasons);
            if !diagnoses.is_empty() {
                self.wrapped("  ", "Found before that:");
                self.top(diagnoses.iter().map(String::as_str));
            }
        }
    }

    fn top<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        for line in lines {
            self.wrapped("  ", line);
            self.said.push(line.to_owned());
        }
    }

    fn what_to_do(&mut self, record: &RunRecord) {
        for order in advice(record) {
            self.plain(order);
        }
    }

    fn pass_line(&mut self, record: &RunRecord) {
        let measurements = record.steps.iter().filter_map(StepRecord::last).map(|last| last.measurements.len()).sum();
        let (skipped, passed): (Vec<&StepRecord>, Vec<&StepRecord>) =
            record.steps.iter().partition(|step| step.verdict == Some(Verdict::Skipped));
        let mut parts = vec![counted(passed.len(), "step"), counted(measurements, "measurement")];
        if let Some(tally) = record.tally.filter(|tally| tally.contacts > 0) {
            parts.push(counted(tally.contacts, "contact"));
        }
        if !skipped.is_empty() {
            parts.push(format!("{} skipped", skipped.len()));
        }
        parts.push(show_time(Duration::from_micros(record.duration_us.as_micros())));
        self.plain(&parts.join(", "));
    }

    /// Writes the table of steps, with the defects of a step below it.
    fn steps(&mut self, record: &RunRecord) {
        if record.steps.is_empty() {
            return;
        }
        self.line("");
        let id_width = record.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0).clamp(4, 28);
        let wide = self.style.width >= id_width + 44;
        let row = |verdict: &str, step: &str, time: &str, tries: &str, measured: &str| {
            let narrow = format!("{verdict:<8}  {step:<id_width$}  {time:>9}");
            if wide { format!("{narrow}  {tries:>5}  {measured}") } else { narrow }
        };
        self.line(&row("verdict", "step", "time", "tries", "measured"));
        let not_started = |step: &&StepRecord| step.verdict == Some(Verdict::Skipped) && !step.was_started();
        let listed = listed_repetitions(record);
        for step in record.steps.iter().filter(|step| !not_started(step) && listed(step)) {
            let (word, paint) = match step.verdict {
                Some(Verdict::Pass) => ("pass", Paint::Green),
                Some(Verdict::Fail) => ("fail", Paint::Red),
                Some(Verdict::Error) => ("error", Paint::Magenta),
                Some(Verdict::Aborted) => ("aborted", Paint::Yellow),
                Some(Verdict::Skipped) => ("skipped", Paint::Grey),
                None if step.was_started() => ("no end", Paint::Magenta),
                None => ("-", Paint::Grey),
            };
            let began = step.was_started();
            let ended = step.attempts.iter().any(|attempt| attempt.duration().is_some());
            let time = if ended { show_time(step.duration()) } else { String::new() };
            let tries = if began { step.tries().to_string() } else { String::new() };
            let measured = step.last().filter(|_| began).map_or_else(String::new, |last| measured(last, step.promised));
            let line = row(word, &name(&step.id), &time, &tries, &measured);
            // Only the word is coloured, after padding: escapes must not count as columns.
            let line = match line.strip_prefix(word) {
                Some(rest) => format!("{}{rest}", self.painted(word, paint)),
                None => line,
            };
            self.line(&line);
            self.below_step(step);
        }
        let once = |step: &&StepRecord| without_repetition(&step.id) == step.id;
        let skipped: Vec<String> =
            record.steps.iter().filter(not_started).filter(once).map(|step| name(&step.id)).collect();
        if !skipped.is_empty() {
            // There may be many, and they say nothing about the module.
            let options = textwrap::Options::new(self.style.width)
                .initial_indent("skipped   ")
                .subsequent_indent("          ")
                .word_splitter(textwrap::WordSplitter::NoHyphenation);
            for line in textwrap::wrap(&skipped.join(", "), options) {
                let line = match line.strip_prefix("skipped") {
                    Some(rest) => format!("{}{rest}", self.painted("skipped", Paint::Grey)),
                    None => line.into_owned(),
                };
                self.line(&line);
            }
        }
        let total = show_time(Duration::from_micros(record.duration_us.as_micros()));
        self.line(&row("", "run", &total, "", ""));
        self.line("");
    }

    fn below_step(&mut self, step: &StepRecord) {
        let indent = " ".repeat(10);
        for earlier in step.attempts.iter().rev().skip(1).rev() {
            if let Some(why) = earlier.lateness().filter(|_| earlier.void) {
                self.wrapped(&indent, &format!("attempt {} {why}", earlier.number));
                continue;
            }
            let reason = earlier.reason.clone().or_else(|| bad(earlier).next().map(reading)).unwrap_or_default();
            let verdict = earlier.verdict.map_or("no end", Verdict::as_str);
            self.wrapped(&indent, &format!("attempt {}: {verdict}, {reason}", earlier.number));
        }
        let Some(last) = step.last() else { return };
        let serious = last.late.as_ref().is_some_and(LateRecord::is_serious);
        if let Some(late) = last.lateness().filter(|_| serious && !last.void) {
            self.wrapped(&indent, &late);
        }
        if step.verdict == Some(Verdict::Pass) {
            return;
        }
        let lines = last.reason.clone().into_iter().chain(undiagnosed(step));
        for line in lines {
            if !self.said.contains(&line) {
                self.wrapped(&indent, &line);
            }
        }
    }

    fn notes(&mut self, record: &RunRecord, wanted: impl Fn(&NoteRecord) -> bool) {
        for note in record.notes.iter().filter(|note| wanted(note)) {
            let step = note.step.as_deref().map_or_else(String::new, |step| format!("{}: ", name(step)));
            self.plain(&format!("Note: {step}{}", note.text));
        }
    }

    fn rails(&mut self, record: &RunRecord) {
        let on: Vec<&str> = record.rails.iter().filter(|rail| rail.on).map(|rail| rail.rail.as_str()).collect();
        match &record.safe_state {
            // A bed of nails measures every rail at the end; on a desk there is none.
            Some(state) if state.confirmed && record.rails.is_empty() => self.plain(
                "The modem is off and nothing is driven. The bench does not switch the board: switch it off before you take the module out.",
            ),
            Some(state) if state.confirmed => self.plain("Rails off and nails released, measured."),
            Some(state) => {
                let reason = state.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
                self.alarm(&format!("RAILS MAY BE ON{reason}. Do not touch the module; call the technician."));
            }
            None if !on.is_empty() => {
                self.alarm(&format!("RAILS MAY BE ON: {} was on when the record ended.", on.join(", ")));
            }
            None if !record.rails.is_empty() => self.plain("Every rail was off when the record ended."),
            None => self.plain("No rail was switched on."),
        }
    }
}

/// Which steps the table lists. Of repetitions: the first, and the first few that did not pass; notes sum them all up.
fn listed_repetitions(record: &RunRecord) -> impl Fn(&StepRecord) -> bool {
    let repeated = |run: &&DiagnosisRun| run.repeat > 1;
    let bad = |step: &&StepRecord| without_repetition(&step.id) != step.id && step.verdict != Some(Verdict::Pass);
    let worth: Option<Vec<String>> = record.diagnosis_run.as_ref().filter(repeated).map(|_| {
        let started = record.steps.iter().filter(|step| step.was_started());
        started.filter(bad).take(MOST_REPETITIONS).map(|step| step.id.clone()).collect()
    });
    move |step| {
        let Some(worth) = &worth else { return true };
        without_repetition(&step.id) == step.id || worth.contains(&step.id)
    }
}

/// Says what happens with the module and who is to be called; nothing for a good one.
pub(crate) fn advice(record: &RunRecord) -> Vec<&'static str> {
    let order = match record.verdict {
        _ if !record.finished => {
            "The module counts as not tested. Check that the rails are off, then test it again; when this happens \
             twice, call the technician."
        }
        _ if record.diagnosis_run.is_some() => "This run counts nowhere. Test the module with the whole plan.",
        Verdict::Pass => return Vec::new(),
        Verdict::Fail if record.diagnoses.iter().any(|diagnosis| diagnosis.defect == Defect::WrongModel) => {
            "Take the module off the nest and put it with its own kind: it may be good, but this plan is not for it."
        }
        Verdict::Fail => "Send the module to repair.",
        Verdict::Error | Verdict::Skipped => {
            "Call the technician: the bench could not tell. The module is neither good nor bad; keep it here."
        }
        Verdict::Aborted => "The module counts as not tested. Test it again.",
    };
    let mut orders = vec![order];
    if record.finished && record.verdict != Verdict::Error && rails_in_doubt(record) {
        orders.push("Call the technician: the bench is not known to be in its safe state.");
    }
    orders
}

fn rails_in_doubt(record: &RunRecord) -> bool {
    record.safe_state.as_ref().is_some_and(|state| !state.confirmed)
        || (record.safe_state.is_none() && record.rails.iter().any(|rail| rail.on))
}

/// "24", or "22 of 24 good", or "3 of 24 taken".
fn measured(attempt: &Attempt, promised: usize) -> String {
    let taken = attempt.measurements.len();
    let bad = bad(attempt).count();
    match (taken < promised, bad) {
        (false, 0) => taken.to_string(),
        (false, _) => format!("{} of {taken} good", taken - bad),
        (true, 0) => format!("{taken} of {promised} taken"),
        (true, _) => format!("{taken} of {promised} taken, {} good", taken - bad),
    }
}

/// Returns the measurements outside their limits of a step without a matching diagnosis.
fn undiagnosed(step: &StepRecord) -> Vec<String> {
    let Some(last) = step.last().filter(|last| last.diagnoses.is_empty()) else { return Vec::new() };
    let mut lines: Vec<String> = bad(last).take(MOST_READINGS).map(reading).collect();
    let more = bad(last).count() - lines.len();
    if more > 0 {
        lines.push(format!("and {} outside limits", counted(more, "more measurement")));
    }
    lines
}

fn bad(attempt: &Attempt) -> impl Iterator<Item = &MeasurementRecord> {
    attempt.measurements.iter().filter(|taken| taken.measurement.verdict != Verdict::Pass)
}

/// "3V3.volts: 2.900 V, limits 3.200 V to 3.400 V".
fn reading(taken: &MeasurementRecord) -> String {
    let measurement = &taken.measurement;
    let value = match (measurement.value, &measurement.raw) {
        (Some(value), _) => measurement.unit.show(value),
        (None, Some(raw)) => format!("unusable reading ({raw})"),
        (None, None) => "no reading".to_owned(),
    };
    format!("{}: {value}, limits {}", name(&measurement.name), measurement.limits.show(measurement.unit))
}

/// "41.30 s", "12.3 ms".
fn show_time(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds >= 1.0 { format!("{seconds:.2} s") } else { format!("{:.1} ms", seconds * 1e3) }
}
