//! Values with unit and limits.

use crate::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Unit of a value. Values are kept in the base unit (volts, not millivolts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum MeasurementUnit {
    #[serde(rename = "V")]
    Volts,
    #[serde(rename = "A")]
    Amps,
    #[serde(rename = "ohm")]
    Ohms,
    #[serde(rename = "Hz")]
    Hertz,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "%")]
    Percent,
    /// A count, a code, a yes (1) or no (0).
    #[serde(rename = "1")]
    One,
}

impl MeasurementUnit {
    pub const fn symbol(self) -> &'static str {
        match self {
            MeasurementUnit::Volts => "V",
            MeasurementUnit::Amps => "A",
            MeasurementUnit::Ohms => "ohm",
            MeasurementUnit::Hertz => "Hz",
            MeasurementUnit::Seconds => "s",
            MeasurementUnit::Percent => "%",
            MeasurementUnit::One => "",
        }
    }

    /// Formats a value with four significant digits and a decimal prefix: "3.301 V", "12.3 mA", "1.02 Mohm".
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return format!("{value} {}", self.symbol()).trim_end().to_owned();
        }
        if matches!(self, MeasurementUnit::One | MeasurementUnit::Percent) {
            let text = format!("{value:.3}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            return if self == MeasurementUnit::Percent { format!("{text} %") } else { text.to_owned() };
        }
        // A value that would show as 0.000 of the smallest prefix counts as zero.
        let value = if value.abs() < 0.5e-12 { 0.0 } else { value };
        let magnitude = value.abs();
        let (scale, prefix) = match magnitude {
            m if m >= 1e6 => (1e-6, "M"),
            m if m >= 1e3 => (1e-3, "k"),
            m if m >= 1.0 || m == 0.0 => (1.0, ""),
            m if m >= 1e-3 => (1e3, "m"),
            m if m >= 1e-6 => (1e6, "u"),
            _ => (1e9, "n"),
        };
        let scaled = value * scale;
        let decimals = match scaled.abs() {
            s if s >= 1000.0 => 0,
            s if s >= 100.0 => 1,
            s if s >= 10.0 => 2,
            _ => 3,
        };
        format!("{scaled:.decimals$} {prefix}{}", self.symbol())
    }
}

/// Closed interval for a reading. At least one side is set; a plan without limits is refused earlier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<f64>,
}

impl Limits {
    pub const fn between(min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max) }
    }
    pub const fn at_least(min: f64) -> Self {
        Self { min: Some(min), max: None }
    }
    pub const fn at_most(max: f64) -> Self {
        Self { min: None, max: Some(max) }
    }
    /// Exactly this value (codes, counts, yes and no).
    pub const fn exactly(value: f64) -> Self {
        Self::between(value, value)
    }
    /// "3.2 V to 3.4 V", "at most 50 ohm".
    pub fn show(&self, unit: MeasurementUnit) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("exactly {}", unit.show(min)),
            (Some(min), Some(max)) => format!("{} to {}", unit.show(min), unit.show(max)),
            (Some(min), None) => format!("at least {}", unit.show(min)),
            (None, Some(max)) => format!("at most {}", unit.show(max)),
            (None, None) => "no limit".to_owned(),
        }
    }
}

/// One contact of the DUT's edge (or header), by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Contact(pub u8);

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A measurement that a step promises before it runs. A promise that is not delivered is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasurementSpec {
    /// Unique within its step: "3V3.volts", "A0.high".
    pub name: String,
    pub unit: MeasurementUnit,
    pub limits: Limits,
    /// The contacts that this measurement tests.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contacts: Vec<Contact>,
}

/// A reading with its judgement, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub name: String,
    /// `None`: never taken. JSON has no NaN: a reading that is not finite is kept as `None`, with its text in `raw`.
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raw: Option<String>,
    pub unit: MeasurementUnit,
    pub limits: Limits,
    pub verdict: Verdict,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contacts: Vec<Contact>,
}

/// Kind of defect in a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    Open,
    Short,
    ShortToGround,
    ShortToRail,
    StuckHigh,
    StuckLow,
    MissingPull,
    Leak,
    Overload,
    WrongVoltage,
    WrongModel,
    NoAnswer,
    /// A defect of the bench, not of the DUT.
    Bench,
    Other,
    /// Two contacts lead to each other's place.
    Exchanged,
}

/// A conclusion from measurements, in words for the repair bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub defect: Defect,
    /// The faulty contacts, ascending.
    pub contacts: Vec<Contact>,
    /// "contact 23 (A0): open".
    pub text: String,
}
