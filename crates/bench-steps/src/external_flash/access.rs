//! Access to the flash for a step: through the QSPI peripheral over four lines, and through software SPI over one.

use super::SpiPorts;
use crate::{Nest, StepError};
use bench_instruments::DutError;
use dut_protocol::{FLASH_MAX_BYTES, FlashRequest, Refusal, Reply, Request, SPI_MAX_BYTES, SpiRequest};
use std::time::Duration;

/// Smallest erasable unit.
pub const SECTOR: u32 = 4096;
const WRITE_ENABLE: u8 = 0x06;
const PROGRAM: u8 = 0x02;
const READ: u8 = 0x03;
const READ_STATUS: u8 = 0x05;
const WRITE_IN_PROGRESS: u8 = 1;
/// Many times what a short write takes (10 ms for a whole page of the slowest part).
const WRITE_LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(1);

pub const NO_ANSWER: &str = "the external flash stopped answering, stays busy, or refuses quad mode";

/// Nothing to write.
fn is_erased(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0xFF)
}

pub struct Access<'a> {
    pub nest: &'a Nest,
    pub spi: SpiPorts,
}

impl Access<'_> {
    /// `None`: the firmware found no working flash.
    async fn ask(&self, request: FlashRequest) -> Result<Option<Reply>, StepError> {
        match self.nest.dut.request(Request::Flash(request)).await {
            Ok(reply) => Ok(Some(reply)),
            Err(DutError::Refused(Refusal::NotRunning)) => Ok(None),
            Err(error) => Err(self.nest.silent(error).await),
        }
    }

    async fn must(&self, request: FlashRequest) -> Result<Reply, StepError> {
        self.ask(request).await?.ok_or_else(|| StepError::Dut(NO_ANSWER.to_owned()))
    }

    pub async fn identify(&self) -> Result<Option<[u8; 3]>, StepError> {
        match self.ask(FlashRequest::Identify).await? {
            None => Ok(None),
            Some(Reply::Bytes(bytes)) if bytes.len() == 3 => Ok(Some([bytes[0], bytes[1], bytes[2]])),
            Some(other) => Err(DutError::OutOfTurn(other).into()),
        }
    }

    pub async fn erase(&self, address: u32) -> Result<(), StepError> {
        self.done(FlashRequest::EraseSector { address }).await
    }

    async fn done(&self, request: FlashRequest) -> Result<(), StepError> {
        match self.must(request).await? {
            Reply::Done => Ok(()),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// [`dut_protocol::Checksum`] of what is read over four lines.
    pub async fn checksum(&self, address: u32, length: u32) -> Result<u32, StepError> {
        self.sum(FlashRequest::Checksum { address, length }).await
    }

    /// Makes the firmware save a sector; returns its checksum.
    pub async fn keep(&self, address: u32) -> Result<u32, StepError> {
        self.sum(FlashRequest::KeepSector { address }).await
    }

    /// Makes the firmware restore the saved sector; returns the checksum of the sector's content afterwards.
    pub async fn put_back(&self) -> Result<u32, StepError> {
        self.sum(FlashRequest::PutBackSector).await
    }

    async fn sum(&self, request: FlashRequest) -> Result<u32, StepError> {
        match self.must(request).await? {
            Reply::Checksum { sum } => Ok(sum),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// Over four lines; address and length are multiples of four.
    pub async fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, StepError> {
        let mut read = Vec::new();
        while (read.len() as u32) < length {
            let left = (length as usize - read.len()).min(FLASH_MAX_BYTES) as u8;
            match self.must(FlashRequest::Read { address: address + read.len() as u32, length: left }).await? {
                Reply::Bytes(bytes) if bytes.len() == usize::from(left) => read.extend_from_slice(&bytes),
                other => return Err(DutError::OutOfTurn(other).into()),
            }
        }
        Ok(read)
    }

    /// Over four lines, to erased places; address and length are multiples of the longest write.
    pub async fn write(&self, address: u32, bytes: &[u8]) -> Result<(), StepError> {
        for (n, piece) in bytes.chunks(FLASH_MAX_BYTES).enumerate().filter(|(_, piece)| !is_erased(piece)) {
            let address = address + (n * FLASH_MAX_BYTES) as u32;
            self.done(FlashRequest::Write { address, bytes: piece.iter().copied().collect() }).await?;
        }
        Ok(())
    }

    /// One exchange over one line.
    async fn plain(&self, write: &[u8], read: u8) -> Result<Vec<u8>, StepError> {
        let SpiPorts { sck, mosi, miso, chip_select } = self.spi;
        let write = write.iter().copied().collect();
        match self.nest.ask(Request::SpiTransfer(SpiRequest { sck, mosi, miso, chip_select, write, read })).await? {
            Reply::Bytes(bytes) if bytes.len() == usize::from(read) => Ok(bytes.to_vec()),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    pub async fn read_plain(&self, address: u32, length: u32) -> Result<Vec<u8>, StepError> {
        let mut read = Vec::new();
        while (read.len() as u32) < length {
            let left = (length as usize - read.len()).min(SPI_MAX_BYTES) as u8;
            let [_, high, middle, low] = (address + read.len() as u32).to_be_bytes();
            read.extend(self.plain(&[READ, high, middle, low], left).await?);
        }
        Ok(read)
    }

    /// To erased places inside one page.
    pub async fn write_plain(&self, address: u32, bytes: &[u8]) -> Result<(), StepError> {
        if is_erased(bytes) {
            return Ok(());
        }
        self.plain(&[WRITE_ENABLE], 0).await?;
        let [_, high, middle, low] = address.to_be_bytes();
        self.plain(&[&[PROGRAM, high, middle, low], bytes].concat(), 0).await?;
        for _ in 0..WRITE_LOOKS {
            if self.plain(&[READ_STATUS], 1).await?.first().is_some_and(|status| status & WRITE_IN_PROGRESS == 0) {
                return Ok(());
            }
            self.nest.settle(LOOK).await;
        }
        Err(StepError::Dut(NO_ANSWER.to_owned()))
    }
}
