//! The modem's command interpreter: one line in, lines out. Has no clock; the caller passes the time.

use super::character::{Character, Sim};
use super::habits::{CardNumber, Habits};
use bench_plan::ModemDialect;

/// State of the surroundings when the modem answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// It refuses settings: it has just booted.
    pub starts: bool,
    pub sim_ready: bool,
    /// The modem receives a cell.
    pub hears: bool,
    pub registered: bool,
    pub rsrp_dbm: f64,
}

/// Action that follows the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Nothing,
    SwitchOff,
    SetBaud(u32),
    /// The card, the radio or both start.
    FullFunction {
        card: bool,
    },
    Restart,
}

/// Settings that a restart resets. The rate is stored.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    line: Vec<u8>,
    echo: bool,
    /// ATV: results in words; ATQ: no results.
    words: bool,
    mute: bool,
    /// +CMEE: errors as a bare ERROR, a number, or words.
    verbose_errors: u8,
    pub function: u8,
    ucged: u8,
    /// +IFC: the modem obeys RTS.
    pub obeys_rts: bool,
    /// Unsolicited lines that it has sent.
    chatter: usize,
}

/// What a chatty modem says.
const CHATTER: [&str; 9] = [
    "+CREG: 2",
    "+CEREG: 2",
    "PB DONE",
    "+UUSIMSTAT: 1",
    "+QIND: SMS DONE",
    "SMS DONE",
    "+CGEV: ME PDN ACT 1",
    "+CTZV: -28",
    "+CSCON: 0",
];

/// Longest line; what is longer is dropped, as modems do.
const LONGEST: usize = 256;

impl CommandLine {
    pub fn new(dialect: ModemDialect, habits: &Habits) -> Self {
        Self {
            line: Vec::new(),
            echo: habits.echo,
            words: !habits.digits,
            mute: habits.mute,
            verbose_errors: habits.error_words,
            function: habits.function,
            ucged: 0,
            obeys_rts: dialect != ModemDialect::Quectel,
            chatter: 0,
        }
    }

    /// The next unsolicited line.
    pub fn chatter(&mut self) -> String {
        self.chatter += 1;
        format!("\r\n{}\r\n", CHATTER[self.chatter % CHATTER.len()])
    }

    /// Takes a byte; answers a whole line.
    pub fn take(&mut self, byte: u8, who: &Character, now: Situation, out: &mut Vec<u8>) -> Afterwards {
        if self.echo {
            out.push(byte);
        }
        match byte {
            b'\r' => {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                let upper = line.to_ascii_uppercase();
                match upper.strip_prefix("AT") {
                    Some(command) => self.answer(command, who, now, out),
                    None => Afterwards::Nothing,
                }
            }
            b'\n' => Afterwards::Nothing,
            _ => {
                // A command begins with AT, after any noise.
                if self.line.len() < LONGEST {
                    self.line.push(byte);
                }
                if self.line.len() >= 2 && !self.line[..2].eq_ignore_ascii_case(b"AT") {
                    self.line.remove(0);
                }
                Afterwards::Nothing
            }
        }
    }

    fn answer(&mut self, command: &str, who: &Character, now: Situation, out: &mut Vec<u8>) -> Afterwards {
        let (result, afterwards) = self.execute(command, who, now);
        let mut interrupt = |out: &mut Vec<u8>, every: usize| {
            // Some of them in the middle of an answer.
            if who.habits.chatty && (out.len() + command.len()).is_multiple_of(every) {
                out.extend_from_slice(self.chatter().as_bytes());
            }
        };
        match result {
            Ok(lines) => {
                interrupt(out, 3);
                for line in lines {
                    out.extend_from_slice(format!("\r\n{line}\r\n").as_bytes());
                    interrupt(out, 2);
                }
                out.extend_from_slice(self.result("OK", "0").as_bytes());
            }
            Err(error) => out.extend_from_slice(self.error(error).as_bytes()),
        }
        afterwards
    }

    fn result(&self, words: &str, digit: &str) -> String {
        match (self.mute, self.words) {
            (true, _) => String::new(),
            (false, true) => format!("\r\n{words}\r\n"),
            (false, false) => format!("{digit}\r"),
        }
    }

    fn error(&self, CmeError(number, words): CmeError) -> String {
        match self.verbose_errors {
            0 => self.result("ERROR", "4"),
            _ if self.mute => String::new(),
            1 => format!("\r\n+CME ERROR: {number}\r\n"),
            _ => format!("\r\n+CME ERROR: {words}\r\n"),
        }
    }

