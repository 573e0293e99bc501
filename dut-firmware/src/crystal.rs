//! Outputs the 32.768 kHz crystal on a port, where the bench can time it.
//!
//! The firmware's own waits run from the internal oscillator, so that it can report a dead crystal. For this one test
//! the running clock is switched over: the internal oscillator continues until the crystal runs, and takes over again
//! afterwards. The counters lose only a fraction of a tick.

use crate::clock::Alarm;
use crate::ports;
use dut_protocol::{CRYSTAL_START_MS, EDGE_CHANNELS, Port, Refusal};
use embassy_nrf::pac;
use embassy_nrf::pac::clock::vals::Lfclksrc;
use embassy_nrf::pac::gpiote::vals::{Mode, Outinit, Polarity};

/// GPIOTE's last channel: the counting jobs use the first two.
const CHANNEL: usize = EDGE_CHANNELS - 1;
/// PPI channel from the counter to the port; the UARTs and the counting jobs have those below.
const ROUTE: usize = 7;
/// RTC2 ticks at 1/32 of the crystal's frequency, and the port toggles with each tick.
const PRESCALER: u16 = 31;
const POLL_MS: u32 = 5;
/// Polls for the end of a measurement: a tenth of the longest.
const LATE_POLLS: u32 = 20;

pub struct Crystal {
    led_to: Option<Port>,
}

impl Crystal {
    /// RTC2 and the PPI channel [`ROUTE`] must be free: no other module may use them.
    pub const fn new() -> Self {
        Self { led_to: None }
    }

    pub fn is_led(&self) -> bool {
        self.led_to.is_some()
    }

    /// Starts the crystal and outputs it on a port.
    pub async fn lead(&mut self, port: Port, alarm: &mut Alarm) -> Result<(), Refusal> {
        self.leave();
        start(alarm).await?;
        self.connect(port);
        Ok(())
    }

    fn connect(&mut self, port: Port) {
        pac::GPIOTE.config(CHANNEL).write(|config| {
            config.set_mode(Mode::Task);
            config.set_psel(port.pin());
            config.set_port(port.bank() == 1);
            config.set_polarity(Polarity::Toggle);
            config.set_outinit(Outinit::Low);
        });
        let route = pac::PPI.ch(ROUTE);
        route.eep().write_value(pac::RTC2.events_tick().as_ptr() as u32);
        route.tep().write_value(pac::GPIOTE.tasks_out(CHANNEL).as_ptr() as u32);
        pac::PPI.chenset().write(|enabled| enabled.set_ch(ROUTE, true));
        pac::RTC2.prescaler().write(|value| value.set_prescaler(PRESCALER));
        pac::RTC2.evtenset().write(|events| events.set_tick(true));
        pac::RTC2.tasks_clear().write_value(1);
        pac::RTC2.tasks_start().write_value(1);
        self.led_to = Some(port);
    }

    /// Returns to the internal oscillator and releases the port.
    pub fn leave(&mut self) {
        let Some(port) = self.led_to.take() else { return };
        pac::RTC2.tasks_stop().write_value(1);
        pac::RTC2.evtenclr().write(|events| events.set_tick(true));
        pac::PPI.chenclr().write(|disabled| disabled.set_ch(ROUTE, true));
        pac::GPIOTE.config(CHANNEL).write(|config| config.set_mode(Mode::Disabled));
        ports::release(core::iter::once(port).collect());
        run_from(Lfclksrc::Rc);
    }
}

/// Registers of TIMER3 that no alarm uses (see `clock`).
const CAPTURES: [usize; 2] = [4, 5];
/// PPI channels from the counter's comparisons to them.
const CAPTURE_ROUTES: [usize; 2] = [6, ROUTE];
/// The first comparison comes this many ticks after the counter starts: it needs two.
const LEAD: u32 = 3;
const TICK_HZ: u32 = 32_768;

/// Starts the crystal, times this many of its periods, and returns to the internal oscillator. Microseconds of the 32 MHz
/// crystal. RTC2 must be free.
pub async fn time(periods: u16, alarm: &mut Alarm) -> Result<u32, Refusal> {
    start(alarm).await?;
    let ends = [LEAD, LEAD + u32::from(periods)];
    for ((capture, route), (number, end)) in CAPTURES.into_iter().zip(CAPTURE_ROUTES).zip(ends.into_iter().enumerate())
    {
        pac::RTC2.cc(number).write(|value| value.set_compare(end));
        pac::RTC2.events_compare(number).write_value(0);
        pac::RTC2.evtenset().write(|events| events.set_compare(number, true));
        let channel = pac::PPI.ch(route);
        channel.eep().write_value(pac::RTC2.events_compare(number).as_ptr() as u32);
        channel.tep().write_value(pac::TIMER3.tasks_capture(capture).as_ptr() as u32);
        pac::PPI.chenset().write(|enabled| enabled.set_ch(route, true));
    }
    pac::RTC2.prescaler().write(|value| value.set_prescaler(0));
    pac::RTC2.tasks_clear().write_value(1);
    pac::RTC2.tasks_start().write_value(1);
    let last = ends.len() - 1;
    let expected_us = (u64::from(ends[last]) * 1_000_000 / u64::from(TICK_HZ)) as u32;
    alarm.wait_us(expected_us).await;
    let mut passed = false;
    // A slow crystal may need a little longer; one that stopped never ends.
    for _ in 0..LATE_POLLS {
        passed = pac::RTC2.events_compare(last).read() != 0;
        if passed {
            break;
        }
        alarm.wait_us(POLL_MS * 1000).await;
    }
    pac::RTC2.tasks_stop().write_value(1);
    for (number, route) in CAPTURE_ROUTES.into_iter().enumerate() {
        pac::RTC2.evtenclr().write(|events| events.set_compare(number, true));
        pac::PPI.chenclr().write(|disabled| disabled.set_ch(route, true));
    }
    run_from(Lfclksrc::Rc);
    let [from, to] = CAPTURES.map(|capture| pac::TIMER3.cc(capture).read());
    if passed { Ok(to.wrapping_sub(from)) } else { Err(Refusal::NotRunning) }
}

/// Switches the 32.768 kHz clock over to the crystal.
async fn start(alarm: &mut Alarm) -> Result<(), Refusal> {
    run_from(Lfclksrc::Xtal);
    for _ in 0..CRYSTAL_START_MS / POLL_MS {
        if is_running() {
            return Ok(());
        }
        alarm.wait_us(POLL_MS * 1000).await;
    }
    run_from(Lfclksrc::Rc);
    Err(Refusal::NotRunning)
}

/// Changes the source of the 32.768 kHz clock, which continues to run.
fn run_from(source: Lfclksrc) {
    pac::CLOCK.lfclksrc().write(|value| value.set_src(source));
    pac::CLOCK.events_lfclkstarted().write_value(0);
    pac::CLOCK.tasks_lfclkstart().write_value(1);
}

fn is_running() -> bool {
    let status = pac::CLOCK.lfclkstat().read();
    pac::CLOCK.events_lfclkstarted().read() != 0 && status.state() && status.src() == Lfclksrc::Xtal
}
