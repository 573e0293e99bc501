//! `bench verify`: does what is on record still hold?

use super::report::unit_folders;
use super::store::say_alarms;
use super::{print, print_json, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::{Finding, LARGEST_JOURNAL, PublicKeys, SIGNATURE_FILE, Signing, read_text, shown};
use bench_run::{Event, Verdict};
use bench_store::{Alarm, Ledger, default_store, ledger_of};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A journal was changed, or its verdict does not follow from it.
const EXIT_DOES_NOT_HOLD: u8 = 1;

/// Contradictions of one journal that are listed; the rest is counted.
const MOST_CONTRADICTIONS: usize = 5;

const AFTER: &str = "\
Exit codes:
  0  nothing was changed, and every verdict follows from its readings
  1  a journal was changed or removed, or a verdict does not follow
  2  cannot tell: the run has no end, or its journal is of format 1, which has no chain; with --keys also: it is not
     signed, or by an unknown key
  3  the arguments are wrong

Example: bench verify reports/P042AN0000DEMO1";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct VerifyArgs {
    /// Journals, or folders with journals in them; a serial number is a folder in `reports`.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Public keys of the stations, a name and a key on each line: every run must be signed by one of them.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// A JUnit report that was kept elsewhere: every run in it must be there, with the same seal.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
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
    has_signature: bool,
    /// A diagnosis, which is no test of the unit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    diagnosis: bool,
    /// With `--keys`.
    #[serde(flatten)]
    signing: Option<Signing>,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<u8, Failed> {
    let mut journals = Vec::new();
    for path in &args.runs {
        let wrong = |error| Failed::Usage(miette::miette!("{}: {error}", shown(path)));
        let mut in_path = Vec::new();
        for folder in unit_folders(path) {
            in_path.extend(bench_journal::journals_in(&folder).map_err(wrong)?);
        }
        if in_path.is_empty() {
            let help = "name a journal.jsonl, or a folder with runs in it such as reports";
            return Err(Failed::Usage(miette::miette!(help = help, "{} holds no run", shown(path))));
        }
        journals.extend(in_path);
    }
    let keys = args.keys.as_deref().map(PublicKeys::read).transpose();
    let keys = keys.map_err(|error| Failed::Usage(miette::miette!("--keys: {error}")))?;
    let mut kept = args.junit.as_deref().map(kept_seals).transpose()?.unwrap_or_default();
    let mut all = Vec::new();
    let mut counts = [0_usize; 3];
    for journal in journals {
        let verified = look(&journal, keys.as_ref(), &mut kept);
        counts[verified.finding as usize] += 1;
        if args.json {
            all.push(verified);
        } else if !args.quiet || verified.finding != Finding::Holds {
            print(&line(&verified));
        }
    }
    for ((serial, run_id), seal) in kept {
        counts[Finding::DoesNotHold as usize] += 1;
        say(&format!("run {run_id} of {serial}: its journal is gone; the JUnit report keeps its seal, {seal}"));
    }
    let alarms = alarms(&args.runs)?;
    say_alarms(&alarms);
    let [holds, wrong, unknown] = counts;
    if args.json {
        print_json(&all)?;
    } else if holds + wrong + unknown > 1 || args.quiet {
        print(&format!("{holds} hold, {wrong} do not, {unknown} unknown.\n"));
    }
    Ok(match (wrong + alarms.len(), unknown) {
        (0, 0) => 0,
        (0, _) => EXIT_ERROR,
        _ => EXIT_DOES_NOT_HOLD,
    })
}

/// Finished runs below these folders that were changed or removed, by the ledgers there.
fn alarms(folders: &[PathBuf]) -> Result<Vec<Alarm>, Failed> {
    let mut alarms = Vec::new();
    for ledger in folders.iter().map(|folder| ledger_of(&default_store(folder))).filter(|ledger| ledger.is_file()) {
        let open = Ledger::open(&ledger).and_then(|ledger| ledger.alarms());
        alarms.extend(open.map_err(|error| Failed::Bench(miette::miette!("{error}")))?);
    }
    Ok(alarms)
}

/// Serial number and id of a run.
type RunName = (String, String);

/// The seals in a JUnit report.
fn kept_seals(path: &Path) -> Result<BTreeMap<RunName, String>, Failed> {
    let text = read_text(path, LARGEST_JOURNAL).map_err(|error| Failed::Usage(miette::miette!("--junit: {error}")))?;
    let (mut seals, mut serial, mut run_id) = (BTreeMap::new(), "", "");
    let properties = text.lines().filter_map(|line| {
        let (_, property) = line.split_once("[[PROPERTY|")?;
        property.split_once("]]")?.0.split_once('=')
    });
    for (key, value) in properties {
        match key {
            "serial" => serial = value,
            "run_id" => run_id = value,
            "journal_seal" => {
                seals.insert((serial.to_owned(), run_id.to_owned()), value.to_owned());
            }
            _ => {}
        }
    }
    if seals.is_empty() {
        let help = "a report of `bench run --junit` or `bench export --junit` has one for each run";
        return Err(Failed::Usage(miette::miette!(help = help, "--junit: {} has no seal", shown(path))));
    }
    Ok(seals)
}

fn look(journal: &Path, keys: Option<&PublicKeys>, kept: &mut BTreeMap<RunName, String>) -> Verified {
    let judged = bench_journal::judge_file(journal);
    let (mut finding, mut reasons) = (judged.finding, judged.reasons);
    let name = judged.contents.as_ref().ok().and_then(|run| match &run.entries.first()?.event {
        Event::RunStarted { serial, run_id, .. } => Some((serial.clone(), run_id.clone())),
        _ => None,
    });
    let diagnosis = judged
        .contents
        .as_ref()
        .ok()
        .and_then(|run| run.entries.first())
        .is_some_and(|entry| matches!(&entry.event, Event::RunStarted { diagnosis, .. } if diagnosis.is_some()));
    let seal = judged.contents.ok().and_then(|run| run.seal.filter(|_| run.finished));
    let kept = name.and_then(|name| kept.remove(&name));
    if let Some(kept) = kept.filter(|kept| Some(kept) != seal.as_ref()) {
        finding = Finding::DoesNotHold;
        reasons.push(format!("the JUnit report keeps another seal, {kept}"));
    }
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
        has_signature: folder.join(SIGNATURE_FILE).is_file(),
        diagnosis,
        signing,
    }
}

fn line(of: &Verified) -> String {
    let claimed = of.claimed.map_or_else(|| "no verdict".to_owned(), |verdict| verdict.as_str().to_uppercase());
    let claimed = if of.diagnosis { format!("{claimed} (a diagnosis, not a test)") } else { claimed };
    let judged = format!("{} measurements in {} steps judged again", of.measurements, of.steps);
    let mut text = match of.finding {
        Finding::Holds => {
            let seal = of.seal.as_deref().unwrap_or_default();
            let signed = match &of.signing {
                Some(Signing::By { name }) => format!(", signed by {name}"),
                _ if of.has_signature => ", signed (--keys checks by whom)".to_owned(),
                _ => ", not signed".to_owned(),
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
