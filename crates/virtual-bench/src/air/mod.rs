//! The air between the module's antenna and that of the controller's Bluetooth adapter.
//!
//! Packets are real bits with a carrier and a strength. The fate of a packet depends on its strength at the receiver,
//! on whether the receiver listens to its channel throughout, and on chance.

mod host;
mod link_layer;
mod neighbours;

pub use host::VirtualBluetooth;

use crate::bench_fault::AirDamage;
use crate::fault::Defects;
use crate::random::{Purpose, Random};
use crate::real_functions::exp;
use bench_instruments::Advert;
use bench_plan::BleRadio;
use bench_run::BenchTime;
use link_layer::{ACCESS_ADDRESS, Advertisement, CHANNEL_HZ, CHANNELS, MANUFACTURER_DATA, on_air_ns};
use neighbours::Neighbours;
use virtual_nrf52840::RadioPacket;

/// How long a scanning adapter stays on a channel: the value that Linux sets (18 slots of 0.625 ms, without a pause).
const SCAN_WINDOW_NS: u64 = 11_250_000;
/// Between the packets of one round on its three channels.
const BETWEEN_CHANNELS_NS: u64 = 150_000;
const MOST_ADVERTISING_DELAY_NS: f64 = 10e6;
/// Strength at which every second packet is lost, and width of the transition from none to all (a receiver of 1
/// Mbit/s).
const SENSITIVITY_DBM: f64 = -95.0;
const SENSITIVITY_WIDTH_DB: f64 = 1.0;
/// Share of packets lost to other traffic on the band at any strength.
const LOST_TO_OTHERS: f64 = 0.003;
/// Share of the lost packets that still arrive, with wrong bits.
const BROKEN_SHARE: f64 = 0.5;
/// Largest frequency error at which a receiver locks on a carrier.
const LOCK_HZ: f64 = 250e3;
const RSSI_NOISE_DB: f64 = 1.0;
const OFFSET_NOISE_HZ: f64 = 2e3;

/// Deviations of good parts, decibels of either sign.
const MODULE_POWER_DB: f64 = 2.0;
const MODULE_RSSI_DB: f64 = 2.0;
const COUPLING_DB: f64 = 1.5;
const CHANNEL_DB: f64 = 0.5;
const ADAPTER_DB: f64 = 1.5;
/// Error of the adapter's own crystal.
const ADAPTER_PPM: f64 = 5.0;

/// Scan of the adapter.
#[derive(Debug, Clone, Copy)]
struct Scan {
    began_ns: u64,
    ends_ns: u64,
}

/// What the adapter advertises.
#[derive(Debug, Clone)]
struct Advertiser {
    advertisement: Advertisement,
    interval_ns: u64,
    /// Of the present round.
    round_ns: u64,
    /// The next packet: index of its channel, and when it begins.
    place: usize,
    at_ns: u64,
}

pub struct Air {
    adapter_name: String,
    adapter_dbm: f64,
    adapter_rssi_db: f64,
    adapter_ppm: f64,
    adapter_address: [u8; 6],
    module_power_db: f64,
    module_rssi_db: f64,
    /// By channel, defects included.
    loss_db: [f64; 3],
    chance: Random,
    scan: Option<Scan>,
    heard: Vec<Advert>,
    advertiser: Option<Advertiser>,
    /// Whether the adapter receives nothing.
    is_deaf: bool,
    neighbours: Neighbours,
    /// Whether every call of the adapter fails.
    is_gone: bool,
    /// Share of all packets that others on the band destroy.
    busy_share: f64,
}

impl Air {
    pub(crate) fn new(radio: &BleRadio, seed: u64, defects: &Defects, bench: &AirDamage) -> Self {
        let mut random = Random::new(seed, Purpose::Air);
        let mut either = |decibels: f64| random.between(-decibels, decibels);
        let loss = radio.path_loss_db + defects.radio_loss_db + either(COUPLING_DB);
        let loss_db = [loss + either(CHANNEL_DB), loss + either(CHANNEL_DB), loss + either(CHANNEL_DB)];
        let [a, b, c, d, e, ..] = random.bits().to_le_bytes();
        let mut either = |spread: f64| random.between(-spread, spread);
        Self {
            adapter_name: radio.adapter.clone(),
            adapter_dbm: radio.power_dbm + either(ADAPTER_DB),
            adapter_rssi_db: either(ADAPTER_DB),
            adapter_ppm: either(ADAPTER_PPM),
            adapter_address: [a, b, c, d, e, 0xC0],
            module_power_db: either(MODULE_POWER_DB),
            module_rssi_db: either(MODULE_RSSI_DB),
            loss_db,
            chance: Random::new(seed, Purpose::Packets),
            scan: None,
            heard: Vec::new(),
            advertiser: None,
            is_deaf: defects.adapter_deaf,
            neighbours: Neighbours::new(seed, defects.room_quiet),
            is_gone: bench.gone,
            busy_share: bench.busy_share,
        }
    }

    // ---- the adapter ----

    fn begin_scan(&mut self, now_ns: u64, span_ns: u64) {
        self.scan = Some(Scan { began_ns: now_ns, ends_ns: now_ns + span_ns });
        self.heard.clear();
    }

    fn end_scan(&mut self) -> Vec<Advert> {
        let Some(scan) = self.scan.take() else { return Vec::new() };
        let mut heard = std::mem::take(&mut self.heard);
        if !self.is_deaf {
            heard.extend(self.neighbours.heard(scan.began_ns, scan.ends_ns));
            heard.sort_by_key(|advert| advert.at);
        }
        heard
    }

