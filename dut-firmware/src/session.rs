//! One request in, one reply out, and the reaction to silence.

use crate::adc::Adc;
use crate::clock::Alarm;
use crate::crystal::{self, Crystal};
use crate::edges::Channels;
use crate::flash::Flash;
use crate::link::{Link, Overrun};
use crate::modem::Modem;
use crate::pwm::Pwm;
use crate::uart::FlowPorts;
use crate::{ble, chip, jobs, nfc, ports, power, retained, spi, spim, twim, usb};
use dut_protocol::check::PortRules;
use dut_protocol::dedupe::LastExchange;
use dut_protocol::frame::{Decoder, Frame, FrameError, encode_reply};
use dut_protocol::jobs::JobTable;
use dut_protocol::{
    BAUD_TRIAL_MS, DEFAULT_LINK_TIMEOUT_MS, FlowControlRequest, INITIAL_BAUD, Identity, Job, MAX_FRAME,
    PROTOCOL_VERSION, Port, PortSet, Refusal, Reply, Request, UNASKED, schema_hash,
};
use embassy_futures::select::{Either3, select3};
use embassy_nrf::wdt::WatchdogHandle;
use embassy_time::{Duration, Instant, Timer};

/// The main loop runs at least this often, to feed the watchdog.
const HEARTBEAT: Duration = Duration::from_millis(500);

const BAUD_TRIAL: Duration = Duration::from_millis(BAUD_TRIAL_MS as u64);

/// Result of the first exchange.
enum Greeting {
    None,
    Equal,
    OtherProtocol,
}

/// Action that follows once the reply has been sent.
enum Afterwards {
    Nothing,
    SetBaud(u32),
    FlowControl(FlowControlRequest),
    Restart,
    SystemOff { wake: Port },
    Starve,
}

/// The firmware's state between two requests.
pub struct Session {
    link: Link,
    adc: Adc,
    flash: Flash,
    channels: Channels,
    modem: Modem,
    /// Ports that a release does not touch.
    held: PortSet,
    pwm: Pwm,
    crystal: Crystal,
    alarm: Alarm,
    rules: PortRules,
    watchdog: Option<WatchdogHandle>,
    reset_reason: u32,
    greeting: Greeting,
    last: LastExchange,
    jobs: JobTable<{ jobs::SLOTS }>,
    /// Slots whose job counts edges: they use interrupt channels.
    counting: [bool; jobs::SLOTS],
    link_timeout: Duration,
    /// When the link counts as silent; `None` once it does, and before the first frame.
    silent_at: Option<Instant>,
    /// When the baud rate returns to the initial one, unless a frame arrives before.
    baud_trial_ends: Option<Instant>,
    /// When the link goes back to no flow control.
    flow_ends: Option<Instant>,
}

impl Session {
    pub fn new(
        link: Link,
        adc: Adc,
        flash: Flash,
        modem: Modem,
        alarm: Alarm,
        rules: PortRules,
        watchdog: Option<WatchdogHandle>,
    ) -> Self {
        Self {
            link,
            adc,
            flash,
            channels: Channels::new(),
            modem,
            held: PortSet::EMPTY,
            pwm: Pwm::new(),
            crystal: Crystal::new(),
            alarm,
            rules,
            watchdog,
            reset_reason: chip::take_reset_reason(),
            greeting: Greeting::None,
            last: LastExchange::new(),
            jobs: JobTable::new(),
            counting: [false; jobs::SLOTS],
            link_timeout: Duration::from_millis(DEFAULT_LINK_TIMEOUT_MS.into()),
            silent_at: None,
            baud_trial_ends: None,
            flow_ends: None,
        }
    }

