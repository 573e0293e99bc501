//! A chip on a scripted board, poked at register level.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

use std::collections::VecDeque;
use virtual_nrf52840::{Board, Chip, ChipIdentity, FlashCommand, NfcFrame, Ports, RadioPacket};

pub const MICROSECOND: u64 = 1_000;
pub const MILLISECOND: u64 = 1_000_000;

/// A part next to the chip that takes part bit by bit.
pub trait Device {
    /// What the lines are, given what they would be without this part. Also called on each change.
    fn levels(&mut self, levels: u64, at_ns: u64) -> u64;
}

/// A command to the external flash: opcode, address, lines for address and data, what was written.
pub type FlashEntry = (u8, Option<u32>, u8, u8, Vec<u8>);

/// Notes what the chip does, and answers from plain fields.
pub struct Bench {
    /// Ports something outside pulls low or high, whatever the chip does.
    pub forced_low: u64,
    pub forced_high: u64,
    pub volts: [f64; 8],
    pub vdd: f64,
    pub sent: Vec<(u8, u8, u32, u64)>,
    pub port_changes: Vec<(u64, u64)>,
    /// Commands to the external flash.
    pub flash_commands: Vec<FlashEntry>,
    /// The flash's answers to the next reads of its status; 0 after that.
    pub flash_status: VecDeque<u8>,
    /// Packets that the radio sent.
    pub packets: Vec<RadioPacket>,
    /// Stop at the next byte sent.
    pub stop_at_byte: bool,
    pub stop: bool,
    pub device: Option<Box<dyn Device>>,
    /// What the NFC tag sent, and when it was through.
    pub tag_frames: Vec<(NfcFrame, u64)>,
}

impl Default for Bench {
    fn default() -> Self {
        Bench {
            forced_low: 0,
            forced_high: 0,
            volts: [0.0; 8],
            vdd: 3.3,
            sent: Vec::new(),
            port_changes: Vec::new(),
            flash_commands: Vec::new(),
            flash_status: VecDeque::new(),
            packets: Vec::new(),
            stop_at_byte: false,
            stop: false,
            device: None,
            tag_frames: Vec::new(),
        }
    }
}

impl Board for Bench {
    fn levels(&mut self, ports: &Ports, at_ns: u64) -> u64 {
        let levels = ports.levels_unconnected() & !self.forced_low | self.forced_high;
        self.device.as_mut().map_or(levels, |device| device.levels(levels, at_ns))
    }

    fn ports_changed(&mut self, ports: &Ports, at_ns: u64) {
        self.port_changes.push((at_ns, ports.levels_unconnected()));
        self.levels(ports, at_ns);
    }

    fn analog_volts(&mut self, ain: u8, _ports: &Ports, _at_ns: u64) -> f64 {
        self.volts[usize::from(ain)]
    }

    fn vdd_volts(&mut self) -> f64 {
        self.vdd
    }

    fn uart_tx_byte(&mut self, uart: u8, byte: u8, baud: u32, at_ns: u64) {
        self.sent.push((uart, byte, baud, at_ns));
        self.stop = self.stop_at_byte;
    }

    fn flash_command(&mut self, command: &FlashCommand<'_>, read: &mut [u8], _at_ns: u64) {
        let FlashCommand { opcode, address, address_lines, data_lines, write, .. } = *command;
        self.flash_commands.push((opcode, address, address_lines, data_lines, write.to_vec()));
        match opcode {
            0x05 => read.fill(self.flash_status.pop_front().unwrap_or(0)),
            _ => read.iter_mut().enumerate().for_each(|(n, byte)| *byte = 0xA0 + n as u8),
        }
    }

    fn radio_sent(&mut self, packet: &RadioPacket) {
        self.packets.push(packet.clone());
    }

    fn nfc_frame(&mut self, frame: &NfcFrame, at_ns: u64) {
        self.tag_frames.push((frame.clone(), at_ns));
    }

    fn wants_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }
}

pub struct Lab {
    pub chip: Chip,
    pub bench: Bench,
}

/// Thumb: `wfi`, and again.
pub const SLEEP_FOREVER: [u16; 2] = [0xBF30, 0xE7FD];

/// Where [`program`] puts the code.
pub const CODE: u32 = 0x200;

