//! Lines that a modem sends without being asked, and what belongs to the answer of which command.

/// Unsolicited lines that consist of words. Those with a name in front (`+CREG: 1`) need no list: a name other than the
/// command's is unsolicited. From the AT manuals of u-blox, Quectel, SIMCom, Telit, Cinterion and Sierra Wireless.
const WORDS: &[&str] = &[
    "RDY",
    "APP RDY",
    "PB DONE",
    "SMS DONE",
    "SMS READY",
    "CALL READY",
    "SYSTEM START",
    "SYSSTART",
    "SIM DROP",
    "SIM READY",
    "SIM NOT READY",
    "RING",
    "BUSY",
    "NO CARRIER",
    "NO ANSWER",
    "NO DIALTONE",
    "CONNECT",
    "POWERED DOWN",
    "NORMAL POWER DOWN",
    "UNDER-VOLTAGE WARNNING",
    "UNDER-VOLTAGE WARNING",
    "UNDER-VOLTAGE POWER DOWN",
    "OVER-VOLTAGE WARNNING",
    "OVER-VOLTAGE WARNING",
    "OVER-VOLTAGE POWER DOWN",
    "MODEM:STARTUP",
    "MODEM:READY",
];

/// First characters of the names of extended commands and results.
const MARKS: [char; 7] = ['+', '^', '*', '#', '%', '$', '!'];

/// Names whose lines answer a command, beside its own name.
const ALSO: &[(&str, &[&str])] =
    &[("+UCGED", &["+RSRP", "+RSRQ"]), ("+CCID", &["+QCCID", "+ICCID"]), ("+QCCID", &["+CCID", "+ICCID"])];

/// The name of an extended command, `+CPIN` of `AT+CPIN?`; empty for a basic command such as `ATE0`.
pub fn name_of(command: &str) -> &str {
    let rest = command.strip_prefix("AT").unwrap_or(command);
    if !rest.starts_with(MARKS) {
        return "";
    }
    rest.split(['=', '?']).next().unwrap_or_default()
}

/// The name and the value of a line such as `+CPIN: READY`.
pub fn named(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with(MARKS) {
        return None;
    }
    match line.split_once(':') {
        Some((name, value)) => Some((name.trim_end(), value.trim())),
        None => Some((line, "")),
    }
}

/// Whether a line has nothing to do with the answer to the command of this name.
pub fn is_unsolicited(line: &str, command: &str) -> bool {
    if let Some((name, _)) = named(line) {
        let also = ALSO.iter().find(|(of, _)| *of == command).map_or(&[][..], |(_, also)| also);
        return name != command && !also.contains(&name);
    }
    // A word with a value behind it (`DST: 1`) is none of the texts by which a modem identifies itself either.
    WORDS.iter().any(|words| words.eq_ignore_ascii_case(line)) || line.starts_with("DST:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_belong_to_a_command_or_to_none() {
        for (command, line, expected) in [
            ("AT+CGMM", "RDY", true),
            ("AT+CGMM", "PB DONE", true),
            ("AT+CGMM", "+CREG: 1", true),
            ("AT+CGMM", "^SIMST: 1", true),
            ("AT+CGMM", "EG91", false),
            ("AT+CGMM", "+CGMM: EG91", false),
            ("AT+CPIN?", "+CPIN: READY", false),
            ("AT+CPIN?", "+QUSIM: 1", true),
            ("AT+UCGED?", "+RSRP: 162,5110,\"-085.10\"", false),
            ("AT+UCGED?", "6,4,001,01", false),
            ("AT+CCID", "+QCCID: 8988", false),
            ("AT", "+CTZV: 22/01/01", true),
        ] {
            assert_eq!(is_unsolicited(line, name_of(command)), expected, "{command} {line}");
        }
        for (command, name) in [("AT", ""), ("ATE0", ""), ("AT+CFUN=1", "+CFUN"), ("AT+CCID", "+CCID"), ("AT+X?", "+X")]
        {
            assert_eq!(name_of(command), name);
        }
    }
}
