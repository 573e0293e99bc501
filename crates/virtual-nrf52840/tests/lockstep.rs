//! A second core in lockstep with the chip's reaches the same registers.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;
#[path = "common/replica.rs"]
mod replica;

use common::thumb::{self, INCREMENT_R1, LOAD_R1, STORE_R1};
use common::{Bench, MILLISECOND, program};
use replica::{Ours, Recorder, Rsemu, play};
use virtual_nrf52840::{Chip, ChipIdentity};

/// Counts in RAM and writes the count to a peripheral's register.
fn counting_chip() -> Chip {
    let code = [
        thumb::load(0, 0x2000_1000),
        vec![LOAD_R1, INCREMENT_R1, STORE_R1],
        thumb::load(0, 0x4000_051C),
        vec![STORE_R1],
    ];
    let back = code.concat().len() as u16 + 2;
    let code = [code.concat(), vec![0xE000 | (0x800 - back) & 0x7FF]].concat();
    let mut chip = Chip::new(ChipIdentity::from_seed(3));
    chip.write_flash(0, &program(&code)).unwrap();
    chip
}

#[test]
fn another_core_agrees_and_a_wrong_one_is_found() {
    let mut chip = counting_chip();
    let (rsemu, report) = Rsemu::new();
    chip.observe(Box::new(rsemu));
    chip.set_power(true);
    chip.run_until(MILLISECOND, &mut Bench::default());
    let first = std::mem::take(&mut *report.lock().unwrap());
    assert_eq!(first.problem, None);
    assert!(first.compared > 1000, "{first:?}");
    // A word of RAM that the second core does not hear of; between load and store the program would overwrite it.
    for n in 0..8 {
        chip.bus_write(0x2000_1000, 77, &mut Bench::default()).unwrap();
        chip.run_until(MILLISECOND + 10_017 * n, &mut Bench::default());
    }
    assert!(report.lock().unwrap().problem.is_some());
}

#[test]
fn a_record_plays_on_both_cores() {
    let mut chip = counting_chip();
    let recorder = Recorder::default();
    chip.observe(Box::new(recorder.clone()));
    chip.set_power(true);
    chip.run_until(MILLISECOND, &mut Bench::default());
    let events = recorder.0.lock().unwrap();
    play(&events, &mut Ours::new());
    let (mut rsemu, report) = Rsemu::new();
    play(&events, &mut rsemu);
    let report = report.lock().unwrap();
    assert_eq!((report.problem.as_deref(), report.compared > 1000), (None, true));
}
