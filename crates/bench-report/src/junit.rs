//! The report for a CI server.
//!
//! Dialect: the common subset of Jenkins' `junit-10.xsd` and the readers of GitLab and GitHub. GitLab reads only the
//! text of a `failure` or `error`, not its attributes, so the text contains everything. Jenkins keeps the first 1,000
//! characters of a passed case's output, so the properties come before the measurements. A case has no `<properties>`
//! in these dialects, so they are `[[PROPERTY|key=value]]` lines in `system-out`.

use crate::record::{Attempt, RunRecord, StepRecord, merged};
use crate::text::{contact_list, counted, one_line, xml_text};
use crate::{MeasurementRecord, ReportError};
use bench_run::{BenchKind, PartHash, Verdict, without_repetition};
use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestResult, TestSuite};
use std::collections::HashSet;
use std::io::Write;
use time::format_description::well_known::Rfc3339;

/// Writes a `<testsuite>` per unit, with a `<testcase>` per step.
///
/// A run that is not a pass is never all green: where no step has its verdict (the bench died, the safe state was not
/// confirmed), an additional case named `run` has it. The cases of several runs have different class names.
///
/// A diagnosis is no test: all its cases are skipped ones, whose message has the verdict of the step.
///
/// # Errors
/// When the XML cannot be written; this does not happen in memory.
pub fn junit(records: &[RunRecord]) -> Result<String, ReportError> {
    let mut writer =
        JunitWriter { to: Vec::new(), suites: 0, names: if records.len() > 1 { Names::OfRun } else { Names::OfPlan } };
    writer.begin()?;
    for record in records {
        writer.run(record)?;
    }
    Ok(String::from_utf8_lossy(&writer.finish()?).into_owned())
}

/// How the class of a case is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The same for every unit, so that a CI server follows a step from one pipeline to the next.
    OfPlan,
    /// With serial number and run id: GitLab keeps one case of each class and name, and a pass of one run would hide
    /// another's fail.
    OfRun,
}

/// Writes the report of many runs, one at a time.
pub struct JunitWriter<W: Write> {
    to: W,
    suites: usize,
    names: Names,
}

impl<W: Write> JunitWriter<W> {
    /// Writes the beginning.
    ///
    /// # Errors
    /// When `to` refuses.
    pub fn new(to: W) -> Result<Self, ReportError> {
        let mut writer = Self { to, suites: 0, names: Names::OfRun };
        writer.begin()?;
        Ok(writer)
    }

    fn begin(&mut self) -> Result<(), ReportError> {
        Ok(write!(self.to, "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites>")?)
    }

    /// Writes the suite of a run.
    ///
    /// # Errors
    /// When the file refuses.
    pub fn run(&mut self, record: &RunRecord) -> Result<(), ReportError> {
        let suite = suite(record, self.names);
        let skipped = suite.testcases.iter().filter(|case| case.is_skipped()).count();
        let mut report = Report::new();
        report.add_testsuites([suite]);
        let mut xml = Vec::new();
        report.write_xml(&mut xml)?;
        let xml = String::from_utf8_lossy(&xml);
        // The library writes whole reports, numbers their suites and leaves out how many cases were skipped.
        let from = xml.find("<testsuite ").unwrap_or(xml.len());
        let suite = &xml[from..xml.rfind("</testsuites>").unwrap_or(xml.len())];
        let suite = suite.strip_prefix("<testsuite id=\"0\"").unwrap_or(suite);
        write!(self.to, "<testsuite id=\"{}\" skipped=\"{skipped}\"{suite}", self.suites)?;
        self.suites += 1;
        Ok(())
    }

    /// Writes the end, and returns what was written to.
    ///
    /// # Errors
    /// When the file refuses.
    pub fn finish(mut self) -> Result<W, ReportError> {
        write!(self.to, "</testsuites>")?;
        Ok(self.to)
    }
}

