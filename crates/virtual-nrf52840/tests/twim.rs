//! TWIM, with a memory at its lines that decodes every edge.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Device, Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::{Chip, ChipIdentity};

const TWIM0: u32 = 0x4000_3000;
const TWIM1: u32 = 0x4000_4000;
const TX: u32 = 0x2000_1000;
const RX: u32 = 0x2000_2000;
const SCL: u32 = 27;
const SDA: u32 = 26;
const ADDRESS: u8 = 0x50;
const STARTRX: u32 = 0x000;
const STARTTX: u32 = 0x008;
const STOP: u32 = 0x014;
const SUSPEND: u32 = 0x01C;
const RESUME: u32 = 0x020;
const STOPPED: u32 = 0x104;
const ERROR: u32 = 0x124;
const SUSPENDED: u32 = 0x148;
const LASTRX: u32 = 0x15C;
const LASTTX: u32 = 0x160;
const ERRORSRC: u32 = 0x4C4;
const LASTTX_STARTRX: u32 = 1 << 7;
const LASTTX_SUSPEND: u32 = 1 << 8;
const LASTTX_STOP: u32 = 1 << 9;
const LASTRX_STARTTX: u32 = 1 << 10;
const LASTRX_STOP: u32 = 1 << 12;

/// A memory of 16 bytes behind a pull-up on each line: the first byte written is a pointer that
/// counts up, a byte of 0xEE is not acknowledged. Writes down what it saw: S, P, bytes with + or -.
struct Memory {
    cells: [u8; 16],
    pointer: Option<u8>,
    /// SCL and SDA.
    lines: (bool, bool),
    /// Bits seen since the START or the last byte; `None`: not spoken to.
    bit: Option<u8>,
    byte: u8,
    addressing: bool,
    sending: bool,
    pulls: bool,
    stretch_ns: u64,
    stretched_until: u64,
    log: Rc<RefCell<String>>,
}

impl Memory {
    fn note(&self, text: &str) {
        self.log.borrow_mut().push_str(text);
    }

    /// SCL fell: what to do with SDA until it falls again.
    fn fell(&mut self, at_ns: u64) {
        let Some(bit) = self.bit else { return };
        match bit {
            8 if !self.sending => {
                let known = !self.addressing || self.byte >> 1 == ADDRESS;
                self.pulls = known && self.byte != 0xEE;
                self.note(&format!("{:02x}{} ", self.byte, if self.pulls { '+' } else { '-' }));
                if !self.addressing && self.pulls {
                    match self.pointer {
                        None => self.pointer = Some(self.byte % 16),
                        Some(at) => {
                            self.cells[usize::from(at)] = self.byte;
                            self.pointer = Some((at + 1) % 16);
                        }
                    }
                }
                return;
            }
            8 => {
                self.pulls = false;
                return;
            }
            9 => {
                let acknowledged = if self.sending { !self.lines.1 } else { self.pulls };
                if self.sending {
                    self.note(&format!("({:02x}){} ", self.byte, if acknowledged { '+' } else { '-' }));
                }
                if self.addressing {
                    (self.addressing, self.sending) = (false, self.byte & 1 == 1);
                    if !self.sending {
                        self.pointer = None;
                    }
                }
                self.pulls = false;
                self.bit = acknowledged.then_some(0);
                self.byte = 0;
                if self.sending && acknowledged {
                    let at = self.pointer.unwrap_or(0);
                    self.byte = self.cells[usize::from(at)];
                    self.pointer = Some((at + 1) % 16);
                }
                self.stretched_until = at_ns + self.stretch_ns;
            }
            _ => {}
        }
        if self.sending {
            self.pulls = self.bit.is_some_and(|bit| self.byte & 0x80 >> bit == 0);
        }
    }

    fn observe(&mut self, scl: bool, sda: bool, at_ns: u64) {
        let before = std::mem::replace(&mut self.lines, (scl, sda));
        if scl && before.0 && sda != before.1 {
            self.note(if sda { "P " } else { "S " });
            (self.addressing, self.sending, self.pulls, self.byte) = (true, false, false, 0);
            // The first fall of SCL belongs to the START.
            self.bit = (!sda).then_some(u8::MAX);
        } else if scl && !before.0 {
            if let Some(bit) = &mut self.bit {
                if *bit < 8 && !self.sending {
                    self.byte = self.byte << 1 | u8::from(sda);
                }
                *bit += 1;
            }
        } else if !scl && before.0 {
            if self.bit == Some(u8::MAX) {
                self.bit = Some(0);
            } else {
                self.lines.1 = sda;
                self.fell(at_ns);
            }
        }
    }

