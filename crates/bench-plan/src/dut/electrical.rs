//! Limits of a family for plans: supplies, GPIO, ADC, PWM, currents.
//!
//! The tables have the same form before and after the check. Every `source` holds keys into
//! [`crate::DutFamily::sources`].

use bench_run::Contact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minimum, typical and maximum; a bound that no source gives is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub min: Option<f64>,
    pub typ: Option<f64>,
    pub max: Option<f64>,
}

impl Spread {
    /// Whether the given bounds are in order.
    pub fn is_ordered(&self) -> bool {
        let given: Vec<f64> = [self.min, self.typ, self.max].into_iter().flatten().collect();
        given.iter().all(|value| value.is_finite()) && given.windows(2).all(|pair| pair[0] <= pair[1])
    }
}

/// Direction of power, seen from the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SupplyDirection {
    Into,
    OutOf,
    Both,
}

/// Purpose of a rail of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SupplyRole {
    /// Feeds the microcontroller and its ports.
    Logic,
    /// Feeds the modem.
    Modem,
    /// Feeds the USB block of the microcontroller.
    Usb,
    /// Enables the USB of the modem.
    ModemUsb,
    /// Feeds the module's own regulators from a cell.
    Battery,
}

/// A rail of the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supply {
    /// "VCC", "3V3", "VUSB".
    pub rail: String,
    /// At most one rail has each role; a rail may have none.
    pub role: Option<SupplyRole>,
    #[schemars(with = "Vec<u8>")]
    pub contacts: Vec<Contact>,
    pub direction: SupplyDirection,
    /// Normal voltage.
    pub volts: Spread,
    pub abs_min_volts: Option<f64>,
    pub abs_max_volts: Option<f64>,
    /// Current that the feeding supply should be able to deliver, milliamperes.
    pub feed_ma: Option<f64>,
    /// Least current that the feeding supply must be able to deliver, milliamperes.
    pub min_feed_ma: Option<f64>,
    /// Largest current that the module delivers when the rail is an output, milliamperes.
    pub out_ma: Option<f64>,
    /// Deepest dip under load, percent.
    pub max_drop_percent: Option<f64>,
    /// Ripple, millivolts peak to peak.
    pub max_ripple_mv: Option<f64>,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

/// Current of the module in one state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupplyCurrent {
    /// "idle, cellular off".
    pub state: String,
    /// Milliamperes; `max` is the peak.
    pub ma: Spread,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

/// The nRF52840's GPIO as the datasheets quote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpioLimits {
    /// Lowest voltage read as high, as a fraction of VDD.
    pub vih_min_of_vdd: f64,
    /// Highest voltage read as low, as a fraction of VDD.
    pub vil_max_of_vdd: f64,
    pub pull_up_ohms: Spread,
    pub pull_down_ohms: Spread,
    /// Current at standard drive, milliamperes.
    pub standard_drive_ma: Spread,
    /// Current into a pin at high drive and VDD >= 2.7 V, milliamperes.
    pub high_drive_sink_ma: Spread,
    /// Current out of a pin at high drive and VDD >= 2.7 V, milliamperes.
    pub high_drive_source_ma: Spread,
    pub pin_pf: f64,
    pub nfc_pin_pf: f64,
    /// A pin may go this far above VDD ...
    pub abs_max_above_vdd_volts: f64,
    /// ... but never above this.
    pub abs_max_volts: f64,
    /// A pin may go this far below ground.
    pub abs_below_ground_volts: f64,
    /// Leakage between the NFC pads when they are driven to different levels, microamperes.
    pub nfc_leakage_ua: Spread,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdcLimits {
    pub resolution_bits: u8,
    pub inputs: u8,
    /// Acquisition time that Device OS sets, microseconds.
    pub acquisition_us: f64,
    /// Highest source impedance for that time, ohms.
    pub source_max_ohms: f64,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PwmLimits {
    pub min_hz: f64,
    pub default_hz: f64,
    pub max_hz: f64,
    pub default_bits: u8,
    pub max_bits: u8,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterruptLimits {
    /// How many pins may interrupt at the same time, according to the spec.
    pub at_once: u8,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

/// Degrees Celsius, minimum and maximum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub normal_celsius: [f64; 2],
    pub extended_celsius: Option<[f64; 2]>,
    pub storage_celsius: [f64; 2],
    pub max_humidity_percent: f64,
    pub source: Vec<String>,
}
