//! The cellular modem inside the module: its connection to the microcontroller and its makers' requirements.

use dut_protocol::Port;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between microcontroller and modem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModemWiring {
    /// Seen from the microcontroller: it sends on `tx`, and may send while `cts` is low.
    pub tx: Port,
    pub rx: Port,
    pub cts: Port,
    pub rts: Port,
    /// The key that switches the modem on and off.
    pub power: ModemLine,
    pub reset: ModemLine,
    /// Enables the level translator of the UART. It must be off before the modem is switched off, because it keeps the
    /// modem's V_INT powered.
    pub buffer: Option<ModemLine>,
    /// V_INT or STATUS: active while the modem is on.
    pub sense: ModemLine,
    /// The sense line needs the microcontroller's pull-up.
    pub sense_pull_up: bool,
    /// Ends data mode; idles high.
    pub dtr: Option<Port>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    /// In full, joined by "; ".
    pub source: String,
}

/// A line with two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModemLine {
    pub port: Port,
    /// Active level at the microcontroller: key pressed, reset asserted, translator on, modem on.
    pub active_high: bool,
}

/// One type of modem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModemPart {
    /// "SARA-R510S".
    pub name: String,
    pub dialect: ModemDialect,
    /// Text that the answer to AT+CGMI must contain.
    pub maker_answer: String,
    /// Prefixes, one of which the answer to AT+CGMM must have.
    pub model_answers: Vec<String>,
    /// Prefixes, one of which the answer to AT+CGMR must have; an empty list accepts any.
    #[serde(default)]
    pub firmware_answers: Vec<String>,
    /// How long to press the power key to switch on.
    pub power_on_pulse_ms: u16,
    /// Longest time from the key press until the sense line shows that the modem is on.
    pub on_within_ms: u32,
    /// Time after the key press in which the modem answers nothing.
    pub boots_ms: u32,
    /// Longest time from the key press until the modem answers AT.
    pub ready_within_ms: u32,
    /// Longest time from the switch-off command or the key press until the sense line shows that the modem is off.
    pub off_within_ms: u32,
    pub power_off_pulse_ms: u16,
    pub emergency_off: Option<EmergencyOff>,
    /// Rate of a fresh modem.
    pub default_baud: u32,
    /// Rate that Device OS sets, which the modem may have kept.
    pub runtime_baud: u32,
    /// Firmware that must have been on for a while before it may be switched off.
    #[serde(default)]
    pub keep_on: Vec<KeepOn>,
    pub usb_vendor: Option<u16>,
    pub usb_product: Option<u16>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

impl ModemPart {
    pub fn ready_within(&self) -> Duration {
        Duration::from_millis(self.ready_within_ms.into())
    }
    pub fn boots(&self) -> Duration {
        Duration::from_millis(self.boots_ms.into())
    }
    pub fn on_within(&self) -> Duration {
        Duration::from_millis(self.on_within_ms.into())
    }
    pub fn off_within(&self) -> Duration {
        Duration::from_millis(self.off_within_ms.into())
    }
}

/// Command set of a modem beyond 3GPP 27.007.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModemDialect {
    /// u-blox SARA-R4.
    SaraR4,
    /// u-blox SARA-R5.
    SaraR5,
    Quectel,
}

impl ModemDialect {
    /// Switches the modem off in order.
    pub const fn off_command(self) -> &'static str {
        match self {
            Self::SaraR4 | Self::SaraR5 => "AT+CPWROFF",
            Self::Quectel => "AT+QPOWD",
        }
    }
}

/// When neither command nor key switches the modem off: both keys, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmergencyOff {
    /// Time that the power key is pressed alone, before the reset key.
    pub power_before_reset_ms: u16,
    /// Time that both are pressed.
    pub both_ms: u16,
    /// Time that only the reset key is pressed.
    pub reset_after_power_ms: u16,
}

/// Firmware of a modem that must be on for a while before it is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepOn {
    /// Prefix of the answer to AT+CGMR or ATI9.
    pub firmware: String,
    /// Since it was switched on.
    pub ms: u32,
    pub reason: String,
}

/// The SIM cards that are soldered to the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimFacts {
    /// Prefixes of the ICCID of an EtherSIM.
    pub ethersim_iccid_prefixes: Vec<String>,
    pub notes: Option<String>,
    pub source: Vec<String>,
}
