//! Parses a modem's answers. Pure.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Ok,
    /// With the error number of 3GPP TS 27.007, 9.2, if the modem sent one.
    Error(Option<u16>),
    /// No final line arrived in time.
    Silent,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Lines before the end, echo and empty lines left out.
    pub lines: Vec<String>,
    pub ended: Ended,
    /// The modem sent the command back.
    pub echoed: bool,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.ended == Ended::Ok
    }

    /// Returns the text after `prefix` in the first line that starts with it: "+CCID: 8988..." -> "8988...".
    pub fn value(&self, prefix: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| Some(line.strip_prefix(prefix)?.trim_start_matches(':').trim()))
    }

    /// Returns the first line that is not an unsolicited one.
    pub fn text(&self) -> Option<&str> {
        self.lines.iter().map(String::as_str).find(|line| !line.starts_with('+') && *line != "RDY")
    }
}

/// Collects what arrives after one command.
#[derive(Debug, Default)]
pub struct Listener {
    command: String,
    pending: Vec<u8>,
    lines: Vec<String>,
    echoed: bool,
}

impl Listener {
    /// `command` without its end of line.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), ..Self::default() }
    }

    /// Takes bytes; returns the answer once the command has ended.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Answer> {
        for &byte in bytes {
            if byte == b'\r' || byte == b'\n' {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.pending)).trim().to_owned();
                if let Some(ended) = self.line(line) {
                    return Some(self.end(ended));
                }
            } else {
                self.pending.push(byte);
            }
        }
        None
    }

    /// Ends the answer without a final line.
    pub fn give_up(mut self) -> Answer {
        self.end(Ended::Silent)
    }

    fn end(&mut self, ended: Ended) -> Answer {
        Answer { lines: std::mem::take(&mut self.lines), ended, echoed: self.echoed }
    }

    fn line(&mut self, line: String) -> Option<Ended> {
        if line.is_empty() {
            return None;
        }
        // A partial line may precede the echo, and the echo of an earlier command may arrive late.
        if !self.command.is_empty() && line.ends_with(&self.command) || line.starts_with("AT") {
            self.echoed = true;
            return None;
        }
        if line == "OK" {
            return Some(Ended::Ok);
        }
        if line == "ERROR" {
            return Some(Ended::Error(None));
        }
        if let Some(number) = line.strip_prefix("+CME ERROR:") {
            return Some(Ended::Error(number.trim().parse().ok()));
        }
        self.lines.push(line);
        None
    }
}

/// Whether the check digit of ISO/IEC 7812 at the end of a number is right.
pub fn luhn_is_right(digits: &str) -> bool {
    let mut sum = 0;
    for (n, digit) in digits.chars().rev().enumerate() {
        let Some(digit) = digit.to_digit(10) else { return false };
        let digit = if n % 2 == 1 { digit * 2 } else { digit };
        sum += digit / 10 + digit % 10;
    }
    !digits.is_empty() && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hear(command: &str, bytes: &str) -> Answer {
        let mut listener = Listener::new(command);
        listener.take(bytes.as_bytes()).unwrap_or_else(|| listener.give_up())
    }

    #[test]
    fn answers_are_taken_apart() {
        let rows = [
            ("AT", "\r\nOK\r\n", Ended::Ok, vec![], false),
            ("AT", "AT\r\r\nOK\r\n", Ended::Ok, vec![], true),
            ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n", Ended::Ok, vec!["+CPIN: READY"], false),
            ("AT+CPIN?", "\r\n+CME ERROR: 10\r\n", Ended::Error(Some(10)), vec![], false),
            ("AT+CPIN?", "\r\n+CME ERROR: SIM busy\r\n", Ended::Error(None), vec![], false),
            ("AT+X", "\r\nERROR\r\n", Ended::Error(None), vec![], false),
            (
                "AT+CGSN",
                "\r\nRDY\r\n\r\n490154203237518\r\n\r\nOK\r\n",
                Ended::Ok,
                vec!["RDY", "490154203237518"],
                false,
            ),
            ("AT+CGSN", "\r\n4901", Ended::Silent, vec![], false),
        ];
        for (command, bytes, ended, lines, echoed) in rows {
            let lines = lines.into_iter().map(str::to_owned).collect();
            assert_eq!(hear(command, bytes), Answer { lines, ended, echoed }, "{command} {bytes:?}");
        }
        let answer = hear("AT+CGSN", "\r\nRDY\r\n\r\n490154203237518\r\n\r\nOK\r\n");
        assert_eq!(answer.text(), Some("490154203237518"));
        assert_eq!(hear("AT+CCID", "\r\n+CCID: 89\r\nOK\r\n").value("+CCID"), Some("89"));
    }

    #[test]
    fn check_digits() {
        // The first two are the examples of 3GPP TS 23.003 and of ISO/IEC 7812.
        for (digits, right) in
            [("490154203237518", true), ("79927398713", true), ("79927398710", false), ("", false), ("12a", false)]
        {
            assert_eq!(luhn_is_right(digits), right, "{digits}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), command in "[A-Z+?]{0,8}") {
            let mut listener = Listener::new(&command);
            let _ = listener.take(&bytes);
        }
        #[test]
        fn pieces_do_not_matter(text in "(\r\n[A-Z+: 0-9]{1,12}\r\n){0,4}\r\nOK\r\n", cut in 0usize..60) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut listener = Listener::new("AT+Q");
            let in_pieces = listener.take(first).or_else(|| listener.take(second));
            prop_assert_eq!(in_pieces, Some(hear("AT+Q", &text)));
        }
    }
}