/// A flash image: vector table (all exceptions to a `b .`) and `code`.
pub fn program(code: &[u16]) -> Vec<u8> {
    let mut image = vec![0xFF; CODE as usize];
    let mut vector = |n: usize, value: u32| image[n * 4..n * 4 + 4].copy_from_slice(&value.to_le_bytes());
    vector(0, 0x2004_0000);
    vector(1, CODE | 1);
    for n in 2..64 {
        vector(n, 0x1F1);
    }
    image[0x1F0..0x1F2].copy_from_slice(&0xE7FEu16.to_le_bytes());
    image.extend(code.iter().flat_map(|half| half.to_le_bytes()));
    image
}

impl Lab {
    /// A powered chip whose CPU sleeps.
    pub fn new() -> Lab {
        Lab::with_identity(ChipIdentity::from_seed(7))
    }

    pub fn with_identity(identity: ChipIdentity) -> Lab {
        Lab::running(identity, &SLEEP_FOREVER)
    }

    /// A powered chip that executes `code`.
    pub fn running(identity: ChipIdentity, code: &[u16]) -> Lab {
        let mut chip = Chip::new(identity);
        chip.write_flash(0, &program(code)).unwrap();
        chip.set_power(true);
        let mut lab = Lab { chip, bench: Bench::default() };
        lab.run(10 * MICROSECOND);
        lab
    }

    /// Puts bytes into RAM, in whole words.
    pub fn fill(&mut self, address: u32, bytes: &[u8]) {
        for (n, word) in bytes.chunks(4).enumerate() {
            let mut full = [0; 4];
            full[..word.len()].copy_from_slice(word);
            self.write(address + 4 * n as u32, u32::from_le_bytes(full));
        }
    }

    pub fn ram(&self, address: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.chip.read_ram(address, &mut bytes).unwrap();
        bytes
    }

    /// Runs for a number of nanoseconds.
    pub fn run(&mut self, ns: u64) {
        let until = self.chip.now_ns() + ns;
        self.chip.run_until(until, &mut self.bench);
    }

    pub fn write(&mut self, address: u32, value: u32) {
        self.chip.bus_write(address, value, &mut self.bench).unwrap_or_else(|| panic!("bus fault at {address:#x}"));
    }

    pub fn read(&mut self, address: u32) -> u32 {
        self.chip.bus_read(address, &mut self.bench).unwrap_or_else(|| panic!("bus fault at {address:#x}"))
    }

    /// The time until `address` reads non-zero, to 100 ns; `None` if not within `limit` ns.
    pub fn wait_for(&mut self, address: u32, limit: u64) -> Option<u64> {
        let start = self.chip.now_ns();
        while self.chip.now_ns() < start + limit {
            if self.read(address) != 0 {
                return Some(self.chip.now_ns() - start);
            }
            self.run(100);
        }
        None
    }

    pub fn force(&mut self, low: u64, high: u64) {
        (self.bench.forced_low, self.bench.forced_high) = (low, high);
        self.chip.inputs_changed(&mut self.bench);
    }

    /// No diagnostics so far.
    pub fn assert_quiet(&self) {
        let texts: Vec<String> = self.chip.diagnostics().iter().map(ToString::to_string).collect();
        assert!(texts.is_empty(), "{texts:#?}");
    }
}

/// Thumb instructions for small programs.
pub mod thumb {
    /// `bx lr`
    pub const RETURN: u16 = 0x4770;
    /// `b .`
    pub const HANG: u16 = 0xE7FE;
    /// `wfi`
    pub const WFI: u16 = 0xBF30;
    /// `ldr r1, [r0]`
    pub const LOAD_R1: u16 = 0x6801;
    /// `str r1, [r0]`
    pub const STORE_R1: u16 = 0x6001;
    /// `adds r1, #1`
    pub const INCREMENT_R1: u16 = 0x3101;

    fn mov(opcode: u16, register: u16, value: u16) -> [u16; 2] {
        [opcode | value >> 12 | (value >> 11 & 1) << 10, (value >> 8 & 7) << 12 | register << 8 | value & 0xFF]
    }

    /// `movw` and `movt`
    pub fn load(register: u16, value: u32) -> Vec<u16> {
        [mov(0xF240, register, value as u16), mov(0xF2C0, register, (value >> 16) as u16)].concat()
    }

    /// Stores `value` at `address` through r0 and r1.
    pub fn store(address: u32, value: u32) -> Vec<u16> {
        [load(0, address), load(1, value), vec![STORE_R1]].concat()
    }
}
