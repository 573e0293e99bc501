//! Changes by the ordered faults of the bench, grouped by the part of the virtual bench that applies them.

use super::BenchFault;
use super::happenings::Happenings;
use bench_plan::{Fixture, IoBit};
use bench_run::Contact;
use std::collections::BTreeMap;

/// All differences from a good bench.
#[derive(Debug, Clone, Default)]
pub(crate) struct BenchDamage {
    /// Ohms in series with the contact of a nail.
    pub worn: Vec<(Contact, f64)>,
    /// Nails that touch nothing.
    pub lifted: Vec<Contact>,
    /// Nails whose touch comes and goes: mean time between two openings, ns.
    pub loose: Vec<(Contact, u64)>,
    /// Ohms between two nails.
    pub dirt: Vec<(Contact, Contact, f64)>,
    /// Wires of nails that are exchanged.
    pub exchanged: Vec<(Contact, Contact)>,
    /// Channels of the multiplexer that never close.
    pub dead_channels: Vec<Contact>,
    pub bits: BTreeMap<(usize, u8), BitDamage>,
    pub chips: BTreeMap<usize, ChipDamage>,
    /// The data line of the I2C bus is held low: from and to, ns.
    pub bus_low: Option<(u64, u64)>,
    pub adc: AdcDamage,
    pub dac: AdcDamage,
    pub monitors: BTreeMap<usize, MonitorDamage>,
    pub rails: BTreeMap<usize, RailDamage>,
    pub link: LinkDamage,
    pub probe: ProbeDamage,
    pub air: AirDamage,
    /// What happens at some time, whatever the bench does.
    pub happenings: Happenings,
    pub nest_is_empty: bool,
    /// The module in the nest is another one than the label says.
    pub other_module: bool,
    pub controller: ControllerDamage,
}

/// Of an output of a port expander.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitDamage {
    /// The pin itself, which the expander reads back.
    Pin(bool),
    /// The switch behind it, which nothing reads back: closed or open.
    Switch(bool),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ChipDamage {
    pub silent: bool,
    /// Strapped to another address.
    pub moved: bool,
    /// One transfer of this many is not acknowledged.
    pub nack_one_in: Option<f64>,
}

/// Of the ADC's conversions, or of the DAC's output.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AdcDamage {
    pub offset_volts: f64,
    /// Relative.
    pub gain_error: f64,
    /// Standard deviation.
    pub noise_volts: f64,
    /// What it always shows.
    pub stuck_volts: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MonitorDamage {
    pub offset_amps: f64,
    pub gain_error: f64,
    pub bus_gain_error: f64,
    pub noise_amps: f64,
    /// The result of every conversion is that of the first one.
    pub stuck: bool,
    pub saturated: bool,
    /// Factor of the shunt that is really fitted.
    pub shunt_factor: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RailDamage {
    /// Relative.
    pub volts_error: f64,
    /// Peak to peak.
    pub ripple_volts: f64,
    pub rise_ns: Option<u64>,
    pub limit_amps: Option<f64>,
    pub no_discharge: bool,
    pub stuck_on: bool,
}

/// Of the line between the controller's UART and the relay.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LinkDamage {
    pub lose_one_in: Option<f64>,
    pub double_one_in: Option<f64>,
    /// From and to: nothing passes.
    pub gone: Option<(u64, u64)>,
    /// The controller gets what it receives this much later.
    pub late_ns: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProbeDamage {
    pub lost_after: Option<u64>,
    /// Factor of the time that a transfer takes.
    pub slower: Option<u64>,
    pub wrong_one_in: Option<f64>,
    pub twice: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AirDamage {
    pub deaf: bool,
    pub gone: bool,
    pub loss_db: f64,
    /// Share of the packets that others on the band destroy.
    pub busy_share: f64,
    /// Share that is left of the NFC reader's field.
    pub nfc_field: Option<f64>,
    pub nfc_coil_open: bool,
}

/// Of the controller outside of the fixture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ControllerDamage {
    pub disk: DiskDamage,
    /// Seconds by which its clock is stepped in the middle of a run.
    pub clock_step_s: Option<f64>,
}

/// Of the disk that holds the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum DiskDamage {
    #[default]
    None,
    /// Each write takes this long, in seconds.
    Slow(f64),
    /// It takes this many bytes.
    Full(u64),
    /// No file can be opened any more: what was written cannot be read back.
    NoHandles,
}

impl BenchDamage {
    /// The faults must have been checked against the fixture.
    pub fn of(faults: &[BenchFault], fixture: &Fixture) -> Self {
        let mut damage = Self::default();
        for fault in faults {
            (fault.kind.effect)(fault, fixture, &mut damage);
        }
        damage
    }

    pub fn chip(&mut self, index: Option<usize>, change: impl FnOnce(&mut ChipDamage)) {
        if let Some(index) = index {
            change(self.chips.entry(index).or_default());
        }
    }

    pub fn monitor(&mut self, index: Option<usize>, change: impl FnOnce(&mut MonitorDamage)) {
        if let Some(index) = index {
            change(self.monitors.entry(index).or_default());
        }
    }

    pub fn rail(&mut self, index: Option<usize>, change: impl FnOnce(&mut RailDamage)) {
        if let Some(index) = index {
            change(self.rails.entry(index).or_default());
        }
    }

    pub fn bit(&mut self, bit: Option<IoBit>, damage: BitDamage) {
        if let Some(bit) = bit {
            self.bits.insert((bit.chip, bit.bit), damage);
        }
    }

    pub fn bit_of(&self, bit: IoBit) -> Option<BitDamage> {
        self.bits.get(&(bit.chip, bit.bit)).copied()
    }

    /// The nails whose touch changes during the run; all of them if the module itself moves.
    pub fn moving(&self, fixture: &Fixture) -> Vec<Contact> {
        if self.happenings.move_the_module() {
            return fixture.nails.keys().chain(fixture.joined.keys()).copied().collect();
        }
        self.loose.iter().map(|(contact, _)| *contact).collect()
    }
}

impl ControllerDamage {
    /// Both of them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            disk: if other.disk == DiskDamage::None { self.disk } else { other.disk },
            clock_step_s: other.clock_step_s.or(self.clock_step_s),
        }
    }
}

impl AdcDamage {
    /// What comes out for this voltage, without noise.
    pub fn of(&self, volts: f64) -> f64 {
        self.stuck_volts.unwrap_or(volts * (1.0 + self.gain_error) + self.offset_volts)
    }
}
