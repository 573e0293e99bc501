//! Does a record hold? One reader and one judgement, for every command.

use crate::files::{LARGEST_JOURNAL, read_regular};
use crate::reader::{JournalContents, JournalError, parse};
use bench_run::{Verdict, rejudge};
use serde::Serialize;
use std::path::Path;

/// Result of judging a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Nothing was changed, and every verdict follows from its readings.
    Holds,
    /// It was changed, or a verdict does not follow. Its run is in no figure, export or server.
    DoesNotHold,
    /// It is empty, has no end, is in a format without a chain or in a newer one, or cannot be read.
    CannotTell,
}

/// What a journal states, and whether it holds.
#[derive(Debug)]
pub struct Judgement {
    /// Whether it holds.
    pub finding: Finding,
    /// Why it does not, or why this cannot be determined.
    pub reasons: Vec<String>,
    /// The entries; the error says why there are none.
    pub contents: Result<JournalContents, JournalError>,
    /// The recorded verdict.
    pub claimed: Option<Verdict>,
    /// The verdict that follows from the readings, for a run with an end.
    pub verdict: Option<Verdict>,
    /// Number of planned steps.
    pub steps: usize,
    /// Number of readings that were judged again.
    pub measurements: usize,
}

impl Judgement {
    /// Whether the journal has no complete line: the power failed before the run began. No unit was tested.
    pub fn is_empty(&self) -> bool {
        self.contents.as_ref().is_ok_and(|run| run.entries.is_empty())
    }

    /// Of a journal without entries.
    fn without_run(finding: Finding, reason: String, contents: Result<JournalContents, JournalError>) -> Self {
        let (reasons, claimed, verdict) = (vec![reason], None, None);
        Self { finding, reasons, contents, claimed, verdict, steps: 0, measurements: 0 }
    }

    fn refused(error: JournalError) -> Self {
        let finding = match &error {
            JournalError::Io(_) | JournalError::UnknownFormat { .. } => Finding::CannotTell,
            _ => Finding::DoesNotHold,
        };
        Self::without_run(finding, error.to_string(), Err(error))
    }
}

/// Judges the text of a journal.
pub fn judge(bytes: &[u8]) -> Judgement {
    let run = match parse(bytes) {
        Ok(run) => run,
        Err(error) => return Judgement::refused(error),
    };
    if run.entries.is_empty() {
        let what = match run.torn_bytes {
            0 => "the journal is empty".to_owned(),
            torn => format!("the journal holds {torn} bytes and no complete line"),
        };
        let reason = format!("{what}: the power failed before the run began; no unit was tested");
        return Judgement::without_run(Finding::CannotTell, reason, Ok(run));
    }
    let again = rejudge(&run.entries);
    let show = |of: &bench_run::Contradiction| format!("line {}: {}", of.line, of.text);
    let mut reasons: Vec<String> = again.contradictions.iter().map(show).collect();
    if run.finished && run.torn_bytes > 0 {
        reasons.push(format!("{} bytes follow the last line", run.torn_bytes));
    }
    let mut finding = if reasons.is_empty() { Finding::Holds } else { Finding::DoesNotHold };
    if !run.finished {
        reasons.push("the run has no end on record: the unit counts as not tested".to_owned());
    } else if run.seal.is_none() {
        reasons
            .push("format 1 has no chain: every reading was judged again, but a change cannot be ruled out".to_owned());
    }
    if finding == Finding::Holds && !reasons.is_empty() {
        finding = Finding::CannotTell;
    }
    Judgement {
        finding,
        reasons,
        claimed: again.claimed,
        verdict: run.finished.then_some(again.verdict),
        steps: again.steps,
        measurements: again.measurements,
        contents: Ok(run),
    }
}

/// Reads and judges the journal at `path`, which may be the file or the run's folder.
pub fn judge_file(path: &Path) -> Judgement {
    let file = if path.is_dir() { path.join(crate::JOURNAL_FILE) } else { path.to_owned() };
    match read_regular(&file, LARGEST_JOURNAL) {
        Ok(bytes) => judge(&bytes),
        Err(error) => Judgement::refused(JournalError::Io(error)),
    }
}
