//! The state of a run while it runs, from the entries of its journal.

use bench_run::{BenchTime, Entry, Event, Measurement, PlannedStep, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;

/// The newest measurement, with the step that took it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub step: String,
    pub measurement: Measurement,
}

/// How a run was ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    pub at: BenchTime,
    /// When the last rail was switched off after that.
    pub rails_off: Option<BenchTime>,
}

/// A run that has not ended.
#[derive(Debug, Clone, Default)]
pub struct Live {
    steps: Vec<PlannedStep>,
    /// Steps that ended and are not tried again.
    ended: BTreeSet<String>,
    /// Ids, the one that began last at the end.
    running: Vec<String>,
    pub reading: Option<Reading>,
    /// Descriptions of what went wrong so far.
    pub problems: Vec<String>,
    on: BTreeSet<String>,
    pub stopped: Option<Stopped>,
    /// Time of the newest entry, and when it was seen.
    at: BenchTime,
    seen: Duration,
    /// How long the power stays on after the last step of a diagnosis, and when that was said.
    held: Option<(Duration, Duration)>,
}

/// How many descriptions of problems are kept.
const MOST_PROBLEMS: usize = 20;

impl Live {
    pub fn begin(now: Duration) -> Self {
        Self { seen: now, ..Self::default() }
    }

    /// Takes an entry in; `now` is when it was seen.
    pub fn take(&mut self, entry: &Entry, now: Duration) {
        (self.at, self.seen) = (entry.at_us, now);
        match &entry.event {
            Event::RunStarted { steps, .. } => self.steps.clone_from(steps),
            Event::StepStarted { step, .. } => self.running.push(step.clone()),
            Event::Measured { step, measurement, .. } => {
                self.reading = Some(Reading { step: step.clone(), measurement: measurement.clone() });
            }
            Event::Diagnosed { diagnosis, .. } => self.problem(diagnosis.text.clone()),
            Event::StepEnded { step, verdict, reason, retried, .. } => {
                self.running.retain(|id| id != step);
                if !retried {
                    self.ended.insert(step.clone());
                }
                if matches!(verdict, Verdict::Fail | Verdict::Error) {
                    let title = self.title(step).to_owned();
                    self.problem(format!("{title}: {}", reason.as_deref().unwrap_or(verdict.as_str())));
                }
            }
            Event::RailSwitched { rail, on: true, .. } => {
                self.on.insert(rail.clone());
            }
            Event::RailSwitched { rail, on: false, .. } => {
                let was_on = self.on.remove(rail);
                if let Some(stopped) = &mut self.stopped
                    && was_on
                {
                    stopped.rails_off = Some(entry.at_us);
                }
            }
            Event::Stopping { .. } if self.stopped.is_none() => {
                // Rails that are off already need no time.
                let rails_off = self.on.is_empty().then_some(entry.at_us);
                self.stopped = Some(Stopped { at: entry.at_us, rails_off });
            }
            _ => {}
        }
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < MOST_PROBLEMS && !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }

    fn title<'a>(&'a self, id: &'a str) -> &'a str {
        self.steps.iter().find(|step| step.id == id).map_or(id, |step| step.title.as_str())
    }

    /// Titles of the running steps, newest first.
    pub fn at_work(&self) -> impl Iterator<Item = &str> {
        self.running.iter().rev().map(|id| self.title(id))
    }

    /// Steps that ended, of how many.
    pub fn progress(&self) -> (usize, usize) {
        (self.ended.len(), self.steps.len())
    }

    pub fn rails_on(&self) -> usize {
        self.on.len()
    }

    /// Bench time that has passed; between two entries it advances with `pace` times the clock's.
    pub fn elapsed(&self, now: Duration, pace: Option<f64>) -> Duration {
        let known = self.at - BenchTime::ZERO;
        let since = now.saturating_sub(self.seen).mul_f64(pace.unwrap_or(0.0).clamp(0.0, 1e6));
        known + since
    }

    /// How long the run has reported nothing.
    pub fn silent(&self, now: Duration) -> Duration {
        let heard = self.held.map_or(self.seen, |(_, said)| said.max(self.seen));
        now.saturating_sub(heard)
    }

    /// The power stays on for this time at most; zero: no longer.
    pub fn hold(&mut self, left: Duration, now: Duration) {
        self.held = Some((left, now));
    }

    /// How much longer the power stays on, if it is held.
    pub fn held(&self, now: Duration) -> Option<Duration> {
        let (left, said) = self.held.filter(|(left, _)| !left.is_zero())?;
        Some(left.saturating_sub(now.saturating_sub(said)))
    }

    /// From the order to stop to the last rail switched off.
    pub fn rails_off_after(&self) -> Option<Duration> {
        let stopped = self.stopped?;
        Some(stopped.rails_off? - stopped.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, event: Event) -> Entry {
        Entry { v: 1, seq: 0, at_us: BenchTime(at), event }
    }

    fn rail(on: bool, volts: Option<f64>) -> Event {
        Event::RailSwitched { rail: "VCC".into(), on, volts }
    }

    #[test]
    fn from_the_order_to_stop_until_the_rails_are_off() {
        let stopping = || Event::Stopping { reason: "abort".into() };
        type Row<'a> = (&'a [(u64, Event)], Option<u64>);
        let rows: [Row<'_>; 4] = [
            (
                &[(0, rail(true, None)), (10, stopping()), (35, rail(false, None)), (90, rail(false, Some(0.1)))],
                Some(25),
            ),
            (&[(0, rail(true, None)), (5, rail(false, None)), (10, stopping())], Some(0)),
            (&[(0, rail(true, None)), (10, stopping())], None),
            (&[(0, rail(true, None)), (10, rail(false, None))], None),
        ];
        for (entries, expected) in rows {
            let mut live = Live::begin(Duration::ZERO);
            entries.iter().for_each(|(at, event)| live.take(&entry(*at, event.clone()), Duration::ZERO));
            assert_eq!(live.rails_off_after(), expected.map(Duration::from_micros), "{entries:?}");
        }
    }

    #[test]
    fn time_goes_on_between_entries_at_the_bench_s_pace() {
        let mut live = Live::begin(Duration::ZERO);
        live.take(&entry(2_000_000, rail(true, None)), Duration::from_secs(10));
        let now = Duration::from_secs(11);
        for (pace, expected) in [(None, 2.0), (Some(1.0), 3.0), (Some(10.0), 12.0)] {
            assert_eq!(live.elapsed(now, pace).as_secs_f64(), expected, "{pace:?}");
        }
        assert_eq!(live.silent(now), Duration::from_secs(1));
    }
}
