//! One file per command.

pub(crate) mod bug_report;
pub(crate) mod check;
pub(crate) mod coverage;
pub(crate) mod diagnosis;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod faults;
pub(crate) mod fixture;
pub(crate) mod golden;
pub(crate) mod grr;
pub(crate) mod guard;
pub(crate) mod init;
pub(crate) mod init_desk;
pub(crate) mod limits;
pub(crate) mod operator;
pub(crate) mod pins;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod scan_test;
pub(crate) mod schema;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod sync;
pub(crate) mod verify;
pub(crate) mod virtual_dut;

use bench_engine::Failed;
use bench_plan::Problems;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Leaves out the steps that ask a person, and says so: a study on the virtual bench has nobody to ask.
fn without_people(loaded: &mut bench_engine::Loaded) -> Result<(), bench_engine::Failed> {
    let gone = loaded.leave_out_questions();
    if gone.is_empty() {
        return Ok(());
    }
    if loaded.plan.steps.is_empty() {
        let help = "a study on the virtual bench has nobody to ask";
        return Err(bench_engine::Failed::Usage(miette::miette!(help = help, "every step of the plan asks a person")));
    }
    say(&format!("without {}: nobody answers in a study", gone.join(", ")));
    Ok(())
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failed> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    print(&text);
    print("\n");
    Ok(())
}

/// A mistake with its place, on standard error. The look is chosen here, not by what another crate's features make of
/// miette's defaults.
pub(crate) fn show(report: &miette::Report) {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let theme = if colour { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
    let columns = console::Term::stderr().size_checked().filter(|_| terminal).map_or(100, |(_, columns)| columns);
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(usize::from(columns.max(60)));
    let render = |diagnostic: &dyn miette::Diagnostic| {
        let mut text = String::new();
        if handler.render_report(&mut text, diagnostic).is_err() {
            text = diagnostic.to_string();
        }
        say(text.trim_end());
    };
    let Some(all) = report.downcast_ref::<Problems>() else { return render(report.as_ref()) };
    all.problems.iter().for_each(|problem| render(problem));
    let more = if all.maybe_more { "; others may show when these are corrected" } else { "" };
    say(&format!("{all}{more}."));
}

/// One line on standard error. Unlike `eprintln!` it does not panic when its reader is gone: a closed terminal must
/// not stop a run on its way to the safe state.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Columns of the terminal; a file gets room.
pub(crate) fn width() -> u16 {
    match console::Term::stdout().size_checked() {
        Some((_, columns)) if columns >= 40 && std::io::stdout().is_terminal() => columns,
        _ => 140,
    }
}

/// Writes a report whole: after a power cut the file is the old one or the new one.
pub(crate) fn write_report(path: &std::path::Path, bytes: &[u8]) -> Result<(), bench_engine::Failed> {
    bench_journal::write_whole(path, |to| to.write_all(bytes))
        .map_err(|error| bench_engine::Failed::Bench(miette::miette!("{}: {error}", bench_journal::shown(path))))
}
