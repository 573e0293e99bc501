//! Answers a repeated frame again without executing it again.

use crate::{MAX_FRAME, MAX_PAYLOAD, frame::Frame};
use heapless::Vec;

/// The last executed request and its reply.
///
/// The bench repeats a frame when its reply got lost. Without this, the second copy would start a second job or clock
/// a second command into a chip. Two frames are the same when sequence number and bytes are equal.
#[derive(Debug, Default)]
pub struct LastExchange {
    seq: u16,
    request: Vec<u8, MAX_PAYLOAD>,
    reply: Vec<u8, MAX_FRAME>,
}

impl LastExchange {
    /// Nothing was executed yet.
    pub const fn new() -> Self {
        Self { seq: crate::UNASKED, request: Vec::new(), reply: Vec::new() }
    }

    /// Returns the reply to send again if `frame` is the frame that was executed last.
    pub fn repeated(&self, frame: &Frame<'_>) -> Option<&[u8]> {
        let same = !self.reply.is_empty() && self.seq == frame.seq && self.request == frame.body;
        same.then_some(self.reply.as_slice())
    }

    /// Records that `frame` was executed and answered with `reply`, the complete frame as sent.
    pub fn remember(&mut self, frame: &Frame<'_>, reply: &[u8]) {
        self.forget();
        let (Ok(request), Ok(reply)) = (Vec::from_slice(frame.body), Vec::from_slice(reply)) else {
            return; // longer than any frame: cannot come from the decoder or the encoder of this crate
        };
        *self = Self { seq: frame.seq, request, reply };
    }

    /// Forgets the exchange. Call this when the effect of the last request is gone (ports released after a silence,
    /// baud rate back to the initial one), so that a repeated frame is executed again.
    pub fn forget(&mut self) {
        self.reply.clear();
    }
}
