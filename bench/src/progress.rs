//! What a person sees while a plan runs: a bar on a terminal, plain lines elsewhere.

use crate::commands::say;
use bench_engine::{Observer, Seen};
use bench_run::{Event, Verdict, without_repetition};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Watches the entries of one run. Everything goes to standard error: standard output is for results. `orderly` is the longest time
/// from a signal to the last rail off. The bar, if there is one, is for questions that need its place.
pub(crate) fn observer(orderly: Duration) -> (Observer, Option<ProgressBar>) {
    if !std::io::stderr().is_terminal() {
        return (lines(orderly), None);
    }
    let shown = ProgressBar::new(0);
    (bar(shown.clone(), orderly), Some(shown))
}

/// The end of a run before its time; after a signal with how long that may take. Whatever else ends one does not wait for the modem.
fn stopping(reason: &str, orderly: Duration) -> String {
    if reason.starts_with("stopped by") {
        let seconds = orderly.as_secs_f64().ceil();
        return format!(
            "stopping: {reason}; the modem first, then the power: off in {seconds} s at most. A second signal cuts it at once"
        );
    }
    format!("stopping: {reason}")
}

fn bar(bar: ProgressBar, orderly: Duration) -> Observer {
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {elapsed}  {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut running: Vec<String> = Vec::new();
    let mut notes = Notes::default();
    Box::new(move |seen| {
        let entry = match seen {
            Seen::Entry(entry) => entry,
            Seen::Progress { step, what, share } => {
                bar.set_message(format!("{step}: {what} {:.0} %", 100.0 * share));
                return;
            }
            Seen::Held { left } => {
                bar.set_message(countdown(left));
                return;
            }
        };
        let notes = notes.are_shown(&entry.event);
        match &entry.event {
            Event::RunStarted { steps, .. } => bar.set_length(steps.len() as u64),
            Event::Note { step: None, text } if notes => bar.println(text),
            Event::StepStarted { step, .. } => running.push(step.clone()),
            Event::StepEnded { step, retried, verdict, reason, .. } => {
                running.retain(|id| id != step);
                if !retried {
                    bar.inc(1);
                }
                if !matches!(verdict, Verdict::Pass | Verdict::Skipped) {
                    bar.println(format!("{verdict:>7}  {step}  {}", reason.as_deref().unwrap_or_default()));
                }
            }
            Event::Diagnosed { diagnosis, .. } => bar.println(format!("         {}", diagnosis.text)),
            Event::Stopping { reason } => bar.println(stopping(reason, orderly)),
            Event::RunEnded { .. } => bar.finish_and_clear(),
            _ => {}
        }
        bar.set_message(running.join(", "));
    })
}

/// Notes on a diagnosis are shown when they are made: what runs, and what a person who measures during the hold wants to
/// know. All others are in the summary.
#[derive(Default)]
struct Notes {
    begins: bool,
    holds: bool,
}

impl Notes {
    fn are_shown(&mut self, event: &Event) -> bool {
        match event {
            Event::RunStarted { diagnosis, .. } => {
                self.begins = diagnosis.is_some();
                self.holds = diagnosis.as_ref().is_some_and(|run| run.hold_s.is_some());
            }
            Event::StepStarted { .. } => self.begins = false,
            Event::SafeState { .. } => self.holds = false,
            _ => {}
        }
        self.begins || self.holds
    }
}

/// The countdown of a hold; nothing once it is over.
fn countdown(left: Duration) -> String {
    if left.is_zero() {
        return String::new();
    }
    format!("the power stays on for {:.0} s; Enter or Ctrl-C ends it", left.as_secs_f64().ceil())
}

/// Seconds between two lines of a countdown.
const COUNTDOWN: u64 = 10;

fn lines(orderly: Duration) -> Observer {
    let mut notes = Notes::default();
    Box::new(move |seen| {
        let entry = match seen {
            Seen::Entry(entry) => entry,
            Seen::Held { left } => {
                if !left.is_zero() && left.as_secs().is_multiple_of(COUNTDOWN) {
                    say(&countdown(left));
                }
                return;
            }
            Seen::Progress { .. } => return,
        };
        let notes = notes.are_shown(&entry.event);
        match &entry.event {
            Event::Note { step: None, text } if notes => say(text),
            // The repetitions that were not needed.
            Event::StepEnded { step, verdict: Verdict::Skipped, .. } if without_repetition(step) != step => {}
            Event::StepEnded { step, verdict, reason, .. } => {
                let reason = reason.as_deref().map(|reason| format!("  {reason}")).unwrap_or_default();
                say(&format!("{:>12}  {verdict:7}  {step}{reason}", entry.at_us.to_string()));
            }
            Event::Diagnosed { diagnosis, .. } => say(&format!("{:>12}           {}", "", diagnosis.text)),
            Event::Stopping { reason } => say(&stopping(reason, orderly)),
            _ => {}
        }
    })
}
