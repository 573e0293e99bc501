//! What happens by itself because of a fault of the bench, and what a bad link does to bytes.

use super::{ForChip, LINK_UART, Rig};
use crate::bench_fault::Happening;
use crate::chips::{ChipModel, Mcp23017};

/// Longest burst of noise on the link, bytes.
const MOST_NOISE_BYTES: f64 = 4.0;
/// What another program writes.
const INTRUDER: &[u8] = b"AT\r\n";

impl Rig {
    pub(super) fn happen(&mut self, what: Happening, now_ns: u64) {
        match what {
            Happening::ResetExpander(index) => {
                if let Some(ChipModel::Expander(chip)) = self.chip_at(index) {
                    *chip = Mcp23017::default();
                    self.apply_commands(now_ns);
                }
            }
            Happening::Lid { closed } => {
                self.panel.set_lid(closed);
                self.panel_changed(now_ns);
            }
            Happening::Module { seated } => {
                self.circuit.touch_nail(None, seated, now_ns);
                self.look_at_field();
            }
            Happening::Nail { contact, touches, .. } => {
                self.circuit.touch_nail(Some(contact), touches, now_ns);
                self.edges.forget();
            }
            Happening::Ripple { rail, up, .. } => {
                let volts = self.damage.rails.get(&rail).map_or(0.0, |damage| damage.ripple_volts / 2.0);
                self.circuit.ripple(rail, if up { volts } else { -volts }, now_ns);
            }
            Happening::Noise { .. } => {
                for _ in 0..=(self.chance.unit() * MOST_NOISE_BYTES) as usize {
                    let (to_controller, to_module) = (self.chance.bits() as u8, self.chance.bits() as u8);
                    self.arrive(to_controller);
                    let baud = self.uart.baud;
                    if self.hearing().dut_hears_controller {
                        self.for_chip.push_back(ForChip { uart: LINK_UART, byte: to_module, baud });
                    }
                }
            }
            Happening::Intruder { .. } => {
                self.send(INTRUDER, now_ns);
                // It takes what has arrived since it last looked.
                self.uart.received.clear();
            }
            Happening::Stall { ns } => self.stall_ns = Some(self.stall_ns.unwrap_or(0).max(ns)),
        }
        let Self { damage, chance, .. } = self;
        damage.happenings.repeat(now_ns, what, chance);
    }

    /// A stall of the controller that begins now.
    pub fn take_stall(&mut self) -> Option<u64> {
        self.stall_ns.take()
    }

    /// Whether the I2C bus is held low.
    pub fn bus_is_low(&self, now_ns: u64) -> bool {
        self.damage.bus_low.is_some_and(|(from, to)| (from..to).contains(&now_ns))
    }

    /// How often a byte arrives that was sent once.
    pub(super) fn copies(&mut self, now_ns: u64) -> usize {
        let link = &self.damage.link;
        if link.gone.is_some_and(|(from, to)| (from..to).contains(&now_ns)) {
            return 0;
        }
        let (lose, double) = (link.lose_one_in, link.double_one_in);
        if lose.is_some_and(|one_in| self.chance.unit() * one_in < 1.0) {
            return 0;
        }
        if double.is_some_and(|one_in| self.chance.unit() * one_in < 1.0) { 2 } else { 1 }
    }

    /// A byte at the controller's input.
    pub(super) fn arrive(&mut self, byte: u8) {
        match self.damage.link.late_ns {
            0 => self.hand_over(byte),
            late_ns => {
                self.late.push_back((self.now_ns + late_ns, byte));
                self.stop = true;
            }
        }
    }
}
