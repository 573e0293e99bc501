//! What the chip has and the model lacks is reported when firmware relies on it, and counted when it does so again.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MILLISECOND};

const PPI: u32 = 0x4001_F000;
const CHENSET: u32 = PPI + 0x504;
const CHENCLR: u32 = PPI + 0x508;
const POFCON: u32 = 0x4000_0510;
const POFWARN: u32 = 0x4000_0108;
const ACL: u32 = 0x4001_E800;
const NVMC_CONFIG: u32 = 0x4001_E504;

fn texts(lab: &Lab) -> Vec<String> {
    lab.chip.diagnostics().iter().map(ToString::to_string).collect()
}

/// What is written, and how the one report begins.
type Row<'a> = (&'a [(u32, u32)], &'a str);

fn check(rows: &[Row<'_>]) {
    for (writes, expected) in rows {
        let mut lab = Lab::new();
        for times in 1..=2 {
            for (address, value) in *writes {
                lab.write(*address, *value);
            }
            let texts = texts(&lab);
            assert_eq!(texts.len(), 1, "{expected}: {texts:#?}");
            assert!(texts[0].starts_with(expected), "{expected}: {texts:#?}");
            assert_eq!(lab.chip.diagnostics()[0].times, times, "{expected}");
        }
    }
}

#[test]
fn interrupts_and_shortcuts() {
    check(&[
        (&[(0x4000_0304, 0x25)], "CLOCK/POWER: 0x20 in INTENSET is not modelled"),
        (&[(0x4000_1304, 1 << 10 | 1 << 3)], "RADIO: 0x400 in INTENSET is not modelled"),
        (&[(0x4000_1200, 1 << 6 | 0x3)], "RADIO: 0x40 in SHORTS is not modelled"),
        (&[(0x4000_1200, u32::MAX)], "RADIO: 0x3f840 in SHORTS is not modelled"),
        (&[(0x4000_2200, 0x78)], "UARTE0: 0x18 in SHORTS is not modelled"),
        (&[(0x4000_3300, 1 << 10)], "SPIM0/TWIM0: 0x400 in INTEN is not modelled"),
        (&[(0x4000_4200, 0x2004)], "SPIM1/TWIM1: 0x2004 in SHORTS is not modelled"),
        (&[(0x4000_4304, 0x0600_0000)], "SPIM1/TWIM1: 0x6000000 in INTENSET is not modelled"),
        (&[(0x4002_3200, u32::MAX)], "SPIM2: 0x4 in SHORTS is not modelled"),
        (&[(0x4002_7304, 1 << 11 | 1)], "USBD: 0x800 in INTENSET is not modelled"),
    ]);
}

#[test]
fn what_no_specification_defines_may_be_written() {
    #[rustfmt::skip]
    let rows = [
        // TIMER0 has four compare registers, RTC0 three; neither UARTE1 nor SPIM3 shares its place with another block.
        (0x4000_8200, u32::MAX), (0x4000_8304, u32::MAX), (0x4000_B304, 0xFFFF_FFFC), (0x4002_8200, u32::MAX),
        (0x4002_F200, u32::MAX), (0x4000_1308, u32::MAX),
        // An event that never comes may be cleared.
        (0x4000_1128, 0), (0x4000_0114, 0), (0x4002_712C, 0),
    ];
    let mut lab = Lab::new();
    for (address, value) in rows {
        lab.write(address, value);
    }
    lab.assert_quiet();
    assert_eq!(lab.read(0x4000_1128), 0);
    let texts = texts(&lab);
    assert!(texts[0].starts_with("RADIO: read of 0x40001128 is not modelled"), "but who waits for it: {texts:#?}");
}

#[test]
fn end_points_of_ppi_channels() {
    let again = (CHENCLR, u32::MAX);
    check(&[
        // RADIO.BCMATCH, QDEC.READY, no event at all; with a task that exists.
        (
            &[again, (PPI + 0x510, 0x4000_1128), (PPI + 0x514, 0x4000_8000), (CHENSET, 1)],
            "PPI: channel 0 has EEP 0x40001128, no modelled event of RADIO",
        ),
        (
            &[again, (PPI + 0x518, 0x4001_2100), (PPI + 0x51C, 0x4000_8000), (CHENSET, 2)],
            "PPI: channel 1 has EEP 0x40012100, no modelled event of QDEC",
        ),
        (&[again, (PPI + 0x510, 0x4000_8504), (CHENSET, 1)], "PPI: channel 0 has EEP 0x40008504, no modelled event of"),
        // ECB.STARTECB, RADIO.CCASTART, COMP.SAMPLE; with an event that exists.
        (
            &[again, (PPI + 0x510, 0x4000_8140), (PPI + 0x514, 0x4000_E000), (CHENSET, 1)],
            "PPI: channel 0 has TEP 0x4000e000, no modelled task of ECB",
        ),
        (
            &[again, (PPI + 0x514, 0x4000_102C), (CHENSET, 1)],
            "PPI: channel 0 has TEP 0x4000102c, no modelled task of RADIO",
        ),
        (
            &[again, (PPI + 0x91C, 0x4001_3008), (CHENSET, 8)],
            "PPI: channel 3 has FORK.TEP 0x40013008, no modelled task of COMP/LPCOMP",
        ),
        // The channel is enabled first; by its group.
        (&[again, (PPI + 0x514, 0), (CHENSET, 1), (PPI + 0x514, 0x4001_D000)], "PPI: channel 0 has TEP 0x4001d000"),
        (
            &[again, (PPI + 0x514, 0x4002_5000), (PPI + 0x800, 1), (PPI, 1)],
            "PPI: channel 0 has TEP 0x40025000, no modelled task of I2S",
        ),
        // Pre-programmed: RADIO.READY -> CCM.KSGEN.
        (&[again, (CHENSET, 1 << 24)], "PPI: channel 24 has TEP 0x4000f000, no modelled task of CCM/AAR"),
    ]);
}

/// Every task register of the product specification, by block: id of the peripheral, and bit n for the task at 4 n.
#[rustfmt::skip]
const TASKS: [(u32, u32); 41] = [
    (0x00, 0xC000_007F), (0x01, 0x1FFF), (0x02, 0x88F), (0x03, 0x37B5), (0x04, 0x37B5), (0x05, 0x68F),
    (0x06, 0xFF0F_F0FF), (0x07, 0xF), (0x08, 0xF_001F), (0x09, 0xF_001F), (0x0A, 0xF_001F), (0x0B, 0xF), (0x0C, 0x3),
    (0x0D, 0x3), (0x0E, 0x3), (0x0F, 0xF), (0x10, 0x1), (0x11, 0xF), (0x12, 0x1F), (0x13, 0x7), (0x14, 0xFFFF),
    (0x15, 0xFFFF), (0x16, 0xFFFF), (0x17, 0xFFFF), (0x18, 0xFFFF), (0x19, 0xFFFF), (0x1A, 0x3F_001F),
    (0x1B, 0x3F_001F), (0x1C, 0x1E), (0x1D, 0x3), (0x1F, 0xFFF), (0x21, 0x1E), (0x22, 0x1E), (0x23, 0x7B0),
    (0x24, 0xF), (0x25, 0x3), (0x27, 0xFF_FFFE), (0x28, 0x80F), (0x29, 0x1F), (0x2D, 0x1E),
    (0x2F, 0x1B0),
];

/// A task that is triggered and one that a PPI channel leads to: both are modelled, or both are reported.
#[test]
fn tasks_work_or_are_reported() {
    let reported = |lab: &Lab, what: &str| texts(lab).iter().any(|text| text.contains(what));
    for (id, tasks) in TASKS {
        for offset in (0..32).filter(|n| tasks >> n & 1 != 0).map(|n| 4 * n) {
            let task = 0x4000_0000 + id * 0x1000 + offset;
            let mut lab = Lab::new();
            match id {
                // The serial masters only have their tasks while they are enabled, and either its own.
                0x03 | 0x04 if matches!(offset, 0x00 | 0x08) => lab.write(task & !0xFFF | 0x500, 6),
                0x03 | 0x04 | 0x23 | 0x2F => lab.write(task & !0xFFF | 0x500, 7),
                0x27 => lab.write(task & !0xFFF | 0x500, 1),
                _ => {}
            }
            lab.write(task, 1);
            let by_write = reported(&lab, "of 0x1 to") || id == 0x27 && !lab.chip.diagnostics().is_empty();
            let mut lab = Lab::new();
            lab.write(PPI + 0x514, task);
            lab.write(CHENSET, 1);
            let by_channel = reported(&lab, "has TEP");
            assert_eq!(by_write, by_channel, "{task:#010x}");
        }
    }
}

#[test]
fn settings_that_only_keep_what_is_written() {
    check(&[
        (&[(0x4002_0514, 1)], "MWU: write of 0x1 to 0x40020514 is not modelled"),
        (&[(0x4002_0600, 0x2000_0000), (0x4002_0510, 1)], "MWU: write of 0x1 to 0x40020510 is not modelled"),
        (&[(ACL, 0x8_0000), (ACL + 4, 0x1000), (ACL + 8, 4)], "ACL: protection against reading (PERM.READ)"),
        (&[(0x4000_055C, 0x1_0000)], "CLOCK: trace output (TRACECONFIG.TRACEMUX)"),
        (&[(0x4001_E540, 0x101)], "NVMC: counting the hits of the cache"),
        (&[(0x4002_7510, 0x101)], "USBD: isochronous transfers"),
        (&[(0x4002_7514, 0x101)], "USBD: isochronous transfers"),
        (&[(0x4002_752C, 1)], "USBD: suspend (LOWPOWER)"),
    ]);
}

/// Blocks that the model does not have, each at the register that switches it on.
#[test]
fn blocks_without_a_model() {
    check(&[
        (&[(0x4000_E000, 1)], "ECB: write of 0x1 to 0x4000e000 is not modelled"),
        (&[(0x4000_F500, 2)], "CCM/AAR: write of 0x2 to 0x4000f500 is not modelled"),
        (&[(0x4001_2500, 1)], "QDEC: write of 0x1 to 0x40012500 is not modelled"),
        (&[(0x4001_3500, 2)], "COMP/LPCOMP: write of 0x2 to 0x40013500 is not modelled"),
        (&[(0x4001_D500, 1)], "PDM: write of 0x1 to 0x4001d500 is not modelled"),
        (&[(0x4002_5500, 1)], "I2S: write of 0x1 to 0x40025500 is not modelled"),
        (&[(0x5002_A500, 1)], "CRYPTOCELL: write of 0x1 to 0x5002a500 is not modelled"),
        (&[(0x4000_2500, 4)], "UARTE0: the UART without EasyDMA"),
        (&[(0x4000_3500, 2)], "SPIM0/TWIM0: ENABLE of anything but"),
        (&[(0x4000_4500, 9)], "SPIM1/TWIM1: ENABLE of anything but"),
    ]);
}

#[test]
fn the_power_fail_comparator_warns_once_and_guards_the_flash() {
    let mut lab = Lab::new();
    lab.write(POFCON, 1 | 13 << 1); // 2.6 V
    lab.run(MILLISECOND);
    assert_eq!(lab.read(POFWARN), 0);
    lab.bench.vdd = 2.59;
    lab.run(MILLISECOND);
    assert_eq!(lab.read(POFWARN), 1);
    lab.write(POFWARN, 0);
    lab.write(NVMC_CONFIG, 1);
    lab.write(0x8_0000, 0);
    assert_eq!(lab.read(0x8_0000), u32::MAX, "nothing is written below the threshold");
    // Above the threshold, but not by the hysteresis; then by it, and down again.
    for (volts, warned) in [(2.62, 0), (2.57, 0), (2.7, 0), (2.5, 1)] {
        lab.bench.vdd = volts;
        lab.run(MILLISECOND);
        assert_eq!(lab.read(POFWARN), warned, "{volts} V");
    }
    lab.write(POFWARN, 0);
    lab.write(POFCON, 0);
    lab.write(0x8_0000, 0);
    assert_eq!(lab.read(0x8_0000), 0);
    lab.write(POFCON, 1 | 13 << 1);
    assert_eq!(lab.read(POFWARN), 1, "switched on with a supply that is too low");
    lab.assert_quiet();
}

#[test]
fn a_region_that_must_not_be_written_stays_as_it_is_until_reset() {
    let mut lab = Lab::new();
    lab.chip.write_flash(0x8_0FF8, &[0; 16]).unwrap();
    for (offset, value) in [(0, 0x8_1000), (4, 0x1000), (8, 2), (8, 0), (4, 0x2000)] {
        lab.write(ACL + offset, value);
    }
    assert_eq!((lab.read(ACL + 4), lab.read(ACL + 8)), (0x1000, 2), "each can be written once");
    lab.write(NVMC_CONFIG, 1);
    for (address, may) in [(0x8_0FFC, true), (0x8_1000, false), (0x8_1FFC, false), (0x8_2000, true)] {
        assert_eq!(lab.chip.bus_write(address, 0, &mut lab.bench).is_some(), may, "{address:#x}");
    }
    lab.assert_quiet();
    lab.write(NVMC_CONFIG, 2);
    lab.write(0x4001_E508, 0x8_1000);
    assert_eq!(lab.read(0x8_1000), 0);
    let texts = texts(&lab);
    assert!(texts[0].starts_with("ACL: the bus fault for erasing a protected region is not modelled"), "{texts:#?}");
    lab.chip.set_power(false);
    lab.chip.set_power(true);
    lab.write(NVMC_CONFIG, 2);
    lab.write(0x4001_E508, 0x8_1000);
    assert_eq!(lab.read(0x8_1000), u32::MAX);
}

/// RESETREAS after a wake-up from System OFF: by VBUS, by a field that NFCT senses, and not by one that it does not.
#[test]
fn system_off_ends_by_usb_supply_and_field() {
    for (senses, usb, reason) in [(false, true, 1 << 20), (true, false, 1 << 19), (false, false, 0)] {
        let mut lab = Lab::new();
        if senses {
            lab.write(0x4000_5008, 1);
        }
        lab.write(0x4000_0500, 1);
        lab.run(MILLISECOND);
        assert!(lab.chip.activity().system_off);
        if usb {
            lab.chip.set_vbus(true);
        } else {
            lab.chip.nfc_field(true);
        }
        lab.run(MILLISECOND);
        assert_eq!(lab.chip.activity().system_off, reason == 0);
        assert_eq!(lab.read(0x4000_0400), reason);
        lab.assert_quiet();
    }
}

#[test]
fn usb_supply_that_was_there_before_leaves_system_off_alone() {
    let mut lab = Lab::new();
    lab.chip.set_vbus(true);
    lab.write(0x4000_0500, 1);
    lab.run(MILLISECOND);
    lab.chip.set_vbus(true);
    lab.run(MILLISECOND);
    assert!(lab.chip.activity().system_off);
}
