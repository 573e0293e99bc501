//! SPIM: the SPI master's side of [`Serial`], one action for each edge of the clock.

use super::serial::{Output, Serial};
use crate::fabric::Fabric;
use crate::time::{NEVER, Time};

mod event {
    pub const STOPPED: u8 = 1;
    pub const ENDRX: u8 = 4;
    pub const END: u8 = 6;
    pub const ENDTX: u8 = 8;
    pub const STARTED: u8 = 19;
}

const SHORT_END_START: u8 = 17;
const SCK: usize = 0;
const MOSI: usize = 1;
const MISO: usize = 2;

/// The transfer under way; pointers and sizes are those at START.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    tx: (u32, u32),
    rx: (u32, u32),
    /// Index of the byte on the line, and the bit of it, counted in the order of the line.
    byte: u32,
    bit: u8,
    out: u8,
    input: u8,
    /// The next edge is the first of the two of a bit.
    leading: bool,
}

impl Transfer {
    fn length(&self) -> u32 {
        self.tx.1.max(self.rx.1)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Engine {
    transfer: Option<Transfer>,
    /// The next edge of the clock.
    pub next_at: Time,
    /// The clock is away from its idle level.
    active: bool,
    mosi: bool,
    suspend: bool,
    stop: bool,
}

/// Half a clock period in quarters of a 16 MHz tick.
pub(super) fn half_period(frequency: u32) -> Option<u64> {
    Some(match frequency {
        0x0200_0000 => 256,
        0x0400_0000 => 128,
        0x0800_0000 => 64,
        0x1000_0000 => 32,
        0x2000_0000 => 16,
        0x4000_0000 => 8,
        0x8000_0000 => 4,
        0x0A00_0000 => 2,
        0x1400_0000 => 1,
        _ => return None,
    })
}

impl Engine {
    pub fn new() -> Engine {
        Engine { transfer: None, next_at: NEVER, active: false, mosi: false, suspend: false, stop: false }
    }
}

impl Serial {
    pub(super) fn spim_drives(&self, port: usize) -> Option<Output> {
        if self.port(SCK) == Some(port) {
            let active_low = self.config & 4 != 0;
            return Some(Output::Level(self.spim.active != active_low));
        }
        (self.port(MOSI) == Some(port)).then_some(Output::Level(self.spim.mosi))
    }

    fn samples_on_trailing(&self) -> bool {
        self.config & 2 != 0
    }

    /// The mask of a bit of a byte, in the order of the line.
    fn mask(&self, bit: u8) -> u8 {
        if self.config & 1 != 0 { 1 << bit } else { 0x80 >> bit }
    }

    fn half(&self, fabric: &Fabric) -> Time {
        fabric.hfclk.span(half_period(self.frequency).unwrap_or(128)) / 4
    }

    pub(super) fn spim_task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x010 => self.spim_start(fabric),
            0x014 => match self.spim.transfer {
                Some(_) if self.spim.next_at != NEVER => self.spim.stop = true,
                Some(transfer) => self.spim_end(fabric, transfer, true),
                None => self.common.raise(fabric, event::STOPPED),
            },
            0x01C => self.spim.suspend = self.spim.transfer.is_some(),
            0x020 => {
                self.spim.suspend = false;
                if self.spim.transfer.is_some() && self.spim.next_at == NEVER {
                    self.spim_next_byte(fabric);
                }
            }
            // Tasks of the TWI master.
            0x000 | 0x008 => {}
            _ => return false,
        }
        true
    }

    fn spim_start(&mut self, fabric: &mut Fabric) {
        if self.spim.transfer.is_some() {
            return;
        }
        let transfer = Transfer {
            tx: (self.tx.pointer, self.tx.size),
            rx: (self.rx.pointer, self.rx.size),
            byte: 0,
            bit: 0,
            out: 0,
            input: 0,
            leading: true,
        };
        (self.tx.amount, self.rx.amount) = (0, 0);
        (self.spim.stop, self.spim.suspend) = (false, false);
        self.common.raise(fabric, event::STARTED);
        self.spim_raise_ends(fabric, transfer);
        if transfer.length() == 0 {
            // Prevents an endless loop with END_START.
            self.common.raise(fabric, event::END);
            return;
        }
        self.spim.transfer = Some(transfer);
        self.spim_next_byte(fabric);
    }

