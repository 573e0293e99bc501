//! `bench verify`: does what is on record still hold?

use super::{print, print_json};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::shown;
use bench_journal::{JournalContents, JournalError};
use bench_run::{Contradiction, Verdict, rejudge};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A journal was changed, or its verdict does not follow from it.
const EXIT_DOES_NOT_HOLD: u8 = 1;

/// Contradictions of one journal that are listed; the rest is counted.
const MOST_CONTRADICTIONS: usize = 5;

const AFTER: &str = "\
Exit codes:
  0  nothing was changed, and every verdict follows from its readings
  1  a journal was changed, or a verdict does not follow
  2  cannot tell: the run has no end, or its journal is of format 1, which has no chain
  3  the arguments are wrong

Example: bench verify reports/P042AN0000DEMO1";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct VerifyArgs {
    /// Journals, or folders with journals in them.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Only journals that do not hold, and the count.
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Finding {
    Holds,
    DoesNotHold,
    CannotTell,
}

#[derive(Debug, Serialize)]
struct Verified {
    journal: String,
    finding: Finding,
    /// Why, when it does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// On record.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<Verdict>,
    /// Judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    steps: usize,
    measurements: usize,
    /// The chain value of the last line. Kept elsewhere, it shows whether the journal was rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<u8, Failed> {
    let mut journals = Vec::new();
    for path in &args.runs {
        let in_path = bench_journal::journals_in(path)
            .map_err(|error| Failed::Usage(miette::miette!("{}: {error}", shown(path))))?;
        if in_path.is_empty() {
            let help = "name a journal.jsonl, or a folder with runs in it such as reports";
            return Err(Failed::Usage(miette::miette!(help = help, "{} holds no run", shown(path))));
        }
        journals.extend(in_path);
    }
    let mut all = Vec::new();
    let mut counts = [0_usize; 3];
    for journal in journals {
        let verified = look(&journal);
        counts[verified.finding as usize] += 1;
        if args.json {
            all.push(verified);
        } else if !args.quiet || verified.finding != Finding::Holds {
            print(&line(&verified));
        }
    }
    let [holds, wrong, unknown] = counts;
    if args.json {
        print_json(&all)?;
    } else if holds + wrong + unknown > 1 || args.quiet {
        print(&format!("{holds} hold, {wrong} do not, {unknown} unknown.\n"));
    }
    Ok(match (wrong, unknown) {
        (0, 0) => 0,
        (0, _) => EXIT_ERROR,
        _ => EXIT_DOES_NOT_HOLD,
    })
}

fn look(journal: &Path) -> Verified {
    let shown = shown(journal);
    match bench_journal::read(journal) {
        Ok(run) => judge(shown, run),
        Err(error) => {
            let finding = match &error {
                JournalError::Io { .. } | JournalError::UnknownFormat { .. } => Finding::CannotTell,
                _ => Finding::DoesNotHold,
            };
            let (reasons, seal) = (vec![error.to_string()], None);
            Verified { journal: shown, finding, reasons, claimed: None, verdict: None, steps: 0, measurements: 0, seal }
        }
    }
}

fn judge(journal: String, run: JournalContents) -> Verified {
    let again = rejudge(&run.entries);
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
    Verified {
        journal,
        finding,
        reasons,
        claimed: again.claimed,
        verdict: run.finished.then_some(again.verdict),
        steps: again.steps,
        measurements: again.measurements,
        seal: run.seal.filter(|_| run.finished),
    }
}

fn show(contradiction: &Contradiction) -> String {
    format!("line {}: {}", contradiction.line, contradiction.text)
}

fn line(of: &Verified) -> String {
    let claimed = of.claimed.map_or_else(|| "no verdict".to_owned(), |verdict| verdict.as_str().to_uppercase());
    let judged = format!("{} measurements in {} steps judged again", of.measurements, of.steps);
    let mut text = match of.finding {
        Finding::Holds => {
            let seal = of.seal.as_deref().unwrap_or_default();
            return format!("{}: holds: {claimed}, {judged}, seal {seal}\n", of.journal);
        }
        Finding::DoesNotHold => format!("{}: DOES NOT HOLD: {claimed} on record\n", of.journal),
        Finding::CannotTell => format!("{}: CANNOT TELL: {claimed} on record, {judged}\n", of.journal),
    };
    for reason in of.reasons.iter().take(MOST_CONTRADICTIONS) {
        text.push_str(&format!("  {reason}\n"));
    }
    if of.reasons.len() > MOST_CONTRADICTIONS {
        text.push_str(&format!("  and {} more\n", of.reasons.len() - MOST_CONTRADICTIONS));
    }
    text
}
