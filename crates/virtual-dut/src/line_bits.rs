//! Single bits on SWDIO, which a probe clocks out and in without interpreting them (ARM Debug Interface v5.2, chapter
//! "The Serial Wire Debug protocol").
//!
//! The eight levels before the probe releases the line are a request; levels before them are a line reset or idle.

use bench_instruments::{SwdAnswer, SwdFault, SwdOperation, SwdRegister};
use std::collections::VecDeque;

const REQUEST_BITS: u8 = 8;
/// Most levels in one operation of the lines.
const SEQUENCE_BITS: u8 = 64;
const OK: u8 = 0b001;
const FAULT: u8 = 0b100;
/// An undriven line is pulled high.
const NOBODY: u8 = 0b111;

#[derive(Debug, Default)]
pub(crate) struct LineBits {
    /// Levels that may turn out to be a request.
    held: VecDeque<bool>,
    /// Next output of the module.
    coming: VecDeque<bool>,
    /// A write was accepted: its data and a parity bit come next.
    data: Option<(SwdRegister, Vec<bool>)>,
    /// The module answered the last request.
    is_there: bool,
}

impl LineBits {
    /// Takes levels from the probe. Returns the operations that are complete.
    pub fn output(&mut self, bits: u32, length: u8) -> Vec<SwdOperation> {
        self.coming.clear();
        let mut done = Vec::new();
        for bit in (0..length).map(|n| bits >> n & 1 != 0) {
            match self.data.take() {
                Some((register, data)) if data.len() == 32 => {
                    // The parity bit is not checked: these lines are never noisy.
                    done.push(SwdOperation::Write { register, values: vec![number(&data)] });
                }
                Some((register, mut data)) => {
                    data.push(bit);
                    self.data = Some((register, data));
                }
                None => self.held.push_back(bit),
            }
        }
        done.extend(self.release(REQUEST_BITS.into()));
        done
    }

    /// Returns all held levels: no request follows them.
    pub fn flush(&mut self) -> Vec<SwdOperation> {
        self.coming.clear();
        self.data = None;
        self.release(0)
    }

    fn release(&mut self, but: usize) -> Vec<SwdOperation> {
        let free: Vec<bool> = self.held.drain(..self.held.len().saturating_sub(but)).collect();
        let sequence = |levels: &[bool]| SwdOperation::Sequence {
            bits: levels.iter().rev().fold(0, |bits, level| bits << 1 | u64::from(*level)),
            length: levels.len() as u8,
        };
        free.chunks(SEQUENCE_BITS.into()).map(sequence).collect()
    }

    /// The probe releases the line. Returns the register to read, whose value goes to [`LineBits::answered`].
    pub fn turn(&mut self) -> Option<SwdRegister> {
        let levels: Vec<bool> = self.held.drain(..).collect();
        if levels.is_empty() {
            return None;
        }
        match request(number(&levels), levels.len()) {
            Some((register, true)) => return Some(register),
            Some((register, false)) => {
                // Writes are acknowledged without a check of the module: their data come after the acknowledge.
                let acknowledge = if self.is_there { OK } else { NOBODY };
                self.data = self.is_there.then(|| (register, Vec::new()));
                self.drive(acknowledge.into(), 3);
            }
            None => {}
        }
        None
    }

    /// Takes the result of the read.
    pub fn answered(&mut self, answer: &SwdAnswer) {
        self.is_there = answer.fault != Some(SwdFault::NoAnswer);
        match (answer.fault, answer.read.first()) {
            (None, Some(value)) => {
                self.drive(OK.into(), 3);
                self.drive(*value, 32);
                self.drive(value.count_ones() & 1, 1);
            }
            (Some(SwdFault::Fault), _) => self.drive(FAULT.into(), 3),
            _ => self.drive(NOBODY.into(), 3),
        }
    }

    fn drive(&mut self, bits: u32, length: u8) {
        self.coming.extend((0..length).map(|n| bits >> n & 1 != 0));
    }

