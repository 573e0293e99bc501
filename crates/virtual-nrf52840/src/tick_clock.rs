//! A clock that counts its own ticks, from any oscillator and with any error: the 32.768 kHz clock and the 16 MHz clock
//! of the peripherals.

use crate::time::{NEVER, Time};

/// Nominal 32.768 kHz in millihertz; deviations of single parts per million stay visible.
pub const LF_MILLIHERTZ: u64 = 32_768_000;
/// Nominal 16 MHz in millihertz.
pub const HF_MILLIHERTZ: u64 = 16_000_000_000;

/// Eighth-nanoseconds times thousand per second.
const SCALE: u128 = 8_000_000_000_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct TickClock {
    /// Frequency while running, `None` while stopped.
    millihertz: Option<u64>,
    anchor_time: Time,
    anchor_ticks: u64,
}

/// `millihertz` off by `ppm`.
pub(crate) fn off_by(millihertz: u64, ppm: f64) -> u64 {
    (millihertz as f64 * (1.0 + ppm * 1e-6)).round().max(1.0) as u64
}

impl TickClock {
    pub fn is_running(&self) -> bool {
        self.millihertz.is_some()
    }

    /// Number of ticks since the start of the simulation.
    pub fn ticks(&self, now: Time) -> u64 {
        let Some(millihertz) = self.millihertz else { return self.anchor_ticks };
        let elapsed = u128::from(now.saturating_sub(self.anchor_time));
        self.anchor_ticks + (elapsed * u128::from(millihertz) / SCALE) as u64
    }

    /// The moment at which `ticks` reaches `tick`; `None` while stopped.
    pub fn time_of(&self, tick: u64) -> Option<Time> {
        let millihertz = self.millihertz?;
        let ahead = u128::from(tick.saturating_sub(self.anchor_ticks));
        let elapsed = (ahead * SCALE).div_ceil(u128::from(millihertz));
        Some(self.anchor_time.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }

    /// Duration of a number of ticks; `NEVER` while stopped.
    pub fn span(&self, ticks: u64) -> Time {
        let Some(millihertz) = self.millihertz else { return NEVER };
        u64::try_from(u128::from(ticks) * SCALE / u128::from(millihertz)).unwrap_or(NEVER)
    }

    /// The frequency in hertz, 0 while stopped.
    pub fn hertz(&self) -> f64 {
        self.millihertz.map_or(0.0, |millihertz| millihertz as f64 / 1000.0)
    }

    /// Changes the oscillator (`None` stops the clock) without losing the count.
    pub fn set_source(&mut self, now: Time, millihertz: Option<u64>) {
        self.anchor_ticks = self.ticks(now);
        self.anchor_time = now;
        self.millihertz = millihertz;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn time_of_a_tick_is_the_first_moment_that_counts_it() {
        for ppm in [-200.0, 0.0, 17.0, 20_000.0] {
            let mut clock = TickClock::default();
            clock.set_source(1_234_567, Some(off_by(LF_MILLIHERTZ, ppm)));
            for tick in [1, 2, 3, 1000, 32_768, 10_000_000_000] {
                let at = clock.time_of(tick).unwrap();
                assert_eq!(clock.ticks(at), tick);
                assert_eq!(clock.ticks(at - 1), tick - 1);
            }
        }
    }

    #[test]
    fn a_second_has_32768_ticks_and_a_stop_keeps_the_count() {
        let mut clock = TickClock::default();
        clock.set_source(0, Some(LF_MILLIHERTZ));
        assert_eq!(clock.ticks(SECOND), 32_768);
        clock.set_source(SECOND, None);
        assert_eq!(clock.ticks(5 * SECOND), 32_768);
        assert_eq!(clock.time_of(40_000), None);
    }
}
