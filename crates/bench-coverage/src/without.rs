//! A plan without some of its steps.

use bench_run::Step;

/// Ids of these steps and of all that cannot run without them, in the plan's order.
pub fn with_dependants(steps: &[Step], ids: &[String]) -> Vec<String> {
    let mut falls: Vec<bool> = steps.iter().map(|step| ids.contains(&step.id)).collect();
    // Needs may point forwards as well as back: until nothing changes.
    loop {
        let before = falls.clone();
        for (index, step) in steps.iter().enumerate() {
            falls[index] |= step.needs.iter().any(|needed| before.get(*needed).copied().unwrap_or(false));
        }
        if falls == before {
            return steps.iter().zip(falls).filter(|(_, falls)| *falls).map(|(step, _)| step.id.clone()).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_plan::{Plan, PlanStep};
    use bench_run::OnFail;
    use std::time::Duration;

    /// a <- b <- c <- d, and e needs b and c.
    fn plan() -> Plan<()> {
        let step = |id: &str, needs: &[usize]| PlanStep {
            step: Step {
                id: id.to_owned(),
                kind: "k".to_owned(),
                title: id.to_owned(),
                needs: needs.to_vec(),
                after: Vec::new(),
                uses: Vec::new(),
                shares: Vec::new(),
                timeout: Duration::from_secs(1),
                retry: 0,
                on_fail: OnFail::Stop,
                measurements: Vec::new(),
            },
            coverage: Vec::new(),
            procedure: (),
        };
        Plan {
            name: String::new(),
            title: String::new(),
            model: String::new(),
            family: String::new(),
            fixture: String::new(),
            passes_here: true,
            reason_here: None,
            firmware: String::new(),
            steps: vec![step("a", &[]), step("b", &[0]), step("c", &[1]), step("d", &[2]), step("e", &[1, 2])],
            left_out: Vec::new(),
            not_covered: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What is taken out; what is left, with its needs.
    type Row = (&'static [&'static str], &'static [(&'static str, &'static [usize])]);

    #[test]
    fn needs_are_handed_on() {
        let rows: [Row; 4] = [
            (&["b"], &[("a", &[]), ("c", &[0]), ("d", &[1]), ("e", &[0, 1])]),
            (&["b", "c"], &[("a", &[]), ("d", &[0]), ("e", &[0])]),
            (&["a"], &[("b", &[]), ("c", &[0]), ("d", &[1]), ("e", &[0, 1])]),
            (&["e", "x"], &[("a", &[]), ("b", &[0]), ("c", &[1]), ("d", &[2])]),
        ];
        for (gone, left) in rows {
            let mut plan = plan();
            let gone: Vec<String> = gone.iter().map(ToString::to_string).collect();
            plan.take_out(&gone);
            let got: Vec<(&str, &[usize])> =
                plan.steps.iter().map(|planned| (planned.step.id.as_str(), planned.step.needs.as_slice())).collect();
            assert_eq!(got, left, "{gone:?}");
        }
    }

    #[test]
    fn what_falls_with_a_step() {
        let steps: Vec<Step> = plan().steps.into_iter().map(|planned| planned.step).collect();
        assert_eq!(with_dependants(&steps, &["c".to_owned()]), ["c", "d", "e"]);
        assert_eq!(with_dependants(&steps, &["e".to_owned()]), ["e"]);
    }
}