    /// The adapter's address, the highest byte first.
    fn address(&self) -> [u8; 6] {
        let mut address = self.adapter_address;
        address.reverse();
        address
    }

    fn advertise(&mut self, company: u16, content: &[u8], interval_ns: u64, now_ns: u64) {
        let [low, high] = company.to_le_bytes();
        let data = [&[content.len() as u8 + 3, MANUFACTURER_DATA, low, high], content].concat();
        let advertisement = Advertisement { sender: self.adapter_address, data };
        self.advertiser = Some(Advertiser { advertisement, interval_ns, round_ns: now_ns, place: 0, at_ns: now_ns });
    }

    fn stop(&mut self) {
        self.advertiser = None;
    }

    // ---- packets ----

    pub fn next_event_ns(&self) -> Option<u64> {
        self.advertiser.as_ref().map(|advertiser| advertiser.at_ns)
    }

    /// Returns the packet of the adapter that begins now, as it arrives at the module's antenna pin.
    pub fn due(&mut self, now_ns: u64) -> Option<RadioPacket> {
        let advertiser = self.advertiser.as_mut().filter(|advertiser| advertiser.at_ns <= now_ns)?;
        let (place, begin_ns) = (advertiser.place, advertiser.at_ns);
        let mut bytes = advertiser.advertisement.encode(CHANNELS[place]);
        let end_ns = begin_ns + on_air_ns(bytes.len());
        advertiser.place = (place + 1) % CHANNELS.len();
        advertiser.at_ns = if advertiser.place == 0 {
            let delay = self.chance.between(0.0, MOST_ADVERTISING_DELAY_NS) as u64;
            advertiser.round_ns += advertiser.interval_ns + delay;
            advertiser.round_ns
        } else {
            end_ns + BETWEEN_CHANNELS_NS
        };
        let dbm = self.adapter_dbm - self.loss_db[place];
        match self.fate(dbm) {
            Fate::Lost => return None,
            Fate::Broken => self.spoil(&mut bytes),
            Fate::Whole => {}
        }
        let carrier_hz = CHANNEL_HZ[place] * (1.0 + self.adapter_ppm * 1e-6);
        let dbm = dbm + self.module_rssi_db + self.chance.gauss(RSSI_NOISE_DB);
        Some(RadioPacket { carrier_hz, dbm, bytes, begin_ns, end_ns })
    }

    /// The module has sent a packet.
    pub fn module_sent(&mut self, packet: &RadioPacket) {
        let Some(place) = self.scan.and_then(|scan| scan.place_during(packet)) else { return };
        let tuned_hz = CHANNEL_HZ[place] * (1.0 + self.adapter_ppm * 1e-6);
        let offset_hz = packet.carrier_hz - tuned_hz;
        if self.is_deaf || offset_hz.abs() > LOCK_HZ {
            return;
        }
        let dbm = packet.dbm + self.module_power_db - self.loss_db[place];
        let mut bytes = packet.bytes.clone();
        match self.fate(dbm) {
            Fate::Lost => return,
            Fate::Broken => self.spoil(&mut bytes),
            Fate::Whole => {}
        }
        let Some(advertisement) = Advertisement::decode(&bytes, CHANNELS[place]) else { return };
        let rssi_dbm = (dbm + self.adapter_rssi_db + self.chance.gauss(RSSI_NOISE_DB)).round();
        let carrier_offset_hz = Some(offset_hz + self.chance.gauss(OFFSET_NOISE_HZ));
        let mut address = advertisement.sender;
        address.reverse();
        let at = BenchTime::from_micros(packet.end_ns / 1_000);
        for (company, data) in advertisement.manufacturer_data() {
            self.heard.push(Advert { address, company, data, rssi_dbm, at, carrier_offset_hz });
        }
    }

    fn fate(&mut self, dbm: f64) -> Fate {
        let too_weak = 1.0 / (1.0 + exp((dbm - SENSITIVITY_DBM) / SENSITIVITY_WIDTH_DB));
        if self.chance.unit() >= too_weak.max(LOST_TO_OTHERS).max(self.busy_share) {
            Fate::Whole
        } else if self.chance.unit() < BROKEN_SHARE {
            Fate::Broken
        } else {
            Fate::Lost
        }
    }

    /// Some bits after the address arrive wrong.
    fn spoil(&mut self, bytes: &mut [u8]) {
        let behind = bytes.get_mut(ACCESS_ADDRESS.len()..).unwrap_or_default();
        let bits = behind.len() * 8;
        // Three bits in different bytes: a CRC of 24 bits always detects them.
        for third in 0..3 {
            let place = (self.chance.unit() * bits as f64 / 3.0) as usize + third * bits / 3;
            if let Some(byte) = behind.get_mut(place / 8) {
                *byte ^= 1 << (place % 8);
            }
        }
    }
}

enum Fate {
    Whole,
    Broken,
    Lost,
}

impl Scan {
    /// The channel on which it stays during the whole packet, if any.
    fn place_during(&self, packet: &RadioPacket) -> Option<usize> {
        let window = |at_ns: u64| Some(at_ns.checked_sub(self.began_ns)? / SCAN_WINDOW_NS);
        let (first, last) = (window(packet.begin_ns)?, window(packet.end_ns)?);
        (first == last && packet.end_ns <= self.ends_ns).then_some((first % CHANNELS.len() as u64) as usize)
    }
}
