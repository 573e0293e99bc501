//! The AT dialogue after 3GPP TS 27.007 and ITU-T V.250, with modems as they are: unsolicited lines anywhere, noise,
//! echo or none, errors that pass. One reader for all commands.

mod errors;
mod numbers;
mod privacy;
mod reader;
mod talk;
mod unsolicited;

pub(super) use errors::NOT_INSERTED;
pub use numbers::is_imei;
pub(super) use numbers::{iccid, imei, imsi, luhn_is_right};
pub use privacy::Privacy;
pub use reader::{Answer, Ended, Listener};
pub(super) use talk::{Talk, hold_rts, read_all};

/// The error of an answer, for people.
pub(super) fn refusal(answer: &Answer) -> String {
    match answer.ended {
        Ended::Error(Some(number)) => errors::meaning(number),
        _ => "ERROR".to_owned(),
    }
}
