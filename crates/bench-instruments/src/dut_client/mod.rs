//! The bench's side of the conversation with the firmware.
//!
//! One request at a time is in flight. If no answer arrives, it is sent again with the same bytes and the same sequence
//! number: the firmware answers a repeated frame from memory and executes it once. A serial line keeps the order of
//! frames, so an old copy never arrives after a new request. Answers with another number than that of the request in
//! flight are dropped, so that the answer to a cancelled request cannot be mistaken for another one.
//!
//! | file | |
//! |---|---|
//! | `conversation` | frames, time-outs, repetitions |
//! | `answers` | which reply answers which request; results of jobs that arrived unasked |

mod answers;
mod conversation;
#[cfg(test)]
mod fake_firmware;
#[cfg(test)]
mod tests;

use crate::{Clock, Dut, DutError, InstrumentError, Link, LinkStatistics, with_deadline};
use answers::JobResults;
use async_trait::async_trait;
use bench_run::BenchTime;
use conversation::Conversation;
use dut_protocol::{
    BAUD_TRIAL_MS, DEFAULT_LINK_TIMEOUT_MS, INITIAL_BAUD, JobResult, JobState, PROTOCOL_VERSION, Refusal, Reply,
    Request, schema_hash,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// Attempts before the module counts as silent.
const ATTEMPTS: u32 = 4;
/// The first request may reach a module that is still starting: more than a second in total.
const HELLO_ATTEMPTS: u32 = 15;
/// Both must fit into [`BAUD_TRIAL_MS`].
const TRIAL_ATTEMPTS: u32 = 2;
/// Attempts at a higher rate.
const RAISES: u32 = 2;
/// After the firmware's trial of a new rate has ended, by its clock, which differs from ours.
const TRIAL_MARGIN: Duration = Duration::from_millis(50);
/// Longest time between two queries of a job; the job's own message normally arrives first.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Time for the operating system to deliver what came back.
const ECHO_MARGIN: Duration = Duration::from_millis(50);

/// [`Dut`] over a byte link.
///
/// When a future of [`Dut::connect`] is dropped before its end, the rate is unknown: connect again.
pub struct DutClient<L> {
    conversation: Mutex<Conversation<L>>,
    clock: Rc<dyn Clock>,
    client_state: ClientState,
    /// Number of requests that wait for the conversation. A caller that only waits for the end of a job then yields it.
    waiting: Cell<u32>,
    wanted: Notify,
}

/// What is available without waiting for the conversation.
struct ClientState {
    statistics: Cell<LinkStatistics>,
    jobs: RefCell<JobResults>,
    /// Silence after which the firmware releases all ports and forgets the last request.
    link_timeout: Cell<Duration>,
}

impl ClientState {
    fn count(&self, change: impl FnOnce(&mut LinkStatistics)) {
        let mut statistics = self.statistics.get();
        change(&mut statistics);
        self.statistics.set(statistics);
    }
}

/// Counts a waiting request for as long as it lives.
struct Waiting<'a>(&'a Cell<u32>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

const DEFAULT_LINK_TIMEOUT: Duration = Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS as u64);

impl<L: Link> DutClient<L> {
    /// Creates a client without sending anything. The link must be at [`INITIAL_BAUD`], or [`Dut::connect`] sets it.
    pub fn new(link: L, clock: Rc<dyn Clock>) -> Self {
        Self {
            conversation: Mutex::new(Conversation::new(link)),
            clock,
            client_state: ClientState {
                statistics: Cell::default(),
                jobs: RefCell::default(),
                link_timeout: Cell::new(DEFAULT_LINK_TIMEOUT),
            },
            waiting: Cell::new(0),
            wanted: Notify::new(),
        }
    }