    /// Levels that the probe reads; an undriven line is high.
    pub fn input(&mut self, length: u8) -> u32 {
        (0..length).map(|n| u32::from(self.coming.pop_front().unwrap_or(true)) << n).fold(0, |bits, bit| bits | bit)
    }
}

fn number(levels: &[bool]) -> u32 {
    levels.iter().rev().fold(0, |number, level| number << 1 | u32::from(*level))
}

/// Decodes a request: register, and whether it reads.
fn request(bits: u32, length: usize) -> Option<(SwdRegister, bool)> {
    let bit = |n: u32| bits >> n & 1 != 0;
    let (start, stop, park) = (bit(0), bit(6), bit(7));
    let parity = (bits >> 1 & 0xF).count_ones() & 1 != 0;
    if length != usize::from(REQUEST_BITS) || !start || stop || !park || parity != bit(5) {
        return None;
    }
    let address = (bits >> 3 & 3) as u8 * 4;
    let register = if bit(1) { SwdRegister::Ap(address) } else { SwdRegister::Dp(address) };
    Some((register, bit(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests from ARM's specification.
    #[test]
    fn requests() {
        for (bits, expected) in [
            (0xA5, Some((SwdRegister::Dp(0), true))),
            (0x81, Some((SwdRegister::Dp(0), false))),
            (0x8D, Some((SwdRegister::Dp(4), true))),
            (0xB1, Some((SwdRegister::Dp(8), false))),
            (0xBD, Some((SwdRegister::Dp(12), true))),
            (0x87, Some((SwdRegister::Ap(0), true))),
            (0xBB, Some((SwdRegister::Ap(12), false))),
            (0x85, None), // parity
            (0xFF, None), // the end of a line reset
        ] {
            assert_eq!(request(bits, 8), expected, "{bits:02x}");
        }
    }

    #[test]
    fn a_read_after_a_line_reset() {
        let mut line = LineBits::default();
        let mut seen = line.output(u32::MAX, 32);
        seen.extend(line.output(0x7FFFF, 22)); // 19 high, 3 low
        seen.extend(line.output(0xA5, 8));
        let length = |operations: &[SwdOperation]| -> u32 {
            let length = |operation: &SwdOperation| match operation {
                SwdOperation::Sequence { length, .. } => u32::from(*length),
                _ => 0,
            };
            operations.iter().map(length).sum()
        };
        assert_eq!(length(&seen), 54);
        assert_eq!(line.turn(), Some(SwdRegister::Dp(0)));
        line.answered(&SwdAnswer { read: vec![0x2BA0_1477], fault: None });
        assert_eq!((line.input(3), line.input(32), line.input(1)), (0b001, 0x2BA0_1477, 0));
        assert_eq!(line.input(2), 0b11, "no longer driven");
    }

    #[test]
    fn a_write_has_its_data_after_the_acknowledge() {
        let mut line = LineBits { is_there: true, ..LineBits::default() };
        assert_eq!(line.output(0xB1, 8), []);
        assert_eq!(line.turn(), None);
        assert_eq!(line.input(3), 0b001);
        assert_eq!(line.output(0x0100_00F0, 32), []);
        let write = SwdOperation::Write { register: SwdRegister::Dp(8), values: vec![0x0100_00F0] };
        assert_eq!(line.output(0b01, 2), [write], "parity, and an idle bit");
    }

    #[test]
    fn a_missing_module_does_not_acknowledge() {
        let mut line = LineBits::default();
        line.output(0xA5, 8);
        line.turn();
        line.answered(&SwdAnswer { read: vec![], fault: Some(SwdFault::NoAnswer) });
        assert_eq!(line.input(3), 0b111);
        line.output(0xB1, 8);
        assert_eq!(line.turn(), None);
        assert_eq!(line.input(3), 0b111);
        assert!(line.output(u32::MAX, 32).iter().all(|operation| matches!(operation, SwdOperation::Sequence { .. })));
    }
}
