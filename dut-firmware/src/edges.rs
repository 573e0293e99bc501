//! Interrupt channels: each counts the edges of one port; all eight work at the same time.

use crate::ports;
use core::sync::atomic::{AtomicU32, Ordering};
use dut_protocol::{EDGE_CHANNELS, Edges, Port, Refusal};
use embassy_nrf::interrupt::{self, InterruptExt};
use embassy_nrf::pac;
use embassy_nrf::pac::gpiote::vals::{Mode, Polarity};

static COUNTS: [AtomicU32; EDGE_CHANNELS] = [const { AtomicU32::new(0) }; EDGE_CHANNELS];

/// The channels in use, which are GPIOTE's.
pub struct Channels {
    open: usize,
}

impl Channels {
    /// All closed. GPIOTE must be free: the counting jobs use it too, see `session`.
    pub fn new() -> Self {
        // SAFETY: the handler below touches only GPIOTE's events and the counters, which may be used at any time.
        unsafe { interrupt::GPIOTE.enable() };
        Self { open: 0 }
    }

    pub fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Opens the next channel and returns its number.
    pub fn watch(&mut self, port: Port, edges: Edges) -> Result<u8, Refusal> {
        let channel = self.open;
        let count = COUNTS.get(channel).ok_or(Refusal::NoChannelLeft)?;
        ports::connect_input(port);
        pac::GPIOTE.config(channel).write(|config| {
            config.set_mode(Mode::Event);
            config.set_psel(port.pin());
            config.set_port(port.bank() == 1);
            config.set_polarity(match edges {
                Edges::Rising => Polarity::LoToHi,
                Edges::Falling => Polarity::HiToLo,
                Edges::Both => Polarity::Toggle,
            });
        });
        pac::GPIOTE.events_in(channel).write_value(0);
        count.store(0, Ordering::Relaxed);
        pac::GPIOTE.intenset(0).write(|enabled| enabled.set_in_(channel, true));
        self.open += 1;
        Ok(channel as u8)
    }

    /// Takes the counts of each channel since it was opened or last read.
    pub fn take(&self) -> [u32; EDGE_CHANNELS] {
        core::array::from_fn(|channel| COUNTS[channel].swap(0, Ordering::Relaxed))
    }

    /// Closes every channel.
    pub fn close(&mut self) {
        for (channel, count) in COUNTS.iter().enumerate().take(self.open) {
            pac::GPIOTE.intenclr(0).write(|disabled| disabled.set_in_(channel, true));
            pac::GPIOTE.config(channel).write(|config| config.set_mode(Mode::Disabled));
            count.store(0, Ordering::Relaxed);
        }
        self.open = 0;
    }
}

/// Counts.
pub struct InterruptHandler;

impl interrupt::typelevel::Handler<interrupt::typelevel::GPIOTE> for InterruptHandler {
    unsafe fn on_interrupt() {
        for (channel, count) in COUNTS.iter().enumerate() {
            // Events of the counting jobs raise no interrupt and are left to the jobs.
            let ours = pac::GPIOTE.intenset(0).read().in_(channel);
            if ours && pac::GPIOTE.events_in(channel).read() != 0 {
                pac::GPIOTE.events_in(channel).write_value(0);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
