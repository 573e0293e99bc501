//! Frames: how a message becomes bytes on the wire, and back.
//!
//! ```text
//! 0x00  COBS( postcard(header{seq})  postcard(request or reply)  CRC-32 of both, little-endian )  0x00
//! ```
//! COBS leaves no zero inside a frame, so a zero always ends something: after noise or half a frame the reader is
//! synchronised again at the next zero. The leading zero cuts off noise before the frame.
//! CRC-32 is CRC-32/ISO-HDLC, the one of Ethernet and zip.

use crate::{Reply, Request};
use cobs::{DecodeResult, DecoderState};
use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Sequence number of frames that answer no request ([`Reply::JobDone`]); no request may carry it.
pub const UNASKED: u16 = 0;

/// Most bytes of header, message and CRC together. The largest message, [`Reply::Samples`], needs 105.
pub const MAX_PAYLOAD: usize = 120;

/// Most bytes of a frame on the wire: the payload, one byte that COBS adds to anything below 254, two delimiters.
pub const MAX_FRAME: usize = MAX_PAYLOAD + 3;

const DELIMITER: u8 = 0x00;
const CRC_BYTES: usize = 4;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

#[derive(Serialize, Deserialize)]
struct Header {
    seq: u16,
}

/// Bytes between two delimiters that are no frame, or a message that does not fit into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// More bytes than the buffer holds.
    TooLong,
    /// The bytes are not COBS: bytes were lost, or it was noise.
    BadCobs,
    /// Too short for a CRC, or the CRC is wrong.
    BadCrc,
    /// The frame arrived intact but holds no known message.
    NotUnderstood {
        /// Its sequence number; [`UNASKED`] if that was unreadable too.
        seq: u16,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong => f.write_str("the frame is longer than any message"),
            FrameError::BadCobs => f.write_str("the frame is broken: bytes were lost, or it was noise"),
            FrameError::BadCrc => f.write_str("the frame is broken: wrong checksum"),
            FrameError::NotUnderstood { seq } => write!(f, "frame {seq} arrived intact but is no known message"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Writes the frame of `request` to the front of `buffer` and returns it.
///
/// `seq` must not be [`UNASKED`]: the firmware does not answer such a request.
///
/// # Errors
/// [`FrameError::TooLong`] if `buffer` is too small; [`MAX_FRAME`] bytes are always enough.
pub fn encode_request<'b>(seq: u16, request: &Request, buffer: &'b mut [u8]) -> Result<&'b [u8], FrameError> {
    encode(seq, request, buffer)
}

/// Writes the frame of `reply` to the front of `buffer` and returns it.
///
/// # Errors
/// [`FrameError::TooLong`] if `buffer` is too small; [`MAX_FRAME`] bytes are always enough.
pub fn encode_reply<'b>(seq: u16, reply: &Reply, buffer: &'b mut [u8]) -> Result<&'b [u8], FrameError> {
    encode(seq, reply, buffer)
}

fn encode<'b>(seq: u16, message: &impl Serialize, buffer: &'b mut [u8]) -> Result<&'b [u8], FrameError> {
    let mut payload = [0; MAX_PAYLOAD];
    let content = &mut payload[..MAX_PAYLOAD - CRC_BYTES];
    let length = postcard::to_slice(&(Header { seq }, message), content).map_err(|_| FrameError::TooLong)?.len();
    let crc = CRC.checksum(&payload[..length]).to_le_bytes();
    payload[length..length + CRC_BYTES].copy_from_slice(&crc);

    let (first, rest) = buffer.split_first_mut().ok_or(FrameError::TooLong)?;
    *first = DELIMITER;
    let stuffed = cobs::try_encode(&payload[..length + CRC_BYTES], rest).map_err(|_| FrameError::TooLong)?;
    *rest.get_mut(stuffed).ok_or(FrameError::TooLong)? = DELIMITER;
    Ok(&buffer[..stuffed + 2])
}

/// A frame that arrived intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Sequence number: a reply carries that of its request.
    pub seq: u16,
    /// The message as postcard bytes.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks and splits the bytes between two delimiters, after COBS decoding.
    fn from_payload(payload: &'a [u8]) -> Result<Self, FrameError> {
        let (content, crc) = payload.split_last_chunk::<CRC_BYTES>().ok_or(FrameError::BadCrc)?;
        if CRC.checksum(content) != u32::from_le_bytes(*crc) {
            return Err(FrameError::BadCrc);
        }
        let (header, body) =
            postcard::take_from_bytes::<Header>(content).map_err(|_| FrameError::NotUnderstood { seq: UNASKED })?;
        Ok(Self { seq: header.seq, body })
    }

    /// The request in this frame.
    ///
    /// # Errors
    /// [`FrameError::NotUnderstood`] if it holds none, more than one, or carries [`UNASKED`].
    pub fn request(&self) -> Result<Request, FrameError> {
        if self.seq == UNASKED { Err(FrameError::NotUnderstood { seq: UNASKED }) } else { self.message() }
    }

    /// The reply in this frame.
    ///
    /// # Errors
    /// [`FrameError::NotUnderstood`] if it holds none or more than one.
    pub fn reply(&self) -> Result<Reply, FrameError> {
        self.message()
    }

    fn message<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        match postcard::take_from_bytes(self.body) {
            Ok((message, [])) => Ok(message),
            _ => Err(FrameError::NotUnderstood { seq: self.seq }),
        }
    }
}

/// Finds frames in a stream of bytes. Holds one payload of up to `N` bytes.
#[derive(Debug)]
pub struct Decoder<const N: usize = MAX_PAYLOAD> {
    state: DecoderState,
    payload: [u8; N],
    length: usize,
    /// Set when the payload overflowed: everything up to the next delimiter belongs to it.
    too_long: bool,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// Creates a decoder at the start of a stream.
    pub const fn new() -> Self {
        Self { state: DecoderState::Idle, payload: [0; N], length: 0, too_long: false }
    }

    /// Forgets a frame that has begun, for example because the baud rate changes.
    pub fn reset(&mut self) {
        self.state = DecoderState::Idle;
        self.length = 0;
        self.too_long = false;
    }

    /// Takes the next byte. Returns a result when the byte is a delimiter that ends something; skips empty frames.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame<'_>, FrameError>> {
        if self.too_long {
            if byte != DELIMITER {
                return None;
            }
            self.reset();
            return Some(Err(FrameError::TooLong));
        }
        match self.state.feed(byte) {
            Ok(DecodeResult::NoData | DecodeResult::DataStart) => None,
            Ok(DecodeResult::DataContinue(byte)) => {
                match self.payload.get_mut(self.length) {
                    Some(place) => {
                        *place = byte;
                        self.length += 1;
                    }
                    None => self.too_long = true,
                }
                None
            }
            Ok(DecodeResult::DataComplete) => {
                let length = core::mem::take(&mut self.length);
                Some(Frame::from_payload(&self.payload[..length]))
            }
            Err(_) => {
                // Only a delimiter in the middle of a run is an error of COBS, so the stream is in step again.
                self.reset();
                Some(Err(FrameError::BadCobs))
            }
        }
    }

    /// Takes many bytes and passes each frame or error to `each` in order.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Result<Frame<'_>, FrameError>)) {
        for byte in bytes {
            if let Some(frame) = self.push(*byte) {
                each(frame);
            }
        }
    }
}
