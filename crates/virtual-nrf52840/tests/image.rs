//! Images that do not begin at address 0, where a bootloader would be.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::thumb::{HANG, WFI, load, store};
use common::{Bench, MILLISECOND};
use virtual_nrf52840::{Chip, ChipIdentity};

const ELF_HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
const CODE: u32 = 0x100;
const MARK: u32 = 0x2000_1000;
const STACK: u32 = 0x2004_0000;

/// A 32-bit ELF file for ARM with these loadable segments.
fn elf(segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0];
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 40);
    for value in [1, 0, ELF_HEADER, 0, 0x0500_0400] {
        word(&mut file, value);
    }
    for value in [ELF_HEADER as u16, PROGRAM_HEADER as u16, segments.len() as u16, 0, 0, 0] {
        half(&mut file, value);
    }
    let mut at = ELF_HEADER + PROGRAM_HEADER * segments.len() as u32;
    for (address, bytes) in segments {
        let length = bytes.len() as u32;
        for value in [1, at, *address, *address, length, length, 5, 4] {
            word(&mut file, value);
        }
        at += length;
    }
    segments.iter().for_each(|(_, bytes)| file.extend(bytes));
    file
}

/// An image for `base`: stack pointer, entry, handlers that hang, and code.
fn image(base: u32, stack: u32, entry: u32, code: &[u16]) -> Vec<u8> {
    let hang = base + CODE - 2;
    let table = (0..48u32).map(|n| [stack, entry].get(n as usize).copied().unwrap_or(hang | 1));
    let mut bytes: Vec<u8> = table.flat_map(u32::to_le_bytes).collect();
    bytes.resize(CODE as usize - 2, 0);
    bytes.extend(HANG.to_le_bytes());
    bytes.extend(code.iter().flat_map(|half| half.to_le_bytes()));
    bytes
}

/// Counts in RAM how often it was started, notes VTOR there, and then does `more`.
fn counting(base: u32, more: &[u16]) -> Vec<u8> {
    // ldr r1, [r0]; adds r1, #1; str r1, [r0]; then r2 = [VTOR], to the word behind the count.
    let mut code = load(0, MARK);
    code.extend([0x6801, 0x3101, 0x6001]);
    code.extend(load(2, 0xE000_ED08));
    code.extend([0x6812, 0x6042]);
    code.extend(more);
    image(base, STACK, (base + CODE) | 1, &code)
}

fn started(file: &[u8]) -> (Chip, Bench) {
    let mut chip = Chip::new(ChipIdentity::from_seed(7));
    chip.load_elf(file).unwrap();
    let mut bench = Bench::default();
    chip.set_power(true);
    // RAM is garbage before.
    chip.bus_write(MARK, 0, &mut bench).unwrap();
    chip.run_until(10 * MILLISECOND, &mut bench);
    (chip, bench)
}

