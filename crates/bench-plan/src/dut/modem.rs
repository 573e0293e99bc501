//! The cellular modem inside the module: how the microcontroller reaches it, and what its makers ask for.

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
    /// Enables the level translator of the UART; it must be off before the modem is switched off, because through it the
    /// modem's V_INT stays fed.
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
    /// Level, seen at the microcontroller, in which it is active: key pressed, reset asserted, translator on, modem on.
    pub active_high: bool,
}

/// One type of modem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModemPart {
    /// "SARA-R510S".
    pub name: String,
    pub dialect: ModemDialect,
    /// What the answer to AT+CGMI must contain.
    pub maker_answer: String,
    /// What the answer to AT+CGMM must begin with; one of them.
    pub model_answers: Vec<String>,
    /// What the answer to AT+CGMR must begin with; one of them, none: anything.
    #[serde(default)]
    pub firmware_answers: Vec<String>,
    /// How long the power key is pressed to switch on.
    pub power_on_pulse_ms: u16,
    /// The sense line shows that the modem is on so long after the key was pressed, at the latest.
    pub on_within_ms: u32,
    /// It answers nothing before so long after the key was pressed.
    pub boots_ms: u32,
    /// It answers AT so long after the key was pressed, at the latest.
    pub ready_within_ms: u32,
    /// After the order by AT, or after the key: the sense line shows that it is off, at the latest.
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

/// Which commands beyond 3GPP 27.007 a modem understands.
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

/// When neither order nor key switches the modem off: both keys, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmergencyOff {
    /// The power key is pressed so long before the reset key.
    pub power_before_reset_ms: u16,
    /// Then both so long.
    pub both_ms: u16,
    /// Then only the reset key.
    pub reset_after_power_ms: u16,
}

/// Firmware of a modem that must be on for a while before it is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepOn {
    /// Beginning of the answer to AT+CGMR or ATI9.
    pub firmware: String,
    /// Since it was switched on.
    pub ms: u32,
    pub reason: String,
}

/// The SIM cards that are soldered to the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimFacts {
    /// The ICCID of an EtherSIM begins with one of these.
    pub ethersim_iccid_prefixes: Vec<String>,
    pub notes: Option<String>,
    pub source: Vec<String>,
}
