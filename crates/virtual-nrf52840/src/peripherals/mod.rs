//! Peripheral models, each from the register description of the nRF52840 product specification.

pub(crate) mod clock_power;
pub(crate) mod egu;
pub(crate) mod gpio;
pub(crate) mod gpiote;
pub(crate) mod info;
pub(crate) mod nfct;
pub(crate) mod nvmc;
pub(crate) mod ppi;
pub(crate) mod pwm;
pub(crate) mod qspi;
pub(crate) mod radio;
pub(crate) mod rng_temp;
pub(crate) mod rtc;
pub(crate) mod saadc;
pub(crate) mod serial;
pub(crate) mod silicon;
pub(crate) mod spim;
pub(crate) mod storage;
pub(crate) mod timer;
pub(crate) mod twim;
pub(crate) mod uarte;
pub(crate) mod usbd;
pub(crate) mod wdt;

use crate::fabric::Fabric;
use crate::time::{NEVER, Time};

/// Value of an `EVENTS_` register after its event, and value that triggers a task.
pub const TRIGGER: u32 = 1;

/// Events, interrupt enables and shortcuts: the same in every block.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// Peripheral id: its address is 0x4000_0000 + id * 0x1000, its interrupt number is id.
    pub id: u8,
    pub name: &'static str,
    /// Events that are modelled, bit n for the register at 0x100 + 4 n.
    known_events: u32,
    /// Bits of SHORTS that are modelled.
    known_shorts: u32,
    pub events: u32,
    pub inten: u32,
    pub shorts: u32,
}

impl Common {
    pub fn new(id: u8, name: &'static str, known_events: u32, known_shorts: u32) -> Common {
        Common { id, name, known_events, known_shorts, events: 0, inten: 0, shorts: 0 }
    }

    /// Generates an event: latches it and passes it to the PPI.
    pub fn raise(&mut self, fabric: &mut Fabric, event: u8) {
        self.events |= 1 << event;
        fabric.touch(self.id);
        fabric.fired.push((self.id, event));
    }

    pub fn has_short(&self, bit: u8) -> bool {
        self.shorts & 1 << bit != 0
    }

    pub fn irq(&self) -> bool {
        self.events & self.inten != 0
    }

    /// Whether the event is modelled.
    pub fn has_event(&self, event: u32) -> bool {
        event < 32 && self.known_events >> event & 1 != 0
    }

    /// Unmodelled bits in a write to SHORTS, INTEN or INTENSET: name of the register, bits.
    pub fn lost_bits(&self, offset: u32, value: u32) -> Option<(&'static str, u32)> {
        let register = match offset {
            0x200 => "SHORTS",
            0x300 => "INTEN",
            0x304 => "INTENSET",
            _ => return None,
        };
        let (events, shorts) = silicon::events_and_shorts(self.id);
        let bits = if offset == 0x200 { shorts & !self.known_shorts } else { events & !self.known_events };
        (value & bits != 0).then_some((register, value & bits))
    }

    /// Reads one of the common registers; `None` if `offset` is not one.
    pub fn read(&self, offset: u32) -> Option<u32> {
        match offset {
            0x100..=0x17C if self.known_events & event_bit(offset) != 0 => {
                Some(u32::from(self.events & event_bit(offset) != 0))
            }
            0x200 if self.known_shorts != 0 => Some(self.shorts),
            0x300 | 0x304 | 0x308 if self.known_events != 0 => Some(self.inten),
            _ => None,
        }
    }

    /// Writes one of the common registers; `false` if `offset` is not one. Event registers are
    /// cleared by writing 0; writing 1 sets the register but generates no event.
    pub fn write(&mut self, offset: u32, value: u32) -> bool {
        match offset {
            0x100..=0x17C if self.known_events & event_bit(offset) != 0 => {
                if value & 1 == 0 {
                    self.events &= !event_bit(offset);
                } else {
                    self.events |= event_bit(offset);
                }
            }
            // Clearing an event that never comes has no effect.
            0x100..=0x17C if value == 0 && silicon::events_and_shorts(self.id).0 & event_bit(offset) != 0 => {}
            0x200 if self.known_shorts != 0 => self.shorts = value & self.known_shorts,
            0x300 if self.known_events != 0 => self.inten = value & self.known_events,
            0x304 if self.known_events != 0 => self.inten |= value & self.known_events,
            0x308 if self.known_events != 0 => self.inten &= !value,
            _ => return false,
        }
        true
    }
}

fn event_bit(offset: u32) -> u32 {
    if offset & 3 == 0 { 1 << ((offset - 0x100) / 4) } else { 0 }
}

/// One peripheral block.
pub(crate) trait Peripheral {
    fn common(&self) -> &Common;

    /// Reads a register; `None`: there is no such register in the model.
    fn read(&mut self, fabric: &mut Fabric, offset: u32) -> Option<u32>;

    /// Writes a register; `false`: there is no such register in the model.
    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool;

    /// Next time at which the peripheral acts by itself, if nothing is written until then. Later than now.
    fn deadline(&self, _fabric: &Fabric) -> Time {
        NEVER
    }

    /// Its deadline is now.
    fn act(&mut self, _fabric: &mut Fabric) {}
}

/// Index of a register in an array of them, if `offset` is one of `count` registers from `first`.
pub(crate) fn index(offset: u32, first: u32, stride: u32, count: u32) -> Option<usize> {
    let distance = offset.checked_sub(first)?;
    (distance % stride == 0 && distance / stride < count).then_some((distance / stride) as usize)
}
