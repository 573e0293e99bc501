//! One record as every command sees it: read once, judged once.

use bench_journal::{Finding, Judgement, judge, judge_file, shown};
use bench_report::RunRecord;
use bench_run::BenchKind;
use std::fmt;
use std::path::Path;

/// A record with its judgement.
#[derive(Debug)]
pub struct Examined {
    /// Whether it holds, and why not.
    pub judgement: Judgement,
    /// The run; `None` when the journal cannot be read or is empty.
    pub record: Option<RunRecord>,
}

impl Examined {
    fn of(judgement: Judgement) -> Self {
        let record = judgement.contents.as_ref().ok().filter(|run| !run.entries.is_empty()).map(|run| {
            let contradictions = match judgement.finding {
                Finding::DoesNotHold => judgement.reasons.clone(),
                Finding::Holds | Finding::CannotTell => Vec::new(),
            };
            RunRecord::from_entries(&run.entries).with_seal(run.seal.clone()).with_contradictions(contradictions)
        });
        Self { judgement, record }
    }

    /// Returns why the run may not be counted, exported and sent; `None`: it may.
    pub fn refused(&self) -> Option<Refused> {
        if let Some(BenchKind::Replay { of, .. }) = self.record.as_ref().and_then(|record| record.bench.as_ref()) {
            return Some(Refused { replay: true, reason: format!("a replay of run {of}"), ..Refused::unread() });
        }
        if self.record.as_ref().is_some_and(|record| record.diagnosis_run.is_some()) {
            let reason = "a diagnosis, not a test of the unit".to_owned();
            return Some(Refused { diagnosis: true, reason, ..Refused::unread() });
        }
        let usable = self.judgement.finding != Finding::DoesNotHold && self.record.is_some();
        let reason = || self.judgement.reasons.first().cloned();
        (!usable).then(|| Refused {
            empty: self.judgement.is_empty(),
            reason: reason().unwrap_or_else(|| Refused::unread().reason),
            ..Refused::unread()
        })
    }

    /// Returns the run if it may be counted, exported and sent.
    ///
    /// # Errors
    /// When the record does not hold, cannot be read, or is empty.
    pub fn usable(self) -> Result<RunRecord, Refused> {
        match self.refused() {
            Some(refused) => Err(refused),
            None => self.record.ok_or_else(Refused::unread),
        }
    }
}

/// Why a journal may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The power failed before the run began: no unit was tested, and nothing is wrong.
    pub empty: bool,
    /// Nothing was tested: the answers are those of another run.
    pub replay: bool,
    /// A part of a plan, to find a cause: it is no test of the unit.
    pub diagnosis: bool,
    /// The first reason of the judgement.
    pub reason: String,
}

impl Refused {
    pub(crate) fn unread() -> Self {
        Self { empty: false, replay: false, diagnosis: false, reason: "cannot be read".to_owned() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Examines the text of a journal.
pub fn examine(bytes: &[u8]) -> Examined {
    Examined::of(judge(bytes))
}

/// Examines the journal at `path`, which may be the file or the run's folder.
pub fn examine_file(path: &Path) -> Examined {
    let mut examined = Examined::of(judge_file(path));
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    examined.record = examined.record.map(|record| record.with_run_folder(folder.map(shown).unwrap_or_default()));
    examined
}
