//! Judging recorded runs again: good journals hold, and a single change contradicts the rest.

use bench_journal::{parse, read};
use bench_run::{Entry, Event, Limits, Verdict, rejudge};
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../../docs/reference/journal-format.md");

fn example() -> Vec<Entry> {
    let text = DOCUMENT.split_once("```jsonl\n").unwrap().1.split_once("```").unwrap().0;
    parse(text.as_bytes()).unwrap().entries
}

fn golden(name: &str) -> Vec<Entry> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/golden").join(name)).unwrap().entries
}

#[test]
fn what_was_recorded_holds() {
    for (name, verdict) in
        [("pass", Verdict::Pass), ("fail", Verdict::Fail), ("pass-2", Verdict::Pass), ("fail-2", Verdict::Fail)]
    {
        let again = rejudge(&golden(name));
        assert!(again.holds(), "{name}: {:?}", again.contradictions);
        assert_eq!((again.verdict, again.claimed), (verdict, Some(verdict)));
        assert!(again.measurements > 10);
    }
}

/// Changes one event of the example, and searches the contradiction for these words.
#[test]
fn one_change_contradicts_the_rest() {
    type Change = fn(&mut Event) -> bool;
    fn on_measured(event: &mut Event, name: &str, change: impl Fn(&mut bench_run::Measurement)) -> bool {
        let Event::Measured { measurement, .. } = event else { return false };
        let hit = measurement.name == name;
        if hit {
            change(measurement);
        }
        hit
    }
    let rows: [(&str, Change, &str); 11] = [
        (
            "a reading",
            |event| on_measured(event, "3V3.volts", |measurement| measurement.value = Some(3.5)),
            "supply/3V3.volts is recorded as pass; its reading and limits give fail",
        ),
        (
            "a reading that is gone",
            |event| on_measured(event, "3V3.volts", |measurement| measurement.value = None),
            "its reading and limits give error",
        ),
        (
            "a measurement's verdict",
            |event| on_measured(event, "A0.high", |measurement| measurement.verdict = Verdict::Pass),
            "interconnect/A0.high is recorded as pass",
        ),
        (
            "limits, and the verdict with them",
            |event| {
                on_measured(event, "A0.high", |measurement| {
                    (measurement.limits, measurement.verdict) = (Limits::at_least(0.1), Verdict::Pass);
                })
            },
            "interconnect/A0.high was judged by other limits than the plan's",
        ),
        (
            "a name",
            |event| on_measured(event, "A0.high", |measurement| measurement.name = "A9.high".into()),
            "interconnect/A9.high was never promised",
        ),
        (
            "a step's verdict",
            |event| match event {
                Event::StepEnded { step, verdict, .. } if step == "interconnect" => {
                    *verdict = Verdict::Pass;
                    true
                }
                _ => false,
            },
            "step interconnect is recorded as pass; its measurements give fail",
        ),
        (
            "how a procedure ended",
            |event| match event {
                Event::StepEnded { step, procedure, .. } if step == "supply" => {
                    *procedure = Some(Verdict::Error);
                    true
                }
                _ => false,
            },
            "step supply is recorded as pass; its measurements give error",
        ),
        (
            "how a procedure ended, not said",
            |event| match event {
                Event::StepEnded { step, procedure, .. } if step == "supply" => procedure.take().is_some(),
                _ => false,
            },
            "step supply does not say how its procedure ended",
        ),
        (
            "the unit's verdict",
            |event| match event {
                Event::RunEnded { verdict, .. } => {
                    *verdict = Verdict::Pass;
                    true
                }
                _ => false,
            },
            "the unit is recorded as pass; its steps and the safe state give fail",
        ),
        (
            "the counts",
            |event| match event {
                Event::RunEnded { tally, .. } => {
                    tally.failed = 0;
                    true
                }
                _ => false,
            },
            "the counts at the end are",
        ),
        (
            "a promise",
            |event| match event {
                Event::RunStarted { steps, .. } => steps[0].promised.pop().is_some(),
                _ => false,
            },
            "step supply promises 1 measurements and names 0",
        ),
    ];
    assert!(rejudge(&example()).holds());
    for (what, change, expected) in rows {
        let mut entries = example();
        let changed = entries.iter_mut().filter_map(|entry| change(&mut entry.event).then_some(())).count();
        assert_eq!(changed, 1, "{what}");
        let again = rejudge(&entries);
        let said: Vec<&str> = again.contradictions.iter().map(|contradiction| contradiction.text.as_str()).collect();
        assert!(said.iter().any(|text| text.starts_with(expected) || text.contains(expected)), "{what}: {said:?}");
    }
}

/// Without any one line of a passing run, the pass no longer follows (unless the line has no effect).
#[test]
fn a_pass_needs_every_line_that_it_depends_on() {
    let whole = golden("pass");
    for gone in 0..whole.len() {
        let mut entries = whole.clone();
        let line = entries.remove(gone);
        let rests_on = match &line.event {
            Event::Note { .. } | Event::Dialogue { .. } | Event::Diagnosed { .. } => false,
            // The last reading of each rail shows that it is off.
            Event::RailSwitched { rail, .. } => {
                let same =
                    |entry: &Entry| matches!(&entry.event, Event::RailSwitched { rail: other, .. } if other == rail);
                !entries[gone..].iter().any(same)
            }
            _ => true,
        };
        assert_eq!(rejudge(&entries).holds(), !rests_on, "line {}: {:?}", gone + 1, line.event);
    }
}
