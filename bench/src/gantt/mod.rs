//! The schedule of a plan: when each step runs, what makes the run as long as it is, and how far it is above that.

mod svg;
mod text;

pub(crate) use svg::svg;
pub(crate) use text::{Look, text};

use bench_run::{Step, critical_path, length, timetable};
use serde::Serialize;
use std::time::Duration;

/// How long the steps of a plan take, and whole runs of it.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// By index of the step.
    pub steps: Vec<Duration>,
    /// A run as it was, from its first entry to its last.
    pub run: Duration,
    /// The same with one step after the other.
    pub one_by_one: Duration,
    /// Where all this is from, for people.
    pub from: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Chart {
    pub plan: String,
    pub title: String,
    pub model: String,
    pub times_from: String,
    /// Of a whole run, with what comes before the first step and after the last.
    pub run_seconds: f64,
    /// What is drawn: from the first step's begin to the last one's end.
    pub schedule_seconds: f64,
    pub one_by_one_seconds: f64,
    /// No order of the steps takes less than this.
    pub critical_seconds: f64,
    pub run_over_critical: f64,
    pub run_over_one_by_one: f64,
    pub critical_path: Vec<Leg>,
    /// In the order in which they start.
    pub steps: Vec<Bar>,
}

/// Steps of the critical path: one, or several that exclude each other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Leg {
    pub steps: Vec<String>,
    pub seconds: f64,
    /// What each of several has for itself, or keeps from the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bar {
    pub step: String,
    pub title: String,
    pub begins_seconds: f64,
    pub takes_seconds: f64,
    pub critical: bool,
    pub uses: Vec<String>,
    pub shares: Vec<String>,
}

/// A ratio of nothing is none.
fn ratio(of: Duration, to: Duration) -> f64 {
    if to.is_zero() { 1.0 } else { of.as_secs_f64() / to.as_secs_f64() }
}

/// Plays the schedule with the times of the steps.
pub(crate) fn chart<P>(plan: &bench_plan::Plan<P>, times: &Times) -> Chart {
    let steps: Vec<Step> = plan.steps.iter().map(|planned| planned.step.clone()).collect();
    let slots = timetable(&steps, &times.steps);
    let path = critical_path(&steps, &times.steps);
    let takes = |step: &usize| times.steps.get(*step).copied().unwrap_or_default();
    let leg = |leg: &bench_run::Leg| Leg {
        steps: leg.steps().iter().map(|step| steps[*step].id.clone()).collect(),
        seconds: leg.steps().iter().map(takes).sum::<Duration>().as_secs_f64(),
        resource: match leg {
            bench_run::Leg::Step(_) => None,
            bench_run::Leg::Crowd { resource, .. } => Some(resource.clone()),
        },
    };
    let is_critical = |step: usize| path.legs.iter().any(|leg| leg.steps().contains(&step));
    let bar = |slot: &bench_run::Slot| Bar {
        step: steps[slot.step].id.clone(),
        title: steps[slot.step].title.clone(),
        begins_seconds: slot.begins.as_secs_f64(),
        takes_seconds: (slot.ends - slot.begins).as_secs_f64(),
        critical: is_critical(slot.step),
        uses: steps[slot.step].uses.clone(),
        shares: steps[slot.step].shares.clone(),
    };
    Chart {
        plan: plan.name.clone(),
        title: plan.title.clone(),
        model: plan.model.clone(),
        times_from: times.from.clone(),
        run_seconds: times.run.as_secs_f64(),
        schedule_seconds: length(&slots).as_secs_f64(),
        one_by_one_seconds: times.one_by_one.as_secs_f64(),
        critical_seconds: path.least.as_secs_f64(),
        run_over_critical: ratio(times.run, path.least),
        run_over_one_by_one: ratio(times.run, times.one_by_one),
        critical_path: path.legs.iter().map(leg).collect(),
        steps: slots.iter().map(bar).collect(),
    }
}

/// "41.3 s", "0.53 s", "12 ms".
fn show(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 0.1 => format!("{s:.2} s"),
        s => format!("{:.0} ms", s * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_plan::{Plan, PlanStep};
    use bench_run::OnFail;

    /// Id, milliseconds, needs, uses, shares.
    type Row = (&'static str, u64, &'static [usize], &'static [&'static str], &'static [&'static str]);

    const ROWS: &[Row] = &[
        ("power", 800, &[], &["dut", "rails"], &[]),
        ("pins", 2_500, &[0], &["ports"], &["dut"]),
        ("pulls & <drive>", 1_500, &[0], &["ports"], &["dut"]),
        ("modem-boots", 3_000, &[0], &["modem"], &["dut"]),
        ("modem-answers", 400, &[3], &["modem"], &["dut"]),
        ("off-and-on", 500, &[4], &["dut", "rails"], &[]),
    ];

    fn example() -> Chart {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        let step = |row: &Row| PlanStep {
            step: Step {
                id: row.0.to_owned(),
                kind: "k".to_owned(),
                title: format!("Title of {}", row.0),
                needs: row.2.to_vec(),
                after: Vec::new(),
                uses: names(row.3),
                shares: names(row.4),
                timeout: Duration::from_secs(1),
                retry: 0,
                on_fail: OnFail::Stop,
                measurements: Vec::new(),
            },
            coverage: Vec::new(),
            procedure: (),
        };
        let plan = Plan {
            name: "short".to_owned(),
            title: "Short test".to_owned(),
            model: "b404x".to_owned(),
            family: "b4xx".to_owned(),
            fixture: String::new(),
            passes_here: true,
            reason_here: None,
            firmware: String::new(),
            steps: ROWS.iter().map(step).collect(),
            left_out: Vec::new(),
            not_covered: Vec::new(),
            warnings: Vec::new(),
        };
        let steps: Vec<Duration> = ROWS.iter().map(|row| Duration::from_millis(row.1)).collect();
        let one_by_one = steps.iter().sum();
        let times = Times { steps, run: Duration::from_millis(5_400), one_by_one, from: "a test".to_owned() };
        chart(&plan, &times)
    }

    #[test]
    fn figures() {
        let chart = example();
        assert_eq!((chart.critical_seconds, chart.schedule_seconds, chart.one_by_one_seconds), (5.3, 5.3, 8.7));
        assert!((chart.run_over_critical - 5.4 / 5.3).abs() < 1e-9);
        assert!((chart.run_over_one_by_one - 5.4 / 8.7).abs() < 1e-9);
        let critical: Vec<&str> = chart.steps.iter().filter(|bar| bar.critical).map(|bar| bar.step.as_str()).collect();
        assert_eq!(critical, ["power", "pins", "pulls & <drive>", "off-and-on"]);
    }

    #[test]
    fn drawn_on_a_terminal() {
        insta::assert_snapshot!(text(&example(), Look { width: 80, blocks: true }));
    }

    #[test]
    fn drawn_as_plain_text_in_little_room() {
        insta::assert_snapshot!(text(&example(), Look { width: 48, blocks: false }));
    }

    #[test]
    fn drawn_for_a_browser() {
        let drawn = svg(&example());
        roxmltree::Document::parse(&drawn).unwrap();
        insta::assert_snapshot!(drawn.replace("><", ">\n<"));
    }
}
