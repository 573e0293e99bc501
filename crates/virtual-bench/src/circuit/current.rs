//! Current of the chip from 3V3, by activity.
//!
//! The module's tables (Device OS, cellular off) say 4.5 mA to 5.2 mA idle, where the CPU never sleeps, 0.55 mA in STOP
//! sleep with a clock running, 48 uA in ultra-low-power sleep and 26 uA in hibernation; 24 uA of all of these is the
//! rest of the module. The firmware of the bench leaves the chip on its linear regulator, which takes 6.3 mA (nRF52840
//! product specification, CPU from flash) instead of 3.3 mA. No table gives its current asleep with the 32 MHz crystal
//! on and its UART listening; 1.4 mA is an estimate: some 0.6 mA for the receiver, the crystal, and the same regulator.

use super::Circuit;
use crate::random::Random;
use virtual_nrf52840::Activity;

/// Amperes at 3.3 V.
#[derive(Debug, Clone, Copy)]
pub struct ChipCurrents {
    pub busy: f64,
    /// Asleep, with the 32 MHz crystal running.
    pub clocked: f64,
    /// Asleep, only the 32.768 kHz clock running.
    pub asleep: f64,
    /// System OFF.
    pub off: f64,
}

/// Smallest change of the current that causes a new solution of the network.
const WORTH_IT: f64 = 0.03;

impl ChipCurrents {
    pub fn new(random: &mut Random) -> Self {
        Self {
            busy: random.within(6.3e-3, 0.1),
            clocked: random.within(1.4e-3, 0.1),
            asleep: random.within(22e-6, 0.1),
            off: random.within(1.5e-6, 0.2),
        }
    }

    /// Mean between two samples, `None` if no time passed.
    pub fn mean(&self, before: &Activity, now: &Activity) -> Option<f64> {
        let idle = if now.hfxo_running { self.clocked } else { self.asleep };
        let shares = [
            (now.run_ns.saturating_sub(before.run_ns), self.busy),
            (now.sleep_ns.saturating_sub(before.sleep_ns), idle),
            (now.halted_ns.saturating_sub(before.halted_ns), self.clocked),
            (now.off_ns.saturating_sub(before.off_ns), self.off),
        ];
        let all: u64 = shares.iter().map(|(ns, _)| ns).sum();
        let charge: f64 = shares.iter().map(|(ns, amps)| *ns as f64 * amps).sum();
        (all > 0).then(|| charge / all as f64)
    }
}

impl Circuit {
    /// Takes the chip's activity since the last call.
    pub fn set_activity(&mut self, activity: Activity) {
        let before = std::mem::replace(&mut self.activity, activity);
        if let Some(amps) = self.wiring.parts.chip.mean(&before, &activity)
            && (amps - self.wiring.logic_amps).abs() > WORTH_IT * self.wiring.logic_amps
        {
            self.wiring.logic_amps = amps;
            self.touch();
        }
    }
}
