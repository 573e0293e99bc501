//! SAADC: successive approximation ADC with EasyDMA.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::identity::Tolerances;
use crate::random::mix;
use crate::time::{MICROSECOND, NEVER, PCLK16M, Time};

mod event {
    pub const STARTED: u8 = 0;
    pub const END: u8 = 1;
    pub const DONE: u8 = 2;
    pub const RESULTDONE: u8 = 3;
    pub const CALIBRATEDONE: u8 = 4;
    pub const STOPPED: u8 = 5;
    /// LIMITH of channel 0; LIMITL follows, then the next channel.
    pub const LIMITH: u8 = 6;
    pub const ALL: u32 = 0x3F_FFFF;
}

const CHANNELS: usize = 8;
const CONVERSION: Time = 2 * MICROSECOND;
/// Offset calibration: about ten conversions at the longest acquisition time. The specification
/// gives no figure.
const CALIBRATION: Time = 420 * MICROSECOND;
const LIMIT_RESET: u32 = 0x7FFF_8000;
/// The noise on an input whose path from the port is broken is between 0 V and this.
const DEAD_INPUT_VOLTS: f64 = 0.005;

#[derive(Debug, Clone, Copy)]
struct Channel {
    positive: u32,
    negative: u32,
    config: u32,
    limit: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Saadc {
    common: Common,
    enable: u32,
    channels: [Channel; CHANNELS],
    resolution: u32,
    oversample: u32,
    sample_rate: u32,
    pointer: u32,
    size: u32,
    amount: u32,

    /// Buffer in use: pointer, size, done.
    buffer: Option<(u32, u32, u32)>,
    /// Channels still to convert in this scan; the first is being converted until `converted_at`.
    scan: Vec<u8>,
    converted_at: Time,
    calibrated_at: Time,
    next_sample_at: Time,
    /// Sum and number of conversions for OVERSAMPLE.
    accumulated: (f64, u32),
    gain_error: f64,
    offset: f64,
    residual_offset: f64,
    dead_inputs: u8,
}

impl Saadc {
    pub fn new(tolerances: &Tolerances) -> Saadc {
        let channel = Channel { positive: 0, negative: 0, config: 0x0002_0000, limit: LIMIT_RESET };
        Saadc {
            common: Common::new(7, "SAADC", event::ALL, 0),
            enable: 0,
            channels: [channel; CHANNELS],
            resolution: 1,
            oversample: 0,
            sample_rate: 0,
            pointer: 0,
            size: 0,
            amount: 0,
            buffer: None,
            scan: Vec::new(),
            converted_at: NEVER,
            calibrated_at: NEVER,
            next_sample_at: NEVER,
            accumulated: (0.0, 0),
            gain_error: tolerances.saadc_gain_error,
            offset: tolerances.saadc_offset_volts,
            residual_offset: tolerances.saadc_residual_offset_volts,
            dead_inputs: tolerances.saadc_dead_inputs,
        }
    }

    fn is_busy(&self) -> bool {
        self.converted_at != NEVER || self.calibrated_at != NEVER
    }

    /// Acquisition and conversion time of a channel, times the burst length.
    fn duration(&self, channel: u8) -> Time {
        let config = self.channels[usize::from(channel)].config;
        let acquisition = [3, 5, 10, 15, 20, 40, 40, 40][(config >> 16 & 7) as usize] * MICROSECOND;
        let burst = if config >> 24 & 1 != 0 { 1 << self.oversample.min(8) } else { 1 };
        (acquisition + CONVERSION) * burst
    }

    fn sample(&mut self, fabric: &mut Fabric) {
        if self.enable & 1 == 0 || self.is_busy() {
            return;
        }
        self.scan = (0..CHANNELS as u8).filter(|n| self.channels[usize::from(*n)].positive != 0).rev().collect();
        self.convert_next(fabric.now);
    }

