//! The world around the chip.

use crate::nfc::NfcFrame;
use crate::ports::Ports;

/// Everything connected to the chip. The chip calls it while it runs; times are nanoseconds since the start of the
/// simulation.
pub trait Board {
    /// The digital level at each port (bit n is port n), asked when firmware reads IN and when a sense or GPIOTE input
    /// has to be compared. Must include what the chip itself drives. A level that changes outside reaches sense and
    /// GPIOTE only through [`Chip::inputs_changed`](crate::Chip::inputs_changed).
    fn levels(&mut self, ports: &Ports, at_ns: u64) -> u64;

    /// Called after any change of what the ports drive or pull: once per instruction, and at each edge that
    /// a peripheral makes (PWM, SPIM, TWIM, GPIOTE), with its exact time.
    fn ports_changed(&mut self, ports: &Ports, at_ns: u64);

    /// The voltage at analogue input `ain` (0 to 7: P0.02, .03, .04, .05, .28, .29, .30, .31).
    fn analog_volts(&mut self, ain: u8, ports: &Ports, at_ns: u64) -> f64;

    /// The supply at VDD.
    fn vdd_volts(&mut self) -> f64;

    /// The supply at VDDH; the same as VDD unless the high-voltage regulator is used.
    fn vddh_volts(&mut self) -> f64 {
        self.vdd_volts()
    }

    /// The temperature of the die in degrees Celsius.
    fn die_celsius(&mut self) -> f64 {
        25.0
    }

    /// A byte's stop bit has just left TXD. `baud` is the real rate, as divided from 16 MHz.
    fn uart_tx_byte(&mut self, uart: u8, byte: u8, baud: u32, at_ns: u64);

    /// A whole command of the QSPI peripheral has just been clocked out; the board fills `read` with the answer.
    /// Without a device, the lines stay as the chip left them.
    fn flash_command(&mut self, _command: &FlashCommand<'_>, read: &mut [u8], _at_ns: u64) {
        read.fill(0xFF);
    }

    /// The last bit of a packet has just gone on the air.
    fn radio_sent(&mut self, _packet: &RadioPacket) {}
    /// The NFC tag has just sent a frame to the reader.
    fn nfc_frame(&mut self, _frame: &NfcFrame, _at_ns: u64) {}

    /// Called after the callbacks above; `true` makes `run_until` return at this instant.
    fn wants_stop(&mut self) -> bool {
        false
    }
}

/// One command of the QSPI peripheral: chip select low, opcode on IO0, address, data, chip select high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashCommand<'a> {
    /// Ports on which the command is sent.
    pub ports: FlashPorts,
    /// First byte, always on IO0.
    pub opcode: u8,
    /// `None`: the command has no address.
    pub address: Option<u32>,
    /// Lines that carry the address and mode bits: 1 (out on IO0, in on IO1), 2 or 4.
    pub address_lines: u8,
    /// Lines that carry the data.
    pub data_lines: u8,
    /// Bytes sent after opcode and address. On one line each sent byte clocks in one read byte.
    pub write: &'a [u8],
    /// Levels of IO2 and IO3 while they carry no data.
    pub idle_levels: [bool; 2],
}

/// A packet that the RADIO sends or receives.
#[derive(Debug, Clone, PartialEq)]
pub struct RadioPacket {
    /// Centre frequency, with the error of the sender's clock.
    pub carrier_hz: f64,
    /// Strength at the chip's antenna pin, in dBm.
    pub dbm: f64,
    /// Everything after the preamble as transmitted: address, data and CRC, whitened. Least significant bit first.
    pub bytes: Vec<u8>,
    /// Start of the first bit of the preamble.
    pub begin_ns: u64,
    /// End of the last bit.
    pub end_ns: u64,
}

/// The ports that the QSPI peripheral uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlashPorts {
    /// SCK.
    pub clock: Option<usize>,
    /// CSN.
    pub select: Option<usize>,
    /// IO0 to IO3.
    pub data: [Option<usize>; 4],
}

scoped_tls_hkt::scoped_thread_local!(static mut CURRENT: for<'a> &'a mut (dyn Board + 'a));

/// Makes `board` the peripherals' board while `run` runs. It cannot be a parameter: register accesses reach the
/// peripherals through the CPU core, whose bus interface cannot carry a borrowed board.
pub(crate) fn with_board_set<R>(board: &mut dyn Board, run: impl FnOnce() -> R) -> R {
    CURRENT.set(board, run)
}

/// Whether a run is under way.
pub(crate) fn is_set() -> bool {
    CURRENT.is_set()
}

/// Asks the current board; `None` outside of a run.
pub(crate) fn ask_board<R>(ask: impl FnOnce(&mut dyn Board) -> R) -> Option<R> {
    if CURRENT.is_set() { Some(CURRENT.with(|board| ask(board))) } else { None }
}

/// An empty board: ports see their own levels, analogue inputs 0 V, VDD 3.3 V.
#[derive(Debug, Default, Clone, Copy)]
pub struct BareBoard;

impl Board for BareBoard {
    fn levels(&mut self, ports: &Ports, _at_ns: u64) -> u64 {
        ports.levels_unconnected()
    }

    fn ports_changed(&mut self, _ports: &Ports, _at_ns: u64) {}

    fn analog_volts(&mut self, _ain: u8, _ports: &Ports, _at_ns: u64) -> f64 {
        0.0
    }

    fn vdd_volts(&mut self) -> f64 {
        3.3
    }

    fn uart_tx_byte(&mut self, _uart: u8, _byte: u8, _baud: u32, _at_ns: u64) {}
}
