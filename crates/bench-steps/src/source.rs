//! How far the source (a DAC) and the ADC that reads it may differ.

/// MCP4728: an offset of 20 mV, trimmed to a few; ADS1115: 0.1 %.
const OFFSET_VOLTS: f64 = 8e-3;
const SHARE: f64 = 4e-3;
/// Between both ends of the source's series resistor while no current flows.
pub const LINE_VOLTS: f64 = 4e-3;

/// Most that the ADC may read beside an ordered voltage.
pub fn tolerance(ordered: f64) -> f64 {
    OFFSET_VOLTS + SHARE * ordered
}

pub fn is_right(ordered: f64, read: f64) -> bool {
    (read - ordered).abs() <= tolerance(ordered)
}
