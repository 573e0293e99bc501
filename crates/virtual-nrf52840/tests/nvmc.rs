//! NVMC, flash and UICR at register level.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};

const NVMC: u32 = 0x4001_E000;
const READY: u32 = NVMC + 0x400;
const CONFIG: u32 = NVMC + 0x504;
const PAGE: u32 = 0x8_0000;

#[test]
fn writing_only_clears_bits_and_takes_time() {
    let mut lab = Lab::new();
    lab.write(CONFIG, 1);
    for (written, expected) in [(0xFFFF_FF0F, 0xFFFF_FF0F), (0xFFFF_00FF, 0xFFFF_000F), (0xFFFF_FFFF, 0xFFFF_000F)] {
        lab.write(PAGE + 8, written);
        assert_eq!(lab.read(PAGE + 8), expected);
        assert_eq!(lab.read(READY), 0);
        assert_eq!(lab.wait_for(READY, MILLISECOND).map(|ns| ns / 1000), Some(41));
    }
    lab.write(CONFIG, 0);
    assert_eq!(lab.chip.bus_write(PAGE + 8, 0, &mut lab.bench), None);
    assert_eq!(lab.read(PAGE + 8), 0xFFFF_000F);
}

#[test]
fn erasing_needs_its_enable_and_takes_a_page() {
    let mut lab = Lab::new();
    for offset in [0xFFC, 0x1000, 0x1FFC, 0x2000] {
        lab.chip.write_flash(PAGE + offset, &[0; 4]).unwrap();
    }
    lab.write(NVMC + 0x508, PAGE + 0x1000);
    lab.run(100 * MILLISECOND);
    assert_eq!(lab.read(PAGE + 0x1000), 0, "erase is not enabled");
    lab.write(CONFIG, 2);
    lab.write(NVMC + 0x508, PAGE + 0x1000);
    assert_eq!(lab.wait_for(READY, 100 * MILLISECOND).map(|ns| ns / 1000), Some(85_000));
    for (offset, expected) in [(0xFFC, 0), (0x1000, u32::MAX), (0x1FFC, u32::MAX), (0x2000, 0)] {
        assert_eq!(lab.read(PAGE + offset), expected, "{offset:#x}");
    }
}

#[test]
fn uicr_is_written_through_the_nvmc_and_erased() {
    let mut lab = Lab::new();
    assert_eq!(lab.chip.bus_write(0x1000_1080, 1, &mut lab.bench), None);
    lab.write(CONFIG, 1);
    lab.write(0x1000_1080, 0xFFFF_FFF0);
    lab.write(0x1000_1080, 0xFFFF_FF0F);
    assert_eq!(lab.read(0x1000_1080), 0xFFFF_FF00);
    lab.chip.set_power(false);
    lab.run(MILLISECOND);
    lab.chip.set_power(true);
    assert_eq!(lab.read(0x1000_1080), 0xFFFF_FF00, "UICR outlives power");
    lab.write(CONFIG, 2);
    lab.write(NVMC + 0x514, 1);
    lab.run(100 * MILLISECOND);
    assert_eq!(lab.read(0x1000_1080), u32::MAX);
    assert_eq!(lab.read(0), 0x2004_0000, "ERASEUICR leaves the flash");
}

#[test]
fn a_programmer_reads_and_writes_whole_flash_only() {
    let mut lab = Lab::new();
    let mut bytes = [0; 8];
    assert_eq!(lab.chip.write_flash(0xF_FFFC, &[1, 2, 3, 4]), Some(()));
    assert_eq!(lab.chip.write_flash(0xF_FFFD, &[1, 2, 3, 4]), None);
    assert_eq!(lab.chip.read_flash(0xF_FFF8, &mut bytes), Some(()));
    assert_eq!(bytes[4..], [1, 2, 3, 4]);
    assert_eq!(lab.chip.read_flash(0xF_FFFC, &mut bytes), None);
    lab.chip.erase_all();
    assert_eq!(lab.read(0), u32::MAX);
    lab.run(MICROSECOND);
}