    /// Generates ENDTX or ENDRX when the end of that buffer was just reached.
    fn spim_raise_ends(&mut self, fabric: &mut Fabric, transfer: Transfer) {
        if transfer.byte == transfer.tx.1 {
            self.common.raise(fabric, event::ENDTX);
        }
        if transfer.byte == transfer.rx.1 {
            self.common.raise(fabric, event::ENDRX);
        }
    }

    fn spim_next_byte(&mut self, fabric: &mut Fabric) {
        let Some(mut transfer) = self.spim.transfer else { return };
        let (pointer, size) = transfer.tx;
        let sent = (transfer.byte < size)
            .then(|| fabric.dma_read(self.common.name, pointer.wrapping_add(transfer.byte)))
            .flatten();
        transfer.out = sent.unwrap_or(self.over_read);
        (transfer.bit, transfer.input, transfer.leading) = (0, 0, true);
        self.spim.transfer = Some(transfer);
        if !self.samples_on_trailing() {
            self.spim_shift_out(fabric, transfer);
        }
        self.spim.next_at = fabric.now + self.half(fabric);
        fabric.touch(self.common.id);
    }

    fn spim_shift_out(&mut self, fabric: &mut Fabric, transfer: Transfer) {
        let level = transfer.out & self.mask(transfer.bit) != 0;
        if std::mem::replace(&mut self.spim.mosi, level) != level {
            self.dirty(fabric, MOSI);
        }
    }

    fn spim_sample(&mut self, fabric: &mut Fabric, transfer: &mut Transfer) {
        if transfer.byte < transfer.rx.1 && self.port(MISO).is_some() {
            let levels = fabric.levels();
            if self.sees(fabric, MISO, levels) {
                transfer.input |= self.mask(transfer.bit);
            }
        }
    }

    /// An edge of the clock. Input is sampled as it is just before the edge.
    pub(super) fn spim_act(&mut self, fabric: &mut Fabric) {
        let Some(mut transfer) = self.spim.transfer else { return };
        let leading = transfer.leading;
        if leading == self.samples_on_trailing() {
            if leading {
                self.spim_shift_out(fabric, transfer);
            }
        } else {
            self.spim_sample(fabric, &mut transfer);
        }
        self.spim.active = leading;
        self.dirty(fabric, SCK);
        transfer.leading = !leading;
        self.spim.next_at = fabric.now + self.half(fabric);
        if !leading {
            transfer.bit += 1;
            if transfer.bit == 8 {
                self.spim_byte_done(fabric, transfer);
                return;
            }
            if !self.samples_on_trailing() {
                self.spim_shift_out(fabric, transfer);
            }
        }
        self.spim.transfer = Some(transfer);
    }

    fn spim_byte_done(&mut self, fabric: &mut Fabric, mut transfer: Transfer) {
        if transfer.byte < transfer.rx.1 {
            fabric.dma_write(self.common.name, transfer.rx.0.wrapping_add(transfer.byte), &[transfer.input]);
        }
        transfer.byte += 1;
        self.tx.amount = transfer.byte.min(transfer.tx.1);
        self.rx.amount = transfer.byte.min(transfer.rx.1);
        self.spim_raise_ends(fabric, transfer);
        self.spim.transfer = Some(transfer);
        if transfer.byte == transfer.length() || self.spim.stop {
            self.spim_end(fabric, transfer, self.spim.stop);
        } else if self.spim.suspend {
            self.spim.next_at = NEVER;
        } else {
            self.spim_next_byte(fabric);
        }
    }

    fn spim_end(&mut self, fabric: &mut Fabric, transfer: Transfer, stopped: bool) {
        (self.spim.transfer, self.spim.next_at, self.spim.stop) = (None, NEVER, false);
        if transfer.byte < transfer.tx.1 {
            self.common.raise(fabric, event::ENDTX);
        }
        if transfer.byte < transfer.rx.1 {
            self.common.raise(fabric, event::ENDRX);
        }
        self.common.raise(fabric, event::END);
        if stopped {
            self.common.raise(fabric, event::STOPPED);
        } else if self.common.has_short(SHORT_END_START) {
            self.spim_start(fabric);
        }
    }
}
