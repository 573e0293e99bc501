//! The summary that a test engineer reads.

use super::study::{PerStep, Study, percent};
use super::{FaultResult, Naming};
use std::fmt::Write as _;
use std::time::Duration;

/// How many faults of one step are listed by name.
const LISTED: usize = 4;

pub fn summary(study: &Study, took: Duration) -> String {
    let mut out = String::new();
    let misnamed = study.detected - study.named;
    let _ = writeln!(out, "{}, plan {}", study.model.to_uppercase(), study.plan);
    let _ = writeln!(
        out,
        "{:6} faults\n{:6} detected         {:5.1} %\n{:6} named correctly  {:5.1} %\n{misnamed:6} misnamed\n{:6} missed: nothing can be measured of {}, and {} harm nobody",
        study.faults,
        study.detected,
        study.detected_percent,
        study.named,
        study.named_percent,
        study.faults - study.detected,
        study.undetectable,
        study.harmless,
    );
    if study.good > 0 {
        let _ = writeln!(out, "{:6} good modules, {} false fails", study.good, study.false_fails);
    }
    let escapes = study.escapes;
    let _ = writeln!(
        out,
        "\nHarmful escapes: {:.1} in a million modules ({:.1} to {:.1}, by the ranges of the rates).\n{:.1} more are shipped \
         with a defect that harms nobody; {:.0} come with a defect{}.",
        escapes.harmful_per_million,
        escapes.harmful_range.0,
        escapes.harmful_range.1,
        escapes.escaping_per_million - escapes.harmful_per_million,
        escapes.defective_per_million,
        match escapes.without_rate {
            0 => String::new(),
            some => format!(" ({some} faults have no rate and do not count)"),
        }
    );
    let seconds =
        study.good_run_seconds.map(|seconds| format!("; a good module takes {seconds:.2} s")).unwrap_or_default();
    let _ = writeln!(
        out,
        "{:.0} faulty modules a minute, {:.1} s in all{seconds}",
        study.faults_per_minute,
        took.as_secs_f64()
    );

    let _ = writeln!(out, "\nSteps, faults first found, and what the plan loses without the step");
    let width = study.per_step.iter().map(|row| row.step.len()).max().unwrap_or(0);
    for row in &study.per_step {
        let _ = writeln!(out, "{}", step(row, width));
    }
    let lists: [(&str, fn(&FaultResult) -> bool); 3] = [
        ("Missed", FaultResult::escapes_with_harm),
        ("Missed, harms nobody", FaultResult::escapes_harmlessly),
        ("Misnamed", |result| result.naming == Naming::Misnamed),
    ];
    for (title, is_listed) in lists {
        let these: Vec<&FaultResult> = study.per_fault.iter().filter(|result| is_listed(result)).collect();
        if these.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{title}, {:.1} %", percent(these.len(), study.faults));
        for result in these {
            let _ = writeln!(out, "  {:20} {}", result.fault, why(result));
        }
    }
    for fail in &study.good_modules_that_failed {
        let _ =
            writeln!(out, "\nFalse fail: seed {}: {}", fail.seed, fail.run.reason.as_deref().unwrap_or("no reason"));
    }
    out
}

/// Why a fault was not named.
pub(super) fn why(result: &FaultResult) -> String {
    match (result.naming, result.harmless.as_ref().or(result.undetectable.as_ref())) {
        (Naming::Missed, Some(why)) => why.clone(),
        (Naming::Missed, None) => "no step looks for it".to_owned(),
        (Naming::Misnamed, _) => {
            format!("{}: {}", result.objection.as_deref().unwrap_or_default(), result.run.said())
        }
        (Naming::Named, _) => result.run.said(),
    }
}

fn step(row: &PerStep, width: usize) -> String {
    let time = row.milliseconds.map_or_else(|| "        ".to_owned(), |ms| format!("{ms:5.0} ms"));
    let mut line = format!("  {:width$}  {time}  {:4}", row.step, row.first);
    let Some(without) = &row.without else { return line };
    let lost = without.missed.len() + without.misnamed.len();
    let named = |faults: &[String]| {
        let shown = faults.iter().take(LISTED).cloned().collect::<Vec<_>>().join(" ");
        let more = if faults.len() > LISTED { " ..." } else { "" };
        format!("{shown}{more}")
    };
    let mut parts = Vec::new();
    if !without.missed.is_empty() {
        let rate = without.escaping_per_million;
        parts.push(format!(
            "{} missed, {rate:.1} more shipped in a million ({})",
            without.missed.len(),
            named(&without.missed)
        ));
    }
    if !without.misnamed.is_empty() {
        parts.push(format!("{} misnamed ({})", without.misnamed.len(), named(&without.misnamed)));
    }
    if lost == 0 {
        parts.push("nothing: other steps find and name the same".to_owned());
    }
    if !without.also_gone.is_empty() {
        parts.push(format!("and cannot run {}", without.also_gone.join(", ")));
    }
    let _ = write!(line, "  {}", parts.join("; "));
    line
}