fn suite(record: &RunRecord, names: Names) -> TestSuite {
    let plan = record.provenance.as_ref().map_or("", |provenance| provenance.plan.as_str());
    // Readers take what precedes the last dot for a package.
    let part = |text: &str| text.replace('.', "_");
    let classname = match names {
        Names::OfPlan => format!("{}.{}", record.model, part(plan)),
        Names::OfRun => format!("{}.{}.{}.{}", record.model, part(plan), part(&record.serial), part(&record.run_id)),
    };
    let mut taken = HashSet::new();
    let mut testcases: Vec<TestCase> = Vec::new();
    let unused = |step: &StepRecord| without_repetition(&step.id) != step.id && !step.was_started();
    for step in record.steps.iter().filter(|step| !unused(step)) {
        // GitLab counts only the first case of a name. Step ids are unique in a checked plan, but not in a damaged
        // journal.
        let mut name = xml_attribute(&step.id);
        while !taken.insert(name.clone()) {
            name.push('\'');
        }
        testcases.push(case(record, step, name, &classname));
    }
    if record.diagnosis_run.is_some() {
        testcases.iter_mut().for_each(|case| case.result = of_diagnosis(&case.result));
    } else if !shown_by_steps(record, &testcases) {
        testcases.push(run_case(record, &classname));
    }
    // A literal and not TestSuite::new, which would read the clock.
    TestSuite {
        name: xml_attribute(&format!("{} {}", record.model.to_uppercase(), record.serial)),
        package: xml_attribute(plan),
        timestamp: timestamp(record),
        hostname: xml_attribute(record.bench.as_ref().map_or("unknown", |bench| bench.station().unwrap_or("virtual"))),
        testcases,
        system_out: Some(cdata(&suite_output(record))),
        system_err: None,
    }
}

/// The virtual bench has no date: the same run must give the same bytes on every day. Its runs begin at the start of
/// the year 2000, UTC, which is not a plausible test date.
fn timestamp(record: &RunRecord) -> OffsetDateTime {
    const VIRTUAL_EPOCH: OffsetDateTime = junit_report::datetime!(2000-01-01 00:00 UTC);
    record.started_at.as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()).unwrap_or(VIRTUAL_EPOCH)
}

/// Whether the cases add up to at least the verdict of the run.
fn shown_by_steps(record: &RunRecord, testcases: &[TestCase]) -> bool {
    let errors = testcases.iter().any(TestCase::is_error);
    match record.verdict {
        Verdict::Pass => testcases.iter().any(TestCase::is_success),
        Verdict::Fail => errors || testcases.iter().any(TestCase::is_failure),
        Verdict::Error | Verdict::Aborted | Verdict::Skipped => errors && record.finished,
    }
}

/// A server that counts the cases counts no test, and a person reads what the step came to.
fn of_diagnosis(result: &TestResult) -> TestResult {
    let (came_to, cause) = match result {
        TestResult::Success => ("pass".to_owned(), None),
        TestResult::Failure { type_, message, cause } | TestResult::Error { type_, message, cause } => {
            (format!("{type_}: {message}"), cause.clone())
        }
        TestResult::SkippedWithCause { message, .. } => (format!("not run: {message}"), None),
        TestResult::Skipped => ("not run".to_owned(), None),
    };
    let message = format!("diagnosis, not a test of the unit: {came_to}");
    TestResult::SkippedWithCause { type_: "diagnosis".to_owned(), message, cause }
}

fn case(record: &RunRecord, step: &StepRecord, name: String, classname: &str) -> TestCase {
    let text = |verdict: Verdict| {
        (verdict.as_str().to_owned(), xml_attribute(&headline(step)), Some(cdata(&failure_text(step))))
    };
    let result = match step.verdict {
        Some(Verdict::Pass) => TestResult::Success,
        Some(verdict @ Verdict::Fail) => {
            let (type_, message, cause) = text(verdict);
            TestResult::Failure { type_, message, cause }
        }
        Some(verdict @ (Verdict::Error | Verdict::Aborted)) => {
            let (type_, message, cause) = text(verdict);
            TestResult::Error { type_, message, cause }
        }
        Some(verdict @ Verdict::Skipped) => {
            let (type_, message, _) = text(verdict);
            TestResult::SkippedWithCause { type_, message, cause: None }
        }
        None if step.was_started() || record.finished => {
            let message = "the step never finished: no verdict is on record".to_owned();
            let cause = Some(cdata(&format!("{message}\n{}", failure_text(step))));
            TestResult::Error { type_: "not-finished".to_owned(), message, cause }
        }
        None => TestResult::SkippedWithCause {
            type_: "not-started".to_owned(),
            message: "the run ended before this step".to_owned(),
            cause: None,
        },
    };
    TestCase {
        name,
        time: junit_time(step.duration()),
        result,
        classname: Some(xml_attribute(classname)),
        filepath: None, // Jenkins' schema does not have the attribute
        system_out: Some(cdata(&format!("{}{}", case_output(step), attachment(record, step)))),
        system_err: None,
    }
}

