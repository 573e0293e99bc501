//! PN532 NFC reader on I2C (NXP UM0701-02): frames from and to the controller.
//!
//! `reader` holds the effect of the commands on the field. Not modelled: extended frames, tags other than type A, the
//! roles of a tag and of a peer, the pins, and the low-power modes.

mod reader;
#[cfg(test)]
mod tests;

use super::I2cDevice;
use reader::{Outcome, Reader};
use virtual_nrf52840::NfcFrame;

const START: [u8; 3] = [0x00, 0x00, 0xFF];
const ACK: [u8; 6] = [0x00, 0x00, 0xFF, 0x00, 0xFF, 0x00];
const NACK: [u8; 6] = [0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00];
/// Error frame: the command does not exist or has the wrong form.
const SYNTAX_ERROR: [u8; 8] = [0x00, 0x00, 0xFF, 0x01, 0xFF, 0x7F, 0x81, 0x00];
const TO_READER: u8 = 0xD4;
const TO_HOST: u8 = 0xD5;
/// Start, length and its checksum before the data; checksum and postamble after.
const HEAD: usize = 5;
const TAIL: usize = 2;
const READY: u8 = 0x01;
/// Time until the acknowledge is ready, and duration of a command without radio traffic.
const ACK_NS: u64 = 150_000;
const WORK_NS: u64 = 300_000;

#[derive(Debug, Clone, Default)]
pub struct Pn532 {
    /// Bytes written since the start condition.
    written: Vec<u8>,
    /// Bytes read since the start condition.
    read: usize,
    /// The frame that is being read.
    serving: Option<Vec<u8>>,
    /// The frame to be read, and from when on.
    ack_at: Option<u64>,
    response: Option<(u64, Vec<u8>)>,
    /// The last frame, for a host that requests it again (NACK).
    last_response: Vec<u8>,
    /// The command in work.
    command: u8,
    reader: Reader,
}

impl Pn532 {
    /// Amplitude of the field as a share of that of the strongest driver; 0: no field.
    pub fn field(&self) -> f64 {
        self.reader.field()
    }

    /// Time of the next event that is not caused from outside.
    pub fn next_event_ns(&self) -> Option<u64> {
        self.reader.next_event_ns()
    }

    /// Executes what is due. Returns a frame that has just been sent to the tags.
    pub fn act(&mut self, now_ns: u64) -> Option<NfcFrame> {
        let sent = self.reader.act(now_ns);
        self.take_outcome(now_ns);
        sent
    }

    /// A tag has just sent a frame.
    pub fn hear(&mut self, frame: &NfcFrame, now_ns: u64) {
        self.reader.hear(frame, now_ns);
        self.take_outcome(now_ns);
    }

    fn take_outcome(&mut self, now_ns: u64) {
        if let Some(data) = self.reader.take_result() {
            self.respond(&data, now_ns + WORK_NS);
        }
    }

    fn respond(&mut self, data: &[u8], ready_ns: u64) {
        let body: Vec<u8> = [TO_HOST, self.command.wrapping_add(1)].iter().chain(data).copied().collect();
        self.response = Some((ready_ns, framed(&body)));
    }

    /// Handles a whole frame of the host; does not answer a damaged one.
    fn execute(&mut self, body: &[u8], now_ns: u64) {
        let [TO_READER, command, data @ ..] = body else { return };
        self.command = *command;
        self.ack_at = Some(now_ns + ACK_NS);
        self.response = None;
        let ready = now_ns + ACK_NS + WORK_NS;
        match self.reader.command(*command, data, ready) {
            Outcome::Done(data) => self.respond(&data, ready),
            Outcome::Working => {}
            Outcome::Unknown => self.response = Some((ready, SYNTAX_ERROR.to_vec())),
        }
    }

    fn take_frame(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        if let Some(at) = self.ack_at {
            return (at <= now_ns).then(|| ACK.to_vec());
        }
        let (at, frame) = self.response.as_ref()?;
        (*at <= now_ns).then(|| frame.clone())
    }

    /// A frame can be read only once.
    fn consume(&mut self) {
        if self.read > 1 && self.serving.is_some() && self.ack_at.take().is_none() {
            self.last_response = self.response.take().map(|(_, frame)| frame).unwrap_or_default();
        }
        self.serving = None;
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = body.len() as u8;
    let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let mut frame = START.to_vec();
    frame.extend([length, length.wrapping_neg()]);
    frame.extend(body);
    frame.extend([sum.wrapping_neg(), 0]);
    frame
}

/// The data of a frame whose checksums are right.
fn body_of(frame: &[u8]) -> Option<&[u8]> {
    let (head, rest) = frame.split_at_checked(HEAD)?;
    let [.., length, length_check] = *head else { return None };
    let (body, tail) = rest.split_at_checked(rest.len().checked_sub(TAIL)?)?;
    let sum = body.iter().chain(tail.first()).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let is_right = length.wrapping_add(length_check) == 0 && body.len() == usize::from(length) && sum == 0;
    is_right.then_some(body)
}

impl I2cDevice for Pn532 {
    fn start(&mut self, _at_ns: u64) {
        self.consume();
        self.written.clear();
        self.read = 0;
    }

    fn write(&mut self, byte: u8, at_ns: u64) -> bool {
        self.written.push(byte);
        let written = &self.written;
        if written[..] == ACK {
            // The host aborts the command.
            self.reader.abort();
            (self.ack_at, self.response) = (None, None);
        } else if written[..] == NACK {
            self.response = Some((at_ns, self.last_response.clone()));
        } else if written.len() > HEAD
            && written.starts_with(&START)
            && written.len() == HEAD + usize::from(written[3]) + TAIL
            && let Some(body) = body_of(written).map(<[u8]>::to_vec)
        {
            self.execute(&body, at_ns);
        }
        true
    }

    fn read(&mut self, at_ns: u64) -> u8 {
        let place = self.read;
        self.read += 1;
        if place == 0 {
            self.serving = self.take_frame(at_ns);
            return if self.serving.is_some() { READY } else { 0 };
        }
        self.serving.as_ref().and_then(|frame| frame.get(place - 1).copied()).unwrap_or(0)
    }
}
