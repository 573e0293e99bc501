//! The study as a page for a browser: one self-contained file.

use super::study::{PerContact, PerStep, Study};
use super::text::why;
use super::{FaultResult, Naming};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; --ok: #2a7f3f; --part: #b57700; --bad: #b3261e; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; } .tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; min-width: 9rem; }
.tile b { display: block; font-size: 1.5rem; } .tile span { opacity: .75; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.edge { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.3rem, 1fr)); gap: .3rem; }
.contact { border: 1px solid var(--line); border-left: .4rem solid var(--ok); border-radius: .3rem; padding: .15rem .35rem; font-size: .78rem; }
.contact.part { border-left-color: var(--part); border-left-style: dashed; } .contact.bad { border-left-color: var(--bad); border-left-style: double; }
.missed { color: var(--bad); } .misnamed { color: var(--part); } .named { color: var(--ok); }
code { font-size: .9em; } details > summary { cursor: pointer; }
";

pub fn page(study: &Study) -> String {
    let title = format!("What {} finds of a {}", study.plan, study.model.to_uppercase());
    let missed: Vec<&FaultResult> = study.per_fault.iter().filter(|result| result.escapes_with_harm()).collect();
    let harmless: Vec<&FaultResult> = study.per_fault.iter().filter(|result| result.escapes_harmlessly()).collect();
    let misnamed: Vec<&FaultResult> = study.of_naming(Naming::Misnamed).collect();
    let body = html! {
        (tiles(study))
        h2 { "Contacts" }
        p { "Faults of each contact: named correctly / all. A solid edge: all named; dashed: some misnamed; double: some missed." }
        div class="edge" { @for row in study.per_contact.iter().filter(|row| row.faults > 0) { (contact(row)) } }
        h2 { "Steps" }
        table {
            tr { th { "step" } th { "kind" } th class="n" { "time" } th class="n" { "first found" } th { "what the plan loses without it" } }
            @for row in &study.per_step { (step(row)) }
        }
        h2 { "Defects and what is shipped" }
        table {
            tr { th { "class" } th class="n" { "faults" } th class="n" { "detected" } th class="n" { "come, per million" } th class="n" { "shipped, per million" } th { "source of the rate" } }
            @for row in &study.per_class {
                tr {
                    td { (row.class) } td class="n" { (row.faults) } td class="n" { (row.detected) }
                    td class="n" { (format!("{:.1}", row.defective_per_million)) }
                    td class="n" { (format!("{:.1}", row.escaping_per_million)) }
                    td { (row.source) }
                }
            }
        }
        (list("Missed", &missed))
        (list("Missed, harms nobody", &harmless))
        (list("Misnamed", &misnamed))
        @if !study.good_modules_that_failed.is_empty() {
            h2 { "Good modules that failed" }
            table { @for fail in &study.good_modules_that_failed {
                tr { td class="n" { "seed " (fail.seed) } td { (fail.run.reason.as_deref().unwrap_or_default()) } }
            } }
        }
        h2 { "Every fault" }
        details {
            summary { (study.faults) " faults" }
            table { @for result in &study.per_fault {
                tr { td { code { (result.fault) } } td class=(class(result.naming)) { (class(result.naming)) }
                     td { (result.run.steps.first().map(String::as_str).unwrap_or_default()) } td { (why(result)) } }
            } }
        }
        (provenance(study))
    };
    in_one_file(&title, &body)
}

/// A page that needs no other file.
pub(super) fn in_one_file(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { h1 { (title) } (body) }
        }
    };
    page.into_string()
}

fn tiles(study: &Study) -> Markup {
    let tile = |figure: String, of: String| html! { div class="tile" { b { (figure) } span { (of) } } };
    html! {
        div class="tiles" {
            (tile(format!("{:.1} %", study.detected_percent), format!("{} of {} faults detected", study.detected, study.faults)))
            (tile(format!("{:.1} %", study.named_percent), format!("{} named correctly", study.named)))
            (tile(study.undetectable.to_string(), "missed because nothing can be measured".to_owned()))
            (tile(study.false_fails.to_string(), format!("false fails of {} good modules", study.good)))
            (tile(format!("{:.1}", study.escapes.harmful_per_million), format!(
                "harmful escapes per million ({:.1} to {:.1}), of {:.0} modules with a defect; {:.1} more harm nobody",
                study.escapes.harmful_range.0, study.escapes.harmful_range.1, study.escapes.defective_per_million,
                study.escapes.escaping_per_million - study.escapes.harmful_per_million)))
            @if let Some(seconds) = study.good_run_seconds { (tile(format!("{seconds:.2} s"), "run of a good module".to_owned())) }
        }
    }
}

fn contact(row: &PerContact) -> Markup {
    let look = match (row.detected == row.faults, row.named == row.faults) {
        (true, true) => "contact",
        (true, false) => "contact part",
        (false, _) => "contact bad",
    };
    let title = format!("{} faults, {} detected, {} named", row.faults, row.detected, row.named);
    html! { div class=(look) title=(title) { b { (row.contact) } " " (row.pin) br; (row.named) "/" (row.faults) } }
}

fn step(row: &PerStep) -> Markup {
    let time = row.milliseconds.map(|ms| format!("{ms:.0} ms")).unwrap_or_default();
    html! {
        tr {
            td { code { (row.step) } } td { (row.kind) } td class="n" { (time) } td class="n" { (row.first) }
            td { @if let Some(without) = &row.without {
                @if without.missed.is_empty() && without.misnamed.is_empty() { "nothing" }
                @if !without.missed.is_empty() {
                    details { summary { (without.missed.len()) " missed, " (format!("{:.1}", without.escaping_per_million)) " more shipped per million" }
                        (without.missed.join(" ")) }
                }
                @if !without.misnamed.is_empty() {
                    details { summary { (without.misnamed.len()) " misnamed" } (without.misnamed.join(" ")) }
                }
                @if !without.also_gone.is_empty() { div { "cannot run without it: " (without.also_gone.join(", ")) } }
            } }
        }
    }
}

fn list(title: &str, results: &[&FaultResult]) -> Markup {
    html! {
        @if !results.is_empty() {
            h2 { (title) }
            table { @for result in results { tr { td { code { (result.fault) } } td { (why(result)) } } } }
        }
    }
}

fn provenance(study: &Study) -> Markup {
    let of = &study.provenance;
    let rows = [
        ("bench", format!("{} ({})", of.bench_version, of.bench_commit)),
        ("plan", format!("{} {}", of.plan, of.plan_sha256)),
        ("fixture", format!("{} {}", of.fixture, of.fixture_sha256)),
        ("module file", of.dut_file_sha256.clone()),
        ("firmware", of.firmware_sha256.clone()),
    ];
    html! {
        h2 { "Made with" }
        table { @for (what, hash) in rows { tr { td { (what) } td { code { (hash) } } } } }
    }
}

fn class(naming: Naming) -> &'static str {
    match naming {
        Naming::Named => "named",
        Naming::Misnamed => "misnamed",
        Naming::Missed => "missed",
    }
}
