//! TWIM: the I2C master's side of [`Serial`], one action for each quarter of a clock period.
//!
//! The block drives the lines low or releases them; their levels come from the board. It waits endlessly for a line
//! that stays low where it should be high: the timeout is up to the firmware.

use super::serial::{Output, Serial};
use crate::fabric::Fabric;
use crate::time::{NEVER, Time};

mod event {
    pub const STOPPED: u8 = 1;
    pub const ERROR: u8 = 9;
    pub const SUSPENDED: u8 = 18;
    pub const RXSTARTED: u8 = 19;
    pub const TXSTARTED: u8 = 20;
    pub const LASTRX: u8 = 23;
    pub const LASTTX: u8 = 24;
}

const SHORT_LASTTX_STARTRX: u8 = 7;
const SHORT_LASTTX_SUSPEND: u8 = 8;
const SHORT_LASTTX_STOP: u8 = 9;
const SHORT_LASTRX_STARTTX: u8 = 10;
const SHORT_LASTRX_SUSPEND: u8 = 11;
const SHORT_LASTRX_STOP: u8 = 12;
const ERROR_ANACK: u32 = 2;
const ERROR_DNACK: u32 = 4;
const SCL: usize = 0;
const SDA: usize = 1;
/// The acknowledge bit comes after the eight of the byte.
const ACKNOWLEDGE: u8 = 8;
/// The longest pause between two polls of a line that is held low, in quarter periods. (A call of `inputs_changed`
/// takes effect at once.)
const LONGEST_PAUSE: u64 = 64;

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TwimPhase {
    Idle,
    /// Pulls SDA low for a START, once both lines are high.
    Start,
    /// Pulls SCL low after a START.
    StartHold,
    /// Sets SDA while SCL is low.
    Set,
    /// Releases SCL.
    Rise,
    /// Reads SDA, once SCL is high.
    Sample,
    /// Pulls SCL low.
    Fall,
    RestartSda,
    RestartScl,
    StopSda,
    StopScl,
    /// Releases SDA for a STOP, once SCL is high.
    Stop,
    /// Keeps SCL low until a task continues or stops.
    Held,
    Suspended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Stop,
    Write,
    Read,
}

#[derive(Debug, Clone)]
pub(crate) struct Engine {
    step: TwimPhase,
    pub next_at: Time,
    /// Pause before the next poll of a line that is held low, in quarter periods; 0: not waiting.
    pause: u64,
    /// Whether SCL and SDA are released.
    released: [bool; 2],
    reading: bool,
    /// The byte on the line is the address.
    addressing: bool,
    bit: u8,
    byte: u8,
    acknowledged: bool,
    pointer: u32,
    size: u32,
    done: u32,
    /// What to do after this byte.
    next: Option<Command>,
    suspend: bool,
}

/// A quarter of a clock period in ticks of 16 MHz.
pub(super) fn quarter_period(frequency: u32) -> Option<u64> {
    Some(match frequency {
        0x0198_0000 => 40,
        0x0400_0000 => 16,
        // The second value is that of an older product specification. The last is 390 kHz, for erratum 219: 41 ticks,
        // approximated by four quarters of 10.
        0x0640_0000 | 0x0668_0000 | 0x0620_0000 => 10,
        _ => return None,
    })
}

impl Engine {
    pub fn new() -> Engine {
        Engine {
            step: TwimPhase::Idle,
            next_at: NEVER,
            pause: 0,
            released: [true; 2],
            reading: false,
            addressing: false,
            bit: 0,
            byte: 0,
            acknowledged: false,
            pointer: 0,
            size: 0,
            done: 0,
            next: None,
            suspend: false,
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.pause != 0
    }
}

impl Serial {
    pub(super) fn twim_drives(&self, port: usize) -> Option<Output> {
        let signal = [SCL, SDA].into_iter().find(|signal| self.port(*signal) == Some(port))?;
        Some(if self.twim.released[signal] { Output::Released } else { Output::Level(false) })
    }

    fn quarters(&self, fabric: &Fabric, count: u64) -> Time {
        fabric.hfclk.span(count * quarter_period(self.frequency).unwrap_or(16))
    }

    fn twim_then(&mut self, fabric: &mut Fabric, step: TwimPhase, quarters: u64) {
        self.twim.step = step;
        self.twim.next_at = fabric.now + self.quarters(fabric, quarters);
        fabric.touch(self.common.id);
    }

    fn twim_rest(&mut self, step: TwimPhase) {
        (self.twim.step, self.twim.next_at) = (step, NEVER);
    }

    fn release(&mut self, fabric: &mut Fabric, signal: usize, released: bool) {
        if std::mem::replace(&mut self.twim.released[signal], released) != released {
            self.dirty(fabric, signal);
        }
    }

