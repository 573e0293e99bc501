//! Reads a modem's answers. Pure: bytes in, whole answers out.

use super::{errors, unsolicited};
use std::collections::VecDeque;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Ok,
    /// With the error number of 3GPP TS 27.007, 9.2, if the modem sent one, as a number or in words.
    Error(Option<u16>),
    /// No final line arrived in time.
    Silent,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Lines before the end that belong to the command.
    pub lines: Vec<String>,
    /// Lines that the modem would have sent anyway.
    pub unsolicited: Vec<String>,
    pub ended: Ended,
    /// The modem sent the command back.
    pub echoed: bool,
    /// The modem ended with a digit instead of words (ATV0).
    pub in_digits: bool,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.ended == Ended::Ok
    }

    /// Returns the value in the first line with this name: "+CCID: 8988..." -> "8988...".
    pub fn value(&self, name: &'static str) -> Option<&str> {
        self.values(name).next()
    }

    /// Returns the values of all lines with this name, those that came unasked included.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let all = self.lines.iter().chain(&self.unsolicited);
        all.filter_map(|line| unsolicited::named(line)).filter(move |(of, _)| *of == name).map(|(_, value)| value)
    }

    /// Returns the first line of an answer without a name, such as the model's. Some modems write the command's name in
    /// front, or quotes around it.
    pub fn text(&self) -> Option<&str> {
        let line = self.lines.first()?;
        let value = unsolicited::named(line).map_or(line.as_str(), |(_, value)| value);
        Some(value.trim_matches('"'))
    }
}

/// Longest line that is kept; no answer to these commands is longer.
const LONGEST: usize = 512;

/// Collects what arrives after one command.
#[derive(Debug, Default)]
pub struct Listener {
    command: String,
    pending: Vec<u8>,
    /// The part of the command that was not echoed yet, while it is echoed in pieces.
    echo_left: String,
    lines: Vec<String>,
    unsolicited: Vec<String>,
    echoed: bool,
    in_digits: bool,
}

