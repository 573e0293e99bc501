//! Faults of the modem, its SIM, its antenna and its lines.

/// A defect of what only the modem's own words and lines can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModemFault {
    /// It never switches on.
    Dead,
    /// It boots, half a minute late.
    Late,
    /// Another type of modem is fitted.
    Wrong(String),
    /// Neither order nor key switches it off.
    NeverOff,
    /// Its supply inside the module has a bad joint: it restarts when the transmitter starts.
    BrownOut,
    /// It draws 300 mA too much while it boots: a damaged part of its supply.
    BootCurrent,
    /// A line between microcontroller and modem is open; names as the microcontroller sees them.
    TxDead,
    RxDead,
    CtsDead,
    RtsDead,
    /// RTS and CTS are exchanged.
    FlowSwapped,
    SimAbsent,
    /// The card does not answer.
    SimContact,
    /// A card of another carrier.
    SimCarrier,
    /// The card's number cannot be read.
    IccidUnreadable,
    ImeiUnreadable,
    /// The IMEI was never written: it is the one that every blank modem has.
    ImeiDefault,
    /// The main antenna's path is open.
    Antenna,
    /// It hears 20 dB too little.
    Weak,
    /// Its USB does not see the voltage on VBUS.
    UsbDead,
}

/// Text and the words of which a diagnosis must have one, in lower case.
const TABLE: &[(&str, ModemFault, &[&str])] = &[
    ("modem-dead", ModemFault::Dead, &["modem does not switch on"]),
    ("modem-late", ModemFault::Late, &["modem boots too late", "modem does not answer in time"]),
    ("modem-never-off", ModemFault::NeverOff, &["modem does not switch off"]),
    ("modem-brown-out", ModemFault::BrownOut, &["modem's supply"]),
    ("modem-boot-current", ModemFault::BootCurrent, &["modem draws"]),
    ("modem-tx-dead", ModemFault::TxDead, &["modem uart tx"]),
    ("modem-rx-dead", ModemFault::RxDead, &["modem uart rx"]),
    ("modem-cts-dead", ModemFault::CtsDead, &["modem uart cts"]),
    ("modem-rts-dead", ModemFault::RtsDead, &["modem uart rts"]),
    ("modem-flow-swapped", ModemFault::FlowSwapped, &["rts and cts are exchanged"]),
    ("sim-absent", ModemFault::SimAbsent, &["sim: no card"]),
    ("sim-contact", ModemFault::SimContact, &["sim: the card does not answer"]),
    ("sim-carrier", ModemFault::SimCarrier, &["sim: wrong carrier"]),
    ("iccid-unreadable", ModemFault::IccidUnreadable, &["sim: its number"]),
    ("imei-unreadable", ModemFault::ImeiUnreadable, &["imei"]),
    ("imei-default", ModemFault::ImeiDefault, &["imei"]),
    ("cell-antenna", ModemFault::Antenna, &["cellular antenna"]),
    ("cell-weak", ModemFault::Weak, &["cellular receiver"]),
    ("modem-usb-dead", ModemFault::UsbDead, &["modem's usb"]),
];

const WRONG: &str = "wrong-modem";

impl ModemFault {
    /// As ordered: "modem-dead", "wrong-modem:SARA-R410M".
    pub(super) fn text(&self) -> String {
        match (self, self.row()) {
            (ModemFault::Wrong(part), _) => format!("{WRONG}:{part}"),
            (_, Some((text, ..))) => (*text).to_owned(),
            (_, None) => String::new(),
        }
    }

    /// `None`: no fault of the modem; `Some(Err)`: one that is written wrongly.
    pub(super) fn parse(kind: &str, rest: Option<&str>) -> Option<Result<Self, String>> {
        if kind == WRONG {
            return Some(match rest {
                Some(part) if !part.is_empty() => Ok(ModemFault::Wrong(part.to_owned())),
                _ => Err(format!("write which modem is fitted, for example `{WRONG}:SARA-R410M`")),
            });
        }
        let (_, fault, _) = TABLE.iter().find(|(text, ..)| *text == kind)?;
        Some(match rest {
            None => Ok(fault.clone()),
            Some(_) => Err(format!("`{kind}` takes nothing after it")),
        })
    }

    pub(super) fn words(&self) -> Vec<&'static str> {
        match self {
            ModemFault::Wrong(_) => vec!["wrong modem"],
            _ => self.row().map(|(.., words)| words.to_vec()).unwrap_or_default(),
        }
    }

    /// All but the wrong modem.
    pub(super) fn all() -> impl Iterator<Item = ModemFault> {
        TABLE.iter().map(|(_, fault, _)| fault.clone())
    }

    pub(super) fn forms() -> String {
        let texts: Vec<&str> = TABLE.iter().map(|(text, ..)| *text).collect();
        format!("{}, {WRONG}:TYPE", texts.join(", "))
    }

    fn row(&self) -> Option<&'static (&'static str, ModemFault, &'static [&'static str])> {
        TABLE.iter().find(|(_, fault, _)| fault == self)
    }
}
