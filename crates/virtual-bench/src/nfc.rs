//! The air between the fixture's NFC reader and the module: frames, and the strength of the field.

use crate::chips::{ChipModel, Pn532};
use crate::rig::Rig;
use std::collections::VecDeque;
use virtual_nrf52840::NfcFrame;

/// What is on its way to the chip.
#[derive(Debug, PartialEq)]
pub enum ForTag {
    /// The field appeared or disappeared.
    Field(bool),
    Frame(NfcFrame),
}

#[derive(Default)]
pub struct Field {
    /// Position of the reader among the fixture's chips.
    reader: Option<usize>,
    /// Strength at the last check.
    strength: f64,
    /// The chip detects the field.
    reaches: bool,
    for_tag: VecDeque<ForTag>,
}

impl Field {
    pub fn new(fixture: &bench_plan::Fixture) -> Self {
        Self { reader: fixture.nfc.map(|nfc| nfc.reader), ..Self::default() }
    }
}

impl Rig {
    fn nfc_reader(&mut self) -> Option<&mut Pn532> {
        match self.chip_at(self.field.reader?)? {
            ChipModel::Nfc(reader) => Some(reader),
            _ => None,
        }
    }

    pub(crate) fn next_nfc_event_ns(&self) -> Option<u64> {
        match &self.chip_model(self.field.reader?)? {
            ChipModel::Nfc(reader) => reader.next_event_ns(),
            _ => None,
        }
    }

    /// Executes what is due in the reader.
    pub(crate) fn act_nfc(&mut self, now_ns: u64) {
        let Some(reader) = self.nfc_reader() else { return };
        if reader.next_event_ns().is_none_or(|at| at > now_ns) {
            return;
        }
        match reader.act(now_ns) {
            // Joints and shorts may have changed since the last frame.
            Some(frame) => {
                self.look_at_field();
                if self.field.reaches {
                    self.field.for_tag.push_back(ForTag::Frame(frame));
                }
            }
            None => self.follow_reader(),
        }
    }

    /// Updates the reader's field after each byte to it; most bytes change nothing.
    pub(crate) fn follow_reader(&mut self) {
        let before = self.field.strength;
        if self.nfc_reader().is_some_and(|reader| reader.field() != before) {
            self.look_at_field();
        }
    }

    /// Recomputes whether the chip detects the field: after a change of the field or of the antenna's switches, and for
    /// every frame.
    pub(crate) fn look_at_field(&mut self) {
        let ordered = self.nfc_reader().map_or(0.0, |reader| reader.field());
        self.field.strength = ordered;
        let strength = ordered * self.damage.air.nfc_field.unwrap_or(1.0);
        let reaches = self.circuit.nfc_reaches(strength);
        if reaches != std::mem::replace(&mut self.field.reaches, reaches) {
            self.field.for_tag.push_back(ForTag::Field(reaches));
        }
    }

    /// The next event at the chip's tag.
    pub(crate) fn take_for_tag(&mut self) -> Option<ForTag> {
        self.field.for_tag.pop_front()
    }

    /// The chip's tag has just sent a frame.
    pub(crate) fn tag_sent(&mut self, frame: &NfcFrame, at_ns: u64) {
        if self.field.reaches
            && let Some(reader) = self.nfc_reader()
        {
            reader.hear(frame, at_ns);
        }
    }
}
