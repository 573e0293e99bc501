//! Registers of every modelled block: reset values, and what stays of a written value.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::Lab;

#[test]
fn reset_values() {
    #[rustfmt::skip]
    let rows = [
        // FICR
        (0x1000_0010, 4096), (0x1000_0014, 256), (0x1000_0100, 0x52840), (0x1000_0104, 0x4141_4430),
        (0x1000_010C, 256), (0x1000_0110, 1024),
        // UICR, erased
        (0x1000_1080, 0xFFFF_FFFF), (0x1000_1200, 0xFFFF_FFFF), (0x1000_1304, 0xFFFF_FFFF),
        // CLOCK, POWER
        (0x4000_0400, 0), (0x4000_0418, 0), (0x4000_051C, 0), (0x4000_0900, 0xFFFF),
        // UARTE: PSEL disconnected, 250000 baud
        (0x4000_2508, 0xFFFF_FFFF), (0x4002_8514, 0xFFFF_FFFF), (0x4000_2524, 0x0400_0000),
        // SAADC: TACQ 10 us, limits off, 10 bit
        (0x4000_7518, 0x2_0000), (0x4000_751C, 0x7FFF_8000), (0x4000_75F0, 1),
        // TIMER prescaler 4
        (0x4000_8510, 4), (0x4001_B510, 4),
        // WDT: reload value all ones, one reload register, runs in sleep
        (0x4001_0504, 0xFFFF_FFFF), (0x4001_0508, 1), (0x4001_050C, 1), (0x4001_0400, 0),
        // QSPI: pins disconnected, idle
        (0x4002_9524, 0xFFFF_FFFF), (0x4002_9530, 0xFFFF_FFFF), (0x4002_9600, 0x4_0480), (0x4002_9604, 8),
        (0x4002_9624, 0xB7), (0x4002_9634, 0x2000), (0x4002_9640, 0x200),
        // NVMC ready, read only
        (0x4001_E400, 1), (0x4001_E504, 0),
        // PPI: fixed channels are not readable as programmable ones; all off
        (0x4001_F500, 0), (0x4001_F510, 0),
        // PWM: top 1023, refreshed every second period, ports disconnected
        (0x4001_C508, 0x3FF), (0x4002_1528, 1), (0x4002_D56C, 0xFFFF_FFFF),
        // GPIO
        (0x5000_0700, 2), (0x5000_0A3C, 2), (0x5000_0514, 0), (0x5000_0504, 0),
    ];
    let mut lab = Lab::new();
    for (address, expected) in rows {
        assert_eq!(lab.read(address), expected, "{address:#010x}");
    }
    lab.assert_quiet();
}

#[test]
fn written_values() {
    #[rustfmt::skip]
    let rows = [
        // address, written, read back
        (0x4000_051C, 0x1FF, 0xFF), (0x4000_0520, 0xA5, 0xA5),            // GPREGRET is 8 bits
        (0x4000_0930, 0x3, 0x3),                                           // RAM[3].POWER
        (0x4000_2304, 0x110, 0x110), (0x4000_2308, 0x100, 0x10),           // INTENSET, INTENCLR
        (0x4000_2200, 0xFFFF_FFE7, 0x60),                                  // SHORTS of the UARTE
        (0x4000_8200, 0xFFFF_FFFF, 0x0F0F), (0x4001_A200, 0xFFFF_FFFF, 0x3F3F),
        (0x4000_B540, 0xFF12_3456, 0x12_3456),                             // RTC.CC is 24 bits
        (0x4001_F504, 0x5, 0x5), (0x4001_F508, 0x1, 0x4),                  // CHENSET, CHENCLR
        (0x4001_F800, 0x30, 0x30), (0x4001_F910, 0x4000_8000, 0x4000_8000),
        (0x5000_0508, 0xF0, 0xF0), (0x5000_050C, 0x10, 0xE0),              // OUTSET, OUTCLR
        (0x5000_0808, 0xFFFF_FFFF, 0xFFFF),                                // P1 has 16 ports
        (0x5000_0518, 0x3, 0x3), (0x5000_051C, 0x1, 0x2),                  // DIRSET, DIRCLR
        (0x5000_0704, 0xFFFF_FFFF, 0x3_070F),
        (0x4000_6510, 0x13_2B03, 0x13_2B03),
        (0x4002_2524, 0x1_FFFF, 0x7FFF), (0x4002_2200, 0xFF, 0x1F),        // PWM: SEQ[0].CNT, SHORTS
        (0x4002_950C, 0xFFFF_FFFF, 0x3_FFFF), (0x4002_9544, 0x24, 0x24),   // QSPI READ.CNT, IFCONFIG0
        (0x4002_963C, 0x1234_5678, 0x1234_5678),
        (0x4002_0600, 7, 7),                                               // MWU
    ];
    let mut lab = Lab::new();
    for (address, written, expected) in rows {
        lab.write(address, written);
        assert_eq!(lab.read(address), expected, "{address:#010x}");
    }
    lab.assert_quiet();
}

#[test]
fn event_registers_latch_and_clear() {
    // EGU: task n triggers event n; only 0 clears it.
    let mut lab = Lab::new();
    for n in [0u32, 7, 15] {
        for base in [0x4001_4000u32, 0x4001_9000] {
            let event = base + 0x100 + 4 * n;
            assert_eq!(lab.read(event), 0);
            lab.write(base + 4 * n, 0);
            assert_eq!(lab.read(event), 0, "writing 0 to a task does nothing");
            lab.write(base + 4 * n, 1);
            assert_eq!(lab.read(event), 1);
            lab.write(event, 0);
            assert_eq!(lab.read(event), 0);
        }
    }
}

#[test]
fn a_register_without_model_is_reported_and_keeps_its_value() {
    let mut lab = Lab::new();
    lab.write(0x4002_5500, 1);
    assert_eq!(lab.read(0x4002_5500), 1);
    lab.read(0x4000_2FF0);
    lab.read(0x4000_2FF0);
    lab.read(0x1000_0800);
    lab.write(0x4000_0988, 1 << 5);
    let texts: Vec<String> = lab.chip.diagnostics().iter().map(ToString::to_string).collect();
    let expected = [
        "I2S: write of 0x1 to 0x40025500 is not modelled",
        "I2S: read of 0x40025500 is not modelled, answered 0x1",
        "UARTE0: read of 0x40002ff0 is not modelled, answered 0x0",
        "FICR: read of 0x10000800 is not modelled, answered 0xffffffff",
        "POWER: RAM switched off while the CPU runs is not modelled",
    ];
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.starts_with(expected), "{text}");
    }
    assert!(texts[2].ends_with("2 times"), "{}", texts[2]);
}

#[test]
fn addresses_with_nothing_behind_fault() {
    let mut lab = Lab::new();
    for address in [0x0010_0000, 0x2004_0000, 0x2200_0000, 0x6000_0000, 0x1200_0000] {
        assert_eq!(lab.chip.bus_read(address, &mut lab.bench), None, "{address:#010x}");
    }
    // Flash is read-only until the NVMC allows writing.
    assert_eq!(lab.chip.bus_write(0x8_0000, 0, &mut lab.bench), None);
    assert_eq!(lab.chip.bus_write(0x1000_0060, 0, &mut lab.bench), None, "FICR is never writable");
}

#[test]
fn a_chip_is_send() {
    fn send<T: Send>(_: &T) {}
    send(&Lab::new().chip);
}
