//! `bench verify`: does what is on record still hold?

use super::{print, print_json};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::{Finding, PublicKeys, Signing, shown};
use bench_run::Verdict;
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
  2  cannot tell: the run has no end, or its journal is of format 1, which has no chain; with --keys also: it is not
     signed, or by an unknown key
  3  the arguments are wrong

Example: bench verify reports/P042AN0000DEMO1";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct VerifyArgs {
    /// Journals, or folders with journals in them.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Public keys of the stations, a name and a key on each line: every run must be signed by one of them.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Only journals that do not hold, and the count.
    #[arg(long, short)]
    pub quiet: bool,
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
    /// With `--keys`.
    #[serde(flatten)]
    signing: Option<Signing>,
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
    let keys = args.keys.as_deref().map(PublicKeys::read).transpose();
    let keys = keys.map_err(|error| Failed::Usage(miette::miette!("--keys: {error}")))?;
    let mut all = Vec::new();
    let mut counts = [0_usize; 3];
    for journal in journals {
        let verified = look(&journal, keys.as_ref());
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

fn look(journal: &Path, keys: Option<&PublicKeys>) -> Verified {
    let judged = bench_journal::judge_file(journal);
    let seal = judged.contents.ok().and_then(|run| run.seal.filter(|_| run.finished));
    let (mut finding, mut reasons) = (judged.finding, judged.reasons);
    let folder = journal.parent().unwrap_or(Path::new("."));
    let signing = keys.zip(seal.as_deref()).map(|(keys, seal)| keys.check(folder, seal));
    let worse = match &signing {
        None | Some(Signing::By { .. }) => None,
        Some(Signing::Unsigned) => Some((Finding::CannotTell, "it is not signed".to_owned())),
        Some(Signing::Unknown { key }) => Some((Finding::CannotTell, format!("signed by an unknown key, {key}"))),
        Some(Signing::Wrong { reason }) => Some((Finding::DoesNotHold, format!("its signature is wrong: {reason}"))),
    };
    if let Some((of_signature, reason)) = worse {
        if finding == Finding::Holds || of_signature == Finding::DoesNotHold {
            finding = of_signature;
        }
        reasons.push(reason);
    }
    Verified {
        journal: shown(journal),
        finding,
        reasons,
        claimed: judged.claimed,
        verdict: judged.verdict,
        steps: judged.steps,
        measurements: judged.measurements,
        seal,
        signing,
    }
}

fn line(of: &Verified) -> String {
    let claimed = of.claimed.map_or_else(|| "no verdict".to_owned(), |verdict| verdict.as_str().to_uppercase());
    let judged = format!("{} measurements in {} steps judged again", of.measurements, of.steps);
    let mut text = match of.finding {
        Finding::Holds => {
            let seal = of.seal.as_deref().unwrap_or_default();
            let signed = match &of.signing {
                Some(Signing::By { name }) => format!(", signed by {name}"),
                _ => String::new(),
            };
            return format!("{}: holds: {claimed}, {judged}, seal {seal}{signed}\n", of.journal);
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
