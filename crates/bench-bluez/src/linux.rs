//! The controller's Bluetooth adapter, through BlueZ's daemon: receives and sends advertisements. The only module that
//! uses `bluer`.
//!
//! A scan reports every advertisement with its signal strength. BlueZ does not report the frequency error of a carrier.
//! Needs a tokio runtime, and the user must have access to the daemon (group `bluetooth`).

use async_trait::async_trait;
use bench_instruments::{Advert, BleAir, Clock, InstrumentError, MOST_ADVERT_BYTES, Sender};
use bench_run::BenchTime;
use bluer::adv::{Advertisement, AdvertisementHandle, Type};
use bluer::{Adapter, AdapterEvent, Address, DeviceEvent, DeviceProperty, DiscoveryFilter, DiscoveryTransport};
use bluer::{ErrorKind, Session};
// Linked only for its features, see Cargo.toml.
use dbus as _;
use futures_util::future::{Either, select};
use futures_util::stream::{self, LocalBoxStream, SelectAll, StreamExt};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// One adapter of the controller.
pub struct BluezAir {
    clock: Rc<dyn Clock>,
    adapter: Adapter,
    advertising: RefCell<Option<AdvertisementHandle>>,
    /// Name and address, for messages.
    description: String,
    _session: Session,
}

impl BluezAir {
    /// Opens the adapter of this name ("hci0") and switches it on if necessary.
    ///
    /// # Errors
    /// [`InstrumentError::Ble`]: no daemon, no such adapter, or it cannot be switched on. The message says what to do.
    pub async fn open(name: &str, clock: Rc<dyn Clock>) -> Result<Self, InstrumentError> {
        let session = Session::new().await.map_err(|error| {
            failed("talk to the Bluetooth daemon", &error, "is `bluetooth.service` running, and the user in its group?")
        })?;
        let adapters = session
            .adapter_names()
            .await
            .map_err(|error| failed("ask for adapters", &error, "is `bluetooth.service` running?"))?;
        if !adapters.iter().any(|adapter| adapter == name) {
            let available = if adapters.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there is {}", adapters.join(", "))
            };
            return Err(InstrumentError::Ble(format!(
                "no adapter {name}, {available}: plug one in, or name another one in the fixture file's [ble]"
            )));
        }
        let adapter = session
            .adapter(name)
            .map_err(|error| failed(&format!("open the adapter {name}"), &error, "see `bluetoothctl list`"))?;
        adapter.set_powered(true).await.map_err(|error| {
            failed(
                &format!("switch the adapter {name} on"),
                &error,
                "`rfkill list` shows whether it is blocked, `rfkill unblock bluetooth` unblocks it",
            )
        })?;
        // Not every adapter says its address.
        let description = match adapter.address().await {
            Ok(address) => format!("{name} ({address})"),
            Err(_) => name.to_owned(),
        };
        Ok(Self { clock, adapter, advertising: RefCell::new(None), description, _session: session })
    }

    /// Streams everything that one device sends from now on.
    async fn device(
        &self,
        address: Address,
    ) -> Result<Option<LocalBoxStream<'static, (Address, DeviceEvent)>>, bluer::Error> {
        match self.adapter.device(address)?.events().await {
            Ok(events) => Ok(Some(events.map(move |event| (address, event)).boxed_local())),
            // The device has already disappeared.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::DoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn heard_for(&self, span: Duration) -> Result<Heard, InstrumentError> {
        self.listen(self.clock.now() + span).await.map_err(|error| {
            let what = format!("scan with the adapter {}", self.description);
            failed(&what, &error, "another program may be scanning; `bluetoothctl scan off` ends it")
        })
    }

    async fn listen(&self, until: BenchTime) -> Result<Heard, bluer::Error> {
        let filter =
            DiscoveryFilter { transport: DiscoveryTransport::Le, duplicate_data: true, ..DiscoveryFilter::default() };
        self.adapter.set_discovery_filter(filter).await?;
        let mut adapter_events = self.adapter.discover_devices().await?.boxed_local();
        let mut devices: SelectAll<LocalBoxStream<'static, (Address, DeviceEvent)>> = SelectAll::new();
        // Without this pending stream, the selection would end at once while there is no device.
        devices.push(stream::pending().boxed_local());
        let mut heard = Heard::default();
        let mut end = pin!(self.clock.sleep_until(until));
        loop {
            let next = select(adapter_events.next(), devices.next());
            match select(&mut end, next).await {
                Either::Left(_) => return Ok(heard),
                Either::Right((Either::Left((Some(AdapterEvent::DeviceAdded(address)), _)), _)) => {
                    // The first advertisement is in the device's properties, later ones come as signals. A device that
                    // the daemon knows from before but does not receive now has no strength.
                    let events = self.device(address).await?;
                    let device = self.adapter.device(address)?;
                    if let Ok(Some(rssi)) = device.rssi().await {
                        heard.strength(address, rssi);
                        if let Ok(Some(data)) = device.manufacturer_data().await {
                            heard.data(address, data, self.clock.now());
                        }
                    }
                    devices.extend(events);
                }
                Either::Right((Either::Left((None, _)), _)) => return Err(gone()),
                Either::Right((Either::Right((Some((address, DeviceEvent::PropertyChanged(property))), _)), _)) => {
                    heard.changed(address, property, self.clock.now());
                }
                Either::Right(_) => {}
            }
        }
    }
}

fn gone() -> bluer::Error {
    bluer::Error { kind: ErrorKind::NotAvailable, message: "the adapter disappeared".to_owned() }
}