    /// Serves the bench forever.
    pub async fn run(mut self) -> ! {
        let mut decoder: Decoder = Decoder::new();
        let mut buffer = [0; 64];
        loop {
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.pet();
            }
            let heartbeat = Some(Instant::now() + HEARTBEAT);
            let wake_at = [heartbeat, self.silent_at, self.baud_trial_ends, self.flow_ends].into_iter().flatten().min();
            let wake = Timer::at(wake_at.unwrap_or(Instant::MIN));
            match select3(self.link.receive(&mut buffer), jobs::next_result(), wake).await {
                Either3::First(Ok(bytes)) => {
                    self.doubt_the_rate();
                    for byte in bytes {
                        // The sequence number of a broken frame is unknown; the bench repeats unanswered requests.
                        if let Some(Ok(frame)) = decoder.push(*byte) {
                            self.answer(frame).await;
                        }
                    }
                }
                Either3::First(Err(Overrun)) => decoder.reset(),
                Either3::Second((slot, result)) => {
                    self.set_counting(slot, false);
                    if let Some(job) = self.jobs.finish(slot, result) {
                        self.push(&Reply::JobDone { job, result }).await;
                    }
                }
                Either3::Third(()) => {}
            }
            if has_passed(self.flow_ends) {
                self.flow_ends = None;
                self.link.flow_control(None);
                decoder.reset();
            }
            if has_passed(self.baud_trial_ends) {
                self.back_to_initial_baud();
                decoder.reset();
            }
            if has_passed(self.silent_at) {
                self.silent_at = None;
                if self.flow_ends.take().is_some() {
                    // Its end would restore the ports' previous states.
                    self.link.flow_control(None);
                    decoder.reset();
                }
                self.release_all();
                ble::stop();
                self.last.forget(); // its effect is gone
            }
        }
    }

    /// Bytes after a silence at a raised rate may come from a restarted bench that uses the initial rate. Unless a
    /// frame confirms the raised rate, the firmware leaves it, like a new rate.
    fn doubt_the_rate(&mut self) {
        if self.silent_at.is_none() && self.baud_trial_ends.is_none() && self.link.baud() != INITIAL_BAUD {
            self.baud_trial_ends = Some(Instant::now() + BAUD_TRIAL);
        }
    }

    fn back_to_initial_baud(&mut self) {
        self.baud_trial_ends = None;
        self.link.set_baud(INITIAL_BAUD);
        self.last.forget(); // a repeated SetBaud must be executed again
    }

    async fn answer(&mut self, frame: Frame<'_>) {
        self.baud_trial_ends = None;
        self.silent_at = Some(Instant::now() + self.link_timeout);
        if let Some(reply) = self.last.repeated(&frame) {
            self.link.send(reply).await;
            return;
        }
        let (reply, afterwards) = match frame.request() {
            Ok(request) => self.execute(&request).await,
            Err(FrameError::NotUnderstood { .. } | FrameError::TooLong | FrameError::BadCobs | FrameError::BadCrc) => {
                (Reply::Refused(Refusal::NotUnderstood), Afterwards::Nothing)
            }
        };
        // Counts from the end of the request, so that a long one does not shorten the time for the next.
        self.silent_at = Some(Instant::now() + self.link_timeout);

        let mut buffer = [0; MAX_FRAME];
        if let Ok(bytes) = encode_reply(frame.seq, &reply, &mut buffer) {
            self.last.remember(&frame, bytes);
            self.link.send(bytes).await;
        }
        match afterwards {
            Afterwards::Nothing => {}
            Afterwards::SetBaud(baud) => {
                self.link.drain(&mut self.alarm).await;
                self.link.set_baud(baud);
                self.baud_trial_ends = Some(Instant::now() + BAUD_TRIAL);
            }
            Afterwards::FlowControl(flow) => {
                self.link.drain(&mut self.alarm).await;
                let begin = Instant::now();
                self.flow_ends = Some(begin + Duration::from_millis(flow.for_ms.into()));
                self.link.flow_control(Some(FlowPorts { rts: flow.rts, cts: flow.cts }));
                Timer::at(begin + Duration::from_millis(flow.pause_ms.into())).await;
            }
            Afterwards::Restart => {
                self.link.drain(&mut self.alarm).await;
                self.release_all();
                chip::restart();
            }
            Afterwards::Starve => {
                self.link.drain(&mut self.alarm).await;
                self.release_all();
                chip::hang();
            }
            Afterwards::SystemOff { wake } => {
                self.link.drain(&mut self.alarm).await;
                power::system_off(wake);
            }
        }
    }

    /// Sends a frame without a request.
    async fn push(&mut self, reply: &Reply) {
        let mut buffer = [0; MAX_FRAME];
        if let Ok(bytes) = encode_reply(UNASKED, reply, &mut buffer) {
            self.link.send(bytes).await;
        }
    }

    async fn execute(&mut self, request: &Request) -> (Reply, Afterwards) {
        match self.reply_to(request).await {
            Ok(done) => done,
            Err(refusal) => (Reply::Refused(refusal), Afterwards::Nothing),
        }
    }

    async fn reply_to(&mut self, request: &Request) -> Result<(Reply, Afterwards), Refusal> {
        match (&self.greeting, request) {
            (_, Request::Hello { .. }) | (Greeting::Equal, _) => {}
            (Greeting::None, _) => return Err(Refusal::HelloFirst),
            (Greeting::OtherProtocol, _) => {
                return Err(Refusal::OtherProtocol { version: PROTOCOL_VERSION, schema: schema_hash() });
            }
        }
        self.rules.check(request)?;
        let reply = match request {
            Request::Hello { version, schema } => {
                let equal = (*version, *schema) == (PROTOCOL_VERSION, schema_hash());
                self.greeting = if equal { Greeting::Equal } else { Greeting::OtherProtocol };
                Reply::Hello { version: PROTOCOL_VERSION, schema: schema_hash() }
            }
            Request::Identify => Reply::Identity(self.identity()),
            Request::SetBaud { baud } => return Ok((Reply::Done, Afterwards::SetBaud(*baud))),
            Request::ApplyVector(vector) => {
                ports::apply(vector);
                self.alarm.wait_us(vector.settle_us.into()).await;
                Reply::Levels(ports::levels())
            }
            Request::ReadPorts => Reply::Levels(ports::levels()),
            Request::ReleasePorts => {
                self.release();
                Reply::Done
            }
            Request::SampleAdc(adc) => Reply::Samples(self.adc.sample(adc).await?),
            Request::SpiTransfer(spi) => Reply::Bytes(spi::transfer(spi)),
            Request::StartPwm(pwm) => {
                self.pwm.start(pwm);
                Reply::Done
            }
            Request::StopPwm => {
                self.pwm.stop();
                Reply::Done
            }
            Request::LeadCrystal { .. } if self.channels.is_open() => return Err(Refusal::Busy),
            Request::LeadCrystal { port } => {
                self.crystal.lead(*port, &mut self.alarm).await?;
                Reply::Done
            }
            Request::LeaveCrystal => {
                self.crystal.leave();
                Reply::Done
            }
            Request::TimeCrystal { .. } if self.crystal.is_led() => return Err(Refusal::Busy),
            Request::TimeCrystal { periods } => Reply::Crystal { us: crystal::time(*periods, &mut self.alarm).await? },
            Request::StarveWatchdog => return Ok((Reply::Done, Afterwards::Starve)),
            Request::StartJob(Job::CountEdges { .. }) if self.channels.is_open() => return Err(Refusal::Busy),
            Request::StartJob(job) => {
                let (slot, number) = self.jobs.start()?;
                self.set_counting(slot, matches!(job, Job::CountEdges { .. }));
                jobs::order(slot, *job).await;
                Reply::JobAccepted { job: number }
            }
            Request::PollJob { job } => Reply::JobState { job: *job, state: self.jobs.state(*job) },
            Request::SetLinkTimeout { timeout_ms } => {
                self.link_timeout = Duration::from_millis((*timeout_ms).into());
                Reply::Done
            }
            Request::Flash(flash) => self.flash.execute(flash, &mut self.alarm).await?,
            Request::ReadStatus => Reply::Status(chip::status()),
            // The counting jobs use two of the channels, the crystal's output uses one.
            Request::WatchEdges { .. } if self.counting.contains(&true) || self.crystal.is_led() => {
                return Err(Refusal::Busy);
            }
            Request::WatchEdges { port, edges } => Reply::Channel { channel: self.channels.watch(*port, *edges)? },
            Request::TakeEdgeCounts => Reply::EdgeCounts(self.channels.take()),
            Request::UnwatchEdges => {
                self.channels.close();
                Reply::Done
            }
            Request::FillRetained { seed, inverse } => {
                retained::fill(*seed, *inverse);
                Reply::Done
            }
            Request::CheckRetained { seed, inverse } => {
                Reply::Retained { wrong_bits: retained::wrong_bits(*seed, *inverse) }
            }
            Request::Echo { bytes } => Reply::Bytes(bytes.clone()),
            Request::SpiMaster(spi) => Reply::Bytes(spim::transfer(spi, &mut self.alarm).await?),
            Request::I2cMaster(i2c) => Reply::I2c(twim::transfer(i2c, &mut self.alarm).await?),
            Request::FlowControl(flow) => return Ok((Reply::Done, Afterwards::FlowControl(*flow))),
            Request::Restart => return Ok((Reply::Done, Afterwards::Restart)),
            Request::LendTx { pull } => {
                power::order_lending(*pull);
                return Ok((Reply::Done, Afterwards::Restart));
            }
            Request::SystemOff { wake } => {
                usb::order(None)?;
                nfc::order(None)?;
                self.release_all();
                ble::stop();
                self.release();
                power::prepare_wake(*wake)?;
                return Ok((Reply::Done, Afterwards::SystemOff { wake: *wake }));
            }
            Request::StartUsb { vendor, product } => {
                usb::order(Some(usb::Ids { vendor: *vendor, product: *product }))?;
                Reply::Done
            }
            Request::StopUsb => {
                usb::order(None)?;
                Reply::Done
            }
            Request::HoldPorts { ports } => {
                self.held = *ports;
                Reply::Done
            }
            Request::OpenModem(modem) => {
                self.modem.open(modem);
                Reply::Done
            }
            Request::CloseModem => {
                self.modem.close();
                Reply::Done
            }
            Request::WriteModem { bytes } => {
                self.modem.write(bytes)?;
                Reply::Done
            }
            Request::ReadModem => Reply::Modem(self.modem.read()?),
            Request::Ble(request) => ble::execute(request)?,
            Request::StartNfc { nonce } => {
                nfc::order(Some(*nonce))?;
                Reply::Done
            }
            Request::StopNfc => {
                nfc::order(None)?;
                Reply::Done
            }
            Request::ReadNfc => Reply::Nfc(nfc::status()),
        };
        Ok((reply, Afterwards::Nothing))
    }

    fn set_counting(&mut self, slot: usize, counts: bool) {
        if let Some(flag) = self.counting.get_mut(slot) {
            *flag = counts;
        }
    }

    /// No port is held any more.
    fn release_all(&mut self) {
        self.modem.close();
        self.held = PortSet::EMPTY;
        self.release();
    }

    /// Returns every port except the link's and the held ones to high impedance, and stops everything that drives or
    /// watches one.
    fn release(&mut self) {
        self.channels.close();
        self.pwm.stop();
        self.crystal.leave();
        let ports = self.rules.usable().minus(self.held);
        jobs::release(ports);
        self.link.forget(ports);
        ports::release(ports);
    }

    fn identity(&self) -> Identity {
        chip::identity(self.reset_reason)
    }
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}