    /// Whether the lines this step needs high are high.
    fn is_free(&self, fabric: &Fabric, levels: u64) -> bool {
        let sda = self.twim.step != TwimPhase::Start || self.sees(fabric, SDA, levels);
        sda && self.sees(fabric, SCL, levels)
    }

    /// An outside change while the block waits for a line.
    pub(super) fn twim_sense(&mut self, fabric: &mut Fabric, levels: u64) {
        if self.is_free(fabric, levels) {
            self.twim.pause = 0;
            let step = self.twim.step;
            self.twim_then(fabric, step, 1);
        }
    }

    pub(super) fn twim_task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.twim_command(fabric, Command::Read),
            0x008 => self.twim_command(fabric, Command::Write),
            0x014 => self.twim_command(fabric, Command::Stop),
            0x01C => match self.twim.step {
                TwimPhase::Idle | TwimPhase::Suspended => {}
                TwimPhase::Held => self.twim_suspend(fabric),
                _ => self.twim.suspend = true,
            },
            0x020 => {
                self.twim.suspend = false;
                if self.twim.step == TwimPhase::Suspended {
                    self.twim_go_on(fabric);
                }
            }
            // START of the SPI master.
            0x010 => {}
            _ => return false,
        }
        true
    }

    fn twim_command(&mut self, fabric: &mut Fabric, command: Command) {
        match (self.twim.step, command) {
            (TwimPhase::Idle, Command::Stop) => self.common.raise(fabric, event::STOPPED),
            (TwimPhase::Idle, _) => self.twim_begin(fabric, command),
            (TwimPhase::Held, _) => {
                self.twim.next = Some(command);
                self.twim_go_on(fabric);
            }
            (TwimPhase::StopSda | TwimPhase::StopScl | TwimPhase::Stop, Command::Stop) => {}
            _ => self.twim.next = Some(command),
        }
    }

    /// START, or a repeated START if the block already owns the bus.
    fn twim_begin(&mut self, fabric: &mut Fabric, command: Command) {
        let reading = command == Command::Read;
        let buffer = if reading { &mut self.rx } else { &mut self.tx };
        buffer.amount = 0;
        let (pointer, size) = (buffer.pointer, buffer.size);
        let twim = &mut self.twim;
        (twim.pointer, twim.size, twim.done, twim.reading) = (pointer, size, 0, reading);
        self.common.raise(fabric, if reading { event::RXSTARTED } else { event::TXSTARTED });
        let first = if self.twim.step == TwimPhase::Idle { TwimPhase::Start } else { TwimPhase::RestartSda };
        self.twim_then(fabric, first, 1);
    }

    fn twim_suspend(&mut self, fabric: &mut Fabric) {
        self.twim.suspend = false;
        self.twim_rest(TwimPhase::Suspended);
        self.common.raise(fabric, event::SUSPENDED);
    }

    /// At a byte boundary, SCL low: what comes next.
    fn twim_go_on(&mut self, fabric: &mut Fabric) {
        if self.twim.suspend {
            self.twim_suspend(fabric);
            return;
        }
        match self.twim.next.take() {
            Some(Command::Stop) => self.twim_then(fabric, TwimPhase::StopSda, 1),
            Some(command) => self.twim_begin(fabric, command),
            None if self.twim.done < self.twim.size => self.twim_next_byte(fabric),
            None => self.twim_rest(TwimPhase::Held),
        }
    }

    fn twim_next_byte(&mut self, fabric: &mut Fabric) {
        (self.twim.bit, self.twim.byte) = (0, 0);
        let is_last = self.twim.done + 1 == self.twim.size;
        if !self.twim.reading {
            let address = self.twim.pointer.wrapping_add(self.twim.done);
            self.twim.byte = fabric.dma_read(self.common.name, address).unwrap_or(self.over_read);
        }
        if is_last {
            self.twim_last(fabric);
        }
        self.twim_then(fabric, TwimPhase::Set, 1);
    }

    /// The last byte of the buffer begins.
    fn twim_last(&mut self, fabric: &mut Fabric) {
        let (event, other, suspend, stop) = if self.twim.reading {
            (event::LASTRX, SHORT_LASTRX_STARTTX, SHORT_LASTRX_SUSPEND, SHORT_LASTRX_STOP)
        } else {
            (event::LASTTX, SHORT_LASTTX_STARTRX, SHORT_LASTTX_SUSPEND, SHORT_LASTTX_STOP)
        };
        self.common.raise(fabric, event);
        if self.common.has_short(other) {
            self.twim.next = Some(if self.twim.reading { Command::Write } else { Command::Read });
        }
        self.twim.suspend |= self.common.has_short(suspend);
        if self.common.has_short(stop) {
            self.twim.next = Some(Command::Stop);
        }
    }

    /// Whether SDA is released for this bit: always when the other side sends.
    fn twim_bit(&self) -> bool {
        let twim = &self.twim;
        let receives = twim.reading && !twim.addressing;
        match (twim.bit, receives) {
            (ACKNOWLEDGE, false) => true,
            // The last byte is not acknowledged.
            (ACKNOWLEDGE, true) => twim.next.is_some() || twim.done + 1 >= twim.size,
            (_, true) => true,
            (bit, false) => twim.byte & 0x80 >> bit != 0,
        }
    }

    fn twim_sampled(&mut self, level: bool) {
        let twim = &mut self.twim;
        if twim.bit == ACKNOWLEDGE {
            twim.acknowledged = !level;
        } else if twim.reading && !twim.addressing {
            twim.byte = twim.byte << 1 | u8::from(level);
        }
    }

    fn twim_byte_done(&mut self, fabric: &mut Fabric) {
        let acknowledged = self.twim.acknowledged;
        let error = if std::mem::take(&mut self.twim.addressing) {
            (!acknowledged).then_some(ERROR_ANACK)
        } else if self.twim.reading {
            let address = self.twim.pointer.wrapping_add(self.twim.done);
            fabric.dma_write(self.common.name, address, &[self.twim.byte]);
            self.twim.done += 1;
            self.rx.amount = self.twim.done;
            None
        } else {
            self.twim.done += 1;
            self.tx.amount = self.twim.done;
            (!acknowledged).then_some(ERROR_DNACK)
        };
        if let Some(error) = error {
            self.error_source |= error;
            self.common.raise(fabric, event::ERROR);
            // Sends nothing more except a STOP that was already requested.
            self.twim.size = self.twim.done;
            self.twim.next = self.twim.next.filter(|next| *next == Command::Stop);
        }
        self.twim_go_on(fabric);
    }

    pub(super) fn twim_act(&mut self, fabric: &mut Fabric) {
        if matches!(self.twim.step, TwimPhase::Start | TwimPhase::Sample | TwimPhase::Stop) {
            let levels = fabric.levels();
            if !self.is_free(fabric, levels) {
                self.twim.pause = (self.twim.pause * 2).clamp(1, LONGEST_PAUSE);
                self.twim.next_at = fabric.now + self.quarters(fabric, self.twim.pause);
                return;
            }
            self.twim.pause = 0;
            let level = self.sees(fabric, SDA, levels);
            self.twim_high_step(fabric, level);
            return;
        }
        match self.twim.step {
            TwimPhase::StartHold => {
                self.release(fabric, SCL, false);
                (self.twim.addressing, self.twim.bit) = (true, 0);
                self.twim.byte = self.address << 1 | u8::from(self.twim.reading);
                self.twim_then(fabric, TwimPhase::Set, 1);
            }
            TwimPhase::Set => {
                let released = self.twim_bit();
                self.release(fabric, SDA, released);
                self.twim_then(fabric, TwimPhase::Rise, 1);
            }
            TwimPhase::Rise => {
                self.release(fabric, SCL, true);
                self.twim_then(fabric, TwimPhase::Sample, 1);
            }
            TwimPhase::Fall => {
                self.release(fabric, SCL, false);
                self.twim.bit += 1;
                if self.twim.bit > ACKNOWLEDGE {
                    self.twim_byte_done(fabric);
                } else {
                    self.twim_then(fabric, TwimPhase::Set, 1);
                }
            }
            TwimPhase::RestartSda => {
                self.release(fabric, SDA, true);
                self.twim_then(fabric, TwimPhase::RestartScl, 1);
            }
            TwimPhase::RestartScl => {
                self.release(fabric, SCL, true);
                self.twim_then(fabric, TwimPhase::Start, 2);
            }
            TwimPhase::StopSda => {
                self.release(fabric, SDA, false);
                self.twim_then(fabric, TwimPhase::StopScl, 1);
            }
            TwimPhase::StopScl => {
                self.release(fabric, SCL, true);
                self.twim_then(fabric, TwimPhase::Stop, 2);
            }
            _ => self.twim.next_at = NEVER,
        }
    }

    /// The steps that need the clock high, when it is high.
    fn twim_high_step(&mut self, fabric: &mut Fabric, level: bool) {
        match self.twim.step {
            TwimPhase::Start => {
                self.release(fabric, SDA, false);
                self.twim_then(fabric, TwimPhase::StartHold, 2);
            }
            TwimPhase::Sample => {
                self.twim_sampled(level);
                self.twim_then(fabric, TwimPhase::Fall, 1);
            }
            _ => {
                self.release(fabric, SDA, true);
                self.twim_rest(TwimPhase::Idle);
                self.common.raise(fabric, event::STOPPED);
                match self.twim.next.take() {
                    None | Some(Command::Stop) => {}
                    Some(command) => {
                        self.twim_begin(fabric, command);
                        // Time that the bus must be free before the next START.
                        self.twim_then(fabric, TwimPhase::Start, 2);
                    }
                }
            }
        }
    }
}