    /// Basic settings, of which a line may hold several: `Q0V1E0`. `None` for any other command.
    fn basic(&mut self, command: &str) -> Option<()> {
        let bytes = command.as_bytes();
        let pairs = || bytes.chunks(2);
        if bytes.is_empty() || !pairs().all(|pair| matches!(pair, [b'E' | b'V' | b'Q', b'0' | b'1'])) {
            return None;
        }
        for pair in pairs() {
            match pair {
                [b'E', value] => self.echo = *value == b'1',
                [b'V', value] => self.words = *value == b'1',
                [b'Q', value] => self.mute = *value == b'1',
                _ => {}
            }
        }
        Some(())
    }

    fn execute(
        &mut self,
        command: &str,
        who: &Character,
        now: Situation,
    ) -> (Result<Vec<String>, CmeError>, Afterwards) {
        let line_only = |line: String| (Ok(vec![line]), Afterwards::Nothing);
        let text = |name: &str, text: &str| match who.habits.named {
            true => (Ok(vec![format!("{name}: \"{text}\"")]), Afterwards::Nothing),
            false => (Ok(vec![text.to_owned()]), Afterwards::Nothing),
        };
        let setting = ["E", "V", "+IFC", "+CMEE", "+CFUN"].iter().any(|name| command.starts_with(name));
        if now.starts && setting {
            return (Err(if self.chatter.is_multiple_of(2) { SIM_BUSY } else { NOT_ALLOWED }), Afterwards::Nothing);
        }
        if self.basic(command).is_some() {
            return (Ok(Vec::new()), Afterwards::Nothing);
        }
        let done = (Ok(Vec::new()), Afterwards::Nothing);
        let sara = who.dialect != ModemDialect::Quectel;
        match command {
            "" => done,
            "I" if sara => line_only(format!("{} {}", who.maker, who.model)),
            "I" => (
                Ok(vec![who.maker.to_owned(), who.model.clone(), format!("Revision: {}", who.firmware)]),
                Afterwards::Nothing,
            ),
            "I9" if sara => line_only(who.firmware.to_owned()),
            "+CGMI" | "+GMI" => text("+CGMI", who.maker),
            "+CGMM" | "+GMM" => text("+CGMM", &who.model),
            "+CGMR" | "+GMR" => text("+CGMR", who.firmware),
            "+CGSN" | "+GSN" => match &who.imei {
                Some(imei) => text("+CGSN", imei),
                None => (Err(UNKNOWN), Afterwards::Nothing),
            },
            "+CPIN?" => (self.card(who, now).map(|_| vec!["+CPIN: READY".to_owned()]), Afterwards::Nothing),
            "+CCID" | "+CCID?" => (self.card_number("+CCID", sara, who, now), Afterwards::Nothing),
            "+QCCID" if !sara => (self.card_number("+QCCID", sara, who, now), Afterwards::Nothing),
            "+CIMI" => (self.card(who, now).map(|(_, imsi)| vec![imsi.to_owned()]), Afterwards::Nothing),
            "+CFUN?" => line_only(format!("+CFUN: {}", self.function)),
            "+CEREG?" => line_only(format!("+CEREG: 0,{}", if now.registered { 5 } else { 2 })),
            "+CSQ" if now.hears => {
                line_only(format!("+CSQ: {},99", ((now.rsrp_dbm + 133.0) / 2.0).clamp(0.0, 31.0) as u8))
            }
            "+CSQ" => line_only("+CSQ: 99,99".to_owned()),
            "+QCSQ" if !sara && now.hears => {
                line_only(format!("+QCSQ: \"LTE\",{:.0},{:.0},150,-9", now.rsrp_dbm + 25.0, now.rsrp_dbm))
            }
            "+QCSQ" if !sara => line_only("+QCSQ: \"NOSERVICE\"".to_owned()),
            "+UCGED?" if sara => (Ok(self.serving_cell(who, now)), Afterwards::Nothing),
            "+IPR?" => line_only(format!("+IPR: {}", who.stored_baud)),
            "+IFC?" => line_only(format!("+IFC: {0},{0}", if self.obeys_rts { 2 } else { 0 })),
            "+CPWROFF" if sara => (Ok(Vec::new()), Afterwards::SwitchOff),
            "+QPOWD" | "+QPOWD=1" if !sara => (Ok(Vec::new()), Afterwards::SwitchOff),
            _ => self.set(command, sara),
        }
    }

