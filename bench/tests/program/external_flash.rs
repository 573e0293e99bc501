//! Defects of the external flash, through the plan that looks at it, with the real firmware on the emulated QSPI.

use crate::support::{ShortPlan, for_all, run_plan};
use bench_run::{Event, Verdict};

const STEP: &str = "external-flash";

#[test]
fn defects_of_the_external_flash_are_told() {
    // (fault, diagnosis; `None`: the step passes)
    let rows = [
        (None, None),
        (Some("flash-bad-block"), Some("external flash: bad sector at 0x3ff000: 3 bits stay 0 after an erase")),
        (Some("flash-line-open:2"), Some("external flash: its quad line IO2 is open or stuck")),
        (Some("flash-line-open:3"), Some("external flash: its quad line IO3 is open or stuck")),
        // Reported by the step that reads the model from it; without a model the plan does not continue.
        (Some("flash-absent"), Some("the external flash on the module answers with the unknown id")),
    ];
    let plan = ShortPlan::up_to(&[STEP]);
    for_all(&rows, |(fault, expected)| {
        let mut extra = vec!["--quiet"];
        extra.extend(fault.iter().flat_map(|fault| ["--fault", *fault]));
        let done = run_plan(plan.path(), &extra);
        let passed = done.run.entries.iter().any(|entry| {
            matches!(&entry.event, Event::StepEnded { step, verdict: Verdict::Pass, .. } if step.as_str() == STEP)
        });
        let right = match expected {
            None => passed && done.code == 0,
            Some(text) => !passed && done.code == 1 && done.diagnosis_text().contains(text),
        };
        if right { Ok(()) } else { Err(format!("{fault:?}: exit {}, diagnosis {}", done.code, done.diagnosis_text())) }
    });
}
