//! The study of the bench's faults, as text and as a page.

use super::bench_faults::{BenchFaultResult, BenchStudy, Blame};
use super::html::in_one_file;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

fn meaning(blame: Blame) -> &'static str {
    match blame {
        Blame::Silent => "a bad module passed because of it",
        Blame::Blamed => "a good module failed",
        Blame::Noticed => "ended as an error that names another part",
        Blame::Named => "ended as an error that names the part",
        Blame::Harmless => "every verdict was right",
    }
}

/// By group: how many of each outcome.
fn by_group(study: &BenchStudy) -> BTreeMap<&'static str, BTreeMap<Blame, usize>> {
    let mut groups: BTreeMap<&'static str, BTreeMap<Blame, usize>> = BTreeMap::new();
    for result in &study.per_fault {
        *groups.entry(result.group).or_default().entry(result.blame).or_default() += 1;
    }
    groups
}

/// What a test engineer reads.
pub fn bench_summary(study: &BenchStudy, took: Duration) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}, plan {}: {} faults of the bench, each with {} good modules and some of {} bad ones",
        study.model.to_uppercase(),
        study.plan,
        study.faults,
        study.good,
        study.bad
    );
    for blame in Blame::ALL {
        let _ = writeln!(out, "{:6} {:9} {}", study.count(blame), blame.name(), meaning(blame));
    }
    let _ = writeln!(
        out,
        "\nBlamed: {:.1} % of all, {} of them where a run could have told.",
        study.blamed_percent, study.blamed_without_reason
    );
    let _ = writeln!(
        out,
        "Named or harmless: {:.1} % of those that a run can tell. {:.0} s in all",
        study.right_percent,
        took.as_secs_f64()
    );
    let _ =
        writeln!(out, "\n{:24} {:>7} {:>7} {:>7} {:>7} {:>8}", "", "silent", "blamed", "noticed", "named", "harmless");
    for (group, counts) in by_group(study) {
        let n = |blame| counts.get(&blame).copied().unwrap_or(0);
        let _ = writeln!(
            out,
            "{group:24} {:7} {:7} {:7} {:7} {:8}",
            n(Blame::Silent),
            n(Blame::Blamed),
            n(Blame::Noticed),
            n(Blame::Named),
            n(Blame::Harmless)
        );
    }
    for blame in [Blame::Silent, Blame::Blamed, Blame::Noticed] {
        let these: Vec<&BenchFaultResult> = study.per_fault.iter().filter(|result| result.blame == blame).collect();
        if these.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}: {}", blame.name(), meaning(blame));
        for result in these {
            let _ = writeln!(out, "  {:28} {}", result.fault, why(result));
        }
    }
    out
}

fn why(result: &BenchFaultResult) -> String {
    match (&result.let_through[..], &result.indistinguishable) {
        ([], Some(cannot)) if result.blame == Blame::Blamed => {
            format!("{}. Found by: {}", cannot.because, cannot.found_by)
        }
        ([], _) => result.said.clone().unwrap_or_default(),
        (through, _) => format!("passed: {}", through.join(", ")),
    }
}

/// A page for a browser: one self-contained file.
pub fn bench_page(study: &BenchStudy) -> String {
    let title = format!("Whom {} blames for faults of the bench", study.plan);
    let row = |result: &BenchFaultResult| -> Markup {
        let class = match result.blame {
            Blame::Silent | Blame::Blamed => "missed",
            Blame::Noticed => "misnamed",
            Blame::Named | Blame::Harmless => "named",
        };
        html! { tr {
            td { code { (result.fault) } } td { (result.group) } td class=(class) { (result.blame.name()) }
            td class="n" { (result.good.passed) " / " (result.good.failed) " / " (result.good.stopped) }
            td class="n" { (result.bad.passed) " / " (result.bad.failed) " / " (result.bad.stopped) }
            td { (why(result)) }
        } }
    };
    let body = html! {
        div class="tiles" {
            @for blame in Blame::ALL {
                div class="tile" { b { (study.count(blame)) } span { (blame.name()) ": " (meaning(blame)) } }
            }
        }
        p { (format!("{} faults of the bench, each with {} good modules and some of {} bad ones.", study.faults, study.good, study.bad)) }
        table {
            tr { th { "fault" } th { "part" } th { "outcome" } th class="n" { "good: pass / fail / error" } th class="n" { "bad: pass / fail / error" } th { "why" } }
            @for result in &study.per_fault { (row(result)) }
        }
    };
    in_one_file(&title, &body)
}
