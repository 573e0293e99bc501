//! What may start now, and what the whole adds up to.

use crate::{OnFail, Step, Verdict};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting { attempt: u8 },
    Running { attempt: u8 },
    Ended(Verdict),
}

/// A step to start, as the caller learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Index of the step in the plan.
    pub step: usize,
    /// 1 for the first.
    pub attempt: u8,
}

/// Facts in, orders out; never waits, never reads a clock.
///
/// The order of the plan decides between steps that could start: the same plan gives the same run. A step whose needs
/// have passed and whose resources are taken may be overtaken, but only while a step that ran before its turn came still
/// keeps it waiting: nothing it could use lies idle then, and those that overtook it cannot do so again and again.
#[derive(Debug)]
pub struct Schedule<'a> {
    steps: &'a [Step],
    standing: Vec<Standing>,
    /// Steps that have their resources: few, while a plan may be long. They run, or are being tidied up after.
    holding: Vec<usize>,
    /// Of a step whose turn has come: the steps that had its resources by then and have not let them go since.
    ahead: Vec<Option<Vec<usize>>>,
    /// No further step is started once this is set.
    stopping: Option<Stopping>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// A step with `on_fail = "stop"` did not pass.
    Step,
    /// Somebody or something outside asked.
    Aborted,
}

impl<'a> Schedule<'a> {
    pub fn new(steps: &'a [Step]) -> Self {
        Self {
            steps,
            standing: vec![Standing::Waiting { attempt: 1 }; steps.len()],
            holding: Vec::new(),
            ahead: vec![None; steps.len()],
            stopping: None,
        }
    }

    /// The steps to start now; they count as running from here on. To be called after [`Schedule::skip_unreachable`]: a
    /// step that is skipped has ended, which may be all that another waits for.
    pub fn start(&mut self) -> Vec<Start> {
        let mut starts = Vec::new();
        if self.stopping.is_some() {
            return starts;
        }
        // Steps that nobody may overtake any more.
        let mut first: Vec<usize> = Vec::new();
        for index in 0..self.steps.len() {
            let Standing::Waiting { attempt } = self.standing[index] else { continue };
            if !self.needs_passed(index) || !self.after_ended(index) {
                continue;
            }
            let conflict = |other: &usize| *other == index || self.steps[index].conflicts_with(&self.steps[*other]);
            let holders: Vec<usize> = self.holding.iter().copied().filter(conflict).collect();
            if holders.is_empty() && !first.iter().any(conflict) {
                self.ahead[index] = None;
                self.standing[index] = Standing::Running { attempt };
                self.holding.push(index);
                starts.push(Start { step: index, attempt });
            } else if self.ahead[index].get_or_insert(holders).is_empty() {
                first.push(index);
            }
        }
        starts
    }

    /// A running step ended; its resources stay taken until [`Schedule::let_go`]. Answers whether the plan gives it
    /// another attempt.
    pub fn ended(&mut self, index: usize, verdict: Verdict) -> bool {
        let Standing::Running { attempt } = self.standing[index] else {
            debug_assert!(false, "step {index} ended without running");
            return false;
        };
        let failed = matches!(verdict, Verdict::Fail | Verdict::Error);
        if failed && self.stopping.is_none() && attempt <= self.steps[index].retry {
            self.standing[index] = Standing::Waiting { attempt: attempt + 1 };
            return true;
        }
        self.standing[index] = Standing::Ended(verdict);
        if verdict != Verdict::Pass && self.steps[index].on_fail == OnFail::Stop && self.stopping.is_none() {
            self.stopping = Some(Stopping::Step);
        }
        false
    }

    /// The resources of a step that ended are free.
    pub fn let_go(&mut self, index: usize) {
        self.holding.retain(|&holder| holder != index);
        self.ahead.iter_mut().flatten().for_each(|ahead| ahead.retain(|&holder| holder != index));
    }

    /// The run is aborted: nothing more is started, what runs is to be dropped by the caller.
    pub fn abort(&mut self) {
        self.stopping = Some(Stopping::Aborted);
        for index in self.running() {
            self.standing[index] = Standing::Ended(Verdict::Aborted);
        }
        self.holding.clear();
    }

    /// Something took the power from the steps that run: they end with this verdict, and nothing more is started.
    pub fn cut_off(&mut self, verdict: Verdict) {
        self.stopping.get_or_insert(Stopping::Step);
        for index in self.running() {
            self.standing[index] = Standing::Ended(verdict);
        }
        self.holding.clear();
    }

