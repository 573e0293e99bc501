//! Requests of a Black Magic Probe: operations on the lines, and an answer.

use crate::line_bits::LineBits;
use crate::remote::Request;
use bench_instruments::{SwdFault, SwdOperation, SwdRegister, SwdWire};
use std::rc::Rc;

const NAME: &str = "Black Magic Probe (virtual module)";
const PROTOCOL_VERSION: u32 = 4;
/// Bit of the ADIv5 accelerator.
const ACCELERATORS: u32 = 1;
const FIRST_HZ: u32 = 1_000_000;
const KHZ: u32 = 1000;

const ABORT: SwdRegister = SwdRegister::Dp(0x0);
const SELECT: SwdRegister = SwdRegister::Dp(0x8);
const CSW: SwdRegister = SwdRegister::Ap(0x0);
const TAR: SwdRegister = SwdRegister::Ap(0x4);
const DRW: SwdRegister = SwdRegister::Ap(0xC);
const CLEAR_ERRORS: u32 = 0x1E;
/// Privileged data accesses with auto-increment; the size is added.
const CSW_INCREMENT: u32 = 0x2300_0010;
/// The auto-increment wraps at this many bytes.
const INCREMENT_WITHIN: u32 = 0x400;

/// Answers of the protocol, without their frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Number(u32),
    Text(String),
    /// In their order.
    Bytes(Vec<u8>),
    Failed(SwdFault),
    Unsupported,
}

impl Answer {
    pub fn framed(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Answer::Number(number) => format!("&K{number:x}#"),
            Answer::Text(text) => format!("&K{text}#"),
            Answer::Bytes(bytes) => format!("&K{}#", hex(bytes)),
            // The acknowledge that the module gave, or failed to give.
            Answer::Failed(SwdFault::Fault) => "&E4#".to_owned(),
            Answer::Failed(SwdFault::NoAnswer) => "&E7#".to_owned(),
            Answer::Unsupported => "&N0#".to_owned(),
        }
    }
}

/// A probe at these lines.
pub(crate) struct BlackMagic {
    wire: Rc<dyn SwdWire>,
    hz: u32,
    bits: LineBits,
    /// Bank of the debug port that the other side selected.
    dp_bank: u32,
}

impl BlackMagic {
    pub fn new(wire: Rc<dyn SwdWire>) -> BlackMagic {
        BlackMagic { wire, hz: FIRST_HZ, bits: LineBits::default(), dp_bank: 0 }
    }

    pub async fn answer(&mut self, request: Option<Request>) -> Answer {
        let Some(request) = request else { return Answer::Unsupported };
        self.do_it(request).await.unwrap_or_else(Answer::Failed)
    }

    async fn do_it(&mut self, request: Request) -> Result<Answer, SwdFault> {
        Ok(match request {
            Request::Name => Answer::Text(NAME.to_owned()),
            Request::ProtocolVersion => Answer::Number(PROTOCOL_VERSION),
            Request::Accelerators => Answer::Number(ACCELERATORS),
            // Not measured: the lines have no voltage.
            Request::Voltage => Answer::Text("unknown".to_owned()),
            Request::Speed => Answer::Number(self.hz / KHZ),
            Request::SetSpeed { hz } => {
                self.hz = hz.max(KHZ);
                Answer::Number(0)
            }
            Request::PrepareSwd => Answer::Number(0),
            Request::BitsOut { bits, length } => {
                let operations = self.bits.output(bits, length);
                self.run(operations).await?;
                Answer::Number(0)
            }
            Request::BitsIn { length } => {
                if let Some(register) = self.bits.turn() {
                    let read = [SwdOperation::Read { register, times: 1 }];
                    let answer = self.wire.run(&read, self.hz).await;
                    self.bits.answered(&answer);
                }
                Answer::Number(self.bits.input(length))
            }
            Request::ReadDp { address } => self.read(Vec::new(), SwdRegister::Dp(address)).await?,
            Request::WriteDp { address, value } => {
                let register = SwdRegister::Dp(address);
                if register == SELECT {
                    self.dp_bank = value & 0xF;
                }
                self.transfer(vec![write(register, value)]).await?;
                Answer::Number(0)
            }
            Request::ReadAp { port, address } => {
                let select = self.select(port, address);
                self.read(vec![select], SwdRegister::Ap(address & 0xC)).await?
            }
            Request::WriteAp { port, address, value } => {
                let select = self.select(port, address);
                self.transfer(vec![select, write(SwdRegister::Ap(address & 0xC), value)]).await?;
                Answer::Number(0)
            }
            Request::ReadMemory { address, length } => {
                let mut bytes = Vec::new();
                for piece in pieces(address, length, 4) {
                    bytes.extend(self.read_piece(piece).await?);
                }
                Answer::Bytes(bytes)
            }
            Request::WriteMemory { width, address, bytes } => {
                let mut rest = bytes.as_slice();
                for piece in pieces(address, bytes.len() as u32, u32::from(width)) {
                    let (these, others) = rest.split_at_checked(piece.bytes() as usize).ok_or(SwdFault::Fault)?;
                    rest = others;
                    self.write_piece(piece, these).await?;
                }
                Answer::Number(0)
            }
        })
    }

