//! `ble` against doubles of controller and module that receive planned packets.

use crate::bed::{Heard, Setup};
use crate::plans::World;
use crate::steps::{good, refusing, step, story};
use bench_instruments::{Advert, DutError};
use bench_run::BenchTime;
use dut_protocol::{
    BLE_CHANNELS, BLE_COMPANY, BleNonce, BleReport, BleRequest, BleRssi, BleTag, Refusal, Reply, Request,
};
use std::cell::Cell;

pub const BLE: &str = "kind = 'ble'\nheard = { min = 4 }\nhears = { min = 5 }\nlevel = { min = -9, max = 9 }\n\
                       broken = { max = '20 %' }\ncarrier_error = { min = '-40 ppm', max = '40 ppm' }";
const WITHOUT_CARRIER: &str = "kind = 'ble'\nheard = { min = 4 }\nhears = { min = 5 }\n\
                               level = { min = -9, max = 9 }\nbroken = { max = '20 %' }";

/// The module's report for each channel.
pub const GOOD: BleReport = BleReport { busy: false, sent: [24; 3], heard: 10, others: 2, broken: 0, rssi: level(-40) };
const DEAF: BleReport = BleReport { heard: 0, rssi: None, ..GOOD };

const fn level(dbm: i8) -> Option<BleRssi> {
    Some(BleRssi { mean_tenths_dbm: dbm as i16 * 10, min_dbm: dbm, max_dbm: dbm })
}

thread_local! {
    static REPORT: Cell<BleReport> = const { Cell::new(GOOD) };
    /// The channel that the module listens to.
    static CHANNEL: Cell<u8> = const { Cell::new(0) };
    /// Channels on which it receives nothing.
    static DEAF_ON: Cell<u8> = const { Cell::new(0) };
}

fn with_radio(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::Ble(BleRequest::Report) if CHANNEL.get() != 0 && CHANNEL.get() == DEAF_ON.get() => {
            Ok(Reply::Ble(DEAF))
        }
        Request::Ble(BleRequest::Report) => Ok(Reply::Ble(REPORT.get())),
        Request::Ble(BleRequest::Listen { channel, .. }) => {
            CHANNEL.set(*channel);
            Ok(Reply::Done)
        }
        other => good(other),
    }
}

/// With power, on the shipped fixture: 40 dB between 0 dBm at either end.
pub fn air(heard: Heard, report: BleReport) -> Setup {
    REPORT.set(report);
    CHANNEL.set(0);
    DEAF_ON.set(0);
    Setup { powered: true, answers: with_radio, heard, ..Setup::default() }
}

/// Each round on each channel, with the given strength and offset.
fn adverts(nonce: BleNonce, dbm: f64, ppm: Option<f64>, channels: &[u8]) -> Vec<Advert> {
    let all = (0..24).flat_map(|round| BLE_CHANNELS.map(|channel| (round, channel)));
    let heard = all.filter(|(round, channel)| round % 3 == 0 && channels.contains(channel));
    heard
        .map(|(round, channel)| Advert {
            address: [0xC0, 0, 0, 0, 0, 1],
            company: BLE_COMPANY,
            data: BleTag { nonce, channel, round }.bytes().to_vec(),
            rssi_dbm: dbm,
            at: BenchTime::from_micros(u64::from(round) * 25_000),
            carrier_offset_hz: ppm.map(|ppm| ppm * 2440.0),
        })
        .collect()
}

pub fn good_adverts(nonce: BleNonce) -> Vec<Advert> {
    adverts(nonce, -41.0, Some(5.0), &BLE_CHANNELS)
}

/// Other makers' advertisements, the neighbour's module, and invalid data.
fn strangers(nonce: BleNonce) -> Vec<Advert> {
    let neighbours = adverts([7; 8], -30.0, Some(0.0), &BLE_CHANNELS);
    let others = good_adverts(nonce).into_iter().map(|advert| Advert { company: 0x004C, ..advert });
    let cut = good_adverts(nonce).into_iter().map(|advert| Advert { data: advert.data[..9].to_vec(), ..advert });
    neighbours.into_iter().chain(others).chain(cut).collect()
}

/// In a room without any other device.
fn alone(setup: Setup) -> Setup {
    Setup { neighbours: None, ..setup }
}