    /// Steps that can never start any more, now counted as skipped; in the plan's order.
    pub fn skip_unreachable(&mut self) -> Vec<usize> {
        let mut skipped = Vec::new();
        // A need may stand behind its follower in the plan: look until nothing changes.
        loop {
            let before = skipped.len();
            for index in 0..self.steps.len() {
                if matches!(self.standing[index], Standing::Waiting { .. })
                    && (self.stopping.is_some() || self.needs_failed(index))
                {
                    self.standing[index] = Standing::Ended(Verdict::Skipped);
                    skipped.push(index);
                }
            }
            if skipped.len() == before {
                skipped.sort_unstable();
                return skipped;
            }
        }
    }

    /// The steps that run, in the plan's order.
    pub fn running(&self) -> Vec<usize> {
        let is_running = |index: &usize| matches!(self.standing[*index], Standing::Running { .. });
        let mut running: Vec<usize> = self.holding.iter().copied().filter(is_running).collect();
        running.sort_unstable();
        running
    }

    /// Verdict of the step's last attempt; `None` before it ended.
    pub fn verdict_of(&self, index: usize) -> Option<Verdict> {
        match self.standing[index] {
            Standing::Ended(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// The unit's verdict: pass only when every step of the plan passed.
    pub fn verdict(&self) -> Verdict {
        let of_steps = self.standing.iter().fold(Verdict::Skipped, |sum, standing| match standing {
            Standing::Ended(verdict) => sum.and(*verdict),
            // Not run to its end: the bench cannot tell.
            _ => sum.and(Verdict::Error),
        });
        match (of_steps, self.stopping) {
            (_, Some(Stopping::Aborted)) => Verdict::Aborted,
            (Verdict::Pass, _) if !self.all_passed() => Verdict::Error,
            (verdict, _) => verdict,
        }
    }

    fn all_passed(&self) -> bool {
        self.standing.iter().all(|standing| *standing == Standing::Ended(Verdict::Pass))
    }

    fn needs_passed(&self, index: usize) -> bool {
        self.steps[index].needs.iter().all(|&need| self.standing[need] == Standing::Ended(Verdict::Pass))
    }

    fn after_ended(&self, index: usize) -> bool {
        self.steps[index].after.iter().all(|&other| matches!(self.standing[other], Standing::Ended(_)))
    }

    fn needs_failed(&self, index: usize) -> bool {
        self.steps[index]
            .needs
            .iter()
            .any(|&need| matches!(self.standing[need], Standing::Ended(verdict) if verdict != Verdict::Pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn step(id: &str, needs: &[usize], uses: &[&str]) -> Step {
        Step {
            id: id.into(),
            kind: "test".into(),
            title: id.into(),
            needs: needs.to_vec(),
            after: Vec::new(),
            uses: uses.iter().map(|&name| name.into()).collect(),
            shares: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: 0,
            on_fail: OnFail::Continue,
            measurements: Vec::new(),
        }
    }

    fn sharing(id: &str, needs: &[usize], uses: &[&str], shares: &[&str]) -> Step {
        Step { shares: shares.iter().map(|&name| name.into()).collect(), ..step(id, needs, uses) }
    }

    /// Ends a step, with nothing to tidy up.
    fn end(schedule: &mut Schedule, index: usize, verdict: Verdict) -> bool {
        let again = schedule.ended(index, verdict);
        schedule.let_go(index);
        again
    }

    fn started(schedule: &mut Schedule) -> Vec<usize> {
        schedule.start().into_iter().map(|start| start.step).collect()
    }

    fn is_over(schedule: &Schedule) -> bool {
        (0..schedule.steps.len()).all(|index| schedule.verdict_of(index).is_some())
    }

    #[test]
    fn steps_overlap_unless_they_share_or_need() {
        let steps = [step("a", &[], &["bus"]), step("b", &[], &["bus"]), step("c", &[], &[]), step("d", &[0], &[])];
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 2]);
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        end(&mut schedule, 0, Verdict::Pass);
        assert_eq!(started(&mut schedule), [1, 3]);
        for index in [1, 2, 3] {
            end(&mut schedule, index, Verdict::Pass);
        }
        assert!(is_over(&schedule));
        assert_eq!(schedule.verdict(), Verdict::Pass);
    }

    #[test]
    fn what_is_shared_has_many_users_and_what_is_used_has_one() {
        let steps = [
            sharing("a", &[], &["ports"], &["dut"]),
            sharing("b", &[], &["qspi"], &["dut"]),
            step("c", &[], &["dut"]),
            sharing("d", &[], &["ports"], &["dut"]),
        ];
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 1]);
        end(&mut schedule, 0, Verdict::Pass);
        // The flash kept `c` waiting before `a` did: meanwhile the ports need not be idle.
        assert_eq!(started(&mut schedule), [3]);
        end(&mut schedule, 1, Verdict::Pass);
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        end(&mut schedule, 3, Verdict::Pass);
        assert_eq!(started(&mut schedule), [2]);
    }

    #[test]
    fn a_step_is_not_overtaken_for_ever() {
        let mut steps = vec![sharing("long", &[], &[], &["dut"]), step("alone", &[], &["dut"])];
        steps.extend((0..9).map(|n| sharing(&format!("short-{n}"), &[], &["ports"], &["dut"])));
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 2]);
        end(&mut schedule, 2, Verdict::Pass);
        assert_eq!(started(&mut schedule), [3]);
        end(&mut schedule, 0, Verdict::Pass);
        // What keeps `alone` waiting now has overtaken it: nothing more does.
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        end(&mut schedule, 3, Verdict::Pass);
        assert_eq!(started(&mut schedule), [1]);
        end(&mut schedule, 1, Verdict::Pass);
        assert_eq!(started(&mut schedule), [4]);
    }