    fn wires(&self, levels: u64, at_ns: u64) -> (bool, bool) {
        let scl = levels >> SCL & 1 == 1 && at_ns >= self.stretched_until;
        (scl, levels >> SDA & 1 == 1 && !self.pulls)
    }
}

impl Device for Memory {
    fn levels(&mut self, levels: u64, at_ns: u64) -> u64 {
        let (scl, sda) = self.wires(levels, at_ns);
        self.observe(scl, sda, at_ns);
        let (scl, sda) = self.wires(levels, at_ns);
        levels & !(1 << SCL | 1 << SDA) | u64::from(scl) << SCL | u64::from(sda) << SDA
    }
}

/// A TWIM at 400 kbit/s with pull-ups at its ports.
fn twim(base: u32, registers: &[(u32, u32)]) -> (Lab, Rc<RefCell<String>>) {
    let mut lab = Lab::new();
    let log = Rc::<RefCell<String>>::default();
    let memory = Memory {
        cells: std::array::from_fn(|n| 0xC0 + n as u8),
        pointer: None,
        lines: (true, true),
        bit: None,
        byte: 0,
        addressing: false,
        sending: false,
        pulls: false,
        stretch_ns: 0,
        stretched_until: 0,
        log: Rc::clone(&log),
    };
    set_up(&mut lab, base, registers);
    lab.bench.device = Some(Box::new(memory));
    lab.bench.port_changes.clear();
    (lab, log)
}

fn set_up(lab: &mut Lab, base: u32, registers: &[(u32, u32)]) {
    lab.write(0x5000_0508, 1 << SCL | 1 << SDA);
    for port in [SCL, SDA] {
        // Output, input connected, pull-up, S0D1.
        lab.write(0x5000_0700 + 4 * port, 0x60D);
    }
    let defaults = [(0x508, SCL), (0x50C, SDA), (0x500, 6), (0x524, 0x0640_0000), (0x588, 0x50)];
    for (offset, value) in defaults.iter().chain(&[(0x534, RX), (0x544, TX)]).chain(registers) {
        lab.write(base + offset, *value);
    }
}

#[test]
fn writes_and_reads() {
    // bytes written, bytes to read, SHORTS, first task, what the memory saw, [ERRORSRC, sent, received, LASTTX, LASTRX]
    type Row = (&'static [u8], u32, u32, u32, &'static str, [u32; 5]);
    let rows: [Row; 7] = [
        (&[3, 0x11, 0x22], 0, LASTTX_STOP, STARTTX, "S a0+ 03+ 11+ 22+ P ", [0, 3, 0, 1, 0]),
        (&[0x0E], 3, LASTTX_STARTRX | LASTRX_STOP, STARTTX, "S a0+ 0e+ S a1+ (ce)+ (cf)+ (c0)- P ", [0, 1, 3, 1, 1]),
        (&[], 1, LASTRX_STOP, STARTRX, "S a1+ (c0)- P ", [0, 0, 1, 0, 1]),
        (&[5, 0x77], 2, LASTRX_STARTTX | LASTTX_STOP, STARTRX, "S a1+ (c0)+ (c1)- S a0+ 05+ 77+ P ", [0, 2, 2, 1, 1]),
        (&[3, 0xEE, 0x22], 0, LASTTX_STOP, STARTTX, "S a0+ 03+ ee- ", [4, 2, 0, 0, 0]),
        (&[0xEE], 2, LASTTX_STARTRX | LASTRX_STOP, STARTTX, "S a0+ ee- ", [4, 1, 0, 1, 0]),
        (&[3], 0, LASTTX_STOP, STARTTX, "S a0+ 03+ P ", [0, 1, 0, 1, 0]),
    ];
    for base in [TWIM0, TWIM1] {
        for (bytes, reads, shorts, task, expected, registers) in rows {
            let sizes = [(0x548, bytes.len() as u32), (0x538, reads), (0x200, shorts)];
            let (mut lab, log) = twim(base, &sizes);
            lab.fill(TX, bytes);
            lab.write(base + task, 1);
            lab.run(MILLISECOND);
            assert_eq!(*log.borrow(), expected);
            let seen = [ERRORSRC, 0x54C, 0x53C, LASTTX, LASTRX].map(|offset| lab.read(base + offset));
            assert_eq!(seen, registers, "{expected}");
            let failed = u32::from(registers[0] != 0);
            assert_eq!([lab.read(base + STOPPED), lab.read(base + ERROR)], [1 - failed, failed], "{expected}");
            if failed == 1 {
                lab.write(base + STOP, 1);
                lab.run(MILLISECOND);
                assert_eq!(*log.borrow(), format!("{expected}P "));
                assert_eq!(lab.read(base + STOPPED), 1);
            }
            let received: Vec<u8> =
                expected.split(['(', ')']).skip(1).step_by(2).map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
            assert_eq!(lab.ram(RX, reads as usize * (1 - failed as usize)), received, "{expected}");
            lab.assert_quiet();
        }
    }
}

