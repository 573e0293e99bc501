use super::memory::SECTOR;
use super::*;
use crate::testing::{dut, model};
use virtual_nrf52840::FlashPorts;

const MS: u64 = 1_000_000;
const LAST: u32 = 0x3F_F000;

fn flash_of(name: &str, faults: FlashFaults) -> ExternalFlash {
    let family = dut(if name.starts_with("b4") { "b4xx" } else { "b5xx" });
    ExternalFlash::new(model(&family, name), "P042AN000000001", 1, faults)
}

/// Over the lines, bit by bit.
fn transfer_at(flash: &mut ExternalFlash, write: &[u8], read: usize, at_ns: u64) -> Vec<Option<u8>> {
    flash.lines(true, false, false, at_ns);
    flash.lines(false, false, false, at_ns);
    let mut received = Vec::new();
    for n in 0..write.len() + read {
        let byte = write.get(n).copied().unwrap_or(0);
        let mut back = Some(0);
        for bit in (0..8).rev() {
            let data = byte >> bit & 1 == 1;
            flash.lines(false, false, data, at_ns);
            flash.lines(false, true, data, at_ns);
            back = back.zip(flash.output()).map(|(back, level): (u8, bool)| back << 1 | u8::from(level));
            flash.lines(false, false, data, at_ns);
        }
        received.push(back);
    }
    flash.lines(true, false, false, at_ns);
    received.split_off(write.len())
}

fn transfer(flash: &mut ExternalFlash, write: &[u8], read: usize) -> Vec<u8> {
    transfer_at(flash, write, read, 0).into_iter().map(Option::unwrap).collect()
}

/// In one command of the QSPI peripheral.
fn command(
    flash: &mut ExternalFlash,
    opcode: u8,
    lines: (u8, u8),
    address: Option<u32>,
    write: &[u8],
    read: usize,
    at_ns: u64,
) -> Vec<u8> {
    let ports = FlashPorts { clock: Some(19), select: Some(17), data: [Some(20), Some(21), Some(22), Some(23)] };
    let (address_lines, data_lines) = lines;
    let command = FlashCommand { ports, opcode, address, address_lines, data_lines, write, idle_levels: [true; 2] };
    let mut answer = vec![0; read];
    flash.command(&command, &mut answer, at_ns);
    answer
}

fn enable_quad(flash: &mut ExternalFlash) -> u64 {
    transfer(flash, &[0x06], 0);
    transfer(flash, &[0x01, 0x40], 0);
    50 * MS
}

#[test]
fn identification_and_one_time_programmable_memory() {
    for (family, name, id, serial, modem, flags) in [
        ("b4xx", "b404x", [0xC2, 0x20, 0x16], "P042", 0x47, [0xFF, 0x7F]),
        ("b4xx", "b402", [0xC2, 0x20, 0x16], "P006", 0x44, [0xFF, 0xFF]),
        ("b5xx", "b524", [0xC2, 0x28, 0x17], "P034", 0x62, [0xFF, 0xFF]),
    ] {
        let family = dut(family);
        let model = model(&family, name);
        let text = serial_of(model, 1);
        let mut flash = ExternalFlash::new(model, &text, 1, FlashFaults::default());
        assert_eq!(transfer(&mut flash, &[0x9F], 3), id, "{name}");
        assert_eq!(command(&mut flash, 0x9F, (1, 1), None, &[0; 3], 3, 0), id, "{name}");
        let array = transfer(&mut flash, &[0x03, 0, 0, 0], 16);
        assert_ne!(array[..15], *text.as_bytes(), "not in the secured area");
        transfer(&mut flash, &[0xB1], 0);
        let otp = transfer(&mut flash, &[0x03, 0, 0, 0], 0x25);
        assert_eq!(otp[..15], *text.as_bytes());
        assert!(text.starts_with(serial) && text.len() == 15, "{text}");
        assert_eq!((otp[0x20], &otp[0x22..0x24], otp[0x24]), (modem, &flags[..], 0xFF), "{name}");
        assert_eq!(transfer(&mut flash, &[0x03, 0, 0, 0x20], 1), [modem], "from the middle");
        transfer(&mut flash, &[0xC1], 0);
        assert_eq!(transfer(&mut flash, &[0x03, 0, 0, 0], 16), array);
    }
}

