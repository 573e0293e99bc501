//! SEGGER RTT: a program writes to a ring in RAM, and a debugger empties it while the program runs, as `probe-rs` does.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::thumb::{load, store};
use common::{Lab, MILLISECOND};
use virtual_nrf52840::{ChipIdentity, DapRegister};

const ID: [u8; 16] = *b"SEGGER RTT\0\0\0\0\0\0";
/// Where the program puts the control block and the ring; the debugger has to find out.
const BLOCK: u32 = 0x2000_0400;
const RING: u32 = 0x2000_0500;
const SIZE: u32 = 16;

/// Sets up one ring and writes 0, 1, 2 and so on to it, each as soon as there is room.
fn counting() -> Vec<u16> {
    // One ring up, none down; then its name, place, size, write and read offset, and what is done when it is full: wait.
    let fields = [(16, 1), (20, 0), (24, 0), (28, RING), (32, SIZE), (36, 0), (40, 0), (44, 2)];
    let mut code: Vec<u16> = fields.iter().flat_map(|(offset, value)| store(BLOCK + offset, *value)).collect();
    // The identification is written last, so that a debugger never finds an incomplete block.
    for (n, word) in ID.chunks(4).enumerate() {
        code.extend(store(BLOCK + 4 * n as u32, u32::from_le_bytes(word.try_into().unwrap())));
    }
    code.extend([load(4, BLOCK), load(5, RING)].concat());
    code.extend([
        0x2600, // movs r6, #0
        0x6A61, // next: ldr r1, [r4, #36]
        0x1C4A, // adds r2, r1, #1
        0x2A10, // cmp r2, #SIZE
        0xD100, // bne over the next
        0x2200, // movs r2, #0
        0x6AA3, // full: ldr r3, [r4, #40]
        0x429A, // cmp r2, r3
        0xD0FC, // beq full
        0x546E, // strb r6, [r5, r1]
        0x6262, // str r2, [r4, #36]
        0x3601, // adds r6, #1
        0xE7F3, // b next
    ]);
    code
}

/// Memory through the debug port.
struct Probe {
    lab: Lab,
}

impl Probe {
    fn at(lab: Lab) -> Probe {
        let mut probe = Probe { lab };
        for (bits, length) in [((1 << 51) - 1, 51), (0xE79E, 16), ((1 << 51) - 1, 51), (0, 3)] {
            probe.lab.chip.dap_sequence(bits, length);
        }
        let Lab { chip, bench } = &mut probe.lab;
        chip.dap_read(DapRegister::Dp(0x0), bench).unwrap();
        probe.write(DapRegister::Dp(0x4), 0x5000_0000);
        probe.write(DapRegister::Dp(0x8), 0);
        probe.write(DapRegister::Ap(0x0), 0x2300_0012);
        probe
    }

    fn write(&mut self, register: DapRegister, value: u32) {
        self.lab.chip.dap_write(register, value, &mut self.lab.bench).unwrap();
    }

    fn word(&mut self, address: u32) -> u32 {
        self.write(DapRegister::Ap(0x4), address);
        self.lab.chip.dap_read(DapRegister::Ap(0xC), &mut self.lab.bench).unwrap()
    }

    fn set(&mut self, address: u32, value: u32) {
        self.write(DapRegister::Ap(0x4), address);
        self.write(DapRegister::Ap(0xC), value);
    }

    fn bytes(&mut self, address: u32, length: u32) -> Vec<u8> {
        let words = (address & !3..address + length).step_by(4).flat_map(|at| self.word(at).to_le_bytes());
        words.skip(address as usize % 4).take(length as usize).collect()
    }

    /// What is in the ring, which is free for more then.
    fn drain(&mut self, block: u32) -> Vec<u8> {
        let [ring, size, end, begin] = [28, 32, 36, 40].map(|offset| self.word(block + offset));
        let mut bytes = Vec::new();
        if end < begin {
            bytes = self.bytes(ring + begin, size - begin);
            bytes.extend(self.bytes(ring, end));
        } else if end > begin {
            bytes = self.bytes(ring + begin, end - begin);
        }
        self.set(block + 40, end);
        bytes
    }
}

#[test]
fn a_debugger_finds_the_control_block_and_reads_while_the_program_goes_on() {
    let mut probe = Probe::at(Lab::running(ChipIdentity::from_seed(7), &counting()));
    probe.lab.run(MILLISECOND);
    let memory = probe.bytes(0x2000_0000, 0x1000);
    let offset = memory.windows(ID.len()).position(|window| window == ID).unwrap();
    let block = 0x2000_0000 + offset as u32;
    assert_eq!(block, BLOCK);
    assert_eq!((probe.word(block + 16), probe.word(block + 20)), (1, 0), "rings up and down");
    let mut heard = Vec::new();
    for round in 1..=20 {
        // The program waits while the ring is full, which it is with one byte less than its size.
        let bytes = probe.drain(block);
        assert_eq!(bytes.len() as u32, SIZE - 1, "round {round}");
        heard.extend(bytes);
        probe.lab.run(MILLISECOND);
    }
    let expected: Vec<u8> = (0..heard.len()).map(|n| n as u8).collect();
    assert_eq!(heard, expected);
    probe.lab.assert_quiet();
}