    fn select(&self, port: u8, address: u8) -> SwdOperation {
        write(SELECT, u32::from(port) << 24 | u32::from(address & 0xF0) | self.dp_bank)
    }

    /// Sets the memory access port up for this piece.
    fn point_to(&self, piece: Piece) -> Vec<SwdOperation> {
        let csw = CSW_INCREMENT | piece.size.trailing_zeros();
        vec![self.select(0, 0), write(CSW, csw), write(TAR, piece.address)]
    }

    async fn read_piece(&mut self, piece: Piece) -> Result<Vec<u8>, SwdFault> {
        let mut operations = self.point_to(piece);
        operations.push(SwdOperation::Read { register: DRW, times: piece.count as usize });
        let read = self.transfer(operations).await?;
        let addresses = (piece.address..).step_by(piece.size as usize);
        let in_lane = |(value, address): (&u32, u32)| {
            let bytes = value.to_le_bytes();
            let from = (address % 4) as usize;
            bytes.into_iter().skip(from).take(piece.size as usize).collect::<Vec<u8>>()
        };
        Ok(read.iter().zip(addresses).flat_map(in_lane).collect())
    }

    async fn write_piece(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), SwdFault> {
        let addresses = (piece.address..).step_by(piece.size as usize);
        let into_lane = |(bytes, address): (&[u8], u32)| {
            let number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            number << (8 * (address % 4))
        };
        let values = bytes.chunks(piece.size as usize).zip(addresses).map(into_lane).collect();
        let mut operations = self.point_to(piece);
        operations.push(SwdOperation::Write { register: DRW, values });
        self.transfer(operations).await.map(drop)
    }

    async fn read(&mut self, mut before: Vec<SwdOperation>, register: SwdRegister) -> Result<Answer, SwdFault> {
        before.push(SwdOperation::Read { register, times: 1 });
        let read = self.transfer(before).await?;
        Ok(Answer::Bytes(read.first().copied().unwrap_or_default().to_le_bytes().to_vec()))
    }

    /// After all pending single bits.
    async fn transfer(&mut self, operations: Vec<SwdOperation>) -> Result<Vec<u32>, SwdFault> {
        let mut all = self.bits.flush();
        all.extend(operations);
        self.run(all).await
    }

    async fn run(&mut self, operations: Vec<SwdOperation>) -> Result<Vec<u32>, SwdFault> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.wire.run(&operations, self.hz).await;
        match answer.fault {
            None => Ok(answer.read),
            Some(fault) => {
                if fault == SwdFault::Fault {
                    // Cleared here, or the next request would fail for it.
                    self.wire.run(&[write(ABORT, CLEAR_ERRORS)], self.hz).await;
                }
                Err(fault)
            }
        }
    }
}

fn write(register: SwdRegister, value: u32) -> SwdOperation {
    SwdOperation::Write { register, values: vec![value] }
}

/// Accesses of one size to consecutive addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    address: u32,
    /// Size of an access in bytes: 1, 2 or 4.
    size: u32,
    count: u32,
}

impl Piece {
    fn bytes(self) -> u32 {
        self.size * self.count
    }
}

/// Splits a range of memory into aligned accesses of at most `width` bytes.
fn pieces(address: u32, length: u32, width: u32) -> Vec<Piece> {
    let (mut address, mut left) = (address, length);
    let mut pieces = Vec::new();
    while left > 0 {
        let fits = |size: &u32| *size <= width && address.is_multiple_of(*size) && left >= *size;
        let size = [4, 2].into_iter().find(fits).unwrap_or(1);
        // Bytes before a boundary are accessed one by one.
        let until_boundary = INCREMENT_WITHIN - address % INCREMENT_WITHIN;
        let until_wider = if size < width { size } else { u32::MAX };
        let count = left.min(until_boundary).min(until_wider) / size;
        pieces.push(Piece { address, size, count });
        left -= size * count;
        address = address.wrapping_add(size * count);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stretches_of_memory() {
        let piece = |address, size, count| Piece { address, size, count };
        for (address, length, width, expected) in [
            (0x2000_0000, 8, 4, vec![piece(0x2000_0000, 4, 2)]),
            (0x2000_0003, 6, 4, vec![piece(0x2000_0003, 1, 1), piece(0x2000_0004, 4, 1), piece(0x2000_0008, 1, 1)]),
            (0x3FC, 8, 4, vec![piece(0x3FC, 4, 1), piece(0x400, 4, 1)]),
            (0x10, 4, 1, vec![piece(0x10, 1, 4)]),
            (0x10, 0, 4, vec![]),
        ] {
            assert_eq!(pieces(address, length, width), expected, "{length} bytes at {address:#x}");
        }
    }

    proptest! {
        #[test]
        fn stretches_are_whole(address in 0u32..0xFFFF_0000, length in 0u32..5000, width in prop::sample::select(vec![1u32, 2, 4, 8])) {
            let mut next = address;
            for piece in pieces(address, length, width) {
                prop_assert_eq!(piece.address, next);
                prop_assert!(piece.count > 0 && piece.address % piece.size == 0);
                prop_assert_eq!(piece.address / INCREMENT_WITHIN, (piece.address + piece.bytes() - 1) / INCREMENT_WITHIN);
                next += piece.bytes();
            }
            prop_assert_eq!(next, address + length);
        }
    }
}
