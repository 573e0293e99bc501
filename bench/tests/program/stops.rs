//! Ended from outside: what the journal's last lines say.

use crate::support::{PLAN, bench, output, root, run_plan, text};
use bench_journal::JournalContents;
use bench_run::{Event, Verdict};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A run that takes its time, stopped at the moment when the line about a step appears. Returns its exit code and
/// journal.
fn stop_after(step: &str, signal: &str, listening: bool, reports: &Path) -> (Option<i32>, JournalContents) {
    let mut child: Child = bench(&["run", PLAN, "--virtual", "--pace", "0.6", "--reports", reports.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(&format!("pass     {step}"))));
    assert!(line.is_some(), "the run ended before {step}");
    let mut lines = Some(lines).filter(|_| listening);
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    lines.iter_mut().flatten().for_each(drop);
    let code = child.wait().unwrap().code();
    let runs = bench_journal::find_runs(reports).unwrap();
    (code, bench_journal::read(&runs[0].journal).unwrap())
}

#[test]
fn signals_switch_the_rails_off_before_the_verdict() {
    // The last row is a terminal that was closed: standard error has no reader any more.
    let rows = [
        ("-TERM", "SIGTERM", true),
        ("-HUP", "SIGHUP", true),
        ("-INT", "Ctrl-C", true),
        ("-QUIT", "SIGQUIT", true),
        ("-USR1", "SIGUSR1", true),
        ("-USR2", "SIGUSR2", true),
        ("-ALRM", "SIGALRM", true),
        ("-ABRT", "SIGABRT", true),
        ("-HUP", "SIGHUP", false),
    ];
    for (signal, name, listening) in rows {
        let reports = tempfile::tempdir().unwrap();
        // With 3V3 and VCC on.
        let (code, run) = stop_after("rail-vcc", signal, listening, reports.path());
        assert_eq!(code, Some(4), "{name}");
        let events: Vec<&Event> = run.entries.iter().map(|entry| &entry.event).collect();
        let stopping = events
            .iter()
            .position(|event| matches!(event, Event::Stopping { reason } if reason.contains(name)))
            .unwrap_or_else(|| panic!("{name}: it was not stopped"));
        let [.., safe, end] = &events[..] else { panic!("{name}") };
        assert!(matches!(safe, Event::SafeState { confirmed: true, .. }), "{name}: {safe:?}");
        assert!(matches!(end, Event::RunEnded { verdict: Verdict::Aborted, .. }), "{name}: {end:?}");
        for rail in ["3V3", "VCC", "VUSB", "VBUS_MODEM"] {
            let of_rail = |event: &&&Event| matches!(event, Event::RailSwitched { rail: name, .. } if name == rail);
            let last = events[stopping..].iter().rfind(of_rail);
            let Some(Event::RailSwitched { on: false, volts: Some(volts), .. }) = last else {
                panic!("{name}: {rail} {last:?}");
            };
            assert!(*volts < 0.3, "{name}: {rail} {volts} V");
        }
    }
}

#[test]
fn kill_9_leaves_every_finished_measurement_and_no_verdict() {
    let reports = tempfile::tempdir().unwrap();
    let (code, run) = stop_after("grounds", "-KILL", true, reports.path());
    assert_eq!(code, None);
    assert!(!run.finished);
    let of_grounds =
        run.entries.iter().filter(|entry| matches!(&entry.event, Event::Measured { step, .. } if step == "grounds"));
    assert_eq!(of_grounds.count(), 10);
    let run_folder = bench_journal::find_runs(reports.path()).unwrap().remove(0).folder;
    let unit = run_folder.parent().unwrap();
    let report = output(&["report", unit.to_str().unwrap()]);
    assert!(text(&report.stdout).to_lowercase().contains("not finished"), "{}", text(&report.stdout));
    assert_eq!(report.status.code(), Some(2));
}

/// On the virtual bench an I2C transfer that has begun is finished first, as on a real one. Before the end is recorded, all
/// switches are read back and the rails measured, which takes 4 ms and 6 ms for each rail.
#[test]
fn a_time_out_acts_at_its_limit() {
    let plan = std::fs::read_to_string(root().join(PLAN)).unwrap().replace("\"parts/", "\"../../plans/parts/");
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    for (step, limit_ms) in
        [("isolation-gpio", 123), ("isolation-gpio", 50), ("interconnect", 50), ("adc", 77), ("identify", 7)]
    {
        let path = folder.path().join("slow.toml");
        std::fs::write(&path, format!("{plan}\n[override.{step}]\ntimeout = \"{limit_ms} ms\"\n")).unwrap();
        let done = run_plan(path.to_str().unwrap(), &["--quiet"]);
        assert_eq!(done.code, 2, "{step}: {}", done.stderr);
        let at = |wanted: &dyn Fn(&Event) -> bool| {
            done.run.entries.iter().find(|entry| wanted(&entry.event)).unwrap().at_us.as_micros()
        };
        let began = at(&|event| matches!(event, Event::StepStarted { step: id, .. } if id == step));
        let ended = at(&|event| matches!(event, Event::StepEnded { step: id, .. } if id == step));
        let late_us = (ended - began).checked_sub(limit_ms * 1000).unwrap();
        assert!(late_us <= 28_000, "{step}: {late_us} us after {limit_ms} ms");
    }
}
