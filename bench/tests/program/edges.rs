//! Defects of PWM, crystal and interrupt channels, through the plan that looks at them, with the real firmware.

use crate::support::{ShortPlan, for_all, run_plan};
use bench_run::{Event, Verdict};

#[test]
fn defects_that_show_in_edges_alone_are_told() {
    // (fault, the step that fails, diagnosis)
    let rows = [
        ("pwm-dead:1", "pwm", "the MCU's PWM1 is dead: no edges at its contacts 66 (D4), 68 (D5), 70 (D6), 72 (D7)"),
        ("pwm-wrong:33-47", "pwm", "contacts 33 (A1) and 47 (A7): each carries the other's PWM"),
        ("crystal:100", "crystal", "the 32.768 kHz crystal on the module is off by +"),
        ("crystal-dead", "crystal", "the 32.768 kHz crystal on the module does not start"),
        ("interrupt-dead:7", "interrupts", "the MCU's interrupt channel 7 (GPIOTE) is dead"),
    ];
    let plan = ShortPlan::up_to(&["interrupts", "pwm", "crystal"]);
    for_all(&rows, |(fault, failing, expected)| {
        let done = run_plan(plan.path(), &["--quiet", "--fault", fault]);
        let failed: Vec<String> = done
            .run
            .entries
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::StepEnded { step, verdict, .. } if *verdict != Verdict::Pass => Some(step.to_string()),
                _ => None,
            })
            .collect();
        let right = done.code == 1 && failed == [failing.to_owned()] && done.diagnosis_text().contains(expected);
        if right {
            Ok(())
        } else {
            Err(format!("{fault}: exit {}, not passed {failed:?}, diagnosis {}", done.code, done.diagnosis_text()))
        }
    });
}
