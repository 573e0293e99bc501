//! PWM: pulse generation on four ports, with duty cycles from sequences in RAM.
//!
//! A running PWM acts only when one of its ports changes, a value is due from RAM or the end of a period has an effect;
//! everything between is arithmetic.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::identity::Tolerances;
use crate::ports::PORT_COUNT;
use crate::time::{NEVER, Time};

mod event {
    pub const STOPPED: u8 = 1;
    /// Register of sequence 0; that of sequence 1 follows.
    pub const SEQSTARTED: u8 = 2;
    pub const SEQEND: u8 = 4;
    pub const PWMPERIODEND: u8 = 6;
    pub const LOOPSDONE: u8 = 7;
    pub const ALL: u32 = 0xFE;
}

const SHORT_SEQEND_STOP: u8 = 0;
const SHORT_LOOPSDONE_SEQSTART: u8 = 2;
const SHORT_LOOPSDONE_STOP: u8 = 4;
const SHORTS: u32 = 0x1F;
const CHANNELS: usize = 4;
const DISCONNECTED: u32 = 1 << 31;
/// Bit 15 of a value: the first edge of a period is falling.
const FALLING_FIRST: u16 = 1 << 15;
const LOAD_COMMON: u32 = 0;
const LOAD_GROUPED: u32 = 1;
const LOAD_WAVEFORM: u32 = 3;

#[derive(Debug, Clone, Copy)]
struct Sequence {
    pointer: u32,
    /// In half-words.
    count: u32,
    refresh: u32,
    end_delay: u32,
}

/// The sequence being played.
#[derive(Debug, Clone, Copy)]
struct Playback {
    sequence: usize,
    /// Values loaded so far.
    step: u32,
    /// Periods until the next value, or the end of the sequence.
    periods_left: u64,
}

/// The counter's settings, taken over at the start of a period.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counter {
    up_and_down: bool,
    prescaler: u32,
    top: u64,
}

impl Counter {
    /// In ticks of the 16 MHz clock.
    fn period(self) -> u64 {
        (self.top << self.prescaler) << u32::from(self.up_and_down)
    }

    /// The ticks from the start of a period to the edges of a channel; none if it does not move.
    fn edges(self, value: u16) -> Option<(u64, u64)> {
        let compare = u64::from(value & !FALLING_FIRST);
        if compare == 0 || compare >= self.top {
            return None;
        }
        let second = if self.up_and_down { 2 * self.top - compare } else { self.top };
        Some((compare << self.prescaler, second << self.prescaler))
    }

