//! Decides which steps may start, and computes the overall verdict.

use crate::turns::Turns;
use crate::{OnFail, Step, Verdict};

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting { attempt: u8 },
    Running { attempt: u8 },
    Ended(Verdict),
}

/// A step to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Index of the step in the plan.
    pub step: usize,
    /// 1 for the first.
    pub attempt: u8,
}

/// Takes facts and returns orders; never waits, never reads a clock.
///
/// The order of the plan decides between steps that could start: the same plan gives the same run. A step whose needs
/// have passed and whose resources are taken may be overtaken, but only while it still waits for a step that ran before
/// its turn came. Until then its resources are not free anyway, and the steps that overtook it cannot do so repeatedly.
///
/// The cost of a call depends on the steps that it affects (those that can start, and those that wait for a step that
/// ended), not on the length of the plan.
#[derive(Debug)]
pub struct Schedule<'a> {
    steps: Vec<&'a Step>,
    standing: Vec<Standing>,
    /// For each step, the number of its `needs` that have not passed and of its `after` that have not ended.
    open: Vec<usize>,
    /// For each step, the steps that have it in `needs`, and those that have it in `after`.
    needed_by: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    turns: Turns,
    /// Steps with a need that did not pass, not yet reported as skipped.
    unreachable: Vec<usize>,
    /// Once this is set, no further step is started.
    stopping: Option<Stopping>,
    /// Whether the steps that waited when the run was stopped have been skipped.
    swept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// A step with `on_fail = "stop"` did not pass, or the bench cannot continue.
    Step,
    /// A request from outside.
    Aborted,
}

impl<'a> Schedule<'a> {
    pub fn new(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        let steps: Vec<&Step> = steps.into_iter().collect();
        let mut schedule = Self {
            standing: vec![Standing::Waiting { attempt: 1 }; steps.len()],
            open: steps.iter().map(|step| step.needs.len() + step.after.len()).collect(),
            needed_by: vec![Vec::new(); steps.len()],
            before: vec![Vec::new(); steps.len()],
            turns: Turns::new(&steps),
            unreachable: Vec::new(),
            stopping: None,
            swept: false,
            steps: steps.clone(),
        };
        for (index, step) in steps.iter().enumerate() {
            // A step that is not in the plan never passes.
            step.needs
                .iter()
                .for_each(|&need| schedule.needed_by.get_mut(need).into_iter().for_each(|waiting| waiting.push(index)));
            step.after
                .iter()
                .for_each(|&other| schedule.before.get_mut(other).into_iter().for_each(|waiting| waiting.push(index)));
            if schedule.open[index] == 0 {
                schedule.turns.wait(index);
            }
        }
        schedule
    }

    /// Returns the steps to start now and counts them as running. Call it after [`Schedule::skip_unreachable`]: a
    /// skipped step has ended, which may be all that another step waits for.
    pub fn start(&mut self) -> Vec<Start> {
        if self.stopping.is_some() {
            return Vec::new();
        }
        let start = |step: usize| {
            let Standing::Waiting { attempt } = self.standing[step] else { return None };
            self.standing[step] = Standing::Running { attempt };
            Some(Start { step, attempt })
        };
        self.turns.start().into_iter().filter_map(start).collect()
    }

    /// Ends a running step; its resources stay taken until [`Schedule::let_go`]. Returns whether the plan gives it
    /// another attempt.
    pub fn ended(&mut self, index: usize, verdict: Verdict) -> bool {
        let Standing::Running { attempt } = self.standing[index] else {
            debug_assert!(false, "step {index} ended without running");
            return false;
        };
        let failed = matches!(verdict, Verdict::Fail | Verdict::Error);
        if failed && self.stopping.is_none() && attempt <= self.steps[index].retry {
            self.standing[index] = Standing::Waiting { attempt: attempt + 1 };
            self.turns.wait(index);
            return true;
        }
        self.end(index, verdict);
        if verdict != Verdict::Pass && self.steps[index].on_fail == OnFail::Stop && self.stopping.is_none() {
            self.stopping = Some(Stopping::Step);
        }
        false
    }