#[test]
fn ble_defects_are_diagnosed() {
    let world = World::new();
    let report = |dbm| BleReport { rssi: level(dbm), ..GOOD };
    let deaf_on_38 = || {
        let setup = air(good_adverts, GOOD);
        DEAF_ON.set(38);
        setup
    };
    type Row<'a> = (&'a dyn Fn() -> Setup, &'a str);
    let rows: [Row<'_>; 22] = [
        (&|| air(good_adverts, GOOD), "ok"),
        (&|| air(|_| Vec::new(), DEAF), "dut: BLE radio dead: "),
        (&|| air(strangers, DEAF), "dut: BLE radio dead: "),
        (&|| air(strangers, GOOD), "dut: BLE transmitter dead"),
        (&|| air(good_adverts, BleReport { others: 0, ..DEAF }), "dut: BLE receiver dead"),
        // Silence is the bench's until the adapter has heard someone, and the module someone else.
        (&|| alone(air(|_| Vec::new(), DEAF)), "bench: the Bluetooth adapter hci0 (C0:00:00:00:00:01) hears no device"),
        (&|| alone(air(|_| Vec::new(), GOOD)), "bench: the Bluetooth adapter hci0 (C0:00:00:00:00:01) hears no device"),
        (&|| alone(air(strangers, DEAF)), "dut: BLE radio dead: "),
        (&|| alone(air(strangers, GOOD)), "dut: BLE transmitter dead"),
        (
            &|| air(good_adverts, DEAF),
            "bench: the Bluetooth adapter hci0 (C0:00:00:00:00:01) is not heard: the module receives 6",
        ),
        (&|| alone(air(good_adverts, GOOD)), "ok"),
        (&|| air(good_adverts, BleReport { broken: 9, ..DEAF }), "dut: BLE receiver: all 27 packets reached"),
        (
            &|| air(|nonce| adverts(nonce, -80.0, Some(0.0), &BLE_CHANNELS), report(-79)),
            "dut: BLE antenna missing or open: 40 dB too weak from the module, 39 dB to it",
        ),
        (
            &|| air(|nonce| adverts(nonce, -60.0, Some(0.0), &BLE_CHANNELS), report(-61)),
            "dut: BLE weak by 20 dB from the module and weak by 21 dB to the module",
        ),
        (
            &|| air(|nonce| adverts(nonce, -75.0, Some(0.0), &BLE_CHANNELS), report(-40)),
            "dut: BLE weak by 35 dB from the module",
        ),
        (&|| air(good_adverts, report(-30)), "dut: BLE too strong by 10 dB to the module"),
        (
            &|| air(|nonce| adverts(nonce, -40.0, Some(0.0), &[37, 39]), GOOD),
            "dut: BLE: packets sent by the module are missing on channels [38]",
        ),
        (&deaf_on_38, "dut: BLE: packets received by the module are missing on channels [38]"),
        (
            &|| air(|nonce| adverts(nonce, -40.0, Some(-60.0), &BLE_CHANNELS), GOOD),
            "dut: the 32 MHz crystal on the module is off by -60 ppm",
        ),
        (&|| air(good_adverts, BleReport { broken: 10, ..GOOD }), "dut: BLE: 50 % of the packets reach the module"),
        (
            &|| air(|nonce| adverts(nonce, -40.0, None, &BLE_CHANNELS), GOOD),
            "bench: the controller's Bluetooth does not report carrier errors: leave `carrier_error` out",
        ),
        (&|| Setup { answers: refusing, ..air(good_adverts, GOOD) }, "bench: the firmware refused"),
    ];
    for (setup, expected) in rows {
        let ran = step(&world, BLE, setup());
        let report = story(&ran);
        assert!(if expected == "ok" { report == "ok" } else { report.starts_with(expected) }, "{expected}\n{report}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{report}");
    }
}

#[test]
fn a_receiver_without_offsets_suffices_without_that_limit() {
    let world = World::new();
    let ran = step(&world, WITHOUT_CARRIER, air(|nonce| adverts(nonce, -40.0, None, &BLE_CHANNELS), GOOD));
    assert_eq!(story(&ran), "ok");
    assert_eq!(ran.log.measured.borrow().len(), 13, "packets and levels, both ways on three channels, and errors");
}

#[test]
fn a_dead_crystal_is_the_modules_fault() {
    fn without_crystal(request: &Request) -> Result<Reply, DutError> {
        match request {
            Request::Ble(BleRequest::Advertise { .. }) => Err(DutError::Refused(Refusal::NotRunning)),
            other => with_radio(other),
        }
    }
    let world = World::new();
    let ran = step(&world, BLE, Setup { answers: without_crystal, ..air(good_adverts, GOOD) });
    assert!(story(&ran).starts_with("dut: the 32 MHz crystal on the module does not run"), "{}", story(&ran));
}

#[test]
fn a_module_that_never_stops_listening_is_reported() {
    let world = World::new();
    let ran = step(&world, BLE, air(good_adverts, BleReport { busy: true, ..GOOD }));
    assert!(story(&ran).starts_with("dut: the module does not stop listening"), "{}", story(&ran));
}

#[test]
fn mistakes_in_the_parameters_are_reported() {
    let world = World::new();
    for (more, expected) in [
        ("\nlistens = '50 ms'", "0.05 s is outside the allowed time"),
        ("\nmodule_listens = '6 s'", "6 s is outside the allowed time"),
        ("\ninterval = '10 ms'", "0.01 s is outside the allowed time"),
    ] {
        let problem = world.check(&format!("{BLE}{more}")).err().unwrap_or_else(|| panic!("{more} was accepted"));
        assert!(problem.to_string().contains(expected), "{more}\n{problem}");
    }
    let mut without = World::new();
    without.fixture.ble = None;
    let problem = without.check(BLE).err().unwrap();
    assert!(problem.to_string().contains("no Bluetooth to receive the module"), "{problem}");
}