/// Advertisements received by a scan so far.
#[derive(Default)]
struct Heard {
    adverts: Vec<Advert>,
    rssi_dbm: HashMap<Address, i16>,
    /// The strongest packet of each device.
    strongest_dbm: BTreeMap<[u8; 6], i16>,
    /// The new advertisements. Strength and data come in one signal, but one after the other and in either order, so
    /// the strength of these may still be corrected.
    newest: HashMap<Address, (BenchTime, usize)>,
}

/// A strength that comes at most this long after data belongs to it.
const SAME_SIGNAL: Duration = Duration::from_millis(2);

impl Heard {
    fn changed(&mut self, address: Address, property: DeviceProperty, at: BenchTime) {
        match property {
            DeviceProperty::Rssi(rssi) => {
                self.strength(address, rssi);
                if let Some((when, first)) = self.newest.remove(&address)
                    && at <= when + SAME_SIGNAL
                {
                    for advert in self.adverts.iter_mut().skip(first).filter(|advert| advert.address == address.0) {
                        advert.rssi_dbm = rssi.into();
                    }
                }
            }
            DeviceProperty::ManufacturerData(data) => self.data(address, data, at),
            _ => {}
        }
    }

    fn strength(&mut self, address: Address, rssi: i16) {
        self.rssi_dbm.insert(address, rssi);
        let strongest = self.strongest_dbm.entry(address.0).or_insert(rssi);
        *strongest = rssi.max(*strongest);
    }

    fn data(&mut self, address: Address, data: HashMap<u16, Vec<u8>>, at: BenchTime) {
        let Some(&rssi) = self.rssi_dbm.get(&address) else { return };
        self.newest.insert(address, (at, self.adverts.len()));
        let by_company: BTreeMap<u16, Vec<u8>> = data.into_iter().collect();
        let advert = |(company, data)| Advert {
            address: address.0,
            company,
            data,
            rssi_dbm: rssi.into(),
            at,
            carrier_offset_hz: None,
        };
        self.adverts.extend(by_company.into_iter().map(advert));
    }
}

fn failed(what: &str, error: &bluer::Error, hint: &str) -> InstrumentError {
    InstrumentError::Ble(format!("cannot {what} ({error}): {hint}"))
}

#[async_trait(?Send)]
impl BleAir for BluezAir {
    async fn scan(&self, span: Duration) -> Result<Vec<Advert>, InstrumentError> {
        Ok(self.heard_for(span).await?.adverts)
    }

    fn adapter(&self) -> String {
        self.description.clone()
    }

    async fn senders(&self, span: Duration) -> Result<Vec<Sender>, InstrumentError> {
        let strongest = self.heard_for(span).await?.strongest_dbm;
        Ok(strongest.into_iter().map(|(address, rssi)| Sender { address, rssi_dbm: rssi.into() }).collect())
    }

    async fn advertise(&self, company: u16, data: &[u8], interval: Duration) -> Result<(), InstrumentError> {
        if data.len() > MOST_ADVERT_BYTES {
            let text = format!("{} bytes do not fit into an advertisement; at most {MOST_ADVERT_BYTES} do", data.len());
            return Err(InstrumentError::Ble(text));
        }
        // Two advertisements of one client would alternate.
        self.advertising.take();
        let advertisement = Advertisement {
            advertisement_type: Type::Broadcast,
            manufacturer_data: BTreeMap::from([(company, data.to_vec())]),
            min_interval: Some(interval),
            max_interval: Some(interval),
            ..Advertisement::default()
        };
        let handle = self.adapter.advertise(advertisement).await.map_err(|error| {
            let what = format!("advertise with the adapter {}", self.description);
            failed(&what, &error, "needs an adapter that can advertise and has a free advertising slot")
        })?;
        *self.advertising.borrow_mut() = Some(handle);
        Ok(())
    }

    async fn stop(&self) -> Result<(), InstrumentError> {
        self.advertising.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Address = Address([0xC0, 0, 0, 0, 0, 1]);
    const OTHER: Address = Address([0xC0, 0, 0, 0, 0, 2]);

    fn data(byte: u8) -> DeviceProperty {
        DeviceProperty::ManufacturerData(HashMap::from([(0xFFFF, vec![byte])]))
    }

    #[test]
    fn strength_and_data_of_one_signal_belong_together_in_either_order() {
        let at = BenchTime::from_micros;
        let mut heard = Heard::default();
        // No report for a device that was never received.
        heard.changed(ONE, data(0), at(0));
        for (address, property, when) in [
            (ONE, DeviceProperty::Rssi(-50), 1),
            (ONE, data(1), 1),
            (OTHER, DeviceProperty::Rssi(-70), 2),
            (ONE, data(2), 20_000),
            (OTHER, data(3), 20_100),
            (ONE, DeviceProperty::Rssi(-52), 20_200),
            // Long after: the strength of another advertisement, whose data did not change.
            (OTHER, DeviceProperty::Rssi(-90), 60_000),
        ] {
            heard.changed(address, property, at(when));
        }
        let adverts: Vec<(u8, f64)> = heard.adverts.iter().map(|advert| (advert.data[0], advert.rssi_dbm)).collect();
        assert_eq!(adverts, [(1, -50.0), (2, -52.0), (3, -70.0)]);
        assert_eq!(heard.strongest_dbm, BTreeMap::from([(ONE.0, -50), (OTHER.0, -70)]), "each by its strongest packet");
    }
}
