//! The controller's Bluetooth in a fixture file.

use crate::fixture_file::RawBle;
use crate::{BleRadio, Number, ParamProblem, Spanned};
use std::ops::RangeInclusive;

/// Largest transmit power of a class 1 adapter, and the smallest that is plausible.
const POWERS_DBM: RangeInclusive<f64> = -40.0..=20.0;
/// Antennas that touch have some loss; beyond the other end nothing is received.
const LOSSES_DB: RangeInclusive<f64> = 10.0..=90.0;

pub(crate) fn check(raw: &RawBle) -> Result<BleRadio, ParamProblem> {
    let adapter = raw.adapter.get_ref();
    let is_name = adapter.strip_prefix("hci").is_some_and(|number| number.parse::<u8>().is_ok());
    if !is_name {
        return Err(ParamProblem::new(format!("`{adapter}` is no Bluetooth adapter"))
            .at(raw.adapter.span(), "no such name")
            .help("expected a name such as \"hci0\"; `bluetoothctl list` shows them"));
    }
    Ok(BleRadio {
        adapter: adapter.clone(),
        power_dbm: within(&raw.power_dbm, &POWERS_DBM, "dBm")?,
        path_loss_db: within(&raw.path_loss_db, &LOSSES_DB, "dB")?,
    })
}

fn within(value: &Spanned<Number>, range: &RangeInclusive<f64>, unit: &str) -> Result<f64, ParamProblem> {
    let number = value.get_ref().get();
    if range.contains(&number) {
        return Ok(number);
    }
    Err(ParamProblem::new(format!("{number} {unit} cannot be")).at(value.span(), "out of range").help(format!(
        "expected {} to {} {unit}",
        range.start(),
        range.end()
    )))
}