/// GitLab shows files of failed cases: here the record of the run.
fn attachment(record: &RunRecord, step: &StepRecord) -> String {
    let failed = matches!(step.verdict, Some(Verdict::Fail | Verdict::Error | Verdict::Aborted));
    match &record.run_folder {
        Some(folder) if failed => format!("\n[[ATTACHMENT|{}/journal.jsonl]]", one_line(folder)),
        _ => String::new(),
    }
}

/// The case for a verdict that no step has.
fn run_case(record: &RunRecord, classname: &str) -> TestCase {
    let mut lines: Vec<String> = Vec::new();
    if !record.finished {
        lines
            .push("not finished: the journal ends before the end of the run; the unit counts as not tested".to_owned());
    }
    lines.extend(record.reason.clone());
    lines.extend(record.stopping.clone());
    lines.extend(record.doubts.iter().cloned());
    if lines.is_empty() {
        lines.push(format!("the run ended with the verdict {}", record.verdict));
    }
    let message = xml_attribute(&lines[0]);
    let cause = Some(cdata(&lines.join("\n")));
    let type_ = if record.finished { record.verdict.as_str() } else { "not-finished" }.to_owned();
    TestCase {
        name: "run".to_owned(),
        time: Duration::ZERO,
        result: match record.verdict {
            Verdict::Fail => TestResult::Failure { type_, message, cause },
            _ => TestResult::Error { type_, message, cause },
        },
        classname: Some(xml_attribute(classname)),
        filepath: None,
        system_out: None,
        system_err: None,
    }
}

/// Summarises in one line what is wrong with a step: its diagnoses, or else the reason, or else the first bad
/// measurement.
fn headline(step: &StepRecord) -> String {
    let Some(last) = step.last() else { return "no attempt is on record".to_owned() };
    let texts: Vec<String> = merged([last].into_iter()).into_iter().map(|texts| texts.text).collect();
    if !texts.is_empty() {
        return texts.join("; ");
    }
    let verdict = || step.verdict.map_or("no verdict", Verdict::as_str).to_owned();
    last.reason.clone().or_else(|| bad(last).next().map(measurement_line)).unwrap_or_else(verdict)
}

/// Collects everything for readers of the failure's text alone: reason, diagnoses, measurements outside limits.
fn failure_text(step: &StepRecord) -> String {
    let mut lines = Vec::new();
    if let Some(last) = step.last() {
        lines.extend(last.reason.clone());
        lines.extend(merged([last].into_iter()).into_iter().map(|diagnosis| diagnosis.text));
        lines.extend(bad(last).map(measurement_line));
    }
    if step.tries() > 1 {
        lines.push(format!("after {}", counted(step.tries(), "attempt")));
    }
    lines.join("\n")
}

fn bad(attempt: &Attempt) -> impl Iterator<Item = &MeasurementRecord> {
    attempt.measurements.iter().filter(|taken| taken.measurement.verdict != Verdict::Pass)
}

/// Formats "3V3.volts 3.301 V [3.2..3.4] pass": name, value, unit, limits, verdict. Full precision in the base unit.
fn measurement_line(taken: &MeasurementRecord) -> String {
    let measurement = &taken.measurement;
    let value = match (measurement.value, &measurement.raw) {
        (Some(value), _) => value.to_string(),
        (None, Some(raw)) => raw.clone(),
        (None, None) => "none".to_owned(),
    };
    let limit = |limit: Option<f64>| limit.map_or_else(String::new, |limit| limit.to_string());
    let (min, max) = (limit(measurement.limits.min), limit(measurement.limits.max));
    let unit = match measurement.unit.symbol() {
        "" => "1",
        symbol => symbol,
    };
    format!("{} {value} {unit} [{min}..{max}] {}", one_line(&measurement.name), measurement.verdict)
}

