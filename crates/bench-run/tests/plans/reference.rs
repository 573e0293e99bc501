//! The first version of the schedule: it checks every step at each call, which is slow and easy to follow.
//!
//! Kept to compare the fast one with it.

use bench_run::{OnFail, Start, Step, Verdict};

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting { attempt: u8 },
    Running { attempt: u8 },
    Ended(Verdict),
}

/// Takes facts and returns orders; never waits, never reads a clock.
///
/// The order of the plan decides between steps that could start: the same plan gives the same run. A step whose needs
/// have passed and whose resources are taken may be overtaken, but only while it still waits for a step that ran before
/// its turn came. Until then its resources are not free anyway, and the steps that overtook it cannot do so repeatedly.
#[derive(Debug)]
pub struct Reference<'a> {
    steps: &'a [Step],
    standing: Vec<Standing>,
    /// Steps that hold their resources: few, even in a long plan. They run, or are being cleaned up.
    holding: Vec<usize>,
    /// For a step whose turn has come: the steps that held its resources by then and have not released them since.
    ahead: Vec<Option<Vec<usize>>>,
    /// Once this is set, no further step is started.
    stopping: Option<Stopping>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// A step with `on_fail = "stop"` did not pass.
    Step,
    /// A request from outside.
    Aborted,
}

impl<'a> Reference<'a> {
    pub fn new(steps: &'a [Step]) -> Self {
        Self {
            steps,
            standing: vec![Standing::Waiting { attempt: 1 }; steps.len()],
            holding: Vec::new(),
            ahead: vec![None; steps.len()],
            stopping: None,
        }
    }

    /// Returns the steps to start now and counts them as running. Call it after [`Reference::skip_unreachable`]: a
    /// skipped step has ended, which may be all that another step waits for.
    pub fn start(&mut self) -> Vec<Start> {
        let mut starts = Vec::new();
        if self.stopping.is_some() {
            return starts;
        }
        // Steps that no step may overtake any more.
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

    /// Ends a running step; its resources stay taken until [`Reference::let_go`]. Returns whether the plan gives it
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

    /// Frees the resources of a step that ended.
    pub fn let_go(&mut self, index: usize) {
        self.holding.retain(|&holder| holder != index);
        self.ahead.iter_mut().flatten().for_each(|ahead| ahead.retain(|&holder| holder != index));
    }

    /// Aborts the run: nothing more is started, and the caller must drop what runs.
    pub fn abort(&mut self) {
        self.stopping = Some(Stopping::Aborted);
        for index in self.running() {
            self.standing[index] = Standing::Ended(Verdict::Aborted);
        }
        self.holding.clear();
    }

    /// Marks steps that can never start any more as skipped and returns them, in the plan's order.
    pub fn skip_unreachable(&mut self) -> Vec<usize> {
        let mut skipped = Vec::new();
        // A need may follow its dependent in the plan: repeat until nothing changes.
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

    /// Returns the running steps, in the plan's order.
    pub fn running(&self) -> Vec<usize> {
        let is_running = |index: &usize| matches!(self.standing[*index], Standing::Running { .. });
        let mut running: Vec<usize> = self.holding.iter().copied().filter(is_running).collect();
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