#[test]
fn nobody_answers() {
    // ADDRESS, SDA of the firmware, registers after: [ERRORSRC, sent, received]
    for (address, sda) in [(0x51, SDA), (0x50, 20)] {
        let (mut lab, log) = twim(TWIM0, &[(0x588, address), (0x50C, sda), (0x548, 2), (0x200, LASTTX_STOP)]);
        lab.write(0x5000_0700 + 4 * 20, 0x60D);
        lab.write(TWIM0 + STARTTX, 1);
        lab.run(MILLISECOND);
        assert_eq!([ERRORSRC, ERROR, STOPPED, 0x54C].map(|offset| lab.read(TWIM0 + offset)), [2, 1, 0, 0]);
        assert_eq!(*log.borrow(), if sda == SDA { "S a2- " } else { "" });
        lab.write(TWIM0 + ERRORSRC, 2);
        lab.write(TWIM0 + STOP, 1);
        lab.run(10 * MICROSECOND);
        assert_eq!([lab.read(TWIM0 + STOPPED), lab.read(TWIM0 + ERRORSRC)], [1, 0]);
        assert_eq!(lab.bench.port_changes.last().unwrap().1 >> SCL & 1, 1);
    }
}

#[test]
fn the_clock_has_its_rate() {
    for (frequency, period) in [(0x0198_0000u32, 10_000), (0x0400_0000, 4_000), (0x0640_0000, 2_500)] {
        let (mut lab, _log) = twim(TWIM1, &[(0x524, frequency), (0x548, 2), (0x200, LASTTX_STOP)]);
        lab.write(TWIM1 + STARTTX, 1);
        lab.run(MILLISECOND);
        let mut rises = Vec::new();
        for pair in lab.bench.port_changes.windows(2) {
            if pair[0].1 >> SCL & 1 == 0 && pair[1].1 >> SCL & 1 == 1 {
                rises.push(pair[1].0);
            }
        }
        // Three bytes of nine clocks, and the one of the STOP.
        assert_eq!(rises.len(), 28);
        assert!(rises.windows(2).all(|pair| pair[1] - pair[0] == period), "{rises:?}");
    }
}

#[test]
fn suspended_between_two_writes() {
    // As embassy-nrf splits a transaction of several writes; the last is empty.
    let (mut lab, log) = twim(TWIM0, &[(0x548, 2), (0x200, LASTTX_SUSPEND)]);
    lab.fill(TX, &[4, 0x99, 0x98]);
    lab.write(TWIM0 + STARTTX, 1);
    lab.run(MILLISECOND);
    assert_eq!([lab.read(TWIM0 + SUSPENDED), lab.read(TWIM0 + STOPPED)], [1, 0]);
    assert_eq!(*log.borrow(), "S a0+ 04+ 99+ ");
    for (offset, value) in
        [(0x544, TX), (0x548, 0), (0x200, 0), (STARTTX, 1), (RESUME, 1), (SUSPEND, 1), (SUSPENDED, 0)]
    {
        lab.write(TWIM0 + offset, value);
    }
    lab.run(MILLISECOND);
    assert_eq!([lab.read(TWIM0 + SUSPENDED), lab.read(TWIM0 + 0x54C)], [1, 0]);
    for (offset, value) in [(0x200, LASTRX_STOP), (0x538, 1), (STARTRX, 1), (RESUME, 1)] {
        lab.write(TWIM0 + offset, value);
    }
    lab.run(MILLISECOND);
    assert_eq!(*log.borrow(), "S a0+ 04+ 99+ S a0+ S a1+ (c0)- P ");
    assert_eq!([lab.read(TWIM0 + STOPPED), lab.read(TWIM0 + 0x53C)], [1, 1]);
}

