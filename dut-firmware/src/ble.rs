//! Bluetooth Low Energy in parallel with the link: advertises, listens or sends a carrier until it is done or replaced.

use crate::chip;
use crate::radio::{self, Air, MOST_BYTES};
use core::cell::Cell;
use dut_protocol::{
    BLE_CHANNELS, BLE_TEST_BYTES, BleNonce, BleReport, BleRequest, BleRssi, BleTag, Refusal, Reply, ble_test_payload,
};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_nrf::pac;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::ThreadModeRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};

/// Non-connectable advertisement from a random address.
const ADV_NONCONN_IND: u8 = 0x02;
const RANDOM_ADDRESS: u8 = 0x40;
/// The kinds of advertisement that carry data: connectable, not connectable, scannable, and the answer to a scan.
const WITH_DATA: [u8; 4] = [0, 2, 6, 4];
const ADDRESS_BYTES: usize = 6;
const HEADER_BYTES: usize = 2;
/// Largest random delay between two rounds (Bluetooth's link layer, advDelay).
const MOST_DELAY_MS: u32 = 10;
/// Interval of the packets of the direct test mode.
const TEST_INTERVAL: Duration = Duration::from_micros(625);

/// The current operation; `None`: none. A new one replaces it.
static ORDER: Signal<ThreadModeRawMutex, Option<BleRequest>> = Signal::new();
static REPORT: Mutex<ThreadModeRawMutex, Cell<BleReport>> = Mutex::new(Cell::new(NOTHING));
const NOTHING: BleReport = BleReport { busy: false, sent: [0; 3], heard: 0, others: 0, broken: 0, rssi: None };

/// Starts with the radio off. `main` has bound its interrupt.
pub fn start(spawner: Spawner) {
    radio::start();
    if let Ok(task) = work() {
        spawner.spawn(task);
    }
}

/// Carries out a checked request.
pub fn execute(request: &BleRequest) -> Result<Reply, Refusal> {
    match request {
        BleRequest::Report => return Ok(Reply::Ble(report())),
        BleRequest::Stop => stop(),
        _ if !chip::status().crystal_32m => return Err(Refusal::NotRunning),
        _ => {
            REPORT.lock(|report| report.set(BleReport { busy: true, ..NOTHING }));
            ORDER.signal(Some(*request));
        }
    }
    Ok(Reply::Done)
}

/// Switches the radio off; the report stays.
pub fn stop() {
    note(|report| report.busy = false);
    ORDER.signal(None);
}

fn report() -> BleReport {
    REPORT.lock(Cell::get)
}

fn note(change: impl FnOnce(&mut BleReport)) {
    REPORT.lock(|cell| {
        let mut report = cell.get();
        change(&mut report);
        cell.set(report);
    });
}

#[embassy_executor::task]
async fn work() {
    // The radio reads and writes here; it is switched off before other code does.
    let mut packet = [0; MOST_BYTES];
    let mut order = None;
    loop {
        order = match order {
            None => ORDER.wait().await,
            Some(request) => match select(ORDER.wait(), serve(request, &mut packet)).await {
                Either::First(next) => next,
                Either::Second(()) => {
                    note(|report| report.busy = false);
                    None
                }
            },
        };
        radio::off();
    }
}

async fn serve(request: BleRequest, packet: &mut [u8; MOST_BYTES]) {
    match request {
        BleRequest::Advertise { nonce, count, interval_ms, dbm } => {
            advertise(packet, nonce, count, interval_ms, dbm).await;
        }
        BleRequest::Listen { channel, window_ms, nonce } => {
            radio::tune(Air::advertising(channel), 0);
            let window = Timer::after(Duration::from_millis(window_ms.into()));
            select(window, listen(packet, &nonce)).await;
        }
        BleRequest::Carrier { mhz, modulated, dbm } => {
            radio::tune(Air::test(mhz), dbm);
            if modulated { test_packets(packet).await } else { bare_carrier().await }
        }
        BleRequest::Stop | BleRequest::Report => {}
    }
}

async fn advertise(packet: &mut [u8; MOST_BYTES], nonce: BleNonce, count: u16, interval_ms: u16, dbm: i8) {
    // A cheap generator: it only keeps two modules from running in step.
    let mut random = u32::from_le_bytes([nonce[0], nonce[1], nonce[2], nonce[3]]) | 1;
    let address = own_address();
    for round in 0..count {
        for (place, channel) in BLE_CHANNELS.into_iter().enumerate() {
            let element = BleTag { nonce, channel, round: round as u8 }.element();
            let parts =
                [&[ADV_NONCONN_IND | RANDOM_ADDRESS, (ADDRESS_BYTES + element.len()) as u8], &address[..], &element];
            for (to, from) in packet.iter_mut().zip(parts.into_iter().flatten()) {
                *to = *from;
            }
            radio::tune(Air::advertising(channel), dbm);
            radio::send(packet).await;
            note(|report| report.sent[place] = report.sent[place].saturating_add(1));
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let delay = ((random >> 16) * (MOST_DELAY_MS + 1)) >> 16;
        Timer::after(Duration::from_millis(u64::from(u32::from(interval_ms) + delay))).await;
    }
}

/// The chip's random static address, written by its maker; the two highest bits mark its kind.
fn own_address() -> [u8; ADDRESS_BYTES] {
    let [a, b, c, d] = pac::FICR.deviceaddr(0).read().to_le_bytes();
    let [e, f, ..] = pac::FICR.deviceaddr(1).read().to_le_bytes();
    [a, b, c, d, e, f | 0xC0]
}

/// Forever.
async fn listen(packet: &mut [u8; MOST_BYTES], nonce: &BleNonce) {
    let mut sum = 0_i32;
    radio::listen(packet);
    loop {
        let heard = radio::heard().await;
        match tag_of(packet) {
            _ if !heard.is_whole => note(|report| report.broken = report.broken.saturating_add(1)),
            Some(tag) if tag.nonce == *nonce => note(|report| {
                report.heard = report.heard.saturating_add(1);
                sum += i32::from(heard.dbm);
                let before = report.rssi.map_or((heard.dbm, heard.dbm), |rssi| (rssi.min_dbm, rssi.max_dbm));
                report.rssi = Some(BleRssi {
                    mean_tenths_dbm: (sum * 10 / i32::from(report.heard)) as i16,
                    min_dbm: before.0.min(heard.dbm),
                    max_dbm: before.1.max(heard.dbm),
                });
            }),
            _ => note(|report| report.others = report.others.saturating_add(1)),
        }
        radio::listen_on();
    }
}

/// The tag of the packet, if it is an advertisement with one.
fn tag_of(packet: &[u8; MOST_BYTES]) -> Option<BleTag> {
    let [kind, length, payload @ ..] = packet;
    let data = payload.get(ADDRESS_BYTES..usize::from(*length))?;
    if WITH_DATA.contains(&(kind & 0x0F)) { BleTag::find(data) } else { None }
}

/// Forever.
async fn bare_carrier() {
    radio::carrier();
    core::future::pending().await
}

/// Forever.
async fn test_packets(packet: &mut [u8; MOST_BYTES]) {
    let (header, payload) = packet.split_at_mut(HEADER_BYTES);
    // Type 0: PRBS9.
    header.copy_from_slice(&[0, BLE_TEST_BYTES as u8]);
    payload.copy_from_slice(&ble_test_payload());
    let mut next = Instant::now();
    loop {
        radio::send(packet).await;
        note(|report| report.sent[0] = report.sent[0].saturating_add(1));
        next += TEST_INTERVAL;
        Timer::at(next).await;
    }
}
