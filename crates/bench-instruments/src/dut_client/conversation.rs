//! Frames, time-outs and repetitions on one link.

use super::answers::answers;
use super::{ClientState, refused};
use crate::{Clock, DutError, InstrumentError, Link, with_deadline};
use bench_run::BenchTime;
use dut_protocol::frame::{Decoder, encode_request};
use dut_protocol::{CRYSTAL_START_MS, FlashRequest, INITIAL_BAUD, MAX_FRAME, Refusal, Reply, Request, UNASKED};
use std::time::Duration;

/// Time for the firmware to read the request, and for operating systems and USB converters in between.
const TURNAROUND: Duration = Duration::from_millis(60);
/// One byte of bit-banged SPI at the firmware's slowest, and one ADC sample, both generous.
const SPI_BYTE: Duration = Duration::from_micros(50);
const ADC_SAMPLE: Duration = Duration::from_micros(200);
/// The firmware waits up to three times for a busy flash, half a second each.
const FLASH_BUSY: Duration = Duration::from_millis(1_600);
/// Time for an erase and sixteen pages one after the other, each of which takes 10 ms at most.
const SECTOR_WRITE: Duration = Duration::from_millis(1_900);
/// 64 bytes both ways at 100 kHz take 12 ms; the firmware gives up 3 ms later.
const BUS_TRANSFER: Duration = Duration::from_millis(25);
/// The whole wait for a dead crystal, and some time after it.
const CRYSTAL_START: Duration = Duration::from_millis(CRYSTAL_START_MS as u64 + 100);
/// Longest time for which the operating system may delay a frame before it is on the wire.
const SEND_LATENCY: Duration = Duration::from_millis(100);
/// How soon after an echo the bytes follow that another program wrote while it was being sent.
const AFTER_ECHO: Duration = Duration::from_millis(3);
/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;

pub struct Conversation<L> {
    link: L,
    decoder: Decoder,
    last_seq: u16,
    baud: u32,
    /// Received bytes, and how many of them were decoded.
    inbox: Vec<u8>,
    decoded: usize,
}

impl<L: Link> Conversation<L> {
    pub fn new(link: L) -> Self {
        Self { link, decoder: Decoder::new(), last_seq: UNASKED, baud: INITIAL_BAUD, inbox: Vec::new(), decoded: 0 }
    }