    #[test]
    fn resources_stay_taken_until_they_are_let_go() {
        let mut steps = [step("a", &[], &[]), step("b", &[], &["x"]), step("c", &[], &["x"])];
        steps[0].retry = 1;
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 1]);
        assert!(schedule.ended(0, Verdict::Fail));
        assert!(!schedule.ended(1, Verdict::Fail));
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        assert_eq!(schedule.running(), [] as [usize; 0]);
        schedule.let_go(0);
        schedule.let_go(1);
        assert_eq!(started(&mut schedule), [0, 2]);
    }

    #[test]
    fn a_failed_need_skips_its_followers_only() {
        let steps = [step("a", &[], &[]), step("b", &[0], &[]), step("c", &[1], &[]), step("d", &[], &[])];
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 3]);
        end(&mut schedule, 0, Verdict::Fail);
        assert_eq!(schedule.skip_unreachable(), [1, 2]);
        end(&mut schedule, 3, Verdict::Pass);
        assert!(is_over(&schedule));
        assert_eq!(schedule.verdict(), Verdict::Fail);
    }

    #[test]
    fn on_fail_stop_starts_nothing_more() {
        let mut steps = [step("a", &[], &["x"]), step("b", &[], &["x"])];
        steps[0].on_fail = OnFail::Stop;
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0]);
        end(&mut schedule, 0, Verdict::Fail);
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        assert_eq!(schedule.skip_unreachable(), [1]);
        assert_eq!(schedule.verdict(), Verdict::Fail);
    }

    #[test]
    fn retries_are_counted_and_the_last_attempt_decides() {
        let mut steps = [step("a", &[], &[])];
        steps[0].retry = 1;
        for (second, unit) in [(Verdict::Pass, Verdict::Pass), (Verdict::Fail, Verdict::Fail)] {
            let mut schedule = Schedule::new(&steps);
            assert_eq!(schedule.start(), [Start { step: 0, attempt: 1 }]);
            assert!(end(&mut schedule, 0, Verdict::Fail));
            assert_eq!(schedule.start(), [Start { step: 0, attempt: 2 }]);
            assert!(!end(&mut schedule, 0, second));
            assert_eq!(schedule.verdict(), unit);
        }
    }

    #[test]
    fn abort_is_the_verdict_whatever_passed() {
        let steps = [step("a", &[], &[]), step("b", &[], &[]), step("c", &[1], &[])];
        let mut schedule = Schedule::new(&steps);
        schedule.start();
        end(&mut schedule, 0, Verdict::Pass);
        schedule.abort();
        assert_eq!(schedule.skip_unreachable(), [2]);
        assert!(is_over(&schedule));
        assert_eq!(schedule.verdict(), Verdict::Aborted);
    }

    #[test]
    fn an_empty_or_unfinished_plan_is_no_pass() {
        assert_eq!(Schedule::new(&[]).verdict(), Verdict::Skipped);
        assert_eq!(Verdict::Skipped.exit_code(), 2);
        let steps = [step("a", &[], &[])];
        assert_eq!(Schedule::new(&steps).verdict(), Verdict::Error);
    }
}
