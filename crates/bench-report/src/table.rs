//! For analysis: CSV of all measurements, JSON of the whole record.

use crate::ReportError;
use crate::record::RunRecord;
use crate::text::contact_list;
use bench_run::BenchTime;

const COLUMNS: [&str; 18] = [
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
];

/// Writes one line per measurement of every attempt, below one line of column names. `counts` is 1 for a step's last
/// attempt and 0 for those that were repeated or void. Values have full precision in the base unit; contacts are
/// separated by spaces.
///
/// # Errors
/// When a line cannot be written; this does not happen in memory.
pub fn csv(records: &[RunRecord]) -> Result<String, ReportError> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for record in records {
        let plan = record.provenance.as_ref().map_or("", |made_of| made_of.plan.as_str());
        for step in &record.steps {
            for (index, attempt) in step.attempts.iter().enumerate() {
                let counts = if index + 1 == step.attempts.len() && !attempt.void { "1" } else { "0" };
                for taken in &attempt.measurements {
                    let measurement = &taken.measurement;
                    let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
                    let BenchTime(at_us) = taken.at_us;
                    writer.write_record([
                        record.serial.as_str(),
                        &record.run_id,
                        &record.model,
                        plan,
                        &step.id,
                        &step.kind,
                        &attempt.number.to_string(),
                        counts,
                        &measurement.name,
                        &number(measurement.value),
                        measurement.raw.as_deref().unwrap_or_default(),
                        measurement.unit.symbol(),
                        &number(measurement.limits.min),
                        &number(measurement.limits.max),
                        measurement.verdict.as_str(),
                        attempt.verdict.map_or("not finished", |verdict| verdict.as_str()),
                        &contact_list(&measurement.contacts, " "),
                        &at_us.to_string(),
                    ])?;
                }
            }
        }
    }
    let bytes = writer.into_inner().map_err(|error| ::csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
