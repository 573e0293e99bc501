//! Whether a nest's golden module is due. The screen warns and every record says so, but the nest goes on: the module may
//! be tested on the same screen, and `bench golden --last` compares and signs it meanwhile.

use super::app::App;
use super::sign_off::{GoldenOutcome, SignOff};
use super::texts::{Key, Texts};
use std::time::Duration;

/// Why the golden module must be tested on a nest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoldenDue {
    /// Nobody ever signed it off there.
    Never,
    /// The last time is longer ago than the rule allows.
    Overdue { hours: u64, by: String },
    /// It does not measure what it measured before.
    Drifted { by: String },
}

/// How often the file of signatures is read.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const SECONDS_PER_HOUR: i64 = 3600;

impl GoldenDue {
    /// Judges the last signature for a nest. Times are in RFC 3339. A signature without a time, as the virtual bench makes
    /// it, or with one after `now`, of a clock that was set back, is not overdue.
    pub fn judge(last: Option<&SignOff>, now: &str, every_hours: u64) -> Option<Self> {
        let Some(last) = last else { return Some(Self::Never) };
        let by = last.by.clone();
        if last.outcome == GoldenOutcome::Drifted {
            return Some(Self::Drifted { by });
        }
        let at: jiff::Timestamp = last.at.as_ref()?.parse().ok()?;
        let now: jiff::Timestamp = now.parse().ok()?;
        let hours = u64::try_from((now.as_second() - at.as_second()) / SECONDS_PER_HOUR).ok()?;
        (hours >= every_hours).then_some(Self::Overdue { hours, by })
    }

    /// For the operator, in the operator's language.
    pub fn say(&self, texts: &Texts) -> String {
        match self {
            Self::Never => texts.say(Key::GoldenNever),
            Self::Overdue { hours, by } => {
                texts.with(Key::GoldenOverdue, &[("hours", (*hours).into()), ("by", by.clone().into())])
            }
            Self::Drifted { by } => texts.with(Key::GoldenDrifted, &[("by", by.clone().into())]),
        }
    }

    /// For the record of a run.
    pub fn note(&self) -> String {
        match self {
            Self::Never => "golden module due: never signed off on this nest".to_owned(),
            Self::Overdue { hours, by } => format!("golden module due: signed off {hours} h ago by {by}"),
            Self::Drifted { by } => format!("the golden module drifted, signed by {by}"),
        }
    }
}

impl App {
    /// Looks now and then whether somebody signed the golden module off meanwhile.
    pub(super) fn look_at_golden(&mut self) {
        let every = self.setup.rules.golden_hours;
        if every == 0 || self.golden_read.is_some_and(|at| self.now.saturating_sub(at) < LOOK_EVERY) {
            return;
        }
        self.golden_read = Some(self.now);
        for nest in 0..self.nests.len() {
            match self.history.golden(nest) {
                Ok(last) => self.nests[nest].golden_due = GoldenDue::judge(last.as_ref(), &self.date, every),
                Err(error) => return self.warn_text(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signature_says_of_a_nest() {
        use GoldenOutcome::{Agrees, Drifted, NewHistory, TooFew};
        let overdue = |hours| Some(GoldenDue::Overdue { hours, by: "Kim".to_owned() });
        let drifted = Some(GoldenDue::Drifted { by: "Kim".to_owned() });
        let rows = [
            (Agrees, Some("2026-01-02T05:59:59Z"), overdue(24)),
            (Agrees, Some("2026-01-02T06:00:01Z"), None),
            (NewHistory, Some("2026-01-02T08:00:00+02:00"), overdue(24)),
            (TooFew, Some("2025-12-31T06:00:00Z"), overdue(72)),
            (TooFew, Some("2026-01-03T05:00:00Z"), None),
            // The clock was set back, or the battery of the controller's clock is empty.
            (Agrees, Some("2031-01-01T00:00:00Z"), None),
            (Agrees, Some("today"), None),
            (Agrees, None, None),
            (Drifted, Some("2026-01-03T05:59:00Z"), drifted.clone()),
            (Drifted, None, drifted),
        ];
        for (outcome, at, expected) in rows {
            let line = SignOff {
                serial: "P042AN0000DEMO1".to_owned(),
                plan: "b404x".to_owned(),
                station: None,
                nest: None,
                run_id: "r".to_owned(),
                at: at.map(str::to_owned),
                by: "Kim".to_owned(),
                outcome,
                compared: 600,
                drifted: 0,
            };
            assert_eq!(GoldenDue::judge(Some(&line), "2026-01-03T06:00:00Z", 24), expected, "{line:?}");
        }
        assert_eq!(GoldenDue::judge(None, "2026-01-03T06:00:00Z", 24), Some(GoldenDue::Never));
    }
}
