//! The summary that a test engineer reads.

use super::{FaultResult, Naming, Run};
use bench_run::Verdict;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

pub(crate) fn summary(
    faults: &[FaultResult],
    good: &[(u64, Run)],
    faults_took: Duration,
    all_took: Duration,
) -> String {
    let count = |naming| faults.iter().filter(|result| result.naming == naming).count();
    let (named, misnamed, missed) = (count(Naming::Named), count(Naming::Misnamed), count(Naming::Missed));
    let detected = named + misnamed;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} faults: {detected} detected ({:.1} %), of which {named} named rightly ({:.1} %) and {misnamed} misnamed; {missed} missed",
        faults.len(),
        percent(detected, faults.len()),
        percent(named, detected),
    );
    let bad: Vec<_> = good.iter().filter(|(_, run)| run.verdict != Verdict::Pass).collect();
    let _ = writeln!(out, "{} good modules: {} false fails", good.len(), bad.len());
    let per_minute = faults.len() as f64 / faults_took.as_secs_f64().max(1e-9) * 60.0;
    let _ = writeln!(out, "{per_minute:.0} faulty modules a minute; {:.1} s in all", all_took.as_secs_f64());

    let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
    for step in faults.iter().filter_map(|result| result.run.steps.first()) {
        *steps.entry(step).or_default() += 1;
    }
    let _ = writeln!(out, "\nFound first by");
    for (step, found) in steps {
        let _ = writeln!(out, "  {found:5}  {step}");
    }
    for (title, naming) in [("Missed", Naming::Missed), ("Misnamed", Naming::Misnamed)] {
        let these: Vec<_> = faults.iter().filter(|result| result.naming == naming).collect();
        if these.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{title}");
        for result in these {
            let why = match (naming, &result.undetectable) {
                (Naming::Missed, Some(why)) => why.clone(),
                (Naming::Missed, None) => String::new(),
                _ => format!("{}: {}", result.objection.as_deref().unwrap_or_default(), result.run.said()),
            };
            let _ = writeln!(out, "  {:24} {why}", result.fault);
        }
    }
    for (seed, run) in bad {
        let _ = writeln!(out, "\nFalse fail: seed {seed}: {}", run.reason.as_deref().unwrap_or("no reason given"));
    }
    out
}