fn case_output(step: &StepRecord) -> String {
    let mut lines = vec![property("title", &step.title), property("kind", &step.kind)];
    lines.push(property("attempts", &step.tries().to_string()));
    if let Some(last) = step.last() {
        let mut contacts: Vec<_> =
            last.diagnoses.iter().flat_map(|diagnosis| diagnosis.contacts.iter().copied()).collect();
        contacts.sort_unstable();
        contacts.dedup();
        if !contacts.is_empty() {
            lines.push(property("contacts", &contact_list(&contacts, ",")));
        }
    }
    for attempt in &step.attempts {
        if step.attempts.len() > 1 {
            let verdict = attempt.verdict.map_or("not finished", Verdict::as_str);
            let reason = attempt.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
            lines.push(one_line(&format!("attempt {}: {verdict}{reason}", attempt.number)));
        }
        lines.extend(attempt.measurements.iter().map(measurement_line));
    }
    // After the lines for people: Jenkins keeps the beginning.
    for attempt in &step.attempts {
        lines.extend(attempt.measurements.iter().flat_map(|taken| measurement_properties(attempt, taken)));
    }
    lines.join("\n")
}

/// Writes the machine-readable properties of a reading. Keys are unique in the case: a further attempt's number is part
/// of them.
fn measurement_properties(attempt: &Attempt, taken: &MeasurementRecord) -> Vec<String> {
    let of = &taken.measurement;
    let name = one_line(&of.name);
    let key = if attempt.number <= 1 { name } else { format!("{name}#{}", attempt.number) };
    let unit = if of.unit.symbol().is_empty() { "1" } else { of.unit.symbol() };
    let mut lines = Vec::new();
    let value = of.value.map(|value| value.to_string()).or_else(|| of.raw.clone());
    lines.extend(value.map(|value| property(&format!("{key}.value"), &value)));
    lines.push(property(&format!("{key}.unit"), unit));
    lines.extend(of.limits.min.map(|low| property(&format!("{key}.low"), &low.to_string())));
    lines.extend(of.limits.max.map(|high| property(&format!("{key}.high"), &high.to_string())));
    lines.push(property(&format!("{key}.attempt"), &attempt.number.to_string()));
    lines
}

fn suite_output(record: &RunRecord) -> String {
    let mut lines = vec![
        property("verdict", record.verdict.as_str()),
        property("finished", if record.finished { "yes" } else { "no" }),
        property("serial", &record.serial),
        property("model", &record.model),
        property("run_id", &record.run_id),
    ];
    lines.extend(record.diagnosis_run.iter().map(|run| property("diagnosis", &run.chosen.join(","))));
    let named = [("nest", &record.nest), ("lot", &record.lot), ("journal_seal", &record.seal)];
    lines.extend(named.iter().filter_map(|(key, value)| Some(property(key, value.as_deref()?))));
    match &record.bench {
        Some(BenchKind::Real { station, .. }) => lines.push(property("station", station)),
        Some(BenchKind::Virtual { seed, faults }) => {
            lines.push(property("virtual_seed", &seed.to_string()));
            lines.extend(faults.iter().map(|fault| property("virtual_fault", fault)));
        }
        Some(BenchKind::Replay { of, .. }) => lines.push(property("replay_of", of)),
        None => {}
    }
    if let Some(made_of) = &record.provenance {
        lines.extend([
            property("bench_version", &made_of.bench_version),
            property("bench_commit", &made_of.bench_commit),
            property("plan", &made_of.plan),
            property("plan_sha256", &made_of.plan_sha256),
        ]);
        let named =
            |name: &'static str| move |file: &PartHash| property(name, &format!("{} {}", file.path, file.sha256));
        lines.extend(made_of.plan_parts.iter().map(named("plan_part")));
        lines.extend([
            property("dut_file_sha256", &made_of.dut_file_sha256),
            property("fixture", &made_of.fixture),
            property("fixture_sha256", &made_of.fixture_sha256),
            property("firmware_sha256", &made_of.firmware_sha256),
        ]);
        lines.extend(made_of.images.iter().map(named("image")));
    }
    if !record.contacts_at_fault.is_empty() {
        lines.push(property("contacts_at_fault", &contact_list(&record.contacts_at_fault, ",")));
    }
    lines.extend(record.diagnoses.iter().map(|diagnosis| one_line(&diagnosis.text)));
    lines.join("\n")
}

fn property(key: &str, value: &str) -> String {
    format!("[[PROPERTY|{key}={}]]", one_line(value))
}

/// Line ends in attributes are read as spaces anyway.
fn xml_attribute(text: &str) -> String {
    xml_text(&one_line(text))
}

/// The crate writes CDATA verbatim, so the sequence that would end it is split over two sections.
fn cdata(text: &str) -> String {
    xml_text(text).replace("]]>", "]]]]><![CDATA[>")
}

fn junit_time(span: std::time::Duration) -> Duration {
    Duration::microseconds(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}