    /// Ends the step, so that others need no longer wait for it.
    fn end(&mut self, index: usize, verdict: Verdict) {
        self.standing[index] = Standing::Ended(verdict);
        if verdict == Verdict::Pass {
            close(&mut self.open, &mut self.turns, &self.needed_by[index]);
        } else {
            self.unreachable.extend(&self.needed_by[index]);
        }
        close(&mut self.open, &mut self.turns, &self.before[index]);
    }

    /// Frees the resources of a step that ended.
    pub fn let_go(&mut self, index: usize) {
        self.turns.let_go(index);
    }

    /// Aborts the run: nothing more is started, and the caller must drop what runs.
    pub fn abort(&mut self) {
        self.halt(Stopping::Aborted, Verdict::Aborted);
    }

    fn halt(&mut self, stopping: Stopping, verdict: Verdict) {
        self.stopping = Some(stopping);
        for index in self.running() {
            self.standing[index] = Standing::Ended(verdict);
        }
        self.turns.clear();
    }

    /// Ends the running steps with this verdict for a reason outside of the plan: their power is off, or the bench
    /// cannot continue. Nothing more is started.
    pub fn cut_off(&mut self, verdict: Verdict) {
        self.halt(self.stopping.unwrap_or(Stopping::Step), verdict);
    }

    /// Marks steps that can never start any more as skipped and returns them, in the plan's order.
    pub fn skip_unreachable(&mut self) -> Vec<usize> {
        if self.stopping.is_some() && !std::mem::replace(&mut self.swept, true) {
            // All waiting steps, reachable or not. Nothing can begin to wait afterwards.
            self.unreachable = (0..self.steps.len()).collect();
        }
        let mut skipped = Vec::new();
        while let Some(index) = self.unreachable.pop() {
            if matches!(self.standing[index], Standing::Waiting { .. }) {
                self.end(index, Verdict::Skipped);
                skipped.push(index);
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// Returns the running steps, in the plan's order.
    pub fn running(&self) -> Vec<usize> {
        let is_running = |index: &usize| matches!(self.standing[*index], Standing::Running { .. });
        let mut running: Vec<usize> = self.turns.holding().iter().copied().filter(is_running).collect();
        running.sort_unstable();
        running
    }

    /// Returns the verdict of the step's last attempt; `None` before it ended.
    pub fn verdict_of(&self, index: usize) -> Option<Verdict> {
        match self.standing[index] {
            Standing::Ended(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// Returns the unit's verdict: pass only when every step of the plan passed.
    pub fn verdict(&self) -> Verdict {
        let of_steps = self.standing.iter().fold(Verdict::Skipped, |sum, standing| match standing {
            Standing::Ended(verdict) => sum.and(*verdict),
            // The run is incomplete, so its result is unknown.
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
}

/// Removes one obstacle from these steps.
fn close(open: &mut [usize], turns: &mut Turns, waiting: &[usize]) {
    for &index in waiting {
        open[index] -= 1;
        if open[index] == 0 {
            turns.wait(index);
        }
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

    /// Ends a step without a cleanup.
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
    fn shared_resources_have_many_users_and_used_ones_have_one() {
        let steps = [
            sharing("a", &[], &["ports"], &["dut"]),
            sharing("b", &[], &["qspi"], &["dut"]),
            step("c", &[], &["dut"]),
            sharing("d", &[], &["ports"], &["dut"]),
        ];
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 1]);
        end(&mut schedule, 0, Verdict::Pass);
        // `c` waited for the flash before `a` did: meanwhile the ports need not be idle.
        assert_eq!(started(&mut schedule), [3]);
        end(&mut schedule, 1, Verdict::Pass);
        assert_eq!(started(&mut schedule), [] as [usize; 0]);
        end(&mut schedule, 3, Verdict::Pass);
        assert_eq!(started(&mut schedule), [2]);
    }

    #[test]
    fn a_step_is_not_overtaken_indefinitely() {
        let mut steps = vec![sharing("long", &[], &[], &["dut"]), step("alone", &[], &["dut"])];
        steps.extend((0..9).map(|n| sharing(&format!("short-{n}"), &[], &["ports"], &["dut"])));
        let mut schedule = Schedule::new(&steps);
        assert_eq!(started(&mut schedule), [0, 2]);
        end(&mut schedule, 2, Verdict::Pass);
        assert_eq!(started(&mut schedule), [3]);
        end(&mut schedule, 0, Verdict::Pass);
        // The step that `alone` waits for has overtaken it: no other one may.
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