impl Listener {
    /// `command` without its end of line.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), echo_left: command.to_owned(), ..Self::default() }
    }

    /// Takes bytes up to the end of the command, and returns the answer once it has ended. What follows stays: it may
    /// be the first half of an unsolicited line.
    pub fn take(&mut self, heard: &mut VecDeque<u8>) -> Option<Answer> {
        while let Some(byte) = heard.pop_front() {
            match byte {
                b'\r' | b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.pending)).trim().to_owned();
                    if let Some(ended) = self.line(line) {
                        return Some(self.end(ended));
                    }
                }
                // A line that changes its level while the modem starts reads as 0x00, 0xFF or the like. No answer
                // contains such a byte.
                0x20..0x7f if self.pending.len() < LONGEST => self.pending.push(byte),
                _ => {}
            }
        }
        None
    }

    /// Ends the answer without a final line.
    pub fn give_up(mut self) -> Answer {
        self.end(Ended::Silent)
    }

    fn end(&mut self, ended: Ended) -> Answer {
        Answer {
            lines: std::mem::take(&mut self.lines),
            unsolicited: std::mem::take(&mut self.unsolicited),
            ended,
            echoed: self.echoed,
            in_digits: self.in_digits,
        }
    }

    fn line(&mut self, line: String) -> Option<Ended> {
        if line.is_empty() || self.is_echo(&line) {
            return None;
        }
        let name = unsolicited::name_of(&self.command);
        let ended = match line.as_str() {
            "OK" => Some(Ended::Ok),
            "ERROR" | "ABORTED" | "COMMAND NOT SUPPORT" | "COMMAND NO RESPONSE!" => Some(Ended::Error(None)),
            // Digits end an answer after ATV0. Only a command that asks for nothing cannot take them for its value.
            "0" | "4" if name.is_empty() => {
                self.in_digits = true;
                Some(if line == "0" { Ended::Ok } else { Ended::Error(None) })
            }
            _ => match unsolicited::named(&line) {
                Some(("+CME ERROR" | "+CMS ERROR", number)) => Some(Ended::Error(errors::number(number))),
                _ => None,
            },
        };
        if ended.is_none() {
            if unsolicited::is_unsolicited(&line, name) {
                self.unsolicited.push(line);
            } else {
                self.lines.push(line);
            }
        }
        ended
    }

    /// Whether a line is the command, or a piece of it, on its way back.
    fn is_echo(&mut self, line: &str) -> bool {
        if self.command.is_empty() {
            return false;
        }
        // Noise may precede it.
        if line.ends_with(&self.command) {
            // What came before its echo answers an earlier command.
            self.lines.clear();
            self.echoed = true;
            return true;
        }
        // The echo of an earlier command may arrive late.
        if line.starts_with("AT") && line.len() >= self.command.len() {
            self.echoed = true;
            return true;
        }
        // An unsolicited line may tear it: "AT+CG", "+CREG: 1", "MM".
        let begun = self.echo_left.len() < self.command.len();
        if (begun || line.starts_with('A')) && self.echo_left.starts_with(line) {
            self.echo_left.drain(..line.len());
            self.echoed |= self.echo_left.is_empty();
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hear(command: &str, bytes: &[u8]) -> Answer {
        let mut listener = Listener::new(command);
        listener.take(&mut bytes.iter().copied().collect()).unwrap_or_else(|| listener.give_up())
    }

    #[test]
    fn answers_are_taken_apart() {
        type Row = (&'static str, &'static [u8], Ended, &'static [&'static str], &'static [&'static str], bool);
        const NONE: &[&str] = &[];
        let rows: &[Row] = &[
            ("AT", b"\r\nOK\r\n", Ended::Ok, NONE, NONE, false),
            ("AT", b"AT\r\r\nOK\r\n", Ended::Ok, NONE, NONE, true),
            ("AT", b"\x00\xff\x00AT\r\r\nOK\r\n", Ended::Ok, NONE, NONE, true),
            ("AT", b"0\r", Ended::Ok, NONE, NONE, false),
            ("AT", b"AT\r4\r", Ended::Error(None), NONE, NONE, true),
            ("AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n", Ended::Ok, &["+CPIN: READY"], NONE, false),
            ("AT+CPIN?", b"\r\n+CME ERROR: 10\r\n", Ended::Error(Some(10)), NONE, NONE, false),
            ("AT+CPIN?", b"\r\n+CME ERROR: SIM busy\r\n", Ended::Error(Some(14)), NONE, NONE, false),
            ("AT+CPIN?", b"\r\n+CMS ERROR: 310\r\n", Ended::Error(Some(310)), NONE, NONE, false),
            ("AT+X", b"\r\nERROR\r\n", Ended::Error(None), NONE, NONE, false),
            (
                "AT+CGSN",
                b"\r\nRDY\r\n\r\n490154203237518\r\n\r\nOK\r\n",
                Ended::Ok,
                &["490154203237518"],
                &["RDY"],
                false,
            ),
            (
                "AT+CGMM",
                b"AT+CG\r\n+CREG: 1\r\nMM\r\r\nEG91\r\n\r\nPB DONE\r\n\r\nOK\r\n",
                Ended::Ok,
                &["EG91"],
                &["+CREG: 1", "PB DONE"],
                true,
            ),
            // The answer to the command before comes late, and the echo shows it.
            ("AT+CGMM", b"Quectel\r\nAT+CGMM\r\r\nEG91\r\nOK\r\n", Ended::Ok, &["EG91"], NONE, true),
            ("AT+CGSN", b"\r\n4901", Ended::Silent, NONE, NONE, false),
            ("AT+CGSN", b"\r\n49\xff01\x00\r\nOK\r", Ended::Ok, &["4901"], NONE, false),
        ];
        for (command, bytes, ended, lines, unsolicited, echoed) in rows {
            let answer = hear(command, bytes);
            assert_eq!((answer.ended, answer.echoed), (*ended, *echoed), "{command} {bytes:?}");
            assert_eq!(answer.lines, *lines, "{command} {bytes:?}");
            assert_eq!(answer.unsolicited, *unsolicited, "{command} {bytes:?}");
        }
    }

    #[test]
    fn values_and_texts() {
        for (command, bytes, expected) in [
            ("AT+CGMM", "\r\nEG91\r\nOK\r\n", "EG91"),
            ("AT+CGMM", "\r\n+CGMM: EG91\r\nOK\r\n", "EG91"),
            ("AT+CGSN", "\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", "490154203237518"),
            ("AT+CGSN", "\r\n+CTZV: 4\r\n490154203237518\r\nOK\r\n", "490154203237518"),
        ] {
            assert_eq!(hear(command, bytes.as_bytes()).text(), Some(expected), "{bytes:?}");
        }
        assert_eq!(hear("AT+CCID", b"\r\n+CCID: 89\r\nOK\r\n").value("+CCID"), Some("89"));
        assert_eq!(hear("AT+CCID", b"\r\n+CCID:89\r\nOK\r\n").value("+CCID"), Some("89"));
        let both = hear("AT+CEREG?", b"\r\n+CEREG: 2\r\n\r\n+CEREG: 0,5\r\nOK\r\n");
        assert_eq!(both.values("+CEREG").collect::<Vec<_>>(), ["2", "0,5"]);
    }

    proptest! {
        #[test]
        fn no_byte_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), command in "[A-Z+?]{0,8}") {
            let mut listener = Listener::new(&command);
            let _ = listener.take(&mut bytes.into());
        }
        #[test]
        fn pieces_do_not_matter(text in "(\r\n[A-Z+: 0-9]{1,12}\r\n){0,4}\r\nOK\r\n", cut in 0usize..60) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut listener = Listener::new("AT+Q");
            let in_pieces =
                listener.take(&mut first.to_vec().into()).or_else(|| listener.take(&mut second.to_vec().into()));
            prop_assert_eq!(in_pieces, Some(hear("AT+Q", bytes)));
        }
        /// Unsolicited lines between the lines, noise before them, and an echo change nothing in the answer.
        #[test]
        fn surroundings_do_not_matter(
            places in prop::collection::vec((0usize..4, 0usize..5), 0..6),
            noise in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), Just(0x7f), 0x80u8..], 0..4),
            echo: bool,
        ) {
            const SAID: [&str; 5] = ["RDY", "+CREG: 1", "PB DONE", "+QIND: SMS DONE", "^SIMST: 1"];
            let mut bytes = noise;
            if echo {
                bytes.extend(b"AT+CGMM\r");
            }
            let lines = ["EG91", "OK"];
            for (n, line) in lines.iter().enumerate() {
                for (place, said) in &places {
                    if *place == n {
                        bytes.extend(format!("\r\n{}\r\n", SAID[*said]).bytes());
                    }
                }
                bytes.extend(format!("\r\n{line}\r\n").bytes());
            }
            let answer = hear("AT+CGMM", &bytes);
            prop_assert_eq!(answer.text(), Some("EG91"));
            prop_assert!(answer.is_ok());
            prop_assert_eq!(answer.echoed, echo);
        }
    }
}