    fn set(&mut self, command: &str, sara: bool) -> (Result<Vec<String>, CmeError>, Afterwards) {
        let done = (Ok(Vec::new()), Afterwards::Nothing);
        let refused = (Err(NOT_SUPPORTED), Afterwards::Nothing);
        let Some((name, value)) = command.split_once('=') else { return refused };
        let number = value.split(',').next().and_then(|first| first.parse::<u32>().ok());
        match (name, number) {
            ("+CMEE", Some(level @ 0..=2)) => {
                self.verbose_errors = level as u8;
                done
            }
            ("+CFUN", Some(16 | 15)) => (Ok(Vec::new()), Afterwards::Restart),
            ("+CFUN", Some(function @ (0 | 1 | 4))) => {
                let before = std::mem::replace(&mut self.function, function as u8);
                let starts = function == 1 && before != 1;
                let afterwards =
                    if starts { Afterwards::FullFunction { card: before == 0 } } else { Afterwards::Nothing };
                (Ok(Vec::new()), afterwards)
            }
            ("+IFC", Some(flow @ (0 | 2))) => {
                self.obeys_rts = flow == 2;
                done
            }
            ("+IPR", Some(baud)) if dut_protocol::MODEM_BAUDS.contains(&baud) => {
                (Ok(Vec::new()), Afterwards::SetBaud(baud))
            }
            ("+UCGED", Some(mode @ (0 | 2 | 5))) if sara => {
                self.ucged = mode as u8;
                done
            }
            ("+CEREG" | "+CGEREP" | "+COPS", Some(_)) => done,
            _ => refused,
        }
    }

    /// ICCID and IMSI of a card that answers.
    fn card<'w>(&self, who: &'w Character, now: Situation) -> Result<(Option<&'w str>, &'w str), CmeError> {
        match &who.sim {
            Sim::Absent => Err(SIM_NOT_INSERTED),
            Sim::Dead => Err(SIM_FAILURE),
            Sim::Fitted { .. } if self.function == 0 => Err(NOT_ALLOWED),
            Sim::Fitted { .. } if !now.sim_ready => Err(match who.habits.card_error {
                10 => SIM_NOT_INSERTED,
                13 => SIM_FAILURE,
                515 => PLEASE_WAIT,
                _ => SIM_BUSY,
            }),
            Sim::Fitted { iccid, imsi } => Ok((iccid.as_deref(), imsi)),
        }
    }

    fn card_number(&self, name: &str, sara: bool, who: &Character, now: Situation) -> Result<Vec<String>, CmeError> {
        let (iccid, _) = self.card(who, now)?;
        let iccid = iccid.ok_or(MEMORY_FAILURE)?;
        let other = who.habits.card_number == CardNumber::OtherCommand;
        match (other, name) {
            (true, "+QCCID") => Err(NOT_SUPPORTED),
            (true, _) if sara => Ok(vec![iccid.to_owned()]),
            _ => Ok(vec![format!("{name}: {iccid}")]),
        }
    }

    /// R4: mode 5 in words; R5: mode 2 in indices of 3GPP TS 36.133.
    fn serving_cell(&self, who: &Character, now: Situation) -> Vec<String> {
        match (who.dialect, self.ucged) {
            (ModemDialect::SaraR4, 5) if now.hears => {
                vec![format!("+RSRP: 162,5110,\"{:.2}\",", now.rsrp_dbm), "+RSRQ: 162,5110,\"-11.50\",".to_owned()]
            }
            (ModemDialect::SaraR4, 5) => Vec::new(),
            (ModemDialect::SaraR5, 2) => {
                let rsrp = if now.hears { (now.rsrp_dbm + 141.0).clamp(0.0, 97.0) as u8 } else { 255 };
                vec![
                    "+UCGED: 2".to_owned(),
                    "6,4,310,260".to_owned(),
                    format!("5110,5,10,10,8a3f01,162,1a2b3c4d,ffff,ff,20,{rsrp},17,255,255,1,255,255,255"),
                ]
            }
            (_, mode) => vec![format!("+UCGED: {mode}")],
        }
    }
}

/// Number and words of 3GPP TS 27.007, 9.2.
#[derive(Debug, Clone, Copy)]
struct CmeError(u16, &'static str);

const NOT_ALLOWED: CmeError = CmeError(3, "operation not allowed");
const NOT_SUPPORTED: CmeError = CmeError(4, "operation not supported");
const SIM_NOT_INSERTED: CmeError = CmeError(10, "SIM not inserted");
const SIM_FAILURE: CmeError = CmeError(13, "SIM failure");
const SIM_BUSY: CmeError = CmeError(14, "SIM busy");
const MEMORY_FAILURE: CmeError = CmeError(23, "memory failure");
const PLEASE_WAIT: CmeError = CmeError(515, "Please wait, init or command processing in progress");
const UNKNOWN: CmeError = CmeError(100, "unknown");