    fn convert_next(&mut self, now: Time) {
        self.converted_at = self.scan.last().map_or(NEVER, |channel| now + self.duration(*channel));
    }

    /// Voltage at an input; 0 V for one that is not connected.
    fn volts(&self, fabric: &mut Fabric, psel: u32) -> f64 {
        let answer = match psel & 0x1F {
            ain @ 1..=8 if self.dead_inputs & 1 << (ain - 1) != 0 => {
                let noise = mix(fabric.now ^ u64::from(ain) << 60) as f64 / u64::MAX as f64;
                Some(DEAD_INPUT_VOLTS * noise)
            }
            ain @ 1..=8 => fabric.board(|board, ports, at_ns| board.analog_volts(ain as u8 - 1, ports, at_ns)),
            9 => fabric.board(|board, _, _| board.vdd_volts()),
            0xD => fabric.board(|board, _, _| board.vddh_volts() / 5.0),
            _ => None,
        };
        answer.unwrap_or(0.0)
    }

    /// The converter's input in units of full scale.
    fn ratio(&mut self, fabric: &mut Fabric, channel: Channel) -> f64 {
        let config = channel.config;
        let gain = [1.0 / 6.0, 1.0 / 5.0, 1.0 / 4.0, 1.0 / 3.0, 1.0 / 2.0, 1.0, 2.0, 4.0][(config >> 8 & 7) as usize];
        let vdd = fabric.board(|board, _, _| board.vdd_volts()).unwrap_or(3.3);
        let reference = if config >> 12 & 1 != 0 { vdd / 4.0 } else { 0.6 };
        // RESP and RESN put a ladder to ground, VDD or half of it on the input; only the case
        // where it shorts the input to itself changes the reading of a stiff source.
        let positive = self.volts(fabric, channel.positive);
        let negative = if config >> 20 & 1 != 0 { self.volts(fabric, channel.negative) } else { 0.0 };
        // An input cannot be below ground or above the supply.
        let clamp = |volts: f64| volts.clamp(0.0, vdd.max(0.0));
        let volts = (clamp(positive) - clamp(negative)) * gain * (1.0 + self.gain_error) + self.offset;
        volts / reference
    }

    fn conversion_done(&mut self, fabric: &mut Fabric) {
        let Some(number) = self.scan.pop() else { return };
        let channel = self.channels[usize::from(number)];
        let ratio = self.ratio(fabric, channel);
        self.common.raise(fabric, event::DONE);
        self.accumulated.0 += ratio;
        self.accumulated.1 += 1;
        let burst = channel.config >> 24 & 1 != 0;
        if burst || self.accumulated.1 >= 1 << self.oversample.min(8) {
            let mean = self.accumulated.0 / f64::from(self.accumulated.1);
            self.accumulated = (0.0, 0);
            self.result(fabric, number, mean);
        }
        self.convert_next(fabric.now);
    }

    fn result(&mut self, fabric: &mut Fabric, number: u8, ratio: f64) {
        let channel = self.channels[usize::from(number)];
        let bits = 8 + 2 * self.resolution.min(3) as i32;
        let differential = channel.config >> 20 & 1 != 0;
        let steps = f64::from(1 << (bits - i32::from(differential)));
        let code = (ratio * steps).floor().clamp(-steps, steps - 1.0) as i16;
        self.common.raise(fabric, event::RESULTDONE);
        if code > channel.limit.cast_signed().wrapping_shr(16) as i16 {
            self.common.raise(fabric, event::LIMITH + 2 * number);
        }
        if code < channel.limit as u16 as i16 {
            self.common.raise(fabric, event::LIMITH + 2 * number + 1);
        }
        let Some((pointer, size, done)) = &mut self.buffer else { return };
        fabric.dma_write("SAADC", pointer.wrapping_add(2 * *done), &code.to_le_bytes());
        *done += 1;
        self.amount = *done;
        if done == size {
            self.buffer = None;
            self.scan.clear();
            self.common.raise(fabric, event::END);
        }
    }

