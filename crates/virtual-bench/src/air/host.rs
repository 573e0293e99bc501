//! The controller's Bluetooth adapter as the bench sees it. Its receiver reports the frequency error of a carrier, as
//! sniffer adapters do.

use super::Air;
use crate::ends::{SharedWorld, VirtualClock};
use async_trait::async_trait;
use bench_instruments::{Advert, BleAir, Clock, InstrumentError, MOST_ADVERT_BYTES, Sender};
use std::rc::Rc;
use std::time::Duration;

/// Shortest interval of advertising (Bluetooth's link layer, advInterval).
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// The adapter; all clones share it.
pub struct VirtualBluetooth(pub(crate) SharedWorld);

impl VirtualBluetooth {
    fn air<R>(&self, act: impl FnOnce(&mut Air, u64) -> R) -> Result<R, InstrumentError> {
        let mut world = self.0.borrow_mut();
        let now_ns = world.now_ns();
        let air = world.rig.air.as_mut();
        if air.as_ref().is_some_and(|air| air.is_gone) {
            return Err(failed("no such adapter"));
        }
        air.map(|air| act(air, now_ns)).ok_or_else(|| failed("this fixture's file has no [ble] section"))
    }
}

fn failed(why: &str) -> InstrumentError {
    InstrumentError::Ble(why.to_owned())
}

/// Ends the scan when the scanner is dropped.
struct Scanning<'a>(&'a VirtualBluetooth);

impl Drop for Scanning<'_> {
    fn drop(&mut self) {
        // The borrow cannot fail: the world is borrowed only while it moves, and it drops no scanner then.
        if let Ok(mut world) = self.0.0.try_borrow_mut()
            && let Some(air) = &mut world.rig.air
        {
            air.end_scan();
        }
    }
}

#[async_trait(?Send)]
impl BleAir for VirtualBluetooth {
    async fn scan(&self, span: Duration) -> Result<Vec<Advert>, InstrumentError> {
        self.air(|air, now_ns| air.begin_scan(now_ns, span.as_nanos() as u64))?;
        let scanning = Scanning(self);
        VirtualClock(Rc::clone(&self.0)).sleep(span).await;
        let heard = self.air(|air, _| air.end_scan());
        drop(scanning);
        heard
    }

    fn adapter(&self) -> String {
        let world = self.0.borrow();
        let Some(air) = world.rig.air.as_ref() else { return "none".to_owned() };
        let bytes: Vec<String> = air.address().iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{} ({})", air.adapter_name, bytes.join(":"))
    }

    async fn senders(&self, span: Duration) -> Result<Vec<Sender>, InstrumentError> {
        let mut senders: Vec<Sender> = Vec::new();
        for advert in self.scan(span).await? {
            match senders.iter_mut().find(|sender| sender.address == advert.address) {
                Some(sender) => sender.rssi_dbm = sender.rssi_dbm.max(advert.rssi_dbm),
                None => senders.push(Sender { address: advert.address, rssi_dbm: advert.rssi_dbm }),
            }
        }
        Ok(senders)
    }

    async fn advertise(&self, company: u16, data: &[u8], interval: Duration) -> Result<(), InstrumentError> {
        if data.len() > MOST_ADVERT_BYTES || interval < SHORTEST_INTERVAL {
            return Err(failed(
                "an advertisement has at most 24 bytes of manufacturer data, and 20 ms to the next one",
            ));
        }
        self.air(|air, now_ns| air.advertise(company, data, interval.as_nanos() as u64, now_ns))
    }

    async fn stop(&self) -> Result<(), InstrumentError> {
        self.air(|air, _| air.stop())
    }
}