    /// Level at a number of ticks after the start of a period.
    fn level(self, value: u16, phase: u64) -> bool {
        let beyond = match self.edges(value) {
            Some((first, second)) => (first..second).contains(&phase),
            None => value & !FALLING_FIRST == 0,
        };
        beyond != (value & FALLING_FIRST != 0)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Pwm {
    common: Common,
    /// A defect: the ports are never driven.
    dead: bool,
    /// A defect: the signals of these ports are swapped.
    swapped: Vec<(u8, u8)>,
    enable: u32,
    mode: u32,
    top: u32,
    prescaler: u32,
    decoder: u32,
    loops: u32,
    sequences: [Sequence; 2],
    psel: [u32; CHANNELS],

    running: bool,
    counter: Counter,
    /// Tick of the 16 MHz clock at which a period began. Periods without events are not counted one by one, so the
    /// period may be an old one.
    began: u64,
    values: [u16; CHANNELS],
    /// What each channel drives, bit n for channel n.
    levels: u8,
    playback: Option<Playback>,
    /// SEQSTART was triggered; the sequence begins with the next period.
    queued: Option<usize>,
    loops_left: u32,
    next_step: bool,
    stop: bool,
}

impl Pwm {
    /// Unit `number` of the chip, 0 to 3.
    pub fn new(id: u8, name: &'static str, number: usize, tolerances: &Tolerances) -> Pwm {
        let sequence = Sequence { pointer: 0, count: 0, refresh: 1, end_delay: 0 };
        Pwm {
            common: Common::new(id, name, event::ALL, SHORTS),
            dead: tolerances.pwm_dead.get(number).copied().unwrap_or(false),
            swapped: tolerances.pwm_swapped.clone(),
            enable: 0,
            mode: 0,
            top: 0x3FF,
            prescaler: 0,
            decoder: 0,
            loops: 0,
            sequences: [sequence; 2],
            psel: [u32::MAX; CHANNELS],
            running: false,
            counter: Counter { up_and_down: false, prescaler: 0, top: 0x3FF },
            began: 0,
            values: [0; CHANNELS],
            levels: 0,
            playback: None,
            queued: None,
            loops_left: 0,
            next_step: false,
            stop: false,
        }
    }

    fn port(&self, channel: usize) -> Option<usize> {
        let port = self.led_to((self.psel[channel] & 0x3F) as u8);
        (self.psel[channel] & DISCONNECTED == 0 && port < PORT_COUNT).then_some(port)
    }

    fn led_to(&self, port: u8) -> usize {
        let exchanged = self.swapped.iter().find_map(|&(a, b)| match port {
            _ if port == a => Some(b),
            _ if port == b => Some(a),
            _ => None,
        });
        usize::from(exchanged.unwrap_or(port))
    }

    /// The level driven on this port. A port belongs to the PWM only while it generates pulses;
    /// GPIO's OUT register is the level in between.
    pub fn drives(&self, port: usize) -> Option<bool> {
        if !self.running || self.dead {
            return None;
        }
        (0..CHANNELS).find(|&n| self.port(n) == Some(port)).map(|n| self.levels & 1 << n != 0)
    }

    fn all_dirty(&self, fabric: &mut Fabric) {
        for port in (0..CHANNELS).filter_map(|n| self.port(n)) {
            fabric.dirty_ports |= 1 << port;
        }
    }

    /// COUNTERTOP, PRESCALER and MODE as they are now.
    fn settings(&self) -> Counter {
        let top = if self.decoder & 3 == LOAD_WAVEFORM {
            u64::from(self.values[3] & !FALLING_FIRST)
        } else {
            u64::from(self.top)
        };
        Counter { up_and_down: self.mode & 1 != 0, prescaler: self.prescaler, top: top.max(1) }
    }

    fn steps_by_task(&self) -> bool {
        self.decoder >> 8 & 1 != 0
    }

    /// Half-words per value: how DECODER.LOAD spreads them.
    fn width(&self) -> u32 {
        match self.decoder & 3 {
            LOAD_COMMON => 1,
            LOAD_GROUPED => 2,
            _ => 4,
        }
    }

    fn start_sequence(&mut self, fabric: &mut Fabric, n: usize) {
        if self.enable == 0 {
            return;
        }
        self.loops_left = self.loops;
        if self.running {
            self.queued = Some(n);
            return;
        }
        self.stop = false;
        self.running = true;
        self.began = fabric.hfclk.ticks(fabric.now);
        self.begin(fabric, n);
        self.counter = self.settings();
        self.levels = self.levels_at(0);
        self.all_dirty(fabric);
    }

    fn begin(&mut self, fabric: &mut Fabric, n: usize) {
        self.playback = None;
        if self.sequences[n].count < self.width() {
            fabric.not_supported(self.common.name, "starting a sequence without values (CNT)");
            return;
        }
        self.common.raise(fabric, event::SEQSTARTED + n as u8);
        self.load(fabric, Playback { sequence: n, step: 0, periods_left: 0 });
    }

    /// Takes the next value of the sequence from RAM.
    fn load(&mut self, fabric: &mut Fabric, playback: Playback) {
        let Playback { sequence: n, step, .. } = playback;
        let sequence = self.sequences[n];
        let width = self.width();
        let mut words = [0; 4];
        for word in 0..width {
            let address = sequence.pointer.wrapping_add(2 * (step * width + word));
            let bytes = [0, 1].map(|byte| fabric.dma_read(self.common.name, address.wrapping_add(byte)));
            let [Some(low), Some(high)] = bytes else { continue };
            words[word as usize] = u16::from_le_bytes([low, high]);
        }
        self.values = match width {
            1 => [words[0]; 4],
            2 => [words[0], words[0], words[1], words[1]],
            _ => words,
        };
        let step = step + 1;
        let is_last = step == sequence.count / width;
        let delay = if is_last { sequence.end_delay } else { 0 };
        let periods_left = 1 + u64::from(sequence.refresh) + u64::from(delay);
        self.playback = Some(Playback { sequence: n, step, periods_left });
        if is_last {
            self.common.raise(fabric, event::SEQEND + n as u8);
            self.stop |= self.common.has_short(SHORT_SEQEND_STOP + n as u8);
        }
    }

    /// Handles the end of the sequence. Returns whether generation stops at once.
    fn finish(&mut self, fabric: &mut Fabric, n: usize) -> bool {
        self.playback = None;
        if self.loops == 0 {
            return false;
        }
        if n == 0 {
            self.begin(fabric, 1);
            return false;
        }
        self.loops_left = self.loops_left.saturating_sub(1);
        if self.loops_left > 0 {
            self.begin(fabric, 0);
            return false;
        }
        self.common.raise(fabric, event::LOOPSDONE);
        for again in 0..2 {
            if self.common.has_short(SHORT_LOOPSDONE_SEQSTART + again) {
                self.loops_left = self.loops;
                self.begin(fabric, usize::from(again));
            }
        }
        self.common.has_short(SHORT_LOOPSDONE_STOP)
    }

    /// A period has ended and the next begins.
    fn next_period(&mut self, fabric: &mut Fabric) {
        if self.stop {
            self.halt(fabric);
            self.common.raise(fabric, event::STOPPED);
            return;
        }
        if let Some(n) = self.queued.take() {
            self.begin(fabric, n);
        } else if let Some(playback) = self.playback
            && self.is_due(playback)
        {
            self.next_step = false;
            let n = playback.sequence;
            if playback.step < self.sequences[n].count / self.width() {
                self.load(fabric, playback);
            } else if self.finish(fabric, n) {
                self.halt(fabric);
                self.common.raise(fabric, event::STOPPED);
            }
        }
        self.counter = self.settings();
    }

    fn is_due(&self, playback: Playback) -> bool {
        if self.steps_by_task() { self.next_step } else { playback.periods_left == 0 }
    }

    fn halt(&mut self, fabric: &mut Fabric) {
        (self.running, self.stop, self.next_step) = (false, false, false);
        (self.playback, self.queued) = (None, None);
        self.all_dirty(fabric);
    }

    fn levels_at(&self, phase: u64) -> u8 {
        let counter = self.counter;
        self.values
            .iter()
            .enumerate()
            .fold(0, |levels, (n, value)| levels | u8::from(counter.level(*value, phase)) << n)
    }

    /// Whether the end of a period has an effect.
    fn period_noticed(&self, fabric: &Fabric) -> bool {
        self.common.events & 1 << event::PWMPERIODEND == 0 || fabric.is_listened(self.common.id, event::PWMPERIODEND)
    }

    /// Tick of the next end of a period that has an effect.
    fn next_boundary(&self, fabric: &Fabric, now: u64) -> Option<u64> {
        let period = self.counter.period();
        let coming = self.began + (now.saturating_sub(self.began) / period + 1) * period;
        let at_once = self.stop
            || self.queued.is_some()
            || self.period_noticed(fabric)
            || self.next_step
            || self.settings() != self.counter;
        if at_once {
            return Some(coming);
        }
        let playback = self.playback.filter(|_| !self.steps_by_task())?;
        Some(coming.max(self.began + playback.periods_left * period))
    }

    /// The tick of the next edge at a port.
    fn next_edge(&self, now: u64) -> Option<u64> {
        let period = self.counter.period();
        let phase = now.saturating_sub(self.began) % period;
        let of_channel = |n: usize| {
            let (first, second) = self.port(n).and_then(|_| self.counter.edges(self.values[n]))?;
            [first, second, period].into_iter().find(|edge| *edge > phase)
        };
        (0..CHANNELS).filter_map(of_channel).min().map(|edge| now - phase + edge)
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x004 => self.stop = self.running,
            0x008 => self.start_sequence(fabric, 0),
            0x00C => self.start_sequence(fabric, 1),
            0x010 => self.next_step = self.running && self.steps_by_task(),
            _ => return false,
        }
        true
    }
}

impl Peripheral for Pwm {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        for (field, first) in [0x520, 0x524, 0x528, 0x52C].into_iter().enumerate() {
            if let Some(n) = index(offset, first, 0x20, 2) {
                let sequence = &self.sequences[n];
                return Some([sequence.pointer, sequence.count, sequence.refresh, sequence.end_delay][field]);
            }
        }
        if let Some(n) = index(offset, 0x560, 4, CHANNELS as u32) {
            return Some(self.psel[n]);
        }
        match offset {
            0x500 => Some(self.enable),
            0x504 => Some(self.mode),
            0x508 => Some(self.top),
            0x50C => Some(self.prescaler),
            0x510 => Some(self.decoder),
            0x514 => Some(self.loops),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        for (field, first) in [0x520, 0x524, 0x528, 0x52C].into_iter().enumerate() {
            if let Some(n) = index(offset, first, 0x20, 2) {
                let sequence = &mut self.sequences[n];
                match field {
                    0 => sequence.pointer = value,
                    1 => sequence.count = value & 0x7FFF,
                    2 => sequence.refresh = value & 0xFF_FFFF,
                    _ => sequence.end_delay = value & 0xFF_FFFF,
                }
                return true;
            }
        }
        if let Some(n) = index(offset, 0x560, 4, CHANNELS as u32) {
            self.all_dirty(fabric);
            self.psel[n] = value;
            self.all_dirty(fabric);
            return true;
        }
        match offset {
            0x500 => {
                self.enable = value & 1;
                if self.enable == 0 && self.running {
                    self.halt(fabric);
                }
            }
            0x504 => self.mode = value & 1,
            0x508 => self.top = value & 0x7FFF,
            0x50C => self.prescaler = value & 7,
            0x510 => self.decoder = value & 0x103,
            0x514 => self.loops = value & 0xFFFF,
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, fabric: &Fabric) -> Time {
        if !self.running {
            return NEVER;
        }
        let now = fabric.hfclk.ticks(fabric.now);
        let next = [self.next_boundary(fabric, now), self.next_edge(now)].into_iter().flatten().min();
        next.and_then(|tick| fabric.hfclk.time_of(tick)).unwrap_or(NEVER)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        let now = fabric.hfclk.ticks(fabric.now);
        let period = self.counter.period();
        let ended = now.saturating_sub(self.began) / period;
        if ended > 0 {
            self.began += ended * period;
            if self.period_noticed(fabric) {
                self.common.raise(fabric, event::PWMPERIODEND);
            }
            if let Some(playback) = &mut self.playback {
                playback.periods_left = playback.periods_left.saturating_sub(ended);
            }
            self.next_period(fabric);
        }
        let levels = self.levels_at(now.saturating_sub(self.began));
        let changed = std::mem::replace(&mut self.levels, levels) ^ levels;
        for port in (0..CHANNELS).filter(|n| changed & 1 << n != 0).filter_map(|n| self.port(n)) {
            fabric.dirty_ports |= 1 << port;
        }
    }
}
