//! Who signed off the golden module, and when: `REPORTS/golden.jsonl`, one line for each signature.

use crate::log;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Name of the file in the folder of reports.
pub const SIGN_OFF_FILE: &str = "golden.jsonl";

/// What was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoldenOutcome {
    /// Every compared measurement agrees with the module's history.
    Agrees,
    /// At least one does not, or the module failed.
    Drifted,
    /// There are too few earlier runs.
    TooFew,
    /// The bench was changed on purpose: the history begins again with this run.
    NewHistory,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Serial number of the golden module.
    pub serial: String,
    /// Name of the plan.
    pub plan: String,
    /// Name of the station; absent on the virtual bench.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub station: Option<String>,
    /// Name of the nest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nest: Option<String>,
    /// Name of the folder of the run that was compared.
    pub run_id: String,
    /// When that run began, RFC 3339; absent on the virtual bench, which has no date.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<String>,
    /// Who signed.
    pub by: String,
    /// What was signed.
    pub outcome: GoldenOutcome,
    /// Number of measurements that were compared.
    pub compared: usize,
    /// Number of measurements that drifted.
    pub drifted: usize,
}

/// Adds a line; it is on the disk when this returns.
///
/// # Errors
/// When the line is not on the disk.
pub fn sign(reports: &Path, line: &SignOff) -> io::Result<()> {
    log::append_line(&mut log::open_lines(reports, SIGN_OFF_FILE)?, line)
}

/// Returns all signatures, oldest first. A line that cannot be parsed (torn by a loss of power, or from another version) is
/// left out. A missing file holds none.
///
/// # Errors
/// When the file cannot be read.
pub fn signatures(reports: &Path) -> io::Result<Vec<SignOff>> {
    log::read_lines(&reports.join(SIGN_OFF_FILE), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn signatures_are_read_back_in_their_order_and_a_torn_line_spoils_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(signatures(folder.path()).unwrap(), []);
        let line = |run_id: &str, outcome| SignOff {
            serial: "P042AN0000DEMO1".to_owned(),
            plan: "b404x".to_owned(),
            station: None,
            nest: Some("2".to_owned()),
            run_id: run_id.to_owned(),
            at: Some("2026-01-01T06:00:00Z".to_owned()),
            by: "Kim".to_owned(),
            outcome,
            compared: 600,
            drifted: 0,
        };
        let (one, two) = (line("1", GoldenOutcome::Agrees), line("2", GoldenOutcome::NewHistory));
        sign(folder.path(), &one).unwrap();
        let path = folder.path().join(SIGN_OFF_FILE);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"serial\":\"P\xff").unwrap();
        sign(folder.path(), &two).unwrap();
        assert_eq!(signatures(folder.path()).unwrap(), [one, two]);
    }
}
