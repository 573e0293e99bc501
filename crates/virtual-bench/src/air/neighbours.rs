//! Other Bluetooth devices within reach of the adapter, as every room has: phones, watches, a beacon. The module's
//! antenna is shielded from them by the fixture.

use crate::random::{Purpose, Random};
use bench_instruments::Advert;
use bench_run::BenchTime;

/// Number of them, and the times between their advertisements, milliseconds.
const INTERVALS_MS: [f64; 3] = [152.5, 417.5, 1_022.5];
const LEVELS_DBM: (f64, f64) = (-84.0, -58.0);
/// Companies: the usual ones of phones and tags.
const COMPANIES: [u16; 3] = [0x004C, 0x0006, 0x0075];
/// Share of the packets that the adapter receives: it listens to one channel of three, and each packet goes out on all.
const RECEIVED: f64 = 0.9;
const RSSI_NOISE_DB: f64 = 3.0;

struct Neighbour {
    address: [u8; 6],
    company: u16,
    level_dbm: f64,
    interval_ns: u64,
    phase_ns: u64,
}

pub(super) struct Neighbours {
    all: Vec<Neighbour>,
    chance: Random,
}

impl Neighbours {
    pub fn new(seed: u64, is_quiet: bool) -> Self {
        let mut chance = Random::new(seed, Purpose::Neighbours);
        let neighbour = |(number, interval_ms): (usize, f64)| {
            let [a, b, c, d, e, ..] = chance.bits().to_le_bytes();
            let interval_ns = (interval_ms * 1e6) as u64;
            Neighbour {
                // The highest bits of a random address are set.
                address: [0xC0 | e, a, b, c, d, number as u8],
                company: COMPANIES.get(number).copied().unwrap_or_default(),
                level_dbm: chance.between(LEVELS_DBM.0, LEVELS_DBM.1),
                interval_ns,
                phase_ns: (chance.unit() * interval_ns as f64) as u64,
            }
        };
        let all = INTERVALS_MS.into_iter().enumerate().map(neighbour).collect();
        Self { all: if is_quiet { Vec::new() } else { all }, chance }
    }

    /// What the adapter receives from them between two times.
    pub fn heard(&mut self, from_ns: u64, to_ns: u64) -> Vec<Advert> {
        let mut heard = Vec::new();
        for one in &self.all {
            let before = from_ns.saturating_sub(one.phase_ns).div_ceil(one.interval_ns);
            let mut at_ns = one.phase_ns + before * one.interval_ns;
            while at_ns < to_ns {
                if self.chance.unit() < RECEIVED {
                    let rssi_dbm = (one.level_dbm + self.chance.gauss(RSSI_NOISE_DB)).round();
                    heard.push(Advert {
                        address: one.address,
                        company: one.company,
                        data: vec![0x10, 0x05],
                        rssi_dbm,
                        at: BenchTime::from_micros(at_ns / 1_000),
                        carrier_offset_hz: None,
                    });
                }
                at_ns += one.interval_ns;
            }
        }
        heard
    }
}