    /// The rate in use.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    pub async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        self.baud = baud;
        self.decoder.reset();
        self.link.set_baud(baud).await
    }

    pub fn discard_input(&mut self) {
        self.link.discard_input();
        self.decoder.reset();
        self.inbox.clear();
        self.decoded = 0;
    }

    /// Sends a request until it is answered, at most `attempts` times.
    pub async fn exchange(
        &mut self,
        clock: &dyn Clock,
        client_state: &ClientState,
        request: &Request,
        attempts: u32,
    ) -> Result<Reply, DutError> {
        let seq = self.next_seq();
        client_state.jobs.borrow_mut().new_request();
        let mut buffer = [0; MAX_FRAME];
        let frame = encode_request(seq, request, &mut buffer)
            .map_err(|error| InstrumentError::Link(format!("a request cannot be sent: {error}")))?;
        let patience = self.wire_time(frame.len() + 2 * MAX_FRAME) + TURNAROUND + work(request);
        let garbled_before = client_state.statistics.get().garbled;
        let began = clock.now();
        for attempt in 0..attempts {
            if attempt > 0 {
                let arrives = clock.now() + self.wire_time(frame.len()) + SEND_LATENCY;
                if !request.is_repeatable() && arrives >= began + client_state.link_timeout.get() {
                    // After this long a silence the firmware has forgotten the first copy and would execute this one.
                    return Err(DutError::Unknown);
                }
                client_state.count(|statistics| statistics.repeated += 1);
            }
            client_state.count(|statistics| statistics.sent += 1);
            self.link.send(frame).await?;
            let Some(reply) = self.answer(clock, client_state, seq, clock.now() + patience).await? else { continue };
            return match reply {
                Reply::Refused(Refusal::HelloFirst) if attempt > 0 && !request.is_repeatable() => {
                    // It restarted between the copies; whether it executed the first one cannot be determined.
                    Err(DutError::Unknown)
                }
                Reply::Refused(refusal) => Err(refused(refusal)),
                reply if !answers(&reply, request) => Err(DutError::OutOfTurn(reply)),
                reply => {
                    if let Reply::JobAccepted { job } = reply {
                        client_state.jobs.borrow_mut().accepted(job);
                    }
                    Ok(reply)
                }
            };
        }
        let garbled = client_state.statistics.get().garbled - garbled_before;
        Err(DutError::Silent { attempts, garbled: u32::try_from(garbled).unwrap_or(u32::MAX) })
    }

    /// Returns the reply with this number, or `None` when the deadline comes first.
    async fn answer(
        &mut self,
        clock: &dyn Clock,
        client_state: &ClientState,
        seq: u16,
        deadline: BenchTime,
    ) -> Result<Option<Reply>, InstrumentError> {
        loop {
            match self.message(clock, client_state, deadline).await? {
                Some((number, reply)) if number == seq => return Ok(Some(reply)),
                Some(other) => sort(client_state, other),
                None => return Ok(None),
            }
        }
    }

    /// Processes one message that answers nothing, or everything that arrives until `until`.
    pub async fn listen(
        &mut self,
        clock: &dyn Clock,
        client_state: &ClientState,
        until: BenchTime,
    ) -> Result<(), InstrumentError> {
        if let Some(message) = self.message(clock, client_state, until).await? {
            sort(client_state, message);
        }
        Ok(())
    }

    /// Returns the next complete message, or `None` at the deadline. Dropping the future loses no received bytes.
    async fn message(
        &mut self,
        clock: &dyn Clock,
        client_state: &ClientState,
        deadline: BenchTime,
    ) -> Result<Option<(u16, Reply)>, InstrumentError> {
        loop {
            while let Some(byte) = self.inbox.get(self.decoded) {
                self.decoded += 1;
                match self.decoder.push(*byte).map(|frame| frame.and_then(|frame| Ok((frame.seq, frame.reply()?)))) {
                    None => {}
                    Some(Ok(message)) => {
                        client_state.count(|statistics| statistics.received += 1);
                        return Ok(Some(message));
                    }
                    Some(Err(_)) => client_state.count(|statistics| statistics.garbled += 1),
                }
            }
            self.inbox.clear();
            self.decoded = 0;
            // Checked here too: a module that sends without a pause would keep the link ready forever.
            if clock.now() >= deadline {
                return Ok(None);
            }
            match with_deadline(clock, deadline, self.link.receive(&mut self.inbox)).await {
                Ok(Ok(())) if self.inbox.is_empty() => {
                    return Err(InstrumentError::Link("it has ended".to_owned()));
                }
                Ok(outcome) => outcome?,
                Err(_) if self.inbox.is_empty() => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// Sends bytes and returns what comes back within their own time plus `margin`, and what follows at once.
    pub async fn echo(
        &mut self,
        clock: &dyn Clock,
        bytes: &[u8],
        margin: Duration,
    ) -> Result<Vec<u8>, InstrumentError> {
        self.discard_input();
        self.link.send(bytes).await?;
        let deadline = clock.now() + self.wire_time(2 * bytes.len()) + margin;
        let mut back = Vec::new();
        while back.len() < bytes.len() && clock.now() < deadline {
            match with_deadline(clock, deadline, self.link.receive(&mut back)).await {
                Ok(outcome) => outcome?,
                Err(_) => break,
            }
        }
        // What another program wrote meanwhile waits behind it.
        if back.len() == bytes.len() {
            let quiet = clock.now() + AFTER_ECHO;
            if let Ok(outcome) = with_deadline(clock, quiet, self.link.receive(&mut back)).await {
                outcome?;
            }
        }
        self.discard_input();
        Ok(back)
    }

    /// Never [`UNASKED`].
    fn next_seq(&mut self) -> u16 {
        self.last_seq = self.last_seq.checked_add(1).unwrap_or(UNASKED + 1);
        self.last_seq
    }

    fn wire_time(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Duration::from_secs(1) * bytes.saturating_mul(BITS_PER_BYTE) / self.baud.max(1)
    }
}

/// A message that answers no request in flight.
fn sort(client_state: &ClientState, message: (u16, Reply)) {
    match message {
        (UNASKED, Reply::JobDone { job, result }) => client_state.jobs.borrow_mut().put(job, result),
        _ => client_state.count(|statistics| statistics.late += 1),
    }
}

/// Time that the firmware needs for the request itself, beyond answering.
fn work(request: &Request) -> Duration {
    match request {
        Request::ApplyVector(vector) => Duration::from_micros(vector.settle_us.into()),
        Request::SampleAdc(adc) => ADC_SAMPLE * u32::from(adc.count),
        Request::SpiTransfer(spi) => {
            SPI_BYTE * (u32::from(spi.read) + u32::try_from(spi.write.len()).unwrap_or(u32::MAX))
        }
        Request::Flash(FlashRequest::PutBackSector) => SECTOR_WRITE,
        Request::Flash(_) => FLASH_BUSY,
        Request::SpiMaster(_) | Request::I2cMaster(_) => BUS_TRANSFER,
        Request::LeadCrystal { .. } => CRYSTAL_START,
        Request::TimeCrystal { periods } => CRYSTAL_START + Duration::from_millis(u64::from(*periods) / 32 + 150),
        _ => Duration::ZERO,
    }
}
