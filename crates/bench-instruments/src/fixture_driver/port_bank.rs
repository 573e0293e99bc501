//! All port expanders of the fixture together: outputs by role, nails by contact, one safe state.

use super::expander::{Expander, Register};
use crate::{ContactSet, Disturbance, InstrumentError, NailVector};
use bench_plan::{Bed, Fixture, IoBit, NailWiring};
use bench_run::Contact;
use embedded_hal::i2c::I2c;
use std::collections::BTreeMap;

/// Number of write attempts per chip for the safe state.
const SAFE_STATE_ATTEMPTS: u32 = 3;

/// No method awaits, so a `RefCell` around it is never borrowed across a suspension.
pub struct PortBank<B> {
    /// By position in the fixture's list of chips; other kinds of chip are absent.
    chips: BTreeMap<usize, Expander<B>>,
    nails: BTreeMap<Contact, IoBit>,
    /// Bits of nails in each chip that has any.
    nail_bits: BTreeMap<usize, u16>,
    /// Low in the safe state, written before those that are high: rails, source, multiplexer, relay, peers.
    switched_off: Vec<IoBit>,
    /// High in the safe state: discharges and feeds.
    switched_on: Vec<IoBit>,
    /// Enables of the rails in each chip that has any.
    rail_bits: BTreeMap<usize, u16>,
    /// Why only the safe state may still switch anything.
    locked: Option<String>,
}

fn mask(bit: IoBit) -> u16 {
    1u16.checked_shl(bit.bit.into()).unwrap_or(0)
}