    fn start(&mut self, fabric: &mut Fabric) {
        if self.enable & 1 != 0 {
            self.buffer = (self.size > 0).then_some((self.pointer, self.size, 0));
            self.amount = 0;
            self.accumulated = (0.0, 0);
            self.common.raise(fabric, event::STARTED);
        }
    }

    fn stop(&mut self, fabric: &mut Fabric) {
        if self.buffer.take().is_some() {
            self.common.raise(fabric, event::END);
        }
        self.scan.clear();
        (self.converted_at, self.next_sample_at) = (NEVER, NEVER);
        self.common.raise(fabric, event::STOPPED);
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.start(fabric),
            0x004 => {
                self.sample(fabric);
                if self.sample_rate >> 12 & 1 != 0 && self.enable & 1 != 0 {
                    self.next_sample_at = fabric.now + self.period();
                }
            }
            0x008 => self.stop(fabric),
            0x00C if self.enable & 1 != 0 => self.calibrated_at = fabric.now + CALIBRATION,
            0x00C => {}
            _ => return false,
        }
        true
    }

    /// Sample period in timer mode.
    fn period(&self) -> Time {
        u64::from(self.sample_rate & 0x7FF).max(80) * PCLK16M
    }
}

impl Peripheral for Saadc {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        for (field, first) in [0x510, 0x514, 0x518, 0x51C].into_iter().enumerate() {
            if let Some(n) = index(offset, first, 16, CHANNELS as u32) {
                let channel = &self.channels[n];
                return Some([channel.positive, channel.negative, channel.config, channel.limit][field]);
            }
        }
        match offset {
            0x400 => Some(u32::from(self.is_busy())),
            0x500 => Some(self.enable),
            0x5F0 => Some(self.resolution),
            0x5F4 => Some(self.oversample),
            0x5F8 => Some(self.sample_rate),
            0x62C => Some(self.pointer),
            0x630 => Some(self.size),
            0x634 => Some(self.amount),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        for (field, first) in [0x510, 0x514, 0x518, 0x51C].into_iter().enumerate() {
            if let Some(n) = index(offset, first, 16, CHANNELS as u32) {
                let channel = &mut self.channels[n];
                match field {
                    0 => channel.positive = value & 0x1F,
                    1 => channel.negative = value & 0x1F,
                    2 => {
                        channel.config = value;
                        if value & 0x33 != 0 {
                            fabric.not_supported("SAADC", "the input resistor ladder (RESP, RESN)");
                        }
                    }
                    _ => channel.limit = value,
                }
                return true;
            }
        }
        match offset {
            0x500 => {
                self.enable = value & 1;
                if self.enable == 0 {
                    self.scan.clear();
                    self.buffer = None;
                    (self.converted_at, self.calibrated_at, self.next_sample_at) = (NEVER, NEVER, NEVER);
                }
            }
            0x5F0 => self.resolution = value & 7,
            0x5F4 => self.oversample = value & 0xF,
            0x5F8 => self.sample_rate = value & 0x17FF,
            0x62C => self.pointer = value,
            0x630 => self.size = value & 0x7FFF,
            // Errata 237: this address power-cycles the converter, everything back to reset values.
            0xFFC => {
                let Saadc { gain_error, offset, residual_offset, dead_inputs, .. } = *self;
                *self =
                    Saadc { gain_error, offset, residual_offset, dead_inputs, ..Saadc::new(&Tolerances::default()) };
            }
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.converted_at.min(self.calibrated_at).min(self.next_sample_at)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        if self.converted_at == fabric.now {
            self.conversion_done(fabric);
        }
        if self.calibrated_at == fabric.now {
            self.calibrated_at = NEVER;
            self.offset = self.residual_offset;
            self.common.raise(fabric, event::CALIBRATEDONE);
        }
        if self.next_sample_at == fabric.now {
            self.next_sample_at = fabric.now + self.period();
            self.sample(fabric);
        }
    }
}
