//! A firmware in memory, at the far end of a link that loses, damages, duplicates and delays frames.

use crate::{Clock, InstrumentError, Link, ManualClock};
use async_trait::async_trait;
use bench_run::BenchTime;
use dut_protocol::dedupe::LastExchange;
use dut_protocol::frame::{Decoder, Frame, encode_reply};
use dut_protocol::{
    BAUD_TRIAL_MS, DEFAULT_LINK_TIMEOUT_MS, INITIAL_BAUD, Job, JobResult, JobState, MAX_FRAME, PROTOCOL_VERSION,
    PortSet, Refusal, Reply, Request, UNASKED, schema_hash,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Mishap of one frame on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mishap {
    None,
    Lose,
    /// One byte is changed.
    Damage {
        byte: usize,
        xor: u8,
    },
    /// Only the first bytes arrive.
    Cut {
        after: usize,
    },
    Double,
    Delay {
        ms: u16,
    },
    /// The module restarts before the frame arrives.
    Restart,
}

/// The far end; the test keeps one handle, the link another.
pub struct Firmware {
    clock: ManualClock,
    pub to_dut: VecDeque<Mishap>,
    pub to_bench: VecDeque<Mishap>,
    /// Every job that was started, over all restarts.
    pub executed: Vec<Job>,
    pub restarts: u32,
    /// Rates at which nothing is transferred.
    pub dead_rates: Vec<u32>,
    pub version: u16,
    /// Receives nothing before this time.
    pub boots_until: BenchTime,
    pub loopback: bool,
    /// Arrival time of each request.
    pub heard: Vec<(BenchTime, Request)>,
    decoder: Decoder,
    baud: u32,
    trial_ends: Option<BenchTime>,
    hello: bool,
    last: LastExchange,
    last_heard: BenchTime,
    link_timeout: Duration,
    /// Number, when it ends, how long it was.
    jobs: Vec<(u8, BenchTime, u16)>,
    job_number: u8,
    last_arrival: BenchTime,
    /// In order of time.
    on_the_way: VecDeque<(BenchTime, u32, Vec<u8>)>,
}

pub struct FakeLink {
    firmware: Rc<RefCell<Firmware>>,
    clock: ManualClock,
    baud: u32,
}

impl Firmware {
    pub fn new(clock: &ManualClock) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            clock: clock.clone(),
            to_dut: VecDeque::new(),
            to_bench: VecDeque::new(),
            executed: Vec::new(),
            restarts: 0,
            dead_rates: Vec::new(),
            version: PROTOCOL_VERSION,
            boots_until: BenchTime::ZERO,
            loopback: false,
            heard: Vec::new(),
            decoder: Decoder::new(),
            baud: INITIAL_BAUD,
            trial_ends: None,
            hello: false,
            last: LastExchange::new(),
            last_heard: BenchTime::ZERO,
            link_timeout: Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS.into()),
            jobs: Vec::new(),
            job_number: 0,
            last_arrival: BenchTime::ZERO,
            on_the_way: VecDeque::new(),
        }))
    }

    pub fn link(firmware: &Rc<RefCell<Self>>, clock: &ManualClock) -> FakeLink {
        FakeLink { firmware: Rc::clone(firmware), clock: clock.clone(), baud: INITIAL_BAUD }
    }

    pub fn restart(&mut self) {
        self.restarts += 1;
        self.decoder.reset();
        self.baud = INITIAL_BAUD;
        self.trial_ends = None;
        self.hello = false;
        self.last = LastExchange::new();
        self.link_timeout = Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS.into());
        self.jobs.clear();
        // Job messages in flight are lost with it; they are in the future.
        let now = self.clock.now();
        self.on_the_way.retain(|(at, _, _)| *at <= now);
    }

    fn arrive(&mut self, bytes: &[u8], baud: u32) {
        let now = self.clock.now();
        if self.loopback {
            self.on_the_way.push_back((now, baud, bytes.to_vec()));
            return;
        }
        let mishap = self.to_dut.pop_front().unwrap_or(Mishap::None);
        let mut at = now;
        let mut copies = 1;
        let mut bytes = bytes.to_vec();
        match mishap {
            Mishap::None => {}
            Mishap::Lose => return,
            Mishap::Damage { byte, xor } => damage(&mut bytes, byte, xor),
            Mishap::Cut { after } => bytes.truncate(after),
            Mishap::Double => copies = 2,
            Mishap::Delay { ms } => at = at + Duration::from_millis(ms.into()),
            Mishap::Restart => self.restart(),
        }
        // A serial line keeps the order: later bytes wait as well.
        at = at.max(self.last_arrival);
        self.last_arrival = at;
        if self.trial_ends.is_some_and(|ends| at >= ends) {
            self.baud = INITIAL_BAUD;
            self.trial_ends = None;
            self.last.forget();
        }
        if now < self.boots_until || baud != self.baud || self.dead_rates.contains(&baud) {
            return; // noise at best
        }
        for _ in 0..copies {
            for byte in &bytes {
                let mut decoder = std::mem::take(&mut self.decoder);
                if let Some(Ok(frame)) = decoder.push(*byte) {
                    self.frame(&frame, at);
                }
                self.decoder = decoder;
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, at: BenchTime) {
        let Ok(request) = frame.request() else { return };
        self.heard.push((at, request.clone()));
        if at - self.last_heard >= self.link_timeout {
            self.last.forget();
        }
        self.last_heard = at;
        self.trial_ends = None;
        let baud = self.baud;
        let reply = match self.last.repeated(frame) {
            Some(reply) => reply.to_vec(),
            None => {
                let reply = self.execute(&request, at);
                let mut buffer = [0; MAX_FRAME];
                let reply = encode_reply(frame.seq, &reply, &mut buffer).unwrap().to_vec();
                self.last.remember(frame, &reply);
                reply
            }
        };
        self.send(reply, at, baud);
    }

    fn execute(&mut self, request: &Request, at: BenchTime) -> Reply {
        match request {
            Request::Hello { version, schema } => {
                self.hello = (*version, *schema) == (self.version, schema_hash());
                Reply::Hello { version: self.version, schema: schema_hash() }
            }
            _ if !self.hello => Reply::Refused(Refusal::HelloFirst),
            Request::SetBaud { baud } => {
                self.baud = *baud;
                self.trial_ends = Some(at + Duration::from_millis(BAUD_TRIAL_MS.into()));
                Reply::Done
            }
            Request::ReadPorts => Reply::Levels(PortSet::EMPTY),
            Request::StartJob(job @ Job::Wait { ms }) => {
                self.executed.push(*job);
                self.job_number += 1;
                let (number, ends) = (self.job_number, at + Duration::from_millis((*ms).into()));
                self.jobs.push((number, ends, *ms));
                let message = Reply::JobDone { job: number, result: JobResult::Waited { ms: *ms } };
                let mut buffer = [0; MAX_FRAME];
                let bytes = encode_reply(UNASKED, &message, &mut buffer).unwrap().to_vec();
                let baud = self.baud;
                self.send(bytes, ends, baud);
                Reply::JobAccepted { job: number }
            }
            Request::PollJob { job } => {
                let state = match self.jobs.iter().find(|job_entry| job_entry.0 == *job) {
                    None => JobState::Unknown,
                    Some((_, ends, ms)) if *ends <= at => JobState::Done(JobResult::Waited { ms: *ms }),
                    Some(_) => JobState::Running,
                };
                Reply::JobState { job: *job, state }
            }
            Request::SetLinkTimeout { timeout_ms } => {
                self.link_timeout = Duration::from_millis((*timeout_ms).into());
                Reply::Done
            }
            _ => Reply::Done,
        }
    }

    fn send(&mut self, mut bytes: Vec<u8>, at: BenchTime, baud: u32) {
        let mut at = at;
        let mut copies = 1;
        match self.to_bench.pop_front().unwrap_or(Mishap::None) {
            Mishap::None | Mishap::Restart => {}
            Mishap::Lose => return,
            Mishap::Damage { byte, xor } => damage(&mut bytes, byte, xor),
            Mishap::Cut { after } => bytes.truncate(after),
            Mishap::Double => copies = 2,
            Mishap::Delay { ms } => at = at + Duration::from_millis(ms.into()),
        }
        for _ in 0..copies {
            let place = self.on_the_way.partition_point(|(other, _, _)| *other <= at);
            self.on_the_way.insert(place, (at, baud, bytes.clone()));
        }
    }
}

fn damage(bytes: &mut [u8], byte: usize, xor: u8) {
    let length = bytes.len();
    bytes[byte % length] ^= xor.max(1);
}

#[async_trait(?Send)]
impl Link for FakeLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        self.firmware.borrow_mut().arrive(bytes, self.baud);
        Ok(())
    }

    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        loop {
            let due = self.firmware.borrow().on_the_way.front().map(|(at, _, _)| *at);
            let Some(due) = due else {
                // The message may arrive only after a request, and while the bench waits here it sends none.
                return std::future::pending().await;
            };
            self.clock.sleep_until(due).await;
            // Meanwhile a restart may have changed what is in flight.
            let mut firmware = self.firmware.borrow_mut();
            if firmware.on_the_way.front().is_some_and(|(at, _, _)| *at <= self.clock.now())
                && let Some((_, baud, bytes)) = firmware.on_the_way.pop_front()
                && !bytes.is_empty()
            {
                let heard = baud == self.baud && !firmware.dead_rates.contains(&baud);
                into.extend(bytes.iter().map(|byte| if heard { *byte } else { byte | 0x80 }));
                return Ok(());
            }
        }
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        self.baud = baud;
        Ok(())
    }

    fn discard_input(&mut self) {
        let now = self.clock.now();
        self.firmware.borrow_mut().on_the_way.retain(|(at, _, _)| *at > now);
    }
}