impl<B: I2c> PortBank<B> {
    pub fn new(fixture: &Fixture, bed: &Bed, chips: BTreeMap<usize, Expander<B>>) -> Self {
        let bus = &bed.measure_bus;
        let mut switched_off: Vec<IoBit> = fixture.rails.iter().map(|rail| rail.enable).collect();
        switched_off.extend([bus.source_enable, bed.link_relay]);
        switched_off.extend(fixture.usb.map(|usb| usb.switch));
        switched_off.extend(fixture.nfc.and_then(|nfc| nfc.coil).map(|coil| coil.switch));
        switched_off.extend(bus.banks.iter().chain(&bus.address));
        switched_off.extend(fixture.peers.iter().map(|peer| peer.select));
        let mut switched_on: Vec<IoBit> = fixture.rails.iter().map(|rail| rail.discharge).collect();
        let mut nails = BTreeMap::new();
        let mut nail_bits = BTreeMap::new();
        for (contact, nail) in &fixture.nails {
            match nail.wiring {
                NailWiring::Io { io, .. } => {
                    nails.insert(*contact, io);
                    *nail_bits.entry(io.chip).or_default() |= mask(io);
                }
                NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. } => switched_on.push(feed),
            }
        }
        let mut rail_bits = BTreeMap::new();
        for rail in &fixture.rails {
            *rail_bits.entry(rail.enable.chip).or_default() |= mask(rail.enable);
        }
        Self { chips, nails, nail_bits, switched_off, switched_on, rail_bits, locked: None }
    }

    pub fn nails(&self) -> ContactSet {
        self.nails.keys().copied().collect()
    }

    /// Sets outputs with one write per chip. Call it several times to enforce an order.
    pub fn set_outputs(&mut self, outputs: &[(IoBit, bool)]) -> Result<(), InstrumentError> {
        self.refuse_if_locked()?;
        // A write sets all outputs of a chip: it must not restore one that another program has switched off.
        let touched = |index: &usize| outputs.iter().any(|(bit, _)| bit.chip == *index);
        let powered: Vec<usize> = self.powered().filter(touched).collect();
        powered.into_iter().try_for_each(|index| self.same_as_written(index))?;
        for (bit, high) in outputs {
            self.want(*bit, Register::Latch, *high);
        }
        self.chips
            .iter_mut()
            .filter(|(index, _)| outputs.iter().any(|(bit, _)| bit.chip == **index))
            .try_for_each(|(_, chip)| chip.flush(Register::Latch))
    }

    /// Moves nails over all chips: first the released ones, then levels, then directions, so that no nail is driven
    /// with a stale level and no two nails oppose each other while the vector changes. All contacts must be wired.
    pub fn set_nails(&mut self, vector: NailVector) -> Result<(), InstrumentError> {
        self.refuse_if_locked()?;
        for (set, pull) in [(vector.pull_up, true), (vector.float, false)] {
            for bit in self.bits(set) {
                self.want(bit, Register::PullUp, pull);
                self.want(bit, Register::Direction, true);
            }
        }
        self.flush_nails(Register::PullUp)?;
        self.flush_nails(Register::Direction)?;
        for (set, high) in [(vector.high, true), (vector.low, false)] {
            for bit in self.bits(set) {
                self.want(bit, Register::Latch, high);
            }
        }
        self.flush_nails(Register::Latch)?;
        for bit in self.bits(vector.high.union(vector.low)) {
            self.want(bit, Register::Direction, false);
        }
        self.flush_nails(Register::Direction)
    }

    /// Returns the nails that read high.
    pub fn read_nails(&mut self) -> Result<ContactSet, InstrumentError> {
        let mut levels = BTreeMap::new();
        for index in self.nail_bits.keys() {
            if let Some(chip) = self.chips.get_mut(index) {
                levels.insert(*index, chip.levels()?);
            }
        }
        let is_high = |bit: &IoBit| levels.get(&bit.chip).is_some_and(|level| level & mask(*bit) != 0);
        Ok(self.nails.iter().filter(|(_, bit)| is_high(bit)).map(|(contact, _)| *contact).collect())
    }

    /// Switches everything off and releases the nails, then closes discharges and feeds. Writes all registers, tries
    /// each chip several times, continues after errors, and returns the first error that remained.
    pub fn safe_state(&mut self, reset_addressing: bool) -> Result<(), InstrumentError> {
        let mut result = Ok(());
        let mut each_chip = |chips: &mut BTreeMap<usize, Expander<B>>, reset: bool| {
            for chip in chips.values_mut() {
                let mut outcome = Ok(());
                for _ in 0..SAFE_STATE_ATTEMPTS {
                    outcome = if reset { chip.reset_addressing() } else { Ok(()) }.and_then(|()| chip.rewrite());
                    if outcome.is_ok() {
                        break;
                    }
                }
                if result.is_ok() {
                    result = outcome;
                }
            }
        };
        for (index, chip) in &mut self.chips {
            let nails = self.nail_bits.get(index).copied().unwrap_or(0);
            chip.want(Register::Direction, nails, 0xFFFF);
            chip.want(Register::PullUp, 0xFFFF, 0);
            chip.want(Register::Latch, nails, 0);
        }
        for bit in self.switched_off.iter().chain(&self.switched_on) {
            if let Some(chip) = self.chips.get_mut(&bit.chip) {
                chip.want(Register::Direction, mask(*bit), 0);
            }
        }
        for bit in &self.switched_off {
            if let Some(chip) = self.chips.get_mut(&bit.chip) {
                chip.want(Register::Latch, mask(*bit), 0);
            }
        }
        each_chip(&mut self.chips, reset_addressing);
        for bit in &self.switched_on {
            if let Some(chip) = self.chips.get_mut(&bit.chip) {
                chip.want(Register::Latch, mask(*bit), 0xFFFF);
            }
        }
        each_chip(&mut self.chips, false);
        result
    }

    /// Locks every switch for the rest of this bank's life, except for the safe state.
    pub fn lock(&mut self, why: &str) {
        self.locked.get_or_insert_with(|| why.to_owned());
    }

    /// Takes it for granted that pins follow their latches.
    pub fn trust_pins(&mut self) {
        self.chips.values_mut().for_each(Expander::trust_pins);
    }

    pub fn chips(&self) -> usize {
        self.chips.len()
    }

    /// Returns which of the chips hold enables of rails.
    pub fn rail_chips(&self) -> Vec<usize> {
        self.chips.keys().enumerate().filter(|(_, index)| self.rail_bits.contains_key(index)).map(|(n, _)| n).collect()
    }

    /// Compares the chip at this index with its last write.
    pub fn check(&mut self, place: usize) -> Result<(), Disturbance> {
        self.chips.values_mut().nth(place).map_or(Ok(()), Expander::check)
    }

    /// Verifies that what was switched on is on.
    pub fn confirm(&mut self, bit: IoBit) -> Result<(), InstrumentError> {
        self.same_as_written(bit.chip)
    }

    fn same_as_written(&mut self, index: usize) -> Result<(), InstrumentError> {
        let checked = self.chips.get_mut(&index).map_or(Ok(()), Expander::check);
        checked.map_err(|disturbance| {
            let why = disturbance.to_string();
            self.lock(&why);
            InstrumentError::PowerCut(why)
        })
    }

    fn refuse_if_locked(&self) -> Result<(), InstrumentError> {
        self.locked.clone().map_or(Ok(()), |why| Err(InstrumentError::PowerCut(why)))
    }

    /// Returns the chips with an active rail enable.
    fn powered(&self) -> impl Iterator<Item = usize> {
        let on = |(index, bits): &(&usize, &u16)| {
            self.chips.get(index).is_some_and(|chip| chip.wanted(Register::Latch) & **bits != 0)
        };
        self.rail_bits.iter().filter(on).map(|(index, _)| *index)
    }

    fn bits(&self, contacts: ContactSet) -> Vec<IoBit> {
        contacts.iter().filter_map(|contact| self.nails.get(&contact).copied()).collect()
    }

    fn want(&mut self, bit: IoBit, register: Register, high: bool) {
        if let Some(chip) = self.chips.get_mut(&bit.chip) {
            chip.want(register, mask(bit), if high { 0xFFFF } else { 0 });
        }
    }

    fn flush_nails(&mut self, register: Register) -> Result<(), InstrumentError> {
        self.chips
            .iter_mut()
            .filter(|(index, _)| self.nail_bits.contains_key(index))
            .try_for_each(|(_, chip)| chip.flush(register))
    }
}
