//! Whose fault silence is: the adapter must hear and be heard by someone before a silent module counts as defective.

use super::judge::Received;
use crate::{Nest, StepError, StepLog};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// How long the adapter listens to other devices at a time, and how often: beacons send at least every second or two.
const LISTENS: Duration = Duration::from_millis(1_500);
const TRIES: u32 = 3;
/// The longest time that the proof takes.
pub(super) const LONGEST: Duration = Duration::from_millis(4_500);

/// What to do about an adapter without ears.
const HELP: &str = "check its antenna and plug, and `bluetoothctl --timeout 10 scan on`; where no other Bluetooth device \
                    is near, put a beacon next to the bench";

/// Refuses to judge a module when its silence may be the adapter's.
///
/// # Errors
/// [`StepError::Bench`] names the adapter.
pub(super) async fn prove(nest: &Nest, log: &dyn StepLog, heard: &Received, hears: &Received) -> Result<(), StepError> {
    let adapter = nest.ble.adapter();
    let has_ears = heard.total() > 0 || heard.others > 0 || others(nest, log, &adapter).await?;
    if !has_ears {
        return Err(StepError::Bench(format!(
            "the Bluetooth adapter {adapter} hears no device at all, neither this module nor any other: {HELP}"
        )));
    }
    // A module that receives others is not deaf: the adapter is mute.
    if heard.total() > 0 && hears.total() == 0 && hears.broken == 0 && hears.others > 0 {
        return Err(StepError::Bench(format!(
            "the Bluetooth adapter {adapter} is not heard: the module receives {} packets of other devices and none of \
             it. Check whether it can advertise (`bluetoothctl advertise on`), or use another adapter",
            hears.others
        )));
    }
    Ok(())
}

/// Whether the adapter receives any other device, while the module is silent.
async fn others(nest: &Nest, log: &dyn StepLog, adapter: &str) -> Result<bool, StepError> {
    for _ in 0..TRIES {
        let scan = pin!(nest.ble.senders(LISTENS));
        let senders = match select(scan, pin!(super::keep_alive(nest))).await {
            Either::Left((senders, _)) => senders?,
            Either::Right((error, _)) => return Err(error),
        };
        let strongest = senders.iter().map(|sender| sender.rssi_dbm).fold(f64::NEG_INFINITY, f64::max);
        if !senders.is_empty() {
            let count = senders.len();
            log.note(format!("the adapter {adapter} hears {count} other devices, the strongest at {strongest} dBm"));
            return Ok(true);
        }
    }
    Ok(false)
}
