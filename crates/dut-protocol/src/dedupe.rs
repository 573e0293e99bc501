//! A repeated frame is answered again but not executed again.

use crate::{MAX_FRAME, MAX_PAYLOAD, frame::Frame};
use heapless::Vec;

/// The last request that was executed and the reply it got.
///
/// The bench repeats a frame when its reply got lost. Without this, the second copy would start a second job or clock
/// a second command into a chip. A frame counts as the same when sequence number and bytes are equal.
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

    /// The reply to send again, if `frame` is the frame that was executed last.
    pub fn repeated(&self, frame: &Frame<'_>) -> Option<&[u8]> {
        let same = !self.reply.is_empty() && self.seq == frame.seq && self.request == frame.body;
        same.then_some(self.reply.as_slice())
    }

    /// `frame` was executed and got `reply`, a whole frame as it goes onto the wire.
    pub fn remember(&mut self, frame: &Frame<'_>, reply: &[u8]) {
        self.forget();
        let (Ok(request), Ok(reply)) = (Vec::from_slice(frame.body), Vec::from_slice(reply)) else {
            return; // longer than any frame: cannot come from the decoder or the encoder of this crate
        };
        *self = Self { seq: frame.seq, request, reply };
    }

    /// To be called when the effect of the last request is gone (ports released after a silence, baud rate fallen
    /// back): a repeated frame must then be executed again.
    pub fn forget(&mut self) {
        self.reply.clear();
    }
}