#[test]
fn a_stretched_clock_is_waited_for() {
    for stretch_ns in [0, 30_000, 300_000] {
        let (mut lab, log) = twim(TWIM0, &[(0x548, 2), (0x200, LASTTX_STOP)]);
        lab.fill(TX, &[1, 2]);
        let memory = Memory {
            cells: [0; 16],
            pointer: None,
            lines: (true, true),
            bit: None,
            byte: 0,
            addressing: false,
            sending: false,
            pulls: false,
            stretch_ns,
            stretched_until: 0,
            log: Rc::clone(&log),
        };
        lab.bench.device = Some(Box::new(memory));
        lab.write(TWIM0 + STARTTX, 1);
        let took = lab.wait_for(TWIM0 + STOPPED, 2 * MILLISECOND).unwrap();
        assert_eq!(*log.borrow(), "S a0+ 01+ 02+ P ");
        // 27 bits and a little; each byte is followed by a stretch, seen with a pause of up to its own length more.
        let expected = 27 * 2_500 + 3 * stretch_ns;
        assert!((expected..expected + 5_000 + 3 * stretch_ns).contains(&took), "{stretch_ns}: {took}");
    }
    // A change that the board reports ends the wait at once.
    let (mut lab, _log) = twim(TWIM0, &[(0x548, 1), (0x200, LASTTX_STOP)]);
    lab.bench.device = None;
    lab.write(TWIM0 + STARTTX, 1);
    lab.run(20 * MICROSECOND);
    lab.force(1 << SCL, 0);
    lab.run(5_013 * MICROSECOND); // amid one of the pauses between two looks
    lab.bench.port_changes.clear();
    let released = lab.chip.now_ns();
    lab.force(0, 0);
    lab.run(2 * MICROSECOND);
    // A quarter and a quarter of 2.5 us, then SCL falls.
    let (at, levels) = lab.bench.port_changes[0];
    assert_eq!((at - released, levels >> SCL & 1), (1_250, 0));
}

#[test]
fn a_bus_held_low_makes_no_progress() {
    for line in [SCL, SDA] {
        let (mut lab, log) = twim(TWIM1, &[(0x548, 1), (0x200, LASTTX_STOP)]);
        lab.force(1 << line, 0);
        lab.write(TWIM1 + STARTTX, 1);
        lab.run(100 * MILLISECOND);
        lab.write(TWIM1 + STOP, 1);
        lab.run(100 * MILLISECOND);
        assert_eq!([STOPPED, ERROR, LASTTX].map(|offset| lab.read(TWIM1 + offset)), [0; 3]);
        // The way out: off and on again.
        lab.write(TWIM1 + 0x500, 0);
        lab.force(0, 0);
        log.borrow_mut().clear();
        lab.write(TWIM1 + 0x500, 6);
        lab.write(TWIM1 + STARTTX, 1);
        lab.run(MILLISECOND);
        assert_eq!(lab.read(TWIM1 + STOPPED), 1, "{}", log.borrow());
    }
}

#[test]
fn one_block_is_either_of_two() {
    let (mut lab, log) = twim(TWIM0, &[(0x548, 1), (0x538, 1)]);
    lab.write(TWIM0 + 0x010, 1); // START of the SPI master
    lab.run(MILLISECOND);
    assert_eq!((log.borrow().as_str(), lab.read(TWIM0 + 0x118)), ("", 0));
    lab.write(TWIM0 + 0x500, 7);
    assert!(lab.chip.ports().states[SCL as usize].driven.is_some(), "now SCK at its idle level");
    lab.write(TWIM0 + 0x010, 1);
    lab.run(MILLISECOND);
    assert_eq!(lab.read(TWIM0 + 0x118), 1, "END");
    assert_eq!(lab.read(TWIM0 + 0x508), SCL, "the registers are the same");
    lab.write(TWIM0 + 0x500, 0);
    lab.write(TWIM0 + STARTTX, 1);
    lab.run(MILLISECOND);
    assert_eq!(lab.read(TWIM0 + 0x150), 0, "off");
    lab.assert_quiet();
}

#[test]
fn a_snapshot_amid_a_byte_goes_on() {
    let run = |lab: &mut Lab| {
        lab.bench.port_changes.clear();
        lab.run(MILLISECOND);
        std::mem::take(&mut lab.bench.port_changes)
    };
    let mut lab = Lab::new();
    set_up(&mut lab, TWIM0, &[(0x538, 2), (0x200, LASTRX_STOP)]);
    // Nothing outside but the pull-ups, and SDA low at the acknowledge bit.
    lab.write(TWIM0 + STARTRX, 1);
    lab.run(9_000);
    let snapshot = lab.chip.snapshot();
    let whole = run(&mut lab);
    let mut other = Lab { chip: Chip::new(ChipIdentity::from_seed(9)), bench: common::Bench::default() };
    other.chip.restore(&snapshot);
    assert_eq!(run(&mut other), whole);
    assert!(whole.len() > 10);
}
