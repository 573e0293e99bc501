//! The modem's command interpreter: one line in, lines out. Has no clock; the caller passes the time.

use super::character::{Character, Sim};
use bench_plan::ModemDialect;

/// State of the surroundings when the modem answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
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
    Restart,
}

/// Settings that a restart resets. The rate is stored.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    line: Vec<u8>,
    echo: bool,
    /// +CMEE: errors as a bare ERROR, a number, or words.
    verbose_errors: u8,
    pub function: u8,
    ucged: u8,
    /// +IFC: the modem obeys RTS.
    pub obeys_rts: bool,
}

/// Longest line; what is longer is dropped, as modems do.
const LONGEST: usize = 256;

impl CommandLine {
    pub fn new(dialect: ModemDialect) -> Self {
        let obeys_rts = dialect != ModemDialect::Quectel;
        Self { line: Vec::new(), echo: true, verbose_errors: 0, function: 1, ucged: 0, obeys_rts }
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
        match result {
            Ok(lines) => {
                for line in lines {
                    out.extend_from_slice(format!("\r\n{line}\r\n").as_bytes());
                }
                out.extend_from_slice(b"\r\nOK\r\n");
            }
            Err(error) => out.extend_from_slice(self.error(error).as_bytes()),
        }
        afterwards
    }

    fn error(&self, CmeError(number, words): CmeError) -> String {
        match self.verbose_errors {
            0 => "\r\nERROR\r\n".to_owned(),
            1 => format!("\r\n+CME ERROR: {number}\r\n"),
            _ => format!("\r\n+CME ERROR: {words}\r\n"),
        }
    }

    fn execute(
        &mut self,
        command: &str,
        who: &Character,
        now: Situation,
    ) -> (Result<Vec<String>, CmeError>, Afterwards) {
        let line_only = |line: String| (Ok(vec![line]), Afterwards::Nothing);
        let done = (Ok(Vec::new()), Afterwards::Nothing);
        let sara = who.dialect != ModemDialect::Quectel;
        match command {
            "" => done,
            "E0" | "E1" => {
                self.echo = command == "E1";
                done
            }
            "I" if sara => line_only(format!("{} {}", who.maker, who.model)),
            "I" => (
                Ok(vec![who.maker.to_owned(), who.model.clone(), format!("Revision: {}", who.firmware)]),
                Afterwards::Nothing,
            ),
            "I9" if sara => line_only(who.firmware.to_owned()),
            "+CGMI" | "+GMI" => line_only(who.maker.to_owned()),
            "+CGMM" | "+GMM" => line_only(who.model.clone()),
            "+CGMR" | "+GMR" => line_only(who.firmware.to_owned()),
            "+CGSN" | "+GSN" => match &who.imei {
                Some(imei) => line_only(imei.clone()),
                None => (Err(UNKNOWN), Afterwards::Nothing),
            },
            "+CPIN?" => (ready_card(who, now).map(|_| vec!["+CPIN: READY".to_owned()]), Afterwards::Nothing),
            "+CCID" => {
                let number = ready_card(who, now).and_then(|(iccid, _)| match (iccid, self.function) {
                    (_, 0) => Err(NOT_ALLOWED),
                    (Some(iccid), _) => Ok(vec![format!("+CCID: {iccid}")]),
                    (None, _) => Err(MEMORY_FAILURE),
                });
                (number, Afterwards::Nothing)
            }
            "+CIMI" => (ready_card(who, now).map(|(_, imsi)| vec![imsi.to_owned()]), Afterwards::Nothing),
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
                self.function = function as u8;
                done
            }
            ("+IFC", Some(flow @ (0 | 2))) => {
                self.obeys_rts = flow == 2;
                done
            }
            ("+IPR", Some(baud)) if dut_protocol::SUPPORTED_BAUDS.contains(&baud) => {
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
const UNKNOWN: CmeError = CmeError(100, "unknown");

/// ICCID and IMSI of a card that answers.
fn ready_card(who: &Character, now: Situation) -> Result<(Option<&str>, &str), CmeError> {
    match &who.sim {
        Sim::Absent => Err(SIM_NOT_INSERTED),
        Sim::Dead => Err(SIM_FAILURE),
        Sim::Fitted { .. } if !now.sim_ready => Err(SIM_BUSY),
        Sim::Fitted { iccid, imsi } => Ok((iccid.as_deref(), imsi)),
    }
}