    /// Returns the conversation when the request in flight is done; callers that only listen yield.
    async fn turn(&self) -> MutexGuard<'_, Conversation<L>> {
        let _waiting = Waiting::new(&self.waiting);
        self.wanted.notify_waiters();
        self.conversation.lock().await
    }

    async fn exchange(
        &self,
        conversation: &mut Conversation<L>,
        request: &Request,
        attempts: u32,
    ) -> Result<Reply, DutError> {
        conversation.exchange(&*self.clock, &self.client_state, request, attempts).await
    }

    /// Tries a higher rate. Ends at a rate at which the firmware answers, or with an error.
    async fn raise(&self, conversation: &mut Conversation<L>, baud: u32) -> Result<u32, DutError> {
        for _ in 0..RAISES {
            match self.exchange(conversation, &Request::SetBaud { baud }, 1).await {
                // Without an answer it may still be at the new rate: the trial shows it.
                Ok(_) | Err(DutError::Silent { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.answers_at(conversation, baud, TRIAL_ATTEMPTS).await? {
                return Ok(baud);
            }
            conversation.set_baud(INITIAL_BAUD).await?;
            self.clock.sleep(Duration::from_millis(BAUD_TRIAL_MS.into()) + TRIAL_MARGIN).await;
            conversation.discard_input();
            if !self.answers_at(conversation, INITIAL_BAUD, ATTEMPTS).await? {
                // It may have received the trial, and only its answers were lost.
                conversation.set_baud(baud).await?;
                self.exchange(conversation, &Request::ReadPorts, ATTEMPTS).await?;
                return Ok(baud);
            }
        }
        Ok(INITIAL_BAUD)
    }

    /// Changes the bench's own rate and sends a harmless request.
    async fn answers_at(&self, conversation: &mut Conversation<L>, baud: u32, attempts: u32) -> Result<bool, DutError> {
        conversation.set_baud(baud).await?;
        match self.exchange(conversation, &Request::ReadPorts, attempts).await {
            Ok(_) => Ok(true),
            Err(DutError::Silent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Processes what arrives until `until`, until a message arrives, or until a request needs the conversation.
    async fn listen(&self, until: BenchTime) -> Result<(), DutError> {
        let Ok(mut conversation) = with_deadline(&*self.clock, until, self.conversation.lock()).await else {
            return Ok(());
        };
        let wanted = self.wanted.notified();
        if self.waiting.get() > 0 {
            return Ok(());
        }
        let listening = conversation.listen(&*self.clock, &self.client_state, until);
        match futures_util::future::select(std::pin::pin!(listening), std::pin::pin!(wanted)).await {
            futures_util::future::Either::Left((outcome, _)) => Ok(outcome?),
            futures_util::future::Either::Right(_) => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl<L: Link> Dut for DutClient<L> {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        let mut conversation = self.turn().await;
        let conversation = &mut *conversation;
        conversation.set_baud(INITIAL_BAUD).await?;
        conversation.discard_input();
        self.client_state.link_timeout.set(self.client_state.link_timeout.get().min(DEFAULT_LINK_TIMEOUT));
        let hello = Request::Hello { version: PROTOCOL_VERSION, schema: schema_hash() };
        match self.exchange(conversation, &hello, HELLO_ATTEMPTS).await? {
            Reply::Hello { version, schema } if (version, schema) == (PROTOCOL_VERSION, schema_hash()) => {}
            Reply::Hello { version, schema } => return Err(DutError::OtherProtocol { version, schema }),
            other => return Err(DutError::OutOfTurn(other)),
        }
        let rate = if baud == INITIAL_BAUD { baud } else { self.raise(conversation, baud).await? };
        // A loop-back relay that is stuck echoes the bench's own Hello; it cannot answer this request.
        self.exchange(conversation, &Request::ReadPorts, ATTEMPTS).await?;
        Ok(rate)
    }

    async fn request(&self, request: Request) -> Result<Reply, DutError> {
        let mut conversation = self.turn().await;
        if let Request::SetLinkTimeout { timeout_ms } = request {
            // The shorter of the two may apply from the moment it is sent.
            let shorter = self.client_state.link_timeout.get().min(Duration::from_millis(timeout_ms.into()));
            self.client_state.link_timeout.set(shorter);
        }
        let reply = self.exchange(&mut conversation, &request, ATTEMPTS).await?;
        match request {
            Request::SetLinkTimeout { timeout_ms } => {
                self.client_state.link_timeout.set(Duration::from_millis(timeout_ms.into()));
            }
            Request::SetBaud { baud } => conversation.set_baud(baud).await?,
            _ => {}
        }
        Ok(reply)
    }

    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError> {
        let finished = || self.client_state.jobs.borrow_mut().take(job);
        loop {
            // Often enough that the firmware does not release its ports.
            let poll_at = self.clock.now() + POLL_INTERVAL.min(self.client_state.link_timeout.get() / 3);
            while self.clock.now() < poll_at.min(deadline) {
                if let Some(result) = finished() {
                    return Ok(result);
                }
                self.listen(poll_at.min(deadline)).await?;
            }
            let state = self.request(Request::PollJob { job }).await?;
            if let Some(result) = finished() {
                return Ok(result);
            }
            match state {
                Reply::JobState { state: JobState::Done(result), .. } => return Ok(result),
                Reply::JobState { state: JobState::Unknown, .. } => return Err(DutError::JobLost(job)),
                _ if self.clock.now() >= deadline => return Err(DutError::JobLate(job)),
                _ => {}
            }
        }
    }

    async fn echo(&self, bytes: &[u8], baud: Option<u32>) -> Result<Vec<u8>, InstrumentError> {
        let mut conversation = self.turn().await;
        let before = conversation.baud();
        conversation.set_baud(baud.unwrap_or(before)).await?;
        let heard = conversation.echo(&*self.clock, bytes, ECHO_MARGIN).await;
        conversation.set_baud(before).await?;
        heard
    }

    async fn disconnect(&self) {
        let mut conversation = self.turn().await;
        // A link that fails here fails again at the next connection, which reports it.
        let _ = conversation.set_baud(INITIAL_BAUD).await;
        conversation.discard_input();
        self.client_state.jobs.borrow_mut().clear();
        self.client_state.link_timeout.set(DEFAULT_LINK_TIMEOUT);
    }

    fn statistics(&self) -> LinkStatistics {
        self.client_state.statistics.get()
    }
}

/// Converts a refusal to an error for the caller.
fn refused(refusal: Refusal) -> DutError {
    match refusal {
        Refusal::OtherProtocol { version, schema } => DutError::OtherProtocol { version, schema },
        other => DutError::Refused(other),
    }
}