#[test]
fn both_ways_reach_one_memory_and_writing_takes_its_time() {
    for (name, erase_ms, page_us) in [("b404x", 25, 330), ("b524", 58, 3200)] {
        let mut flash = flash_of(name, FlashFaults::default());
        let mut now = enable_quad(&mut flash);
        let erase = |flash: &mut ExternalFlash, now| {
            command(flash, 0x20, (1, 1), Some(LAST), &[], 0, now);
            command(flash, 0x05, (1, 1), None, &[0], 1, now)[0] & 1
        };
        assert_eq!(erase(&mut flash, now), 0, "{name}: not without write enable");
        transfer_at(&mut flash, &[0x06], 0, now);
        assert_eq!(erase(&mut flash, now), 1);
        let status = |flash: &mut ExternalFlash, now| transfer_at(flash, &[0x05], 1, now)[0].unwrap() & 1;
        assert_eq!(status(&mut flash, now + erase_ms * MS - 1), 1, "{name}");
        now += erase_ms * MS;
        assert_eq!(status(&mut flash, now), 0, "{name}");
        let read = |flash: &mut ExternalFlash, now, count| command(flash, 0xEB, (4, 4), Some(LAST), &[], count, now);
        assert_eq!(read(&mut flash, now, 4096), [0xFF; 4096]);

        transfer_at(&mut flash, &[0x06], 0, now);
        command(&mut flash, 0x38, (4, 4), Some(LAST + 0xF0), &[0x5A; 256], 0, now);
        assert_eq!(read(&mut flash, now + page_us * 1000 - 1, 1), [0xFF], "{name}: busy");
        now += page_us * 1000;
        let bytes = read(&mut flash, now, 0x102);
        assert_eq!((bytes[0], bytes[0xEF], bytes[0xFF], bytes[0x100]), (0x5A, 0x5A, 0x5A, 0xFF), "wraps in its page");
        transfer_at(&mut flash, &[0x06], 0, now);
        transfer_at(&mut flash, &[0x02, 0x3F, 0xF0, 0x00, 0x0F], 0, now);
        now += MS;
        assert_eq!(transfer_at(&mut flash, &[0x03, 0x3F, 0xF0, 0x00], 2, now), [Some(0x0A), Some(0x5A)]);
    }
}

#[test]
fn quad_needs_its_bit_and_its_lines() {
    // (quad enabled, open lines, what a byte 0x12 reads as on four lines)
    for (enabled, open_lines, expected) in
        [(true, 0, 0x12), (true, 1 << 2, 0x56), (true, 1 << 3, 0x9A), (true, 0xC, 0xDE), (false, 0, 0xFF)]
    {
        let mut flash = flash_of("b404x", FlashFaults { open_lines, ..FlashFaults::default() });
        let mut now = if enabled { enable_quad(&mut flash) } else { 0 };
        for write in [&[0x06][..], &[0x20, 0x3F, 0xF0, 0x00], &[0x06], &[0x02, 0x3F, 0xF0, 0x00, 0x12]] {
            transfer_at(&mut flash, write, 0, now);
            now += 50 * MS;
        }
        assert_eq!(command(&mut flash, 0x6B, (1, 4), Some(LAST), &[], 1, now), [expected], "{enabled} {open_lines}");
        assert_eq!(command(&mut flash, 0x0B, (1, 1), Some(LAST), &[], 1, now), [0x12], "one line");
        flash.power_off();
        assert_eq!(command(&mut flash, 0x6B, (1, 4), Some(LAST), &[], 1, now), [expected], "not volatile");
    }
}

#[test]
fn faults_of_the_chip() {
    let mut absent = flash_of("b404x", FlashFaults { absent: true, ..FlashFaults::default() });
    assert_eq!(transfer_at(&mut absent, &[0x9F], 3, 0), [None; 3]);
    assert_eq!(command(&mut absent, 0x9F, (1, 1), None, &[0; 3], 3, 0), [0xFF; 3]);

    let mut bad = flash_of("b404x", FlashFaults { bad_sector: Some(LAST + 5), ..FlashFaults::default() });
    for (sector, zeros) in [(LAST, 3), (LAST - SECTOR, 0)] {
        let now = u64::from(sector) * MS;
        command(&mut bad, 0x06, (1, 1), None, &[], 0, now);
        command(&mut bad, 0x20, (1, 1), Some(sector), &[], 0, now);
        let bytes = command(&mut bad, 0x0B, (1, 1), Some(sector), &[], 4096, now + 100 * MS);
        assert_eq!(bytes.iter().map(|byte| byte.count_zeros()).sum::<u32>(), zeros, "{sector:#x}");
    }
}