fn words(chip: &Chip) -> [u32; 2] {
    let mut bytes = [0; 8];
    chip.read_ram(MARK, &mut bytes).unwrap();
    [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
}

fn texts(chip: &Chip) -> Vec<String> {
    chip.diagnostics().iter().map(ToString::to_string).collect()
}

#[test]
fn an_image_behind_a_bootloader_starts_after_every_reset() {
    for base in [0x1000, 0x7000, 0x2_6000, 0x2_7000] {
        let (mut chip, mut bench) = started(&elf(&[(base, counting(base, &[WFI, HANG]))]));
        assert_eq!(words(&chip), [1, base]);
        let expected = format!("nothing at address 0: started the image at {base:#010x} as its bootloader would");
        assert_eq!(texts(&chip).len(), 1, "{:#?}", texts(&chip));
        assert!(texts(&chip)[0].starts_with(&expected), "{:#?}", texts(&chip));
        // A power cycle, and the software's own reset.
        chip.set_power(false);
        chip.set_power(true);
        chip.bus_write(MARK, 5, &mut bench).unwrap();
        chip.run_until(20 * MILLISECOND, &mut bench);
        assert_eq!(words(&chip), [6, base]);
        assert_eq!(chip.diagnostics()[0].times, 2);
    }
}

#[test]
fn an_image_behind_a_bootloader_may_reset_the_chip() {
    let base = 0x2_7000;
    // Only once: cmp r1, #2; bge to the end; AIRCR.SYSRESETREQ.
    let reset = store(0xE000_ED0C, 0x05FA_0004);
    let over = [0x2902, 0xDA00 | (reset.len() as u16 - 1)];
    let more = [over.as_slice(), &reset, &[HANG]].concat();
    let (chip, _) = started(&elf(&[(base, counting(base, &more))]));
    assert_eq!(words(&chip), [2, base]);
    assert_eq!(chip.stats().resets, 1);
    assert_eq!(chip.diagnostics()[0].times, 2);
}

#[test]
fn a_fault_of_such_an_image_is_reported() {
    // Reads unmapped memory through r0.
    let more = [load(0, 0x6000_0000), vec![0x6801, HANG]].concat();
    let (chip, _) = started(&elf(&[(0x1000, counting(0x1000, &more))]));
    assert!(texts(&chip)[1].starts_with("HardFault"), "{:#?}", texts(&chip));
}

#[test]
fn an_image_without_a_vector_table_is_reported() {
    let base = 0x1000;
    let entry = (base + CODE) | 1;
    // The stack outside RAM, an even entry, an entry outside the image; a table that VTOR cannot name.
    let rows = [
        (base, image(base, 0x3000_0000, entry, &[HANG])),
        (base, image(base, STACK, entry & !1, &[HANG])),
        (base, image(base, STACK, 0x9001, &[HANG])),
        (base + 4, image(base + 4, STACK, entry + 4, &[HANG])),
    ];
    for (base, bytes) in rows {
        let (chip, _) = started(&elf(&[(base, bytes)]));
        let expected = format!("nothing to execute at address 0, the image begins at {base:#010x}");
        assert_eq!(texts(&chip).len(), 1, "{:#?}", texts(&chip));
        assert!(texts(&chip)[0].starts_with(&expected), "{:#?}", texts(&chip));
        assert!(chip.diagnostics()[0].times > 1, "each reset counts");
    }
}

#[test]
fn an_image_at_0_starts_without_a_report() {
    let at_0 = counting(0, &[WFI, HANG]);
    let (chip, _) = started(&elf(&[(0x2_7000, counting(0x2_7000, &[HANG])), (0, at_0)]));
    assert_eq!(words(&chip), [1, 0]);
    assert!(texts(&chip).is_empty(), "{:#?}", texts(&chip));
}

#[test]
fn a_chip_that_was_erased_is_silent() {
    let (mut chip, mut bench) = started(&elf(&[(0x1000, counting(0x1000, &[HANG]))]));
    chip.set_power(false);
    chip.erase_all();
    chip.set_power(true);
    chip.run_until(20 * MILLISECOND, &mut bench);
    assert_eq!(chip.diagnostics()[0].times, 1);
    assert_eq!(texts(&chip).len(), 1, "{:#?}", texts(&chip));
    let mut chip = Chip::new(ChipIdentity::from_seed(7));
    chip.set_power(true);
    chip.run_until(20 * MILLISECOND, &mut bench);
    assert!(texts(&chip).is_empty(), "{:#?}", texts(&chip));
}

/// Linkers put the file's header in front of the first bytes for the flash when both fit into one page.
#[test]
fn the_header_of_the_file_in_front_of_an_image_does_not_hide_its_vectors() {
    let (base, gap) = (0x2_7000, 0x7000);
    let mut bytes = vec![0x7F; gap as usize];
    bytes.extend(counting(base, &[WFI, HANG]));
    let length = bytes.len() as u32 - gap;
    let mut file = elf(&[(base - gap, bytes)]);
    // Two sections: the one that every file has, and the image.
    let sections = file.len() as u32;
    let offset = ELF_HEADER + PROGRAM_HEADER + gap;
    for value in [[0; 10], [0, 1, 6, base, offset, length, 0, 0, 4, 0]] {
        file.extend(value.iter().flat_map(|word: &u32| word.to_le_bytes()));
    }
    file[32..36].copy_from_slice(&sections.to_le_bytes());
    file[46..52].copy_from_slice(&[40, 0, 2, 0, 0, 0]);
    let (chip, _) = started(&file);
    assert_eq!(words(&chip), [1, base], "{:#?}", texts(&chip));
}
