//! A module that follows a script.

use super::object_to;
use crate::{Clock, Dut, DutError, InstrumentError, LinkStatistics};
use async_trait::async_trait;
use bench_run::BenchTime;
use dut_protocol::{JobResult, Reply, Request};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// When a job ends, and its result.
type PlannedJob = (BenchTime, Result<JobResult, DutError>);

/// Answers the planned requests in the planned order.
pub struct ScriptedDut {
    clock: Rc<dyn Clock>,
    script: RefCell<VecDeque<(Request, Result<Reply, DutError>)>>,
    jobs: RefCell<BTreeMap<u8, PlannedJob>>,
    /// Results of the connections; success at the requested rate when the script has none.
    connections: RefCell<VecDeque<Result<u32, DutError>>>,
    echoes: RefCell<VecDeque<Vec<u8>>>,
    connected: Cell<bool>,
    statistics: Cell<LinkStatistics>,
}

impl ScriptedDut {
    /// Creates a connected module with the expected requests and their answers.
    pub fn new(clock: Rc<dyn Clock>, script: impl IntoIterator<Item = (Request, Result<Reply, DutError>)>) -> Self {
        Self {
            clock,
            script: RefCell::new(script.into_iter().collect()),
            jobs: RefCell::default(),
            connections: RefCell::default(),
            echoes: RefCell::default(),
            connected: Cell::new(true),
            statistics: Cell::default(),
        }
    }

    /// Plans the end of job `job`, `after` from now.
    #[must_use]
    pub fn with_job(self, job: u8, after: Duration, outcome: Result<JobResult, DutError>) -> Self {
        let at = self.clock.now() + after;
        self.jobs.borrow_mut().insert(job, (at, outcome));
        self
    }

    /// Creates an unconnected module with the results of its connections.
    #[must_use]
    pub fn with_connections(self, outcomes: impl IntoIterator<Item = Result<u32, DutError>>) -> Self {
        self.connections.borrow_mut().extend(outcomes);
        self.connected.set(false);
        self
    }

    /// Plans what comes back for the next bytes sent to [`Dut::echo`]. Without a plan, they come back unchanged.
    #[must_use]
    pub fn with_echo(self, back: Vec<u8>) -> Self {
        self.echoes.borrow_mut().push_back(back);
        self
    }
}

#[async_trait(?Send)]
impl Dut for ScriptedDut {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        let outcome = self.connections.borrow_mut().pop_front().unwrap_or(Ok(baud));
        self.connected.set(outcome.is_ok());
        outcome
    }

    async fn request(&self, request: Request) -> Result<Reply, DutError> {
        assert!(self.connected.get(), "the step asked {request:?} before it was connected");
        let planned = self.script.borrow_mut().pop_front();
        let Some((expected, answer)) = planned else { panic!("the script ended, but the step asks {request:?}") };
        assert!(request == expected, "the script plans {expected:?}, but the step asks {request:?}");
        let mut statistics = self.statistics.get();
        statistics.sent += 1;
        statistics.received += u64::from(answer.is_ok());
        self.statistics.set(statistics);
        answer
    }

    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError> {
        let planned = self.jobs.borrow().get(&job).map(|(at, _)| *at);
        let Some(at) = planned else { panic!("the step waits for job {job}, which the script does not plan") };
        self.clock.sleep_until(at.min(deadline)).await;
        if at > deadline {
            return Err(DutError::JobLate(job));
        }
        match self.jobs.borrow_mut().remove(&job) {
            Some((_, outcome)) => outcome,
            None => panic!("two wait for the end of job {job}"),
        }
    }

    async fn echo(&self, bytes: &[u8], _: Option<u32>) -> Result<Vec<u8>, InstrumentError> {
        Ok(self.echoes.borrow_mut().pop_front().unwrap_or_else(|| bytes.to_vec()))
    }

    async fn disconnect(&self) {
        self.connected.set(false);
    }

    fn statistics(&self) -> LinkStatistics {
        self.statistics.get()
    }
}

impl Drop for ScriptedDut {
    fn drop(&mut self) {
        let left: Vec<String> = self.script.get_mut().iter().map(|(request, _)| format!("{request:?}")).collect();
        object_to(&left, "module");
    }
}
