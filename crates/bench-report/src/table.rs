//! For analysis: CSV of all measurements, JSON of the whole record.

use crate::ReportError;
use crate::record::{Attempt, MeasurementRecord, RunRecord, StepRecord};
use crate::text::{contact_list, one_line};
use bench_run::BenchTime;
use std::io::Write;

/// The first columns have kept their places since version 0.1: new ones come last.
pub(crate) const COLUMNS: [&str; 24] = [
    "serial",
    "run_id",
    "model",
    "plan",
    "step",
    "kind",
    "attempt",
    "counts",
    "measurement",
    "value",
    "raw",
    "unit",
    "min",
    "max",
    "verdict",
    "step_verdict",
    "contacts",
    "at_us",
    "lot",
    "station",
    "nest",
    "operator",
    "started_at",
    "run_verdict",
];

/// One measurement and all it belongs to: a line of every table.
pub(crate) struct Row<'a> {
    pub record: &'a RunRecord,
    pub step: &'a StepRecord,
    pub attempt: &'a Attempt,
    /// Whether the attempt is the one that decides. In a diagnosis nothing decides.
    pub counts: bool,
    pub taken: &'a MeasurementRecord,
}

impl Row<'_> {
    pub(crate) fn plan(&self) -> &str {
        self.record.provenance.as_ref().map_or("", |made_of| made_of.plan.as_str())
    }

    pub(crate) fn station(&self) -> Option<&str> {
        self.record.bench.as_ref()?.station()
    }

    pub(crate) fn step_verdict(&self) -> &'static str {
        self.attempt.verdict.map_or("not finished", |verdict| verdict.as_str())
    }
}

/// Every measurement of every attempt.
pub(crate) fn rows<'a>(record: &'a RunRecord) -> impl Iterator<Item = Row<'a>> {
    let of_step = move |step: &'a StepRecord| {
        let attempts = step.attempts.as_slice();
        attempts.iter().enumerate().flat_map(move |(index, attempt)| {
            let counts = index + 1 == attempts.len() && !attempt.void && record.diagnosis_run.is_none();
            attempt.measurements.iter().map(move |taken| Row { record, step, attempt, counts, taken })
        })
    };
    record.steps.iter().flat_map(of_step)
}

/// Spelling of numbers and separators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsvDialect {
    /// Comma between cells, decimal point: RFC 4180.
    #[default]
    Plain,
    /// Semicolon between cells, decimal comma, byte order mark: what a German spreadsheet opens without questions.
    German,
}

/// Writes runs one after the other, in constant memory.
///
/// There is one line per measurement of every attempt, below one line of column names. `counts` is 1 for a step's last
/// attempt and 0 for those that were repeated or void. Values have full precision in the base unit; contacts are
/// separated by spaces; `operator` is empty because a record names none. Control characters and line ends in texts are
/// spaces: the JSON has them. A text that a spreadsheet would run as a formula has an apostrophe in front.
pub struct CsvWriter<W: Write> {
    writer: ::csv::Writer<W>,
    dialect: CsvDialect,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the column names.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn new(mut to: W, dialect: CsvDialect) -> Result<Self, ReportError> {
        let delimiter = match dialect {
            CsvDialect::Plain => b',',
            CsvDialect::German => {
                to.write_all("\u{feff}".as_bytes()).map_err(::csv::Error::from)?;
                b';'
            }
        };
        let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(to);
        writer.write_record(COLUMNS)?;
        Ok(Self { writer, dialect })
    }

    /// Writes the measurements of a run.
    ///
    /// # Errors
    /// When a line cannot be written.
    pub fn run(&mut self, record: &RunRecord) -> Result<(), ReportError> {
        for row in rows(record) {
            self.row(&row)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), ReportError> {
        let Row { record, step, attempt, taken, .. } = row;
        let measurement = &taken.measurement;
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| self.number(number));
        let optional = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
        let BenchTime(at_us) = taken.at_us;
        let cells: [String; COLUMNS.len()] = [
            cell(&record.serial),
            cell(&record.run_id),
            cell(&record.model),
            cell(row.plan()),
            cell(&step.id),
            cell(&step.kind),
            attempt.number.to_string(),
            u8::from(row.counts).to_string(),
            cell(&measurement.name),
            number(measurement.value),
            optional(&measurement.raw),
            measurement.unit.symbol().to_owned(),
            number(measurement.limits.min),
            number(measurement.limits.max),
            measurement.verdict.as_str().to_owned(),
            row.step_verdict().to_owned(),
            contact_list(&measurement.contacts, " "),
            at_us.to_string(),
            optional(&record.lot),
            cell(row.station().unwrap_or_default()),
            optional(&record.nest),
            String::new(),
            optional(&record.started_at),
            record.verdict.as_str().to_owned(),
        ];
        Ok(self.writer.write_record(cells)?)
    }

    fn number(&self, number: f64) -> String {
        match self.dialect {
            CsvDialect::Plain => number.to_string(),
            CsvDialect::German => number.to_string().replace('.', ","),
        }
    }

    /// Writes what is still in memory, and returns where it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<W, ReportError> {
        Ok(self.writer.into_inner().map_err(|error| ::csv::Error::from(error.into_error()))?)
    }
}

/// Returns a text in one line, with an apostrophe in front when a spreadsheet would run it as a formula.
fn cell(text: &str) -> String {
    let clean = one_line(text);
    // Some programs skip spaces before the sign.
    let runs = text.starts_with(['\t', '\r']) || clean.trim_start().starts_with(['=', '+', '-', '@']);
    if runs { format!("'{clean}") } else { clean }
}

/// Returns all runs as CSV; see [`CsvWriter`].
///
/// # Errors
/// When a line cannot be written; this does not happen in memory.
pub fn csv(records: &[RunRecord]) -> Result<String, ReportError> {
    let mut writer = CsvWriter::new(Vec::new(), CsvDialect::Plain)?;
    for record in records {
        writer.run(record)?;
    }
    Ok(String::from_utf8_lossy(&writer.finish()?).into_owned())
}

/// Returns the record as JSON, indented, with a line end.
///
/// # Errors
/// When it cannot be written; every part of a record is valid JSON.
pub fn json(record: &RunRecord) -> Result<String, ReportError> {
    let mut text = serde_json::to_string_pretty(record)?;
    text.push('\n');
    Ok(text)
}

/// Returns the record as JSON in one line, with a line end, for files of many records.
///
/// # Errors
/// When it cannot be written; every part of a record is valid JSON.
pub fn json_line(record: &RunRecord) -> Result<String, ReportError> {
    let mut text = serde_json::to_string(record)?;
    text.push('\n');
    Ok(text)
}
