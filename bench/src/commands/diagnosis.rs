//! `bench run --only`, `--repeat`, `--hold` and their like: a part of a plan, to find a cause.

use crate::person::TerminalPerson;
use bench_engine::{DiagnosisOrder, Failed, HoldEnds, LONGEST_HOLD, Loaded, MOST_REPETITIONS};
use bench_plan::{Seconds, parse_as};
use bench_report::RunRecord;
use bench_run::{DiagnosisRun, Verdict};
use clap::Args;
use std::rc::Rc;
use std::time::Duration;

/// How long the power stays on where no time is given.
const HOLD: &str = "60s";

#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "To find a cause (such a run is a diagnosis: it tests no unit and counts nowhere)")]
pub(crate) struct DiagnosisArgs {
    /// Runs only this step and what it needs; may be repeated, or a list: a,b.
    #[arg(long, value_name = "STEP", value_delimiter = ',', conflicts_with_all = ["from", "until"])]
    pub only: Vec<String>,
    /// Runs the steps from this one on, in the plan's order, and what they need.
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,
    /// Runs the steps up to this one, in the plan's order, and what they need.
    #[arg(long, value_name = "STEP")]
    pub until: Option<String>,
    /// Runs the chosen steps this many times; what they need runs once. A step gets in each repetition the attempts that
    /// the plan allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_REPETITIONS)))]
    pub repeat: Option<u16>,
    /// Repeats the chosen steps until one does not pass, at most --repeat times [default: up to 1000]. The plan's
    /// retries do not apply to them.
    #[arg(long)]
    pub until_fail: bool,
    /// Keeps the power on after a chosen step that does not pass, or after the last one, at most 10 min [default: 60s].
    /// Ctrl-C or Enter ends it.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = HOLD, value_parser = hold)]
    pub hold: Option<Duration>,
}

fn hold(text: &str) -> Result<Duration, String> {
    let help = format!("expected a time such as 90s or \"2 min\", at most {} min", LONGEST_HOLD.as_secs() / 60);
    let time = parse_as::<Seconds>(text).map_err(|error| format!("{error}; {help}"))?.duration();
    if time < Duration::from_secs(1) || time > LONGEST_HOLD {
        return Err(help);
    }
    Ok(time)
}

impl DiagnosisArgs {
    /// Reduces the plan to what is chosen; `None` when the run is an ordinary test.
    pub fn narrow(&self, loaded: &mut Loaded) -> Result<Option<DiagnosisRun>, Failed> {
        let Self { only, from, until, repeat, until_fail, hold } = self.clone();
        let order = DiagnosisOrder { only, from, until, repeat, until_fail, hold };
        if !order.is_given() {
            return Ok(None);
        }
        Ok(Some(order.narrow(&mut loaded.plan)?))
    }
}

/// Ends a hold when a person presses Enter.
pub(super) fn on_enter(person: &Rc<TerminalPerson>) -> Box<HoldEnds> {
    let person = Rc::clone(person);
    Box::new(move || {
        let person = Rc::clone(&person);
        Box::pin(async move {
            person.presses_enter().await;
            "Enter was pressed".to_owned()
        })
    })
}

/// The exit code of a diagnosis: that of the steps that ran.
pub(super) fn exit_code(verdict: Verdict, record: &RunRecord) -> u8 {
    if verdict == Verdict::Skipped { record.verdict_of_steps().exit_code() } else { verdict.exit_code() }
}
